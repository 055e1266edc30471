/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deadlines of one thread, for connections by the hundred thousand: a timing wheel that is
 * turned every WHEEL_MS. Setting a timer to a later time is one store (it is looked at when
 * its old slot comes by, and moved on); to an earlier time, a list insertion. Pure: time is
 * given by the caller, in milliseconds of any steady clock.
 *
 * A timer fires up to WHEEL_MS late and never early.
 */
#ifndef L7_WHEEL_H
#define L7_WHEEL_H

#include <stdint.h>
#include <sys/queue.h>

#define WHEEL_MS    250
#define WHEEL_SLOTS 512 /* 128 s; a later deadline is looked at once a round */

struct timer {
	LIST_ENTRY(timer) entry;
	uint64_t when;                 /* ms; 0 = not set */
	uint64_t look;                 /* the tick in whose slot it waits; private */
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
/* Fine when t is not set. */
void wheel_stop(struct timer *t);

/* Fires what is due. A `fire` may set, stop and free any timer of the wheel. */
void wheel_turn(struct wheel *w, uint64_t now_ms);

#endif
