// SPDX-License-Identifier: BSD-2-Clause
#include "l7/wheel.h"

#include <stddef.h>

void wheel_init(struct wheel *w, uint64_t now_ms)
{
	w->tick = now_ms / WHEEL_MS;
	for (unsigned i = 0; i < WHEEL_SLOTS; i++)
		LIST_INIT(&w->slots[i]);
}

/* The tick at which it is looked at, if it is put into a slot now. */
static uint64_t tick_of(const struct wheel *w, uint64_t when)
{
	uint64_t first = w->tick + 1, last = w->tick + WHEEL_SLOTS - 1;
	uint64_t due = (when + WHEEL_MS - 1) / WHEEL_MS;

	return due < first ? first : due > last ? last : due;
}

static void insert(struct wheel *w, struct timer *t)
{
	t->look = tick_of(w, t->when);
	LIST_INSERT_HEAD(&w->slots[t->look % WHEEL_SLOTS], t, entry);
}

void wheel_set(struct wheel *w, struct timer *t, uint64_t when)
{
	t->when = when ? when : 1;
	if (t->look && t->look <= tick_of(w, t->when))
		return;
	if (t->look)
		LIST_REMOVE(t, entry);
	insert(w, t);
}

void wheel_stop(struct timer *t)
{
	if (t->look)
		LIST_REMOVE(t, entry);
	t->look = t->when = 0;
}

static void turn_slot(struct wheel *w, uint64_t now_ms)
{
	struct timer_list *slot = &w->slots[w->tick % WHEEL_SLOTS];
	struct timer *t;

	/* What is inserted meanwhile goes into other slots, so this ends. */
	while ((t = LIST_FIRST(slot))) {
		LIST_REMOVE(t, entry);
		t->look = 0;
		if (t->when > now_ms) {
			insert(w, t);
		} else if (t->when) {
			t->when = 0;
			t->fire(t);
		}
	}
}

void wheel_turn(struct wheel *w, uint64_t now_ms)
{
	uint64_t to = now_ms / WHEEL_MS;

	/* After a long stall one round visits every slot. */
	if (to > w->tick + WHEEL_SLOTS)
		w->tick = to - WHEEL_SLOTS;
	while (w->tick < to) {
		w->tick++;
		turn_slot(w, now_ms);
	}
}
