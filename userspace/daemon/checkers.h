/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checkers' processes: one for what is asked by the network, whose system calls are
 * filtered, and one for programs that are run, whose are not, only if there are such checks.
 */
#ifndef DAEMON_CHECKERS_H
#define DAEMON_CHECKERS_H

#include "daemon/jail.h"
#include "health/checker.h"

struct event_base;
struct event;

#define CHECKERS 2

struct checkers_process {
	struct checkers *owner;
	bool exec;
	struct check_target *targets; /* its own, in a row */
	uint32_t *slots;              /* of each of them, from 0 */
	size_t n;
	pid_t pid;   /* 0: none runs */
	int control; /* or -1 */
	struct event *on_control, *restart;
	uint64_t started_ms;
	uint32_t pause_ms;
};

struct checkers {
	struct checkers_process all[CHECKERS];
	struct jail jail;
	struct event_base *base;
	uint32_t most;
	bool trap, ending;
	/* Called from the event loop. */
	void (*on_result)(void *user, uint32_t slot, bool ok, uint32_t ms, const char *why);
	int (*on_socket)(void *user, uint32_t slot); /* a descriptor, or -errno */
	void *user;
};

/* targets[0..n) by slot; copied. Those without `health` are left out. 0 or -errno. */
int checkers_make(struct checkers *c, const struct check_target *targets, size_t n, uint32_t most);
void checkers_free(struct checkers *c);

/* jail, base, trap, on_result, on_socket and user are set. 0 or -errno. */
int checkers_start(struct checkers *c, struct err *e);
/* A target has another address from now on; without one it is not checked. */
void checkers_move(struct checkers *c, uint32_t slot, const struct endpoint *to);
/* They end by themselves, soon. */
void checkers_end(struct checkers *c);
/* Was it one of these? Another is started, unless they are to end. */
bool checkers_ended(struct checkers *c, pid_t pid, int status);

#endif
