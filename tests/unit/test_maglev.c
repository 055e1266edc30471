// SPDX-License-Identifier: BSD-2-Clause
/*
 * Maglev: golden tables (every balancer must agree, so they are part of the ABI; they come
 * from an implementation of its own, written from the same words), shares, and how little
 * moves when a member leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/maglev.h"

#define M    65537
#define MANY 1024

static uint32_t table[MAGLEV_MAX_SIZE], other[MAGLEV_MAX_SIZE];
static struct maglev_member members[MANY];
static char keys[MANY][48];

/* n members 10.0.x.y with ids from 1 and the same weight. */
static void equal_members(size_t n, uint32_t weight)
{
	for (size_t i = 0; i < n; i++) {
		snprintf(keys[i], sizeof(keys[i]), "10.0.%zu.%zu", i / 250, i % 250 + 1);
		members[i] = (struct maglev_member){keys[i], (uint32_t)i + 1, weight};
	}
}

static void build(uint32_t *to, uint32_t size, const struct maglev_member *from, size_t n)
{
	memset(to, 0xee, size * sizeof(*to));
	assert_int_equal(maglev_build(to, size, from, n), 0);
}

static uint32_t slots_of(const uint32_t *of, uint32_t size, uint32_t id)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < size; i++)
		n += of[i] == id;
	return n;
}

/* FNV-1a 64 over the ids as little-endian words. */
static uint64_t table_hash(const uint32_t *of, uint32_t size)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (uint32_t i = 0; i < size; i++) {
		for (unsigned shift = 0; shift < 32; shift += 8)
			h = (h ^ (of[i] >> shift & 0xff)) * 0x100000001b3ULL;
	}
	return h;
}

/* ---- golden --------------------------------------------------------------------------- */

static const struct maglev_member equal3[] = {
	{"10.83.0.11", 1, 1}, {"10.83.0.12", 2, 1}, {"10.83.0.13", 3, 1}};
static const struct maglev_member weighted4[] = {
	{"10.83.0.11", 1, 1}, {"10.83.0.12", 2, 2}, {"fd83::13", 3, 5}, {"fd83::14", 4, 0}};
static const struct maglev_member equal10[] = {
	{"10.83.0.11", 1, 1}, {"10.83.0.12", 2, 1}, {"10.83.0.13", 3, 1}, {"10.83.0.14", 4, 1},
	{"10.83.0.15", 5, 1}, {"10.83.0.16", 6, 1}, {"10.83.0.17", 7, 1}, {"10.83.0.18", 8, 1},
	{"10.83.0.19", 9, 1}, {"10.83.0.20", 10, 1}};

static void test_small_tables_are_these(void **unused)
{
	static const uint32_t want_equal[13] = {1, 2, 3, 3, 3, 2, 1, 1, 1, 2, 3, 1, 2};
	static const uint32_t want_weighted[13] = {3, 2, 3, 3, 3, 2, 3, 3, 1, 3, 3, 3, 2};

	(void)unused;
	build(table, 13, equal3, 3);
	assert_memory_equal(table, want_equal, sizeof(want_equal));
	build(table, 13, weighted4, 4);
	assert_memory_equal(table, want_weighted, sizeof(want_weighted));
}

static void test_hashes_of_tables_are_these(void **unused)
{
	static const struct {
		const struct maglev_member *members;
		size_t n;
		uint32_t size;
		uint64_t hash;
	} rows[] = {
		{equal3, 3, M, 0x6a838cbd14ead376},        {equal3, 3, 251, 0xd8244e3fec5819c6},
		{weighted4, 4, M, 0xe91cc2145d5b7696},     {weighted4, 4, 251, 0x9ed90b06a92eb2f5},
		{equal10, 10, M, 0x932565765d7f131e},      {equal10, 10, 251, 0x398ba696f0a351cf},
		{equal10, 10, 131101, 0x74d232dcdc4ee814},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		build(table, rows[i].size, rows[i].members, rows[i].n);
		assert_int_equal(table_hash(table, rows[i].size), rows[i].hash);
	}
}

