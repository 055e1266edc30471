// SPDX-License-Identifier: BSD-2-Clause
#include "l7/wheel.h"

#include <stddef.h>

void wheel_init(struct wheel *w, uint64_t now_ms)
{
	w->tick = now_ms / WHEEL_MS;
	for (unsigned i = 0; i < WHEEL_SLOTS; i++)
		LIST_INIT(&w->slots[i]);
}

static void insert(struct wheel *w, struct timer *t)
{
	uint64_t first = w->tick + 1, last = w->tick + WHEEL_SLOTS - 1;
	uint64_t due = (t->when + WHEEL_MS - 1) / WHEEL_MS;

	t->look = due < first ? first : due > last ? last : due;
	LIST_INSERT_HEAD(&w->slots[t->look % WHEEL_SLOTS], t, entry);
}

void wheel_set(struct wheel *w, struct timer *t, uint64_t when)
{
	if (t->when && when >= t->when) {
		t->when = when;
		return;
	}
	wheel_stop(t);
	t->when = when ? when : 1;
	insert(w, t);
}

void wheel_stop(struct timer *t)
{
	if (t->when)
		LIST_REMOVE(t, entry);
	t->when = 0;
}

static void turn_slot(struct wheel *w, uint64_t now_ms)
{
	struct timer_list *slot = &w->slots[w->tick % WHEEL_SLOTS];
	struct timer *t;

	/* What is inserted meanwhile goes into other slots, so this ends. */
	while ((t = LIST_FIRST(slot))) {
		LIST_REMOVE(t, entry);
		if (t->when > now_ms) {
			insert(w, t);
			continue;
		}
		t->when = 0;
		t->fire(t);
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
