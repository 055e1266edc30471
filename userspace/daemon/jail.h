/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a worker must not be able to do, whoever talks it into trying: another account, no
 * capability, no new privilege by exec, no descriptor but those that it is given, and only
 * the system calls of a proxy. And the little that the keeper can do without.
 */
#ifndef DAEMON_JAIL_H
#define DAEMON_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"

struct jail {
	const char *user; /* account of the worker, borrowed */
	uid_t uid;
	gid_t gid;
	bool change;       /* false: the keeper is not root, so the worker keeps its account */
	bool unix_sockets; /* backends are some */
	bool reads;        /* it may open files below its directories by any name */
	bool any_call;     /* its system calls are not filtered: it runs programs */
	const int *roots;  /* directories whose files it may open, borrowed */
	size_t n_roots;
	rlim_t files; /* descriptors that the worker may need; 0 = only looking */
};

/* Looks the account up, where the account database can be read, and makes room for the
 * descriptors. Called in the keeper. */
int jail_prepare(struct jail *j, const char *user, rlim_t files, struct err *e);

/*
 * In the new worker process, before it has threads: gives everything away but the
 * descriptors keep[0..n) (any order; sorted here) and stderr. trap: a system call that is
 * not allowed is named on stderr before the process ends, else the kernel just kills it.
 */
int jail_enter(const struct jail *j, int *keep, size_t n, bool trap, struct err *e);

/* fork(2), for a child that enters a jail: handlers of the keeper must not run there before it
 * has reset them, since they would write into the keeper's event loop. */
pid_t jail_fork(void);

/* In the keeper, once: no new privilege by exec, no capability that it has no use for. gate:
 * it changes the gate's tables, and looking into a map of maps takes CAP_SYS_ADMIN.
 * What cannot be given away is kept and logged. */
void jail_keeper(bool gate);

#endif