static void test_the_order_of_members_does_not_matter(void **unused)
{
	struct maglev_member turned[4];

	(void)unused;
	build(table, M, weighted4, 4);
	for (size_t shift = 1; shift < 4; shift++) {
		for (size_t i = 0; i < 4; i++)
			turned[i] = weighted4[(i + shift) % 4];
		build(other, M, turned, 4);
		assert_memory_equal(table, other, M * sizeof(*table));
	}
}

static void test_ids_do_not_decide_where_slots_are(void **unused)
{
	struct maglev_member renamed[3];

	(void)unused;
	build(table, M, equal3, 3);
	for (size_t i = 0; i < 3; i++) {
		renamed[i] = equal3[i];
		renamed[i].id = 4000 - (uint32_t)i;
	}
	build(other, M, renamed, 3);
	for (uint32_t i = 0; i < M; i++)
		assert_int_equal(other[i], 4001 - table[i]);
}

/* ---- shares --------------------------------------------------------------------------- */

static void test_equal_members_have_equal_shares(void **unused)
{
	static const size_t counts[] = {1, 2, 3, 7, 10, 100, 655};

	(void)unused;
	for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
		uint32_t n = (uint32_t)counts[k];

		equal_members(n, 1);
		build(table, M, members, n);
		/* A pass gives a slot to each, so only the last may leave somebody out. */
		for (uint32_t id = 1; id <= n; id++)
			assert_in_range(slots_of(table, M, id), M / n, M / n + 1);
	}
}

static void test_shares_follow_weights_within_one_percent(void **unused)
{
	static const uint32_t weights[] = {1, 2, 3, 5, 8, 13, 100, 100, 99, 10};
	const size_t n = sizeof(weights) / sizeof(weights[0]);
	uint32_t sum = 0;

	(void)unused;
	equal_members(n, 0);
	for (size_t i = 0; i < n; i++)
		sum += members[i].weight = weights[i];
	build(table, M, members, n);
	for (size_t i = 0; i < n; i++) {
		double ideal = (double)M * weights[i] / sum;
		double got = slots_of(table, M, (uint32_t)i + 1);

		if (got < ideal * 0.99 - 1 || got > ideal * 1.01 + 1)
			fail_msg("weight %u has %.0f slots, not %.1f", weights[i], got, ideal);
	}
}

static void test_the_greatest_and_the_least_weight(void **unused)
{
	struct maglev_member two[] = {{"10.0.0.1", 1, MAGLEV_MAX_WEIGHT}, {"10.0.0.2", 2, 1}};

	(void)unused;
	build(table, M, two, 2);
	assert_in_range(slots_of(table, M, 2), M / 1001, M / 1001 + 1);
}

static void test_only_the_measure_of_weights_counts(void **unused)
{
	(void)unused;
	equal_members(10, 1);
	build(table, M, members, 10);
	equal_members(10, MAGLEV_MAX_WEIGHT);
	build(other, M, members, 10);
	assert_memory_equal(table, other, M * sizeof(*table));
}

static void test_weight_zero_is_as_if_absent(void **unused)
{
	(void)unused;
	equal_members(10, 1);
	members[4].weight = 0;
	build(table, M, members, 10);
	assert_int_equal(slots_of(table, M, 5), 0);
	memmove(&members[4], &members[5], 5 * sizeof(members[0]));
	build(other, M, members, 9);
	assert_memory_equal(table, other, M * sizeof(*table));
}

static void test_nobody_with_weight_is_an_empty_table(void **unused)
{
	(void)unused;
	equal_members(3, 0);
	build(table, M, members, 3);
	assert_int_equal(slots_of(table, M, 0), M);
	build(table, M, NULL, 0);
	assert_int_equal(slots_of(table, M, 0), M);
}

static void test_every_slot_is_filled_also_with_more_members_than_slots(void **unused)
{
	(void)unused;
	equal_members(MANY, 1);
	build(table, 251, members, MANY);
	assert_int_equal(slots_of(table, 251, 0), 0);
	build(table, MAGLEV_MAX_SIZE, members, MANY);
	assert_int_equal(slots_of(table, MAGLEV_MAX_SIZE, 0), 0);
	for (uint32_t id = 1; id <= MANY; id++)
		assert_in_range(slots_of(table, MAGLEV_MAX_SIZE, id), MAGLEV_MAX_SIZE / MANY,
				MAGLEV_MAX_SIZE / MANY + 1);
}

