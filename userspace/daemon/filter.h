/* SPDX-License-Identifier: BSD-2-Clause */
/* The system calls that a worker may make: seccomp, an allow-list. */
#ifndef DAEMON_FILTER_H
#define DAEMON_FILTER_H

#include <stdbool.h>

#include "base/err.h"

struct jail;

/*
 * For this process and all its later threads, for good. A call that is not on the list ends
 * the process by SIGSYS; with trap, a line on stderr names it first. 0 or -errno.
 */
int filter_load(bool trap, const struct jail *j, struct err *e);

#endif
