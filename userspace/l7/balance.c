// SPDX-License-Identifier: BSD-2-Clause
#include "l7/balance.h"

#include <errno.h>
#include <stdlib.h>

#include "base/maglev.h"

#define FEW        16    /* by turns: so many are all looked at */
#define DRAWS      8     /* members drawn before all are looked at */
#define PROBES     64    /* likewise, entries of the table */
#define DECAY_S    10.0F /* in so long a past latency loses half of its weight */
#define PENALTY_US 1e9F  /* of a member without any latency that has requests already */

/* ---- memory --------------------------------------------------------------------------- */

int balance_init(struct balance *b, enum conf_balance kind, unsigned n, uint64_t seed)
{
	size_t room = n ? n : 1;

	*b = (struct balance){.kind = kind, .n = n, .seed = seed};
	b->members = calloc(room, sizeof(*b->members));
	b->live = calloc(room, sizeof(*b->live));
	b->alias = calloc(room, sizeof(*b->alias));
	return b->members && b->live && b->alias ? 0 : -ENOMEM;
}

void balance_fini(struct balance *b)
{
	free(b->members);
	free(b->live);
	free(b->alias);
	free(b->table);
	*b = (struct balance){0};
}

/* ---- chance --------------------------------------------------------------------------- */

/* splitmix64. */
static uint64_t draw(struct balance *b)
{
	uint64_t z = (b->seed += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Walker's alias method, with Vose's way to build it: each place holds one member and a part of
 * another, so that one number is enough for a draw by weight. */
static void alias_build(struct balance *b)
{
	unsigned small = 0, large = b->n_live, n = b->n_live;
	uint32_t *order = calloc(n ? n : 1, sizeof(*order));

	for (unsigned i = 0; i < n; i++) {
		b->alias[i] = (struct balance_alias){
			.other = i,
			.keep = (float)((double)b->members[b->live[i]].share * n /
					(double)b->shares)};
	}
	/* Without memory each is as likely as the others for a while. */
	for (unsigned i = 0; order && i < n; i++)
		order[b->alias[i].keep < 1 ? small++ : --large] = i;
	while (order && small > 0 && large < n) {
		struct balance_alias *less = &b->alias[order[--small]];
		uint32_t more = order[large];

		less->other = more;
		b->alias[more].keep -= 1 - less->keep;
		if (b->alias[more].keep < 1) {
			large++;
			order[small++] = more;
		}
	}
	free(order);
}

static uint32_t draw_member(struct balance *b)
{
	uint64_t r = draw(b);
	uint32_t at = (uint32_t)((r >> 32) * b->n_live >> 32);
	const struct balance_alias *a = &b->alias[at];

	return b->live[(float)(r & 0xffffff) / 0x1000000 < a->keep ? at : a->other];
}

static bool takes(const struct balance *b, const struct balance_ask *ask, uint32_t i)
{
	return b->members[i].share && (!ask->takes || ask->takes(ask->context, i));
}

/* One at random that takes it and is not `but`; -1: none of those that were drawn. */
static int draw_taking(struct balance *b, const struct balance_ask *ask, int but)
{
	for (unsigned i = 0; i < DRAWS && b->n_live; i++) {
		uint32_t at = draw_member(b);

		if ((int)at != but && takes(b, ask, at))
			return (int)at;
	}
	return -1;
}

/* ---- all of them are looked at -------------------------------------------------------- */

/* Requests for a share; lower is better. */
static double load(const struct balance_member *m)
{
	return (double)(m->active + 1) / m->share;
}

/* The one with the least load; among equals the first behind one at random. */
static int choose_least(struct balance *b, const struct balance_ask *ask)
{
	unsigned from = b->n_live ? (unsigned)(draw(b) % b->n_live) : 0;
	int best = -1;

	for (unsigned k = 0; k < b->n_live; k++) {
		uint32_t i = b->live[(from + k) % b->n_live];

		if ((best < 0 || load(&b->members[i]) < load(&b->members[best])) &&
		    takes(b, ask, i))
			best = (int)i;
	}
	return best;
}

/* Each gains its share in credit, the richest is chosen and pays what all gained. */
static int choose_turn(struct balance *b, const struct balance_ask *ask)
{
	int best = -1;
	int64_t gained = 0;

	for (unsigned k = 0; k < b->n_live; k++) {
		struct balance_member *m = &b->members[b->live[k]];

		if (!takes(b, ask, b->live[k]))
			continue;
		m->credit += m->share;
		gained += m->share;
		if (best < 0 || m->credit > b->members[best].credit)
			best = (int)b->live[k];
	}
	if (best >= 0)
		b->members[best].credit -= gained;
	return best;
}

/* ---- by turns, among many ------------------------------------------------------------- */

static bool before(const struct balance *b, uint32_t x, uint32_t y)
{
	const struct balance_member *m = b->members;

	return m[x].due < m[y].due || (m[x].due == m[y].due && x < y);
}

static void heap_sink(struct balance *b, unsigned at)
{
	for (;;) {
		unsigned least = at, child = 2 * at + 1;
		uint32_t swap = b->live[at];

		for (unsigned end = child + 2; child < end && child < b->n_live; child++)
			if (before(b, b->live[child], b->live[least]))
				least = child;
		if (least == at)
			return;
		b->live[at] = b->live[least];
		b->live[least] = swap;
		at = least;
	}
}

static double phase(uint32_t i)
{
	return (i * 0x9e3779b1U + 0x80000000U) / 4294967296.0; /* by the golden ratio */
}

/* A newcomer's first turn is somewhere in its first period, elsewhere for each, so that those
 * with the same share are not all due at once. */
static void heap_build(struct balance *b)
{
	for (unsigned k = 0; k < b->n_live; k++) {
		struct balance_member *m = &b->members[b->live[k]];

		if (m->due <= b->now)
			m->due = b->now + phase(b->live[k]) / m->share;
	}
	for (unsigned k = b->n_live / 2; k-- > 0;)
		heap_sink(b, k);
}

/* Whoever cannot take it has had its turn. */
static int choose_due(struct balance *b, const struct balance_ask *ask)
{
	for (unsigned k = 0; k < DRAWS && b->n_live; k++) {
		uint32_t i = b->live[0];

		b->now = b->members[i].due;
		b->members[i].due += 1.0 / b->members[i].share;
		heap_sink(b, 0);
		if (takes(b, ask, i))
			return (int)i;
	}
	return -1;
}

/* ---- by latency ----------------------------------------------------------------------- */

static float cost(const struct balance_member *m)
{
	if (m->ewma_us == 0)
		return m->active ? PENALTY_US + (float)m->active : 0;
	return m->ewma_us * (float)(m->active + 1);
}

static int choose_faster(struct balance *b, const struct balance_ask *ask)
{
	int one = draw_taking(b, ask, -1), other = draw_taking(b, ask, one);

	if (one < 0 || other < 0)
		return one;
	return cost(&b->members[other]) < cost(&b->members[one]) ? other : one;
}

void balance_latency(struct balance_member *m, float us, float seconds)
{
	if (us < 1)
		us = 1;
	if (us >= m->ewma_us)
		m->ewma_us = us;
	else
		m->ewma_us = us + (m->ewma_us - us) * DECAY_S / (DECAY_S + seconds);
}

/* ---- by key --------------------------------------------------------------------------- */

/* FNV-1a 64 with the finalizer of MurmurHash3. */
uint64_t balance_key(const char *p, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)p[i]) * 0x100000001b3ULL;
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdULL;
	return h ^ (h >> 33);
}

