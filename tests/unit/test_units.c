// SPDX-License-Identifier: BSD-2-Clause
/* Durations, sizes and counts: what people type and what they read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/units.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct reading {
	const char *text;
	uint64_t n;
};

struct printing {
	uint64_t n;
	const char *text;
};

/* ---- durations ------------------------------------------------------------------------ */

static void test_durations_are_read(void **unused)
{
	static const struct reading good[] = {
		{"0ms", 0},
		{"0d", 0},
		{"1ms", 1},
		{"250ms", 250},
		{"5s", 5000},
		{"007s", 7000},
		{"10m", 600000},
		{"2h", 7200000},
		{"7d", 604800000},
		{"18446744073709551615ms", UINT64_MAX},
		{"18446744073709551s", 18446744073709551000U},
		{"213503982334d", 18446744073657600000U},
	};

	(void)unused;
	for (size_t i = 0; i < LENGTH(good); i++) {
		uint64_t ms = 12345;

		if (!units_parse_ms(&ms, good[i].text))
			fail_msg("\"%s\" is a duration", good[i].text);
		assert_int_equal(ms, good[i].n);
	}
}

static void test_what_is_no_duration_is_refused(void **unused)
{
	static const char *const bad[] = {
		"",      "5",  "0",   "s",     "ms",    "5 s",  " 5s",  "5s ",  "5S",
		"5sec",  "5w", "5y",  "5us",   "5ns",   "1h5m", "-5s",  "+5s",  "1.5s",
		"0x10s", "5,", "5s5", "ms250", "1e3ms", "5ss",  "5s\n", "五秒", "--",
	};
	uint64_t ms;

	(void)unused;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		if (units_parse_ms(&ms, bad[i]))
			fail_msg("\"%s\" was taken for a duration", bad[i]);
	}
}

static void test_durations_that_overflow_are_refused(void **unused)
{
	static const char *const bad[] = {
		"18446744073709551616ms", /* 2^64 */
		"18446744073709551617ms",
		"18446744073709552s", /* times 1000 */
		"213503982335d",
		"307445734561826m",
		"5124095576031h",
		"99999999999999999999999999999999999999999999999999999999999999s",
	};
	uint64_t ms;

	(void)unused;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		if (units_parse_ms(&ms, bad[i]))
			fail_msg("\"%s\" does not fit", bad[i]);
	}
}

/* ---- sizes ---------------------------------------------------------------------------- */

static void test_sizes_are_read(void **unused)
{
	static const struct reading good[] = {
		{"0", 0},
		{"845", 845},
		{"16k", 16384},
		{"16K", 16384},
		{"1m", 1048576},
		{"2g", 2147483648},
		{"4G", 4294967296},
		{"1t", 1099511627776},
		{"18446744073709551615", UINT64_MAX},
		{"18014398509481983k", 18446744073709550592U},
		{"16777215t", 18446742974197923840U},
	};

	(void)unused;
	for (size_t i = 0; i < LENGTH(good); i++) {
		uint64_t n = 12345;

		if (!units_parse_bytes(&n, good[i].text))
			fail_msg("\"%s\" is a size", good[i].text);
		assert_int_equal(n, good[i].n);
	}
}

static void test_what_is_no_size_is_refused(void **unused)
{
	static const char *const bad[] = {
		"",     "k",    "b",   "16kb", "16kib", "16 k", " 16k", "16k ", "-1",    "+1", "1p",
		"1.5m", "0x10", "1e6", "16,5", "k16",   "1kk",  "10%",  "1b",   "1k\n2", "1s",
	};
	uint64_t n;

	(void)unused;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		if (units_parse_bytes(&n, bad[i]))
			fail_msg("\"%s\" was taken for a size", bad[i]);
	}
}

static void test_sizes_that_overflow_are_refused(void **unused)
{
	static const char *const bad[] = {"18446744073709551616", "18446744073709551620",
					  "18014398509481984k",   "17592186044416m",
					  "17179869184g",         "16777216t",
					  "100000000000000000000"};
	uint64_t n;

	(void)unused;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		if (units_parse_bytes(&n, bad[i]))
			fail_msg("\"%s\" does not fit", bad[i]);
	}
}

/* ---- printing ------------------------------------------------------------------------- */

static void test_counts_are_printed(void **unused)
{
	static const struct printing rows[] = {
		{0, "0"},
		{7, "7"},
		{999, "999"},
		{1000, "1.0k"},
		{1099, "1.0k"}, /* cut, not rounded: never more than there is */
		{3400, "3.4k"},
		{9999, "9.9k"},
		{10000, "10k"},
		{999999, "999k"},
		{1000000, "1.0M"},
		{1234567, "1.2M"},
		{1000000000, "1.0G"},
		{12345678901234, "12T"},
		{1000000000000000, "1.0P"},
		{999999999999999999, "999P"},
		{1000000000000000000, "1.0E"},
		{UINT64_MAX, "18E"},
	};
	char text[8];

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		assert_ptr_equal(units_format_count(rows[i].n, text), text);
		assert_string_equal(text, rows[i].text);
	}
}

static void test_sizes_are_printed(void **unused)
{
	static const struct printing rows[] = {
		{0, "0 B"},
		{845, "845 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1536, "1.5 KiB"},
		{10239, "9.9 KiB"},
		{10240, "10 KiB"},
		{1048575, "1023 KiB"},
		{1048576, "1.0 MiB"},
		{12582912, "12 MiB"},
		{1073741824, "1.0 GiB"},
		{1099511627776, "1.0 TiB"},
		{1125899906842624, "1.0 PiB"},
		{1152921504606846976, "1.0 EiB"},
		{UINT64_MAX, "15 EiB"},
	};
	char text[16];

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		assert_ptr_equal(units_format_bytes(rows[i].n, text), text);
		assert_string_equal(text, rows[i].text);
	}
}

/* The size of the buffer is the whole promise: a byte beyond it is another's. */
static void test_printed_text_stays_in_its_buffer(void **unused)
{
	(void)unused;
	for (unsigned shift = 0; shift < 64; shift++) {
		char count[8 + 1], bytes[16 + 1], ms[UNITS_MS + 1];

		for (uint64_t less = 0; less < 2; less++) {
			uint64_t n = ((uint64_t)1 << shift) - less;

			count[8] = bytes[16] = ms[UNITS_MS] = 0x55;
			units_format_ms(n, ms);
			assert_non_null(memchr(ms, '\0', UNITS_MS));
			assert_int_equal(ms[UNITS_MS], 0x55);
			units_format_count(n, count);
			units_format_bytes(n, bytes);
			assert_non_null(memchr(count, '\0', 8));
			assert_non_null(memchr(bytes, '\0', 16));
			assert_int_equal(count[8], 0x55);
			assert_int_equal(bytes[16], 0x55);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations_are_read),
		cmocka_unit_test(test_what_is_no_duration_is_refused),
		cmocka_unit_test(test_durations_that_overflow_are_refused),
		cmocka_unit_test(test_sizes_are_read),
		cmocka_unit_test(test_what_is_no_size_is_refused),
		cmocka_unit_test(test_sizes_that_overflow_are_refused),
		cmocka_unit_test(test_counts_are_printed),
		cmocka_unit_test(test_sizes_are_printed),
		cmocka_unit_test(test_printed_text_stays_in_its_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
