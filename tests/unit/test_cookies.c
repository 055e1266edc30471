// SPDX-License-Identifier: BSD-2-Clause
/* What SYNs are answered with, from the settings of a host's TCP stack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "l4/cookies.h"

static const struct cookies_host usual = {
	.syncookies = 2,
	.timestamps = 2,
	.sack = 1,
	.window_scaling = 1,
	.rmem_most = 6291456,
	.rmem_max = 212992,
	.mtu = 1500,
};

static void test_the_usual_host(void **unused)
{
	struct sluice_cookies c = cookies_of(&usual);

	(void)unused;
	assert_int_equal(c.mss[0], 1460);
	assert_int_equal(c.mss[1], 1440);
	assert_int_equal(c.timestamp, 1);
	assert_int_equal(c.sack, 1);
	assert_int_equal(c.scale, 7 + 1);
	assert_null(cookies_caution(&usual, true));
}

/* The kernel: ilog2(most) - 15, from 0 to 14. */
static void test_windows_are_scaled_as_the_kernel_does(void **unused)
{
	static const struct {
		long rmem, max;
		int shift;
	} rows[] = {
		{4096, 4096, 0},        {65535, 1, 0},          {65536, 1, 1},
		{131071, 1, 1},         {131072, 1, 2},         {1, 212992, 2},
		{4194304, 212992, 7},   {6291456, 212992, 7},   {8388608, 212992, 8},
		{33554432, 212992, 10}, {6291456, 16777216, 9}, {2147483647, 1, 14},
		{1L << 40, 1, 14},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cookies_host h = usual;

		h.rmem_most = rows[i].rmem;
		h.rmem_max = rows[i].max;
		assert_int_equal(cookies_of(&h).scale, rows[i].shift + 1);
	}
}

static void test_what_the_stack_would_not_take_is_not_offered(void **unused)
{
	struct cookies_host h = usual;

	(void)unused;
	h.sack = 0;
	assert_int_equal(cookies_of(&h).sack, 0);
	h.window_scaling = 0;
	assert_int_equal(cookies_of(&h).scale, 0);
	assert_int_equal(cookies_of(&h).timestamp, 1);
	for (h = usual, h.timestamps = 0; h.timestamps < 2; h.timestamps++) {
		struct sluice_cookies c = cookies_of(&h);

		assert_int_equal(c.timestamp + c.sack + c.scale, 0);
		assert_int_equal(c.mss[0], 1460);
		assert_non_null(strstr(cookies_caution(&h, true), "tcp_timestamps=2"));
	}
}

static void test_without_cookies_nothing_is_answered(void **unused)
{
	struct cookies_host h = usual;

	(void)unused;
	h.syncookies = 0;
	assert_int_equal(cookies_of(&h).mss[0], 0);
	assert_non_null(strstr(cookies_caution(&h, true), "tcp_syncookies=2"));
	h.syncookies = 1;
	assert_non_null(strstr(cookies_caution(&h, true), "tcp_syncookies=2"));
	assert_non_null(strstr(cookies_caution(&usual, false), "CONFIG_SYN_COOKIES"));
	h = usual;
	h.mtu = 0;
	assert_int_equal(cookies_of(&h).mss[1], 0);
}

static void test_mss_has_bounds(void **unused)
{
	struct cookies_host h = usual;

	(void)unused;
	h.mtu = 9000;
	assert_int_equal(cookies_of(&h).mss[1], 8940);
	h.mtu = 68;
	assert_int_equal(cookies_of(&h).mss[0], 536);
	h.mtu = 65536;
	assert_int_equal(cookies_of(&h).mss[0], 65496);
	h.mtu = 1000000;
	assert_int_equal(cookies_of(&h).mss[0], 65535);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_usual_host),
		cmocka_unit_test(test_windows_are_scaled_as_the_kernel_does),
		cmocka_unit_test(test_what_the_stack_would_not_take_is_not_offered),
		cmocka_unit_test(test_without_cookies_nothing_is_answered),
		cmocka_unit_test(test_mss_has_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
