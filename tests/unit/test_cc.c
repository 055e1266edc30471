// SPDX-License-Identifier: BSD-2-Clause
/* Cache-Control and the fields that speak in its place: odd forms, and what they come to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "l7/cc.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct span span_of(const char *text)
{
	return (struct span){text, strlen(text)};
}

static struct cc read(const char *text)
{
	struct cc cc;

	cc_init(&cc);
	cc_add(&cc, span_of(text));
	return cc;
}

static void test_lifetimes(void **unused)
{
	static const struct {
		const char *text;
		int64_t max_age;
	} rows[] = {
		{"max-age=3600", 3600},
		{"MaX-aGe=3600", 3600},
		{"foobar, max-age=3600", 3600},
		{"max-age=\"3600\"", 3600},
		{"max-age=003600", 3600},
		{"max-age=99999999999", CC_MOST},
		{"max-age=99999999999999999999999999", CC_MOST},
		{"max-age=1800, max-age=1", 1800},
		{"x=\"max-age=3600\", max-age=1", 1},
		{"x=\"a\\\"b, max-age=3600\", max-age=1", 1},
		{"max-age=-3600", 0},
		{"max-age='3600'", 0},
		{"max-age=3600.0", 0},
		{"max-age=3600a", 0},
		{"max-age=a3600", 0},
		{"max-age =3600", 0},
		{"max-age= 3600", 0},
		{"max-age", 0},
		{"max-age=", 0},
		{"x-max-age=5", CC_NONE},
		{"x=\"max-age=3600", CC_NONE},
		{"", CC_NONE},
		{",,, ,", CC_NONE},
	};

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct cc cc = read(rows[i].text);

		if (cc.max_age != rows[i].max_age)
			fail_msg("%s: %lld", rows[i].text, (long long)cc.max_age);
	}
}

static void test_flags_and_limits(void **unused)
{
	struct cc cc = read("No-StOrE, public ,must-revalidate,stale-if-error=60,max-stale");

	(void)unused;
	assert_int_equal(cc.flags, CC_NO_STORE | CC_PUBLIC | CC_MUST_REVALIDATE);
	assert_int_equal(cc.if_error, 60);
	assert_int_equal(cc.max_stale, CC_MOST);
	cc = read("min-fresh=x, stale-while-revalidate=\"9\"");
	assert_int_equal(cc.min_fresh, CC_NONE);
	assert_int_equal(cc.while_revalidate, 9);
}

static void test_names_of_fields(void **unused)
{
	struct cc cc = read("no-cache=\"a, b\", private=c");
	char many[200] = "private=\"x";

	(void)unused;
	assert_int_equal(cc.flags, 0);
	assert_int_equal(cc.n_fields, 3);
	assert_true(span_equal(cc.fields[1], SPAN("b")));
	assert_true(span_equal(cc.fields[2], SPAN("c")));
	for (int i = 0; i < CC_FIELDS; i++)
		strcat(many, ",x");
	strcat(many, "\"");
	cc = read(many);
	assert_int_equal(cc.flags, CC_PRIVATE);
}

/* 'i': ignored; else whether max-age is what stands there. */
static void test_structured_field(void **unused)
{
	static const struct {
		const char *text;
		bool valid;
		int64_t max_age;
		uint32_t flags;
	} rows[] = {
		{"max-age=3600", true, 3600, 0},
		{"foobar, max-age=3600", true, 3600, 0},
		{"max-age=60;x=\"y\", no-store", true, 60, CC_NO_STORE},
		{"no-store=?1, private=?0", true, CC_NONE, CC_NO_STORE},
		{"a=(1 \"x\" b;c), max-age=5", true, 5, 0},
		{"a=:aGk=:, b=?0, c=1.5, max-age=5", true, 5, 0},
		{"max-age=\"10\"", true, CC_NONE, 0},
		{"max-age=-1", true, 0, 0},
		{"max-age=10, &&&&&", false, 0, 0},
		{"MaX-aGe=3600", false, 0, 0},
		{"max-age =100", false, 0, 0},
		{"max-age= 100", false, 0, 0},
		{"max-age=1,", false, 0, 0},
		{"a=\"x", false, 0, 0},
		{"a=(1 2", false, 0, 0},
		{"a=1.2345", false, 0, 0},
		{"a=1234567890123456", false, 0, 0},
		{"", false, 0, 0},
	};
	char text[CC_TARGETED_BYTES];

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct span line = span_of(rows[i].text);
		struct cc cc;
		bool valid;

		cc_init(&cc);
		valid = cc_targeted(&cc, &line, 1, text);
		if (valid != rows[i].valid ||
		    (valid && (cc.max_age != rows[i].max_age || cc.flags != rows[i].flags)))
			fail_msg("%s: valid=%d max_age=%lld flags=%x", rows[i].text, valid,
				 (long long)cc.max_age, cc.flags);
	}
}

static void test_structured_field_of_several_lines(void **unused)
{
	struct span lines[] = {SPAN("max-age=60"), SPAN("no-cache")};
	char text[CC_TARGETED_BYTES];
	struct cc cc;

	(void)unused;
	cc_init(&cc);
	assert_true(cc_targeted(&cc, lines, 2, text));
	assert_int_equal(cc.max_age, 60);
	assert_int_equal(cc.flags, CC_NO_CACHE);
}

static void test_surrogate(void **unused)
{
	static const struct {
		const char *text;
		bool ours;
		int64_t max_age, stale;
		uint32_t flags;
	} rows[] = {
		{"max-age=3600", true, 3600, CC_NONE, 0},
		{"max-age=3600+60;us", true, 3600, 60, 0},
		{"max-age=3600;them", false, CC_NONE, CC_NONE, 0},
		{"max-age=1;them, max-age=2;us", true, 2, CC_NONE, 0},
		{"no-store, content=\"ESI/1.0\"", true, CC_NONE, CC_NONE, CC_NO_STORE},
		{"max-age =100", true, 0, CC_NONE, 0},
		{"foo", false, CC_NONE, CC_NONE, 0},
	};

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct cc cc;
		bool ours;

		cc_init(&cc);
		ours = cc_surrogate(&cc, span_of(rows[i].text), SPAN("us"));
		if (ours != rows[i].ours || cc.max_age != rows[i].max_age ||
		    cc.while_revalidate != rows[i].stale || cc.flags != rows[i].flags)
			fail_msg("%s", rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lifetimes),
		cmocka_unit_test(test_flags_and_limits),
		cmocka_unit_test(test_names_of_fields),
		cmocka_unit_test(test_structured_field),
		cmocka_unit_test(test_structured_field_of_several_lines),
		cmocka_unit_test(test_surrogate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
