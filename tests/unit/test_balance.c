// SPDX-License-Identifier: BSD-2-Clause
/* Which of many backends is next: shares, order, who is left out, how little moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l7/balance.h"

#define MOST 2000

static struct balance b;
static unsigned got[MOST];
static bool refuses[MOST];
static char keys[MOST][16];
static const char *key_list[MOST];

static bool takes(void *context, uint32_t i)
{
	(void)context;
	return !refuses[i];
}

static void make(enum conf_balance kind, unsigned n, const uint32_t *weights)
{
	balance_fini(&b);
	memset(refuses, 0, sizeof(refuses));
	assert_int_equal(balance_init(&b, kind, n, 7), 0);
	for (unsigned i = 0; i < n; i++) {
		b.members[i].weight = weights ? weights[i] : 1;
		b.members[i].share = b.members[i].weight * BALANCE_UNIT;
		snprintf(keys[i], sizeof(keys[i]), "10.0.%u.%u:80", i / 256, i % 256);
		key_list[i] = keys[i];
	}
	balance_renew(&b);
	assert_int_equal(balance_place(&b, key_list), 0);
}

static int choose(uint64_t key)
{
	const struct balance_ask ask = {.takes = takes, .key = key};

	return balance_choose(&b, &ask);
}

static uint64_t key_of(unsigned i)
{
	return balance_key((const char *)&i, sizeof(i));
}

/* How often each is chosen, when nobody has requests that run. */
static void count(unsigned times)
{
	memset(got, 0, sizeof(got));
	for (unsigned i = 0; i < times; i++) {
		int at = choose(key_of(i));

		assert_in_range(at, 0, b.n - 1);
		got[at]++;
	}
}

static void near(unsigned value, double wanted, double part)
{
	if (value < wanted * (1 - part) || value > wanted * (1 + part))
		fail_msg("%u is not near %.1f", value, wanted);
}

static void order(const char *wanted)
{
	for (unsigned i = 0; wanted[i]; i++)
		assert_int_equal(choose(0), wanted[i] - 'a');
}

/* ---- by turns ------------------------------------------------------------------------- */

static void test_turns_are_smooth(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_round_robin, 3, NULL);
	order("abcabcabc");
	make(CONF_BALANCE_round_robin, 3, (const uint32_t[]){5, 1, 1});
	order("aabacaaaabacaa");
	make(CONF_BALANCE_round_robin, 3, (const uint32_t[]){1, 0, 2});
	order("caccac");
}

static void test_turns_among_many(void **unused)
{
	uint32_t weights[1000];
	unsigned total = 0;

	(void)unused;
	for (unsigned i = 0; i < 1000; i++)
		total += weights[i] = i == 7 ? 1000 : i % 5;
	make(CONF_BALANCE_round_robin, 1000, weights);
	count(total * 3);
	for (unsigned i = 0; i < 1000; i++)
		assert_in_range(got[i] + 1, 3 * weights[i], 3 * weights[i] + 2);
	/* The heavy one, a third of all, comes about every third time, not in a row. */
	count(300);
	assert_in_range(got[7], 85, 115);
}

static void test_a_newcomer_among_many_does_not_take_all(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_round_robin, 100, NULL);
	b.members[50].share = 0;
	balance_renew(&b);
	count(99 * 50);
	assert_int_equal(got[50], 0);
	b.members[50].share = BALANCE_UNIT;
	balance_renew(&b);
	count(100 * 10);
	for (unsigned i = 0; i < 100; i++)
		assert_in_range(got[i], 9, 11);
}

/* ---- by chance ------------------------------------------------------------------------ */

static void test_random_follows_weights(void **unused)
{
	static const uint32_t weights[] = {1, 2, 0, 7, 90};

	(void)unused;
	make(CONF_BALANCE_random, 5, weights);
	count(100000);
	assert_int_equal(got[2], 0);
	for (unsigned i = 0; i < 5; i++)
		near(got[i], 1000.0 * weights[i], 0.15);
}

static void test_random_among_many(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_random, 1000, NULL);
	count(400000);
	for (unsigned i = 0; i < 1000; i++)
		near(got[i], 400, 0.35);
}

static void test_p2c_follows_weights_among_equals(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_p2c, 4, (const uint32_t[]){1, 1, 1, 3});
	count(60000);
	assert_true(got[3] > got[0] && got[3] > got[1] && got[3] > got[2]);
}

static void test_p2c_avoids_the_slow_one(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_p2c, 4, NULL);
	for (unsigned i = 0; i < 4; i++)
		balance_latency(&b.members[i], i == 2 ? 50000 : 1000, 0);
	count(10000);
	/* It wins only against itself, and two draws are never the same. */
	assert_int_equal(got[2], 0);
	b.members[0].active = b.members[1].active = b.members[3].active = 100;
	count(10000);
	near(got[2], 5000, 0.1);
}

static void test_p2c_tries_who_is_not_known(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_p2c, 2, NULL);
	balance_latency(&b.members[0], 1000, 0);
	count(100);
	assert_int_equal(got[1], 100);
	b.members[1].active = 1;
	count(100);
	assert_int_equal(got[0], 100);
}

static void test_peaks_count_at_once_and_fade(void **unused)
{
	struct balance_member m = {0};

	(void)unused;
	balance_latency(&m, 1000, 0);
	balance_latency(&m, 9000, 0.001F);
	assert_true(m.ewma_us == 9000);
	balance_latency(&m, 1000, 1);
	assert_true(m.ewma_us > 7000 && m.ewma_us < 9000);
	balance_latency(&m, 1000, 1000);
	assert_true(m.ewma_us < 1200);
}

/* ---- by load -------------------------------------------------------------------------- */

