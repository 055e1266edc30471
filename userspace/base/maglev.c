// SPDX-License-Identifier: BSD-2-Clause
/*
 * The table is filled in passes. In each pass every member, in the order of keys, earns
 * credit in the measure of its weight and takes one free slot of its own permutation for
 * each whole credit. The heaviest member takes one slot per pass, so that no member runs
 * ahead of the others by more than its share.
 *
 * The hash below decides where flows go on every balancer: it is part of the ABI.
 */
#include "base/maglev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct turn {
	const struct maglev_member *member;
	uint32_t next;   /* slot to try next */
	uint32_t skip;   /* step of the permutation: 1..size-1 */
	uint32_t credit; /* below the greatest weight between passes */
};

/* FNV-1a 64, then the finalizer of MurmurHash3, so that near keys are far apart. */
static uint64_t key_hash(const char *key, uint64_t seed)
{
	uint64_t h = 0xcbf29ce484222325ULL ^ seed;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3ULL;
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdULL;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ULL;
	return h ^ (h >> 33);
}

bool maglev_size_ok(uint32_t size)
{
	if (size < 3 || size > MAGLEV_MAX_SIZE || size % 2 == 0)
		return false;
	for (uint32_t d = 3; d * d <= size; d += 2) {
		if (size % d == 0)
			return false;
	}
	return true;
}

static int turn_compare(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	return strcmp(x->member->key, y->member->key);
}

/* Members with weight, sorted by key. Returns how many, or -EINVAL. */
static int turns_init(struct turn *turns, uint32_t size, const struct maglev_member *members,
		      size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		turns[i].member = &members[i];
	qsort(turns, n, sizeof(*turns), turn_compare);
	for (size_t i = 0; i < n; i++) {
		const struct maglev_member *m = turns[i].member;

		if (m->id == 0 || m->weight > MAGLEV_MAX_WEIGHT)
			return -EINVAL;
		/* turns[i - 1] may be overwritten already, so the order itself is compared. */
		if (i + 1 < n && strcmp(m->key, turns[i + 1].member->key) == 0)
			return -EINVAL;
		if (m->weight == 0)
			continue;
		turns[kept++] = (struct turn){
			.member = m,
			.next = (uint32_t)(key_hash(m->key, 0) % size),
			.skip = (uint32_t)(key_hash(m->key, 0x9e3779b97f4a7c15ULL) % (size - 1)) +
				1,
		};
	}
	return (int)kept;
}

static void take_slot(struct turn *t, uint32_t *table, uint32_t size)
{
	while (table[t->next] != 0) {
		t->next += t->skip;
		if (t->next >= size)
			t->next -= size;
	}
	table[t->next] = t->member->id;
}

int maglev_build(uint32_t *table, uint32_t size, const struct maglev_member *members, size_t n)
{
	struct turn *turns;
	uint32_t most = 0, filled = 0;
	int kept;

	if (!maglev_size_ok(size))
		return -EINVAL;
	memset(table, 0, size * sizeof(*table));
	if (n == 0)
		return 0;
	turns = calloc(n, sizeof(*turns));
	if (!turns)
		return -ENOMEM;
	kept = turns_init(turns, size, members, n);
	for (int i = 0; i < kept; i++) {
		if (turns[i].member->weight > most)
			most = turns[i].member->weight;
	}
	while (kept > 0 && filled < size) {
		for (int i = 0; i < kept && filled < size; i++) {
			turns[i].credit += turns[i].member->weight;
			if (turns[i].credit < most)
				continue;
			turns[i].credit -= most;
			take_slot(&turns[i], table, size);
			filled++;
		}
	}
	free(turns);
	return kept < 0 ? kept : 0;
}