static bool within_load(const struct balance *b, const struct balance_member *m)
{
	/* Rounded up: one request is always within. */
	uint64_t all = (b->active + 1) * m->share * BALANCE_LOAD;

	return (uint64_t)m->active * b->shares < all;
}

static int choose_key(struct balance *b, const struct balance_ask *ask)
{
	uint32_t at = b->table_size ? (uint32_t)(ask->key % b->table_size) : 0;

	for (unsigned k = 0; k < PROBES && k < b->table_size; k++) {
		uint32_t i = b->table[at];

		if (i && takes(b, ask, i - 1) && within_load(b, &b->members[i - 1]))
			return (int)i - 1;
		at = at + 1 < b->table_size ? at + 1 : 0;
	}
	return -1;
}

static uint32_t table_size(size_t n)
{
	uint32_t size = (uint32_t)(n < 8 ? 1021 : 128 * n - 1);

	while (size < MAGLEV_MAX_SIZE && !maglev_size_ok(size))
		size += size % 2 ? 2 : 1;
	return size < MAGLEV_MAX_SIZE ? size : MAGLEV_MAX_SIZE;
}

int balance_place(struct balance *b, const char *const keys[])
{
	struct maglev_member *members;
	uint32_t *table, size;
	size_t n = 0;
	int rc;

	if (b->kind != CONF_BALANCE_hash)
		return 0;
	members = calloc(b->n + 1, sizeof(*members));
	for (unsigned i = 0; members && i < b->n; i++)
		if (b->members[i].weight)
			members[n++] = (struct maglev_member){keys[i], i + 1, b->members[i].weight};
	/* By what there is room for: another size would move every key. */
	size = table_size(b->n);
	table = calloc(size, sizeof(*table));
	rc = members && table ? maglev_build(table, size, members, n) : -ENOMEM;
	free(members);
	if (rc) {
		free(table);
		return rc;
	}
	free(b->table);
	b->table = table;
	b->table_size = size;
	return 0;
}

/* ---- all ------------------------------------------------------------------------------ */

void balance_renew(struct balance *b)
{
	b->n_live = 0;
	b->shares = 0;
	for (unsigned i = 0; i < b->n; i++) {
		if (b->members[i].share == 0)
			continue;
		b->live[b->n_live++] = i;
		b->shares += b->members[i].share;
	}
	if (b->kind == CONF_BALANCE_round_robin && b->n_live > FEW)
		heap_build(b);
	else if (b->kind == CONF_BALANCE_random || b->kind == CONF_BALANCE_p2c)
		alias_build(b);
}

int balance_choose(struct balance *b, const struct balance_ask *ask)
{
	int chosen = -1;

	switch (b->kind) {
	case CONF_BALANCE_round_robin:
		if (b->n_live <= FEW)
			return choose_turn(b, ask);
		chosen = choose_due(b, ask);
		break;
	case CONF_BALANCE_p2c:
		chosen = choose_faster(b, ask);
		break;
	case CONF_BALANCE_random:
		chosen = draw_taking(b, ask, -1);
		break;
	case CONF_BALANCE_hash:
		chosen = choose_key(b, ask);
		break;
	default:
		break;
	}
	return chosen >= 0 ? chosen : choose_least(b, ask);
}
