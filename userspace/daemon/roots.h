/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The directories of routes with files, opened by the keeper and handed to the worker, which
 * reaches nothing else by name. Opened anew with each configuration: a directory that was put in
 * the place of another is seen by a reload.
 */
#ifndef DAEMON_ROOTS_H
#define DAEMON_ROOTS_H

#include "base/err.h"
#include "conf/conf.h"

struct roots {
	int *fds; /* as in conf.roots */
	unsigned n;
};

/* 0 or -errno, and then none is open. */
int roots_open(struct roots *r, const struct conf *c, struct err *e);
void roots_close(struct roots *r); /* a zeroed struct is fine */

#endif
