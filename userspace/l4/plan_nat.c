// SPDX-License-Identifier: BSD-2-Clause
/* Owns: planning the addresses that nat sends from. One that stays keeps its number, which is
 * where its flows are. */
#include <errno.h>

#include "l4/plan_internal.h"

static struct plan_source *find_source(const struct plan_state *s, const struct sluice_addr *addr)
{
	for (size_t i = 0; i < s->n_sources; i++)
		if (addr_equal(&s->sources[i].addr, addr))
			return (struct plan_source *)&s->sources[i];
	return NULL;
}

/* Those who wish to know nothing of nat wish for nothing else than what is there. */
static int check_made(struct planner *pl)
{
	const struct plan_nat *want = &pl->want->nat, *made = &pl->actual->nat;

	if (pl->want->n_sources == 0)
		return 0;
	if (pl->want->n_sources <= made->sources && want->first == made->first &&
	    want->ports == made->ports)
		return 0;
	if (made->sources == 0)
		return err_set(
			pl->err, ENOSPC,
			"nat: the gate was attached without nat_source, and has no table for "
			"it; `sluice attach` with this file makes one");
	return err_set(
		pl->err, ENOSPC,
		"nat: the gate's table is for %u addresses and ports %u-%u, and the file asks "
		"for %zu and %u-%u; `sluice attach` with this file makes another, which ends "
		"the flows of nat",
		made->sources, made->first, made->first + made->ports - 1, pl->want->n_sources,
		want->first, want->first + want->ports - 1);
}

/* The lowest that no address has, old or new. There is one: check_made(). But old ones that go
 * still have theirs while new ones come. */
static int take_number(struct planner *pl, bool *taken, __u32 *number)
{
	for (__u32 i = 0; i < pl->actual->nat.sources; i++) {
		if (!taken[i]) {
			taken[i] = true;
			*number = i;
			return 0;
		}
	}
	return err_set(
		pl->err, ENOSPC,
		"nat: the gate's table is for %u addresses, old and new together; remove the "
		"old ones first, nothing was changed",
		pl->actual->nat.sources);
}

int plan_sources(struct planner *pl)
{
	const struct plan_state *actual = pl->actual;
	struct plan_state *want = pl->want;
	bool taken[SLUICE_NAT_SOURCES] = {0}, changed = false;
	int rc = check_made(pl);

	for (size_t i = 0; i < actual->n_sources; i++)
		if (actual->sources[i].pooled)
			taken[actual->sources[i].number] = true;
	for (size_t i = 0; rc == 0 && i < want->n_sources; i++) {
		struct plan_source *s = &want->sources[i];
		const struct plan_source *old = find_source(actual, &s->addr);

		if (old && old->pooled) {
			s->number = old->number;
			continue;
		}
		changed = true;
		rc = take_number(pl, taken, &s->number);
		plan_push(pl, (struct plan_edit){.step = PLAN_ADD_SOURCE, .source = s});
	}
	for (size_t i = 0; rc == 0 && i < actual->n_sources; i++) {
		if (find_source(want, &actual->sources[i].addr))
			continue;
		changed = true;
		plan_push(pl, (struct plan_edit){.step = PLAN_REMOVE_SOURCE,
						 .source = &actual->sources[i]});
	}
	if (rc == 0 && changed)
		plan_push(pl, (struct plan_edit){.step = PLAN_SET_POOL, .pool = want});
	return rc;
}
