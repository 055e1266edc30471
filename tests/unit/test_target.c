// SPDX-License-Identifier: BSD-2-Clause
/* One spelling for each target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/target.h"

#define BOTH NULL /* the same, whether slashes are merged or not */

static const struct row {
	const char *target, *merged, *kept; /* kept: with empty segments left in place */
} rows[] = {
	/* as they are */
	{"/", "/", BOTH},
	{"/a", "/a", BOTH},
	{"/a/b.c/", "/a/b.c/", BOTH},
	{"/a.b/c..d/e.", "/a.b/c..d/e.", BOTH},
	{"/...", "/...", BOTH},
	{"/.a/..b/", "/.a/..b/", BOTH},
	{"*", "*", BOTH},
	{"/a?", "/a?", BOTH},
	{"/a;b=c,d/e:@!$&'()*+", "/a;b=c,d/e:@!$&'()*+", BOTH},
	/* without a path */
	{"", "/", BOTH},
	{"?a=/../b", "/?a=/../b", BOTH},
	/* dot segments, RFC 3986 section 5.2.4 */
	{"/.", "/", BOTH},
	{"/..", "/", BOTH},
	{"/./", "/", BOTH},
	{"/../", "/", BOTH},
	{"/../../..", "/", BOTH},
	{"/a/.", "/a/", BOTH},
	{"/a/..", "/", BOTH},
	{"/a/../", "/", BOTH},
	{"/a/b/../../../c", "/c", BOTH},
	{"/a/b/c/./../../g", "/a/g", BOTH},
	{"/mid/content=5/../6", "/mid/6", BOTH},
	{"/./a/./b/./", "/a/b/", BOTH},
	/* escaped dots */
	{"/%2e", "/", BOTH},
	{"/%2E%2e/a", "/a", BOTH},
	{"/a/.%2e/b", "/b", BOTH},
	{"/a/%2e./b", "/b", BOTH},
	{"/a/%2e%2e", "/", BOTH},
	{"/a%2eb", "/a.b", BOTH},
	{"/%2e%2e%2f", "/..%2F", BOTH}, /* one segment, not a dot segment */
	/* escapes */
	{"/%41%7a%30%2D%5F%7E", "/Az0-_~", BOTH},
	{"/%2f%2F", "/%2F%2F", BOTH},
	{"/a%2Fb/../c", "/c", BOTH},
	{"/%252e%252e/", "/%252e%252e/", BOTH}, /* undone once, never twice */
	{"/%5c%c3%a4%20%3f%23", "/%5C%C3%A4%20%3F%23", BOTH},
	{"/%0d%0A", "/%0D%0A", BOTH},
	/* empty segments */
	{"//", "/", "//"},
	{"///a", "/a", "///a"},
	{"/a//b", "/a/b", "/a//b"},
	{"/a//", "/a/", "/a//"},
	{"/a//../b", "/b", "/a/b"},
	{"/a/%2e//b", "/a/b", "/a//b"},
	{"//..//a", "/a", "//a"},
	/* the query is left alone */
	{"/a/..?b/../c//d%2e\\%zz%00", "/?b/../c//d%2e\\%zz%00", BOTH},
	{"/%2e?", "/?", BOTH},
	{"/a??", "/a??", BOTH},
	/* refused */
	{"/%00", NULL, NULL},
	{"/a%00b", NULL, NULL},
	{"/a\\b", NULL, NULL},
	{"/..\\..\\a", NULL, NULL},
	{"/%", NULL, NULL},
	{"/%4", NULL, NULL},
	{"/%4?1", NULL, NULL},
	{"/%g0", NULL, NULL},
	{"/%0g", NULL, NULL},
	{"/a/../%", NULL, NULL},
	{"/%%41", NULL, NULL},
	{"a/b", NULL, NULL},
	{"*a", NULL, NULL},
};

/* In memory of exactly its size, so that a byte too much is seen by a sanitizer. */
static void check(const char *text, const char *expected, bool merge)
{
	size_t len = strlen(text);
	char *in = malloc(len ? len : 1), *buf = malloc(TARGET_ROOM(len)), *again;
	struct span out, twice;

	memcpy(in, text, len);
	if (target_normalise(&out, (struct span){in, len}, merge, buf) != (expected != NULL))
		fail_msg("%s: %s", text, expected ? "is refused" : "is not refused");
	if (expected) {
		again = malloc(TARGET_ROOM(out.len));
		if (!span_equal(out, (struct span){expected, strlen(expected)}))
			fail_msg("%s: %.*s, not %s", text, (int)out.len, out.p, expected);
		assert_true(target_normalise(&twice, out, merge, again));
		assert_true(span_equal(twice, out));
		free(again);
	}
	free(in);
	free(buf);
}

static void test_one_spelling(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check(rows[i].target, rows[i].merged, true);
		check(rows[i].target, rows[i].kept ? rows[i].kept : rows[i].merged, false);
	}
}

static void test_decoding(void **unused)
{
	static const struct {
		const char *path, *bytes;
	} decoded[] = {
		{"/a%20b", "/a b"}, {"/%C3%A4", "/\xc3\xa4"}, {"/%252e", "/%2e"},
		{"/%5C", "/\\"},    {"/a%2Fb", NULL},         {"/%00", NULL},
	};
	char buf[32];
	struct span out;

	(void)unused;
	for (size_t i = 0; i < sizeof(decoded) / sizeof(decoded[0]); i++) {
		struct span path = {decoded[i].path, strlen(decoded[i].path)};

		assert_int_equal(target_decode(&out, path, buf), decoded[i].bytes != NULL);
		if (decoded[i].bytes) {
			assert_int_equal(out.len, strlen(decoded[i].bytes));
			assert_memory_equal(out.p, decoded[i].bytes, out.len);
		}
	}
}

static void test_where_the_path_ends(void **unused)
{
	(void)unused;
	assert_int_equal(target_path(SPAN("/a/b")), 4);
	assert_int_equal(target_path(SPAN("/a?b?c")), 2);
	assert_int_equal(target_path(SPAN("?")), 0);
	assert_int_equal(target_path((struct span){NULL, 0}), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_spelling),
		cmocka_unit_test(test_decoding),
		cmocka_unit_test(test_where_the_path_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