/* ---- disruption ----------------------------------------------------------------------- */

/* Without member `gone`: how many slots of the others went from one to another. */
static uint32_t moved_between_others(size_t n, size_t gone)
{
	struct maglev_member *rest = calloc(n, sizeof(*rest));
	uint32_t id = members[gone].id, moved = 0;

	assert_non_null(rest);
	memcpy(rest, members, n * sizeof(*rest));
	rest[gone].weight = 0;
	build(table, M, members, n);
	build(other, M, rest, n);
	free(rest);
	for (uint32_t i = 0; i < M; i++) {
		assert_int_not_equal(other[i], id);
		moved += table[i] != id && other[i] != table[i];
	}
	return moved;
}

static void test_a_member_that_leaves_moves_few_others(void **unused)
{
	static const size_t counts[] = {2, 3, 10, 50, 100};

	(void)unused;
	for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
		size_t n = counts[k];

		equal_members(n, 1);
		for (size_t gone = 0; gone < n; gone += n / 2) {
			uint32_t moved = moved_between_others(n, gone);

			if (moved > M / 100)
				fail_msg("one of %zu left: %u slots of the others moved", n, moved);
		}
	}
}

/* ---- errors --------------------------------------------------------------------------- */

static void test_sizes_are_primes_within_the_bound(void **unused)
{
	static const uint32_t good[] = {3, 5, 7, 13, 251, 257, 65521, 65537, 131071, 131101};
	static const uint32_t bad[] = {0,     1,      2,      4,      9,          15,        49,
				       65535, 65536,  65541,  131072, 131103,     131111,    131129,
				       17161, 131044, 262147, 999983, 0x7fffffff, 0xffffffff};

	(void)unused;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(maglev_size_ok(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (maglev_size_ok(bad[i]))
			fail_msg("%u was taken for a size", bad[i]);
		assert_int_equal(maglev_build(table, bad[i], equal3, 3), -EINVAL);
	}
}

static void test_members_that_make_no_sense_are_refused(void **unused)
{
	static const struct maglev_member bad[][3] = {
		{{"a", 1, 1}, {"b", 0, 1}, {"c", 3, 1}},    /* id 0 means none */
		{{"a", 1, 1}, {"b", 0, 0}, {"c", 3, 1}},    /* also without weight */
		{{"a", 1, 1}, {"b", 2, 1001}, {"c", 3, 1}}, /* weight */
		{{"a", 1, 1}, {"b", 2, 1}, {"a", 3, 1}},    /* key twice */
		{{"a", 1, 1}, {"b", 2, 1}, {"a", 3, 0}},    /* also without weight */
		{{"b", 1, 0}, {"b", 2, 0}, {"b", 3, 0}},    /* three times */
		{{"a", 1, UINT32_MAX}, {"b", 2, 1}, {"c", 3, 1}},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(maglev_build(table, 251, bad[i], 3), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_tables_are_these),
		cmocka_unit_test(test_hashes_of_tables_are_these),
		cmocka_unit_test(test_the_order_of_members_does_not_matter),
		cmocka_unit_test(test_ids_do_not_decide_where_slots_are),
		cmocka_unit_test(test_equal_members_have_equal_shares),
		cmocka_unit_test(test_shares_follow_weights_within_one_percent),
		cmocka_unit_test(test_the_greatest_and_the_least_weight),
		cmocka_unit_test(test_only_the_measure_of_weights_counts),
		cmocka_unit_test(test_weight_zero_is_as_if_absent),
		cmocka_unit_test(test_nobody_with_weight_is_an_empty_table),
		cmocka_unit_test(test_every_slot_is_filled_also_with_more_members_than_slots),
		cmocka_unit_test(test_a_member_that_leaves_moves_few_others),
		cmocka_unit_test(test_sizes_are_primes_within_the_bound),
		cmocka_unit_test(test_members_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
