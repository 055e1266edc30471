/* SPDX-License-Identifier: BSD-2-Clause */
/* Which files a process may open by name: those below given directories, to read them. */
#ifndef DAEMON_LANDLOCK_H
#define DAEMON_LANDLOCK_H

#include <stddef.h>

#include "base/err.h"

/*
 * For this process and all its later threads, for good; after no_new_privs. With no directory
 * nothing can be opened. 0 or -errno; a kernel without Landlock (before 5.13, or where it is
 * turned off) is no error: the other walls stand.
 */
int landlock_enter(const int *roots, size_t n, struct err *e);

#endif
