// SPDX-License-Identifier: BSD-2-Clause
/* traceparent: what goes on, what does not, what a backend gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "l7/trace.h"

#define ID     "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static struct http1_head head;
static char trace[TRACE_LEN];

static void came(const char *value)
{
	head.fields[head.n_fields++] = (struct http1_field){.name = SPAN("traceparent"),
							    .value = {value, strlen(value)},
							    .id = HTTP1_F_TRACEPARENT};
}

static void test_what_goes_on(void **unused)
{
	static const struct {
		const char *came, *flags;
	} rows[] = {
		{"00-" ID "-" PARENT "-01", "01"},      {"00-" ID "-" PARENT "-00", "00"},
		{"00-" ID "-" PARENT "-ff", "01"},      {"00-" ID "-" PARENT "-0a", "00"},
		{"00-" ID "-" PARENT "-0b", "01"},      {"01-" ID "-" PARENT "-03", "01"},
		{"fe-" ID "-" PARENT "-00-more", "00"}, {"cc-" ID "-" PARENT "-01-", "01"},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		head.n_fields = 0;
		came(rows[i].came);
		assert_true(trace_take(trace, &head));
		assert_memory_equal(trace, "00-" ID "-" PARENT "-", TRACE_LEN - 2);
		assert_memory_equal(trace + TRACE_LEN - 2, rows[i].flags, 2);
		assert_true(span_equal(trace_id(trace), SPAN(ID)));
	}
}

static void test_what_does_not(void **unused)
{
	static const char *const rows[] = {
		"",
		"00",
		"ff-" ID "-" PARENT "-01",
		"0g-" ID "-" PARENT "-01",
		"00-" ID "-" PARENT "-01-more",
		"00-" ID "-" PARENT "-01 ",
		"01-" ID "-" PARENT "-01more",
		"00-" ID "-" PARENT "-0",
		"00-" ID "-" PARENT "-0x",
		"00-" ID "-" PARENT "_01",
		"00-" ID "_" PARENT "-01",
		"00_" ID "-" PARENT "-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
		"00-" ID "-00F067AA0BA902B7-01",
		"00-00000000000000000000000000000000-" PARENT "-01",
		"00-" ID "-0000000000000000-01",
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		head.n_fields = 0;
		came(rows[i]);
		if (trace_take(trace, &head))
			fail_msg("%s", rows[i]);
	}
	head.n_fields = 0;
	assert_false(trace_take(trace, &head));
	came("00-" ID "-" PARENT "-01");
	came("00-" ID "-" PARENT "-01");
	assert_false(trace_take(trace, &head));
}

static void test_a_new_one(void **unused)
{
	static const char none[TRACE_LEN];

	(void)unused;
	trace_begin(trace, "0123456789abcdef0123456789abcdef");
	trace_parent_set(trace, "fedcba9876543210");
	assert_memory_equal(trace, "00-0123456789abcdef0123456789abcdef-fedcba9876543210-01",
			    TRACE_LEN);
	assert_int_equal(trace_id(none).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_goes_on),
		cmocka_unit_test(test_what_does_not),
		cmocka_unit_test(test_a_new_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
