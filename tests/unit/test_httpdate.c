// SPDX-License-Identifier: BSD-2-Clause
/* Dates of HTTP: the three formats, what servers make of them, and what is no date. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "base/httpdate.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define NOW           1764000000LL /* November 2025 */

static bool parse(const char *text, int64_t *out)
{
	return httpdate_parse(out, (struct span){text, strlen(text)}, NOW);
}

static void test_formats_of_one_moment(void **unused)
{
	static const char *const same[] = {
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",      "sun, 06 NOV 1994 08:49:37 gmt",
		"Sun 06 Nov 1994 08:49:37 GMT",  "Sun,  6  Nov  1994 8:49:37 UTC",
		"Sun, 06-Nov-1994 08:49:37 GMT",
	};
	int64_t at;

	(void)unused;
	for (size_t i = 0; i < LENGTH(same); i++) {
		if (!parse(same[i], &at))
			fail_msg("refused: %s", same[i]);
		assert_int_equal(at, 784111777);
	}
}

static void test_what_is_no_date(void **unused)
{
	static const char *const none[] = {
		"",
		"0",
		"-1",
		"now",
		"Thu, 18 Aug 2050 02:01:18 AEST",
		"Thu, 18 Aug 2050 02.01.18 GMT",
		"Thu, 32 Aug 2050 02:01:18 GMT",
		"Thu, 29 Feb 2023 02:01:18 GMT",
		"Thu, 00 Aug 2050 02:01:18 GMT",
		"Thu, 18 Foo 2050 02:01:18 GMT",
		"Thu, 18 Aug 2050 24:01:18 GMT",
		"Thu, 18 Aug 2050 02:61:18 GMT",
		"Thu, 18 Aug 2050 02:01:18",
		"Thu, 18 Aug 20500 02:01:18 GMT",
		"Foo, 18 Aug 2050 02:01:18 GMT",
		"Thu, 18 Aug 2050 02:01:18 GMT GMT",
		"18 Aug 2050 02:01:18 GMT",
		"Thu Aug  8 02:01:18 50",
	};
	int64_t at;

	(void)unused;
	for (size_t i = 0; i < LENGTH(none); i++)
		if (parse(none[i], &at))
			fail_msg("taken: %s", none[i]);
}

static void test_years_of_two_digits_are_near(void **unused)
{
	int64_t at;

	(void)unused;
	assert_true(parse("Sunday, 06-Nov-70 08:49:37 GMT", &at));
	assert_true(at > NOW);
	assert_true(parse("Sunday, 06-Nov-90 08:49:37 GMT", &at));
	assert_true(at < NOW);
}

static void test_every_day_as_the_c_library_has_it(void **unused)
{
	char text[64];
	int64_t at;

	(void)unused;
	for (time_t t = 0; t < 4102444800; t += 86400 + 3599) {
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		assert_true(parse(text, &at));
		assert_int_equal(at, t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats_of_one_moment),
		cmocka_unit_test(test_what_is_no_date),
		cmocka_unit_test(test_years_of_two_digits_are_near),
		cmocka_unit_test(test_every_day_as_the_c_library_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
