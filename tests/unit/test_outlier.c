// SPDX-License-Identifier: BSD-2-Clause
/* Which backends stand out, for how long they are put aside; percentiles of latencies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "l7/latency.h"
#include "l7/outlier.h"

#define N 10

static const struct conf_outlier conf = {
	.on = true, .consecutive = 3, .latency = 3, .time_ms = 1000, .most_ms = 2500, .share = 50};
static struct outlier all[N];

static void test_failures_in_a_row(void **unused)
{
	struct outlier o = {0};

	(void)unused;
	assert_false(outlier_note(&o, &conf, true, 0));
	assert_false(outlier_note(&o, &conf, true, 0));
	assert_false(outlier_note(&o, &conf, false, 0));
	assert_false(outlier_note(&o, &conf, true, 0));
	assert_false(outlier_note(&o, &conf, true, 0));
	assert_true(outlier_note(&o, &conf, true, 0));
}

static void test_switched_off(void **unused)
{
	struct conf_outlier off = {.consecutive = 1}, any = {.on = true};
	struct outlier o = {0};

	(void)unused;
	assert_false(outlier_note(&o, &off, true, 0));
	assert_false(outlier_note(&o, &any, true, 0));
}

static void test_each_time_is_longer_up_to_a_most(void **unused)
{
	struct outlier o = {0};

	(void)unused;
	outlier_eject(&o, &conf, 10000);
	assert_int_equal(o.until_ms, 11000);
	outlier_eject(&o, &conf, 20000);
	assert_int_equal(o.until_ms, 22000);
	outlier_eject(&o, &conf, 30000);
	assert_int_equal(o.until_ms, 32500);
	/* Two intervals without one: forgiven, but for one. */
	outlier_begin(&o, 30100); /* it is put aside still: no merit */
	outlier_begin(&o, 40000);
	outlier_begin(&o, 50000);
	outlier_eject(&o, &conf, 60000);
	assert_int_equal(o.until_ms, 62000);
}

static void fill(unsigned i, unsigned total, unsigned failed, uint64_t latency_us)
{
	all[i] = (struct outlier){
		.total = total, .failed = failed, .latency_us = latency_us * total};
}

static unsigned standing_out(void)
{
	struct outlier_norm norm;
	unsigned set = 0;

	outlier_norm(&norm, all, N, sizeof(*all), &conf);
	for (unsigned i = 0; i < N; i++)
		set |= (unsigned)outlier_stands_out(&all[i], &norm) << i;
	return set;
}

static void test_one_that_fails_more_often(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < N; i++)
		fill(i, 100, i % 2, 1000);
	assert_int_equal(standing_out(), 0);
	fill(4, 100, 30, 1000);
	assert_int_equal(standing_out(), 1 << 4);
	/* All fail alike: nobody stands out. */
	for (unsigned i = 0; i < N; i++)
		fill(i, 100, 30, 1000);
	assert_int_equal(standing_out(), 0);
}

static void test_one_that_is_slower(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < N; i++)
		fill(i, 100, 0, 1000 + i);
	fill(7, 100, 0, 2900);
	assert_int_equal(standing_out(), 0);
	fill(7, 100, 0, 3100);
	assert_int_equal(standing_out(), 1 << 7);
}

static void test_few_requests_say_nothing(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < N; i++)
		fill(i, 100, 0, 1000);
	fill(3, OUTLIER_REQUESTS - 1, OUTLIER_REQUESTS - 1, 90000);
	assert_int_equal(standing_out(), 0);
	for (unsigned i = OUTLIER_PEERS - 1; i < N; i++)
		fill(i, 0, 0, 0);
	fill(0, 100, 100, 90000);
	assert_int_equal(standing_out(), 0);
}

static void test_percentiles(void **unused)
{
	static struct latency l;

	(void)unused;
	for (unsigned i = 1; i < LATENCY_LEAST; i++)
		latency_add(&l, 1000);
	assert_int_equal(latency_percentile(&l, 95), 0);
	latency_add(&l, 1000);
	assert_in_range(latency_percentile(&l, 95), 1000, 1250);
	for (unsigned i = 0; i < 10; i++)
		latency_add(&l, 80000);
	assert_in_range(latency_percentile(&l, 50), 1000, 1250);
	assert_in_range(latency_percentile(&l, 95), 80000, 100000);
	/* What was long ago is forgotten. */
	for (unsigned i = 0; i < 40000; i++)
		latency_add(&l, 50);
	assert_in_range(latency_percentile(&l, 100), 50, 64);
	assert_true(l.total < LATENCY_MOST);
}

static void test_percentiles_of_anything(void **unused)
{
	(void)unused;
	for (uint64_t us = 1; us; us <<= 1) {
		for (int d = -1; d <= 1; d++) {
			struct latency l = {0};
			uint64_t p;

			for (unsigned i = 0; i < LATENCY_LEAST; i++)
				latency_add(&l, us + (uint64_t)d);
			p = latency_percentile(&l, 95);
			if (us >= 2 && us < 1ULL << 31)
				assert_in_range(p, us + (uint64_t)d,
						(us + (uint64_t)d) * 5 / 4 + 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures_in_a_row),
		cmocka_unit_test(test_switched_off),
		cmocka_unit_test(test_each_time_is_longer_up_to_a_most),
		cmocka_unit_test(test_one_that_fails_more_often),
		cmocka_unit_test(test_one_that_is_slower),
		cmocka_unit_test(test_few_requests_say_nothing),
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_percentiles_of_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
