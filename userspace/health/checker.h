/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checker: a process of its own that asks backends how they are, thousands in one event
 * loop, and tells the keeper what it heard. It decides nothing: what results mean is the
 * keeper's to say (state.h). It holds no privilege; of all descriptors it has one end of a
 * socketpair.
 */
#ifndef HEALTH_CHECKER_H
#define HEALTH_CHECKER_H

#include <stddef.h>
#include <stdint.h>

#include "health/check.h"

#define CHECKER_ASKING 64 /* sockets that are asked for and not here yet; then checks wait */

struct checker_start {
	struct check_target *targets; /* borrowed for the process's life */
	size_t n;
	uint32_t most; /* checks at a time; then others wait their turn */
	int control;   /* to the keeper: struct checker_msg, SOCK_SEQPACKET */
};

/*
 * Messages on the control socket: typed, of fixed size, checked by the receiver.
 *   RESULT   checker to keeper: a check of `target` ended
 *   SOCKET   checker to keeper: one is wanted for `target`, marked for the way that the gate
 *            forwards, which takes a privilege; and the answer, with the descriptor beside
 *            it, or with ok = 0
 *   MOVE     keeper to checker: `target` is at `to` from now on; at no address, it is not checked
 * When the keeper's end closes, the checker ends.
 */
enum checker_msg_type { CHECKER_MSG_RESULT = 1, CHECKER_MSG_SOCKET = 2, CHECKER_MSG_MOVE = 3 };

struct checker_msg {
	uint32_t type; /* enum checker_msg_type */
	uint32_t size; /* sizeof(struct checker_msg) */
	uint32_t target;
	uint32_t ok;
	uint32_t ms;    /* that the check took */
	uint32_t moves; /* of the target, so far: results of an earlier address say nothing */
	struct endpoint to;
	char why[EXPECT_WHY];
};

/* Reads what https checks need of files; before the process loses sight of them. 0 or -errno. */
int checker_prepare(const struct checker_start *start, struct err *e);
/* Runs until the keeper is gone; returns the process's exit status. */
int checker_run(const struct checker_start *start);

#endif
