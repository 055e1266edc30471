/* SPDX-License-Identifier: BSD-2-Clause */
/* Doing something again whenever files change. */
#ifndef CTL_WATCH_H
#define CTL_WATCH_H

/*
 * Calls `once` in a process of its own, and again whenever one of the files has been written
 * and closed, or another was moved into its place. `once` tells its own failures and answers
 * with enum ctl_status; if the first call fails, that is the answer. Ends with CTL_OK on
 * SIGINT or SIGTERM, with CTL_FAIL, told, when the files' folder goes away.
 *
 * Its own process: what it allocates and locks is given back when it is done.
 */
int watch_files(char **paths, int n, int (*once)(const void *arg), const void *arg);

#endif
