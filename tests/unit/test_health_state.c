// SPDX-License-Identifier: BSD-2-Clause
/* When a backend turns, when a pool has too few, and when the next check is due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "health/state.h"

/* Results as letters, '+' or '-'; what each did: '.', 'U' or 'D'. */
static void plays(struct health_state *s, uint32_t rise, uint32_t fall, const char *results,
		  const char *turns)
{
	static const char letters[] = {
		[HEALTH_STAYS] = '.', [HEALTH_WENT_UP] = 'U', [HEALTH_WENT_DOWN] = 'D'};
	char got[64] = "";

	for (size_t i = 0; results[i]; i++)
		got[i] = letters[health_note(s, results[i] == '+', rise, fall)];
	assert_string_equal(got, turns);
}

static void test_the_first_result_decides(void **unused)
{
	struct health_state a = HEALTH_ASSUMED, b = HEALTH_ASSUMED;

	(void)unused;
	assert_true(a.up && !a.known);
	plays(&a, 2, 3, "-", "D");
	assert_true(!a.up && a.known);
	plays(&b, 2, 3, "+", ".");
	assert_true(b.up && b.known);
}

static void test_it_takes_as_many_in_a_row_as_is_said(void **unused)
{
	struct health_state s = HEALTH_ASSUMED;

	(void)unused;
	plays(&s, 2, 3, "+---++", "...D.U");
	plays(&s, 2, 3, "--+--+--+", ".........");
	plays(&s, 2, 3, "---", "..D");
	plays(&s, 2, 3, "+-+-+-++", ".......U");
}

static void test_with_one_it_turns_each_time(void **unused)
{
	struct health_state s = HEALTH_ASSUMED;

	(void)unused;
	plays(&s, 1, 1, "+-+-", ".DUD");
}

static void test_a_state_that_was_taken_over_is_not_decided_by_one_result(void **unused)
{
	struct health_state s = {.up = false, .known = true};

	(void)unused;
	plays(&s, 3, 1, "++-+++", ".....U");
}

/* 'u', 'd', and 'x' for one that takes nothing and is up. */
static bool panics(const char *pool, uint32_t floor)
{
	struct health_member members[64];
	size_t n = strlen(pool);

	for (size_t i = 0; i < n; i++)
		members[i] = (struct health_member){.up = pool[i] != 'd', .takes = pool[i] != 'x'};
	return health_panics(members, n, floor);
}

static void test_a_pool_panics_below_its_floor_and_not_at_it(void **unused)
{
	(void)unused;
	assert_false(panics("uudd", 50));
	assert_true(panics("uddd", 50));
	assert_true(panics("dddd", 1));
	assert_true(panics("uuud", 100));
	assert_false(panics("uuuu", 100));
	assert_false(panics("", 100));
}

static void test_without_a_floor_it_never_panics(void **unused)
{
	(void)unused;
	assert_false(panics("dddd", 0));
}

static void test_backends_that_take_nothing_do_not_count(void **unused)
{
	(void)unused;
	assert_true(panics("xxxxd", 50));
	assert_false(panics("xxxx", 50));
	assert_false(panics("ux", 100));
}

static void test_pauses_are_spread_around_the_interval(void **unused)
{
	uint32_t least = UINT32_MAX, most = 0;

	(void)unused;
	assert_int_equal(health_pause_ms(2000, 0, 12345), 2000);
	for (uint32_t random = 0; random < 100000; random += 7) {
		uint32_t ms = health_pause_ms(2000, 10, random);

		least = ms < least ? ms : least;
		most = ms > most ? ms : most;
	}
	assert_int_equal(least, 1800);
	assert_int_equal(most, 2200);
	assert_in_range(health_pause_ms(3600000, 50, UINT32_MAX), 1800000, 5400000);
}

static void test_the_first_check_comes_within_the_interval_and_a_second(void **unused)
{
	(void)unused;
	for (uint32_t random = 0; random < 100000; random += 13) {
		assert_in_range(health_first_ms(50, random), 0, 50);
		assert_in_range(health_first_ms(3600000, random), 0, 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_result_decides),
		cmocka_unit_test(test_it_takes_as_many_in_a_row_as_is_said),
		cmocka_unit_test(test_with_one_it_turns_each_time),
		cmocka_unit_test(test_a_state_that_was_taken_over_is_not_decided_by_one_result),
		cmocka_unit_test(test_a_pool_panics_below_its_floor_and_not_at_it),
		cmocka_unit_test(test_without_a_floor_it_never_panics),
		cmocka_unit_test(test_backends_that_take_nothing_do_not_count),
		cmocka_unit_test(test_pauses_are_spread_around_the_interval),
		cmocka_unit_test(test_the_first_check_comes_within_the_interval_and_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
