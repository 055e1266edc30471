// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: how what is known of an l4 service's backends comes into the gate's tables. Promises: a
 * gate that cannot be changed now is tried again, and what it says about it is logged once in a
 * while.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/health_internal.h"
#include "l4/down.h"

static struct down_backend *backends_of(const struct health *h, const struct health_group *g)
{
	struct down_backend *all = calloc(g->n, sizeof(*all));

	for (uint32_t i = 0; all && i < g->n; i++) {
		all[i].at = g->backends[i].endpoint;
		all[i].down = atomic_load(&h->page.out[first_slot(g) - 1 + i]);
	}
	return all;
}

static int group_apply(struct health *h, struct health_group *g)
{
	struct down_backend *all = backends_of(h, g);
	struct err e;
	int rc;

	if (!all)
		return -ENOMEM;
	rc = down_apply(h->gate, g->name, all, g->n, g->conf->floor > 0, &e);
	free(all);
	if (rc < 0 && rc != -EWOULDBLOCK)
		log_limited(&h->gate_said, LOG_LEVEL_ERR, "states of %s do not reach the gate: %s",
			    g->name, e.text);
	return rc;
}

int health_gate_settle(struct health *h)
{
	int rc = 0;

	for (size_t i = 0; h->gate && i < h->n_groups; i++) {
		struct health_group *g = &h->groups[i];
		int one;

		if (!g->dirty)
			continue;
		one = group_apply(h, g);
		if (one == -EWOULDBLOCK)
			rc = one;
		g->dirty = one < 0; /* until the next look at the latest */
	}
	return rc;
}

/* Where the last daemon left no page, the tables still tell which were down. */
static void group_recall(struct health *h, struct health_group *g)
{
	struct down_backend *all = backends_of(h, g);
	struct err e;

	if (!all || down_read(h->gate, g->name, all, g->n, &e) != 0) {
		free(all);
		return;
	}
	for (uint32_t i = 0; i < g->n; i++) {
		struct health_state *s = &h->states[first_slot(g) - 1 + i];

		if (!s->known && all[i].down)
			health_assume_down(h, first_slot(g) - 1 + i);
	}
	free(all);
}

void health_gate_begin(struct health *h)
{
	for (size_t i = 0; h->gate && i < h->n_groups; i++) {
		if (!h->groups[i].service)
			continue;
		group_recall(h, &h->groups[i]);
		h->groups[i].dirty = true;
	}
}

/* Groups that all take requests are as any change of the file would leave them. */
void health_gate_doubt(struct health *h)
{
	for (size_t i = 0; i < h->n_groups; i++) {
		struct health_group *g = &h->groups[i];

		for (uint32_t k = 0; g->service && k < g->n; k++)
			g->dirty |= atomic_load(&h->page.out[first_slot(g) - 1 + k]);
	}
}
