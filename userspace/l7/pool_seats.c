// SPDX-License-Identifier: BSD-2-Clause
/* Backends whose addresses are those of names: who sits where by now. */
#include "l7/upstream.h"

#include "base/log.h"

/* Another address is another server: nothing that is known of the old one counts. */
static bool seat_look(struct backend *b)
{
	const struct name_page *names = b->pool->thread->names;
	struct name_seat seat;

	if (!b->conf->host || !names || !names->head)
		return false;
	seat = name_page_seat(names, b->conf->host->index, b->conf->seat);
	if (seat.turn == b->turn)
		return false;
	b->turn = seat.turn;
	b->there = seat.taken;
	b->endpoint.addr = seat.addr;
	b->rest_ms = b->up_ms = b->answered_us = 0;
	b->outlier = (struct outlier){0};
	b->balance->members[b->index].weight = b->there ? b->conf->weight : 0;
	b->balance->members[b->index].ewma_us = 0;
	upstreams_forget(b);
	return true;
}

bool pool_seats_look(struct pool *p)
{
	const struct name_page *names = p->thread->names;
	uint32_t turn;
	bool changed = false;

	if (!names || !names->head)
		return false;
	turn = atomic_load_explicit(&names->head->turn, memory_order_acquire);
	if (turn == p->turn)
		return false;
	p->turn = turn;
	for (unsigned i = 0; i < p->n; i++)
		changed |= seat_look(&p->backends[i]);
	return changed;
}

bool pool_is_nowhere(const struct pool *p)
{
	bool named = false;

	for (unsigned i = 0; i < p->n; i++) {
		if (p->backends[i].there)
			return false;
		named = true;
	}
	return named;
}
