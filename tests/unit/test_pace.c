// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "l7/pace.h"

static const struct pace_rule rule = {.rate = 100, .ms = 10000};

static void test_nobody_is_judged_before_the_time(void **unused)
{
	struct pace p = {0};

	(void)unused;
	for (uint64_t ms = 1; ms < 10000; ms += 100)
		assert_true(pace_given(&p, &rule, ms, true, 0));
}

static void test_drops_are_too_slow(void **unused)
{
	struct pace p = {0};

	(void)unused;
	assert_true(pace_given(&p, &rule, 1000, true, 0));
	assert_true(pace_given(&p, &rule, 10999, true, 998));
	assert_false(pace_given(&p, &rule, 11000, true, 999));
}

static void test_a_burst_pays_for_one_pause(void **unused)
{
	struct pace p = {0};

	(void)unused;
	assert_true(pace_given(&p, &rule, 1000, true, 0));
	assert_true(pace_given(&p, &rule, 21000, true, 2000));
	assert_true(pace_given(&p, &rule, 30999, true, 2000));
	assert_false(pace_given(&p, &rule, 31000, true, 2999));
}

static void test_waiting_for_others_is_not_held_against_it(void **unused)
{
	struct pace p = {0};

	(void)unused;
	assert_true(pace_given(&p, &rule, 1000, true, 0));
	assert_true(pace_given(&p, &rule, 2000, false, 0));
	assert_true(pace_given(&p, &rule, 900000, true, 0));
	assert_true(pace_given(&p, &rule, 908999, true, 0));
	assert_false(pace_given(&p, &rule, 909000, true, 0));
}

static void test_without_a_rate_all_are_fast(void **unused)
{
	const struct pace_rule none = {.rate = 0, .ms = 10};
	struct pace p = {0};

	(void)unused;
	assert_true(pace_given(&p, &none, 1, true, 0));
	assert_true(pace_given(&p, &none, 1000000, true, 0));
	assert_true(pace_taken(&p, &none, 1));
	assert_false(pace_taken(&p, &none, 1)); /* it takes nothing: that is no rate */
}

static void test_a_reader_takes_what_is_due(void **unused)
{
	struct pace p = {0};

	(void)unused;
	assert_true(pace_taken(&p, &rule, 5000));
	assert_true(pace_taken(&p, &rule, 6000));
	assert_false(pace_taken(&p, &rule, 6999));
}

static void test_the_largest_numbers(void **unused)
{
	const struct pace_rule most = {.rate = UINT32_MAX, .ms = UINT32_MAX};
	struct pace p = {0};

	(void)unused;
	assert_true(pace_given(&p, &most, 1, true, 0));
	assert_false(pace_given(&p, &most, UINT64_MAX, true, INT64_MAX));
	assert_true(pace_taken(&p, &most, UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_is_judged_before_the_time),
		cmocka_unit_test(test_drops_are_too_slow),
		cmocka_unit_test(test_a_burst_pays_for_one_pause),
		cmocka_unit_test(test_waiting_for_others_is_not_held_against_it),
		cmocka_unit_test(test_without_a_rate_all_are_fast),
		cmocka_unit_test(test_a_reader_takes_what_is_due),
		cmocka_unit_test(test_the_largest_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
