/* SPDX-License-Identifier: BSD-2-Clause */
/* What `ps` shows of a process, so that keeper and workers can be told apart. Its name (comm)
 * stays "sluiced": pkill and systemd look at that. */
#ifndef DAEMON_TITLE_H
#define DAEMON_TITLE_H

void title_init(int argc, char **argv);
/* Cut where the command line, whose place it takes, ends. Does nothing without title_init. */
void title_set(const char *text);

#endif
