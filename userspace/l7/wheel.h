/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deadlines of one thread, for connections by the hundred thousand: a timing wheel that is
 * turned every WHEEL_MS. Each timer is looked at within 4 s and moved on if it is not due: so a
 * connection whose deadline is another one at each step of a request stays in its slot, and
 * setting it is one store, as long as the deadline is no closer than that look. Pure: time is
 * given by the caller, in milliseconds of any steady clock.
 *
 * A timer fires up to WHEEL_MS late and never early.
 */
#ifndef L7_WHEEL_H
#define L7_WHEEL_H

#include <stdint.h>
#include <sys/queue.h>

#define WHEEL_MS    250
#define WHEEL_SLOTS 16 /* 4 s: a round, in which each timer is looked at once */

struct timer {
	LIST_ENTRY(timer) entry;
	uint64_t when;                 /* ms; 0 = not set */
	uint64_t look;                 /* the tick in whose slot it is; 0 = in none; private */
	void (*fire)(struct timer *t); /* the owner's; the timer is not set any more then */
};

LIST_HEAD(timer_list, timer);

struct wheel {
	uint64_t tick; /* the last one that was turned to */
	struct timer_list slots[WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now_ms);

/* Sets t, or sets it anew. `when` in the past fires at the next turn. */
void wheel_set(struct wheel *w, struct timer *t, uint64_t when);
/* It does not fire, and may be freed. Fine when t is not set. */
void wheel_stop(struct timer *t);
/* It does not fire; it may not be freed before wheel_stop. Costs nothing: who sets it again soon
 * finds it in its slot still. */
static inline void wheel_rest(struct timer *t)
{
	t->when = 0;
}

/* Fires what is due. A `fire` may set, stop and free any timer of the wheel. */
void wheel_turn(struct wheel *w, uint64_t now_ms);

#endif
