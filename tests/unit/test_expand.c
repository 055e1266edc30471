// SPDX-License-Identifier: BSD-2-Clause
/* Texts with $names: cut into segments, and written with the values of a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "l7/expand.h"

static struct http1_head head;
static struct span captures[10];

static struct expand_facts facts(void)
{
	struct expand_facts f = {
		.head = &head,
		.captures = captures,
		.client_ip = SPAN("192.0.2.1"),
		.client_port = 4000,
		.scheme = SPAN("https"),
		.service = SPAN("site"),
		.route = SPAN("r"),
		.status = 404,
		.upstream = SPAN("b1"),
	};

	head = (struct http1_head){.method_text = SPAN("GET"),
				   .authority = SPAN("A.Test:80"),
				   .path = SPAN("/a/b?c=1&d=%20&&c=2")};
	head.fields[head.n_fields++] =
		(struct http1_field){.name = SPAN("X-Some-Thing"), .value = SPAN("a\tb c")};
	head.fields[head.n_fields++] =
		(struct http1_field){.name = SPAN("Cookie"), .value = SPAN("a=1; ab=2;c; d=x=y")};
	captures[1] = SPAN("one");
	return f;
}

/* In memory of exactly the room that it has. */
static const char *written(const char *text, enum expand_as as)
{
	static char result[256];
	struct expand_facts f = facts();
	struct template t;
	struct arena arena;
	struct span bad;
	size_t n;
	char *out;

	arena_init(&arena, 1024, 0);
	assert_int_equal(template_compile(&t, &arena, text, &bad), 0);
	n = expand(NULL, 0, &t, &f, as);
	out = malloc(n + 1);
	for (size_t room = 0; room <= n; room++)
		assert_int_equal(expand(out, room, &t, &f, as), n);
	memcpy(result, out, n);
	result[n] = '\0';
	free(out);
	arena_fini(&arena);
	return result;
}

static void test_values(void **unused)
{
	static const char *const rows[][2] = {
		{"", ""},
		{"plain", "plain"},
		{"$$1", "$1"},
		{"$client_ip:$client_port", "192.0.2.1:4000"},
		{"${host}name", "a.testname"},
		{"$authority", "A.Test:80"},
		{"$method $scheme $service/$route", "GET https site/r"},
		{"$uri|$path|$query", "/a/b?c=1&d=%20&&c=2|/a/b|c=1&d=%20&&c=2"},
		{"$11$2", "one1"},
		{"$header_x_some_thing|$header_X_SOME_THING|$header_other", "a\tb c|a\tb c|"},
		{"$cookie_a$cookie_ab$cookie_c$cookie_d$cookie_b", "12x=y"},
		{"$arg_c$arg_d$arg_e", "1%20"},
		{"$status $upstream", "404 b1"},
		{"$server_addr", ""},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(written(rows[i][0], EXPAND_FIELD), rows[i][1]);
}

static void test_ways_to_write_them(void **unused)
{
	(void)unused;
	assert_string_equal(written("$header_x_some_thing", EXPAND_TARGET), "a%09b%20c");
	assert_string_equal(written("<$status $upstream>", EXPAND_LATER), "<\1 \2>");
}

static void test_no_value_ends_a_line(void **unused)
{
	struct expand_facts f = facts();
	struct template t;
	struct arena arena;
	struct span bad;
	char out[16];

	(void)unused;
	f.client_ip = (struct span){"a\r\nb\0c\x7f", 7};
	arena_init(&arena, 1024, 0);
	assert_int_equal(template_compile(&t, &arena, "$client_ip", &bad), 0);
	assert_int_equal(expand(out, sizeof(out), &t, &f, EXPAND_FIELD), 3);
	assert_memory_equal(out, "abc", 3);
	arena_fini(&arena);
}

static void test_what_means_nothing(void **unused)
{
	static const char *const rows[][2] = {
		{"a$", "$"},
		{"$nobody here", "$nobody"},
		{"${host", "${host"},
		{"$0", "$0"},
		{"$header_", "$header_"},
		{"${}", "${}"},
		{"a$Host", "$Host"},
		{"$-", "$"},
	};
	struct template t;
	struct arena arena;
	struct span bad;

	(void)unused;
	arena_init(&arena, 1024, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(template_compile(&t, &arena, rows[i][0], &bad), -EINVAL);
		assert_int_equal(bad.len, strlen(rows[i][1]));
		assert_memory_equal(bad.p, rows[i][1], bad.len);
	}
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_ways_to_write_them),
		cmocka_unit_test(test_no_value_ends_a_line),
		cmocka_unit_test(test_what_means_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
