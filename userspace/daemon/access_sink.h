/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the access log goes: a file, the keeper's standard output, or the syslog daemon. */
#ifndef DAEMON_ACCESS_SINK_H
#define DAEMON_ACCESS_SINK_H

#include "base/err.h"

/* to: a path, "stdout", "syslog", or NULL: none. A descriptor, -1 for none, or -errno. */
int access_sink_open(const char *to, struct err *e);

/* The same for who has one open already: for the same place, when that is out of the reach of a
 * keeper that has given up its capabilities, the open one is shared. */
int access_sink_again(const char *to, const char *open_to, int open_fd, struct err *e);

#endif