static void test_least_conn_levels_by_weight(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_least_conn, 3, (const uint32_t[]){1, 2, 3});
	for (unsigned i = 0; i < 60; i++)
		b.members[choose(0)].active++;
	assert_int_equal(b.members[0].active, 10);
	assert_int_equal(b.members[1].active, 20);
	assert_int_equal(b.members[2].active, 30);
	b.members[1].active = 3;
	assert_int_equal(choose(0), 1);
}

static void test_least_conn_spreads_among_idle_ones(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_least_conn, 4, NULL);
	count(40000);
	for (unsigned i = 0; i < 4; i++)
		near(got[i], 10000, 0.1);
}

/* ---- by key --------------------------------------------------------------------------- */

static int owner[20000];

static void owners_note(void)
{
	for (unsigned i = 0; i < 20000; i++)
		owner[i] = choose(key_of(i));
}

static unsigned owners_moved(int gone)
{
	unsigned moved = 0;

	for (unsigned i = 0; i < 20000; i++)
		moved += owner[i] != gone && choose(key_of(i)) != owner[i];
	return moved;
}

static void test_hash_is_even_and_stays(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_hash, 10, NULL);
	count(100000);
	for (unsigned i = 0; i < 10; i++)
		near(got[i], 10000, 0.1);
	owners_note();
	assert_int_equal(owners_moved(-1), 0);
}

static void test_hash_follows_weights(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_hash, 3, (const uint32_t[]){1, 3, 6});
	count(100000);
	near(got[0], 10000, 0.1);
	near(got[1], 30000, 0.1);
	near(got[2], 60000, 0.1);
}

static void test_hash_moves_only_the_keys_of_who_is_down(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_hash, 10, NULL);
	owners_note();
	b.members[4].share = 0;
	balance_renew(&b);
	assert_int_equal(owners_moved(4), 0);
	count(90000);
	assert_int_equal(got[4], 0);
	/* Its keys go to all others, not to one neighbour. */
	for (unsigned i = 0; i < 10; i++)
		if (i != 4)
			near(got[i], 10000, 0.15);
	b.members[4].share = BALANCE_UNIT;
	balance_renew(&b);
	assert_int_equal(owners_moved(-1), 0);
}

static void test_hash_moves_few_when_one_is_added(void **unused)
{
	uint32_t weights[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0};

	(void)unused;
	make(CONF_BALANCE_hash, 10, weights);
	owners_note();
	b.members[9].weight = 1;
	b.members[9].share = BALANCE_UNIT;
	balance_renew(&b);
	assert_int_equal(balance_place(&b, key_list), 0);
	assert_in_range(owners_moved(-1), 20000 / 10 * 8 / 10, 20000 / 10 * 14 / 10);
}

static void test_hash_bounds_the_load(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_hash, 4, NULL);
	/* One key that everybody asks for. */
	for (unsigned i = 0; i < 400; i++) {
		b.members[choose(1)].active++;
		b.active++;
	}
	for (unsigned i = 0; i < 4; i++)
		assert_true(b.members[i].active <= 126);
}

/* ---- who is left out ------------------------------------------------------------------ */

static void test_who_does_not_take_it_is_not_chosen(void **unused)
{
	(void)unused;
	for (int kind = 0; kind < CONF_BALANCE_COUNT; kind++) {
		for (unsigned n = 3; n <= 300; n += 297) {
			make((enum conf_balance)kind, n, NULL);
			for (unsigned i = 0; i < n; i++)
				refuses[i] = i != 2;
			count(100);
			assert_int_equal(got[2], 100);
			refuses[2] = true;
			assert_int_equal(choose(1), -1);
			b.members[2].share = 0;
			refuses[2] = false;
			balance_renew(&b);
			assert_int_equal(choose(1), -1);
		}
	}
}

static void test_nobody_is_there(void **unused)
{
	(void)unused;
	for (int kind = 0; kind < CONF_BALANCE_COUNT; kind++) {
		make((enum conf_balance)kind, 0, NULL);
		assert_int_equal(choose(1), -1);
	}
}

static void test_the_largest_pool_has_a_table(void **unused)
{
	(void)unused;
	make(CONF_BALANCE_hash, CONF_MAX_BACKENDS, NULL);
	count(CONF_MAX_BACKENDS * 100);
	for (unsigned i = 0; i < CONF_MAX_BACKENDS; i++)
		near(got[i], 100, 0.6);
}

static int fini(void **unused)
{
	(void)unused;
	balance_fini(&b);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns_are_smooth),
		cmocka_unit_test(test_turns_among_many),
		cmocka_unit_test(test_a_newcomer_among_many_does_not_take_all),
		cmocka_unit_test(test_random_follows_weights),
		cmocka_unit_test(test_random_among_many),
		cmocka_unit_test(test_p2c_follows_weights_among_equals),
		cmocka_unit_test(test_p2c_avoids_the_slow_one),
		cmocka_unit_test(test_p2c_tries_who_is_not_known),
		cmocka_unit_test(test_peaks_count_at_once_and_fade),
		cmocka_unit_test(test_least_conn_levels_by_weight),
		cmocka_unit_test(test_least_conn_spreads_among_idle_ones),
		cmocka_unit_test(test_hash_is_even_and_stays),
		cmocka_unit_test(test_hash_follows_weights),
		cmocka_unit_test(test_hash_moves_only_the_keys_of_who_is_down),
		cmocka_unit_test(test_hash_moves_few_when_one_is_added),
		cmocka_unit_test(test_hash_bounds_the_load),
		cmocka_unit_test(test_who_does_not_take_it_is_not_chosen),
		cmocka_unit_test(test_nobody_is_there),
		cmocka_unit_test(test_the_largest_pool_has_a_table),
	};

	return cmocka_run_group_tests(tests, NULL, fini);
}
