// SPDX-License-Identifier: BSD-2-Clause
/* Checks follow the addresses of names: an address that is new is checked as a backend that
 * nothing is known of, and a seat that nobody has is not checked. */
#include "daemon/health_internal.h"

#include <stdio.h>
#include <string.h>

static void record_fill(struct health *h, uint32_t at, const struct name_seat *seat)
{
	struct health_record *r = &h->page.records[at];
	const struct check_target *t = &h->targets[at];

	health_record_begin(r);
	memset(r->address, 0, sizeof(r->address));
	endpoint_format(&t->to, r->address);
	/* Without a name it is not shown. */
	snprintf(r->backend, sizeof(r->backend), "%s", seat->taken ? t->backend : "");
	r->up = 1;
	r->known = 0;
	r->row = r->last_ms = 0;
	r->since_ms = r->checked_ms = r->checks = r->failures = 0;
	r->error[0] = '\0';
	health_record_end(r);
}

void health_seat(struct health *h, uint32_t at, const struct name_seat *seat)
{
	h->targets[at].to.addr = seat->taken ? seat->addr : (struct sluice_addr){0};
	h->states[at] = (struct health_state)HEALTH_ASSUMED;
	record_fill(h, at, seat);
}

static void on_moved(void *user, uint32_t name, uint32_t seat, const struct name_seat *now)
{
	struct health *h = user;

	for (size_t i = 0; i < h->n_groups; i++) {
		struct health_group *g = &h->groups[i];
		bool found = false;

		for (uint32_t k = 0; k < g->n; k++) {
			const struct conf_backend *b = &g->backends[k];

			if (!b->host || b->host->index != name || b->seat != seat)
				continue;
			health_seat(h, b->slot - 1, now);
			checkers_move(&h->checkers, b->slot - 1, &h->targets[b->slot - 1].to);
			found = true;
		}
		if (found)
			health_group_settle(h, g);
	}
}

void health_follow(struct health *h, struct names *names)
{
	names_follow(names, on_moved, h);
}
