/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One check of one backend: what is connected, asked and heard, within its time. Nothing
 * blocks; a check ends once, by a call of `done`.
 *
 *   tcp, http, https   connects [- shakes] [- asks - listens]
 *   dns, udp           asks - listens
 *   exec               runs
 *
 * Excludes: when to check, and what follows from the result.
 */
#ifndef HEALTH_CHECK_H
#define HEALTH_CHECK_H

#include <sys/types.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/addr.h"
#include "health/expect.h"
#include "health/tls.h"

/* Who is asked, and how; all of it borrowed. */
struct check_target {
	const struct conf_health *health;
	struct endpoint to;         /* at no address: it is not checked */
	uint32_t moves;             /* times that it had another */
	const char *pool, *backend; /* names, for an exec check */
	bool marked;                /* its sockets come from the keeper (checker.h) */
	struct tls *tls;            /* https */
};

enum check_phase {
	CHECK_CONNECTS,
	CHECK_SHAKES,
	CHECK_ASKS,
	CHECK_LISTENS,
	CHECK_RUNS,
};

struct check {
	const struct check_target *target;
	void (*done)(struct check *c, bool ok, const char *why);
	struct event io, deadline;
	int fd;    /* socket; of exec a pidfd. -1: there is none yet */
	pid_t pid; /* exec */
	enum check_phase phase;
	struct ssl_st *ssl;
	uint16_t id; /* dns */
	char *question;
	size_t question_len, sent;
	char *answer; /* EXPECT_ANSWER bytes, once there is one */
	size_t answer_len;
};

/* A socket as a check of this kind needs it, not connected. -errno. */
int check_socket(const struct conf_health *h, const struct endpoint *to);

/* Begins; the time runs, also while there is no socket yet. May end at once. */
void check_start(struct check *c, struct event_base *base, const struct check_target *target,
		 void (*done)(struct check *, bool, const char *));
/* The socket, whose owner c becomes. */
void check_connect(struct check *c, int fd);
/* Ends it without a word. Zeroed is fine. */
void check_stop(struct check *c);

/* For exec.c: the check is over. */
void check_end(struct check *c, bool ok, const char *why);
/* exec.c: 0 or -errno. */
int exec_start(struct check *c);
void exec_stop(struct check *c);

#endif
