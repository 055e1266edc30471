// SPDX-License-Identifier: BSD-2-Clause
/* Bodies: each is fed at once, byte by byte and in two at every point, with one outcome. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l7/body.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define BOTH(s)       (s), sizeof(s) - 1

/* ---- feeding -------------------------------------------------------------------------- */

struct outcome {
	struct body body;
	enum body_result result;
	size_t used, len, trailer_len;
	char content[32768], trailer[BODY_MAX_TRAILER + 2];
};

/* One piece, in memory of exactly its length. */
static void feed(struct outcome *o, const char *bytes, size_t len)
{
	char *piece = malloc(len ? len : 1);
	size_t at = 0;

	assert_non_null(piece);
	memcpy(piece, bytes, len);
	do {
		struct span content;
		size_t used;

		o->result = body_feed(&o->body, piece + at, len - at, &used, &content);
		assert_true(used <= len - at);
		assert_true(used > 0 || at == len || o->result != BODY_MORE);
		if (content.len) {
			assert_true(content.p >= piece + at);
			assert_true(content.p + content.len <= piece + at + used);
			assert_true(o->len + content.len <= sizeof(o->content));
			memcpy(o->content + o->len, content.p, content.len);
			o->len += content.len;
		}
		if (o->body.trailer.len) {
			assert_int_equal(content.len, 0);
			assert_true(o->body.trailer.p + o->body.trailer.len == piece + at + used);
			memcpy(o->trailer + o->trailer_len, o->body.trailer.p, o->body.trailer.len);
			o->trailer_len += o->body.trailer.len;
		}
		at += used;
		o->used += used;
		assert_int_equal(o->body.received, o->len);
		assert_int_equal(o->result == BODY_DONE, body_done(&o->body));
	} while (at < len && o->result == BODY_MORE);
	free(piece);
}

/* In pieces: `first` bytes, then `step` at a time. */
static struct outcome *feed_cut(enum http1_body kind, uint64_t length, const char *bytes,
				size_t len, size_t first, size_t step)
{
	static struct outcome o;
	size_t at = first < len ? first : len;

	o.used = o.len = o.trailer_len = 0;
	body_init(&o.body, kind, length);
	feed(&o, bytes, at);
	while (at < len && o.result == BODY_MORE) {
		size_t more = len - at < step ? len - at : step;

		feed(&o, bytes + at, more);
		at += more;
	}
	return &o;
}

static void assert_same(const struct outcome *o, const struct outcome *whole, const char *bytes)
{
	if (o->result != whole->result || o->used != whole->used || o->len != whole->len ||
	    memcmp(o->content, whole->content, o->len) != 0 || o->body.left != whole->body.left)
		fail_msg("%s: cuts make a difference", bytes);
}

static const struct outcome *feed_all(enum http1_body kind, uint64_t length, const char *bytes,
				      size_t len)
{
	static struct outcome whole;

	whole = *feed_cut(kind, length, bytes, len, len, len);
	assert_same(feed_cut(kind, length, bytes, len, 0, 1), &whole, bytes);
	for (size_t cut = 1; cut < len && len < 1024; cut++)
		assert_same(feed_cut(kind, length, bytes, len, cut, len), &whole, bytes);
	return &whole;
}

static const struct outcome *chunked(const char *bytes)
{
	return feed_all(HTTP1_BODY_CHUNKED, 0, bytes, strlen(bytes));
}

/* ---- chunks --------------------------------------------------------------------------- */

static void test_chunks(void **unused)
{
	static const struct {
		const char *bytes, *content, *rest;
	} rows[] = {
		{"0\r\n\r\n", "", ""},
		{"00\r\n\r\n", "", ""},
		{"5\r\nhello\r\n0\r\n\r\n", "hello", ""},
		{"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", ""},
		{"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "hello", "GET / HTTP/1.1\r\n"},
		{"0\r\n\r\n\r\n", "", "\r\n"},
		{"4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", ""},
		{"7\r\n0\r\n\r\n0\r\r\n0\r\n\r\n", "0\r\n\r\n0\r", ""},
		{"a\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
		{"B\r\n0123456789a\r\n0\r\n\r\n", "0123456789a", ""},
		{"0000000000000001\r\nx\r\n0000000000000000\r\n\r\n", "x", ""},
		{"1;a\r\nx\r\n0;b=c;d=\"e\"\r\n\r\n", "x", ""},
		{"1;\r\nx\r\n0;\r\n\r\n", "x", ""},
		{"1; a\t= \"\xff;\"\r\nx\r\n0\r\n\r\n", "x", ""},
		{"1\r\nx\r\n0\r\nA: b\r\n\r\n", "x", ""},
		{"1\r\nx\r\n0\r\nA:\r\nB: \t c\xe4\r\nC-D:e:f\r\n\r\nrest", "x", "rest"},
		{"0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", "", "hello"},
	};

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		const struct outcome *o = chunked(rows[i].bytes);

		if (o->result != BODY_DONE)
			fail_msg("%s: %d", rows[i].bytes, o->result);
		assert_int_equal(o->len, strlen(rows[i].content));
		assert_memory_equal(o->content, rows[i].content, o->len);
		assert_string_equal(rows[i].bytes + o->used, rows[i].rest);
		assert_int_equal(body_eof(&o->body), BODY_DONE);
	}
}

static void test_bad_chunks(void **unused)
{
	static const char *const rows[] = {
		/* sizes */
		"\r\n",
		"\r\n0\r\n\r\n",
		"g\r\n",
		"-1\r\n",
		"+1\r\nx\r\n",
		" 1\r\nx\r\n",
		"\t1\r\nx\r\n",
		"0x1\r\nx\r\n",
		"1h\r\nx\r\n",
		"1 \r\nx\r\n",
		"1\t\r\nx\r\n",
		"1 ;a\r\nx\r\n",
		"1_0\r\n",
		"1,1\r\n",
		"1.0\r\n",
		"\"1\"\r\n",
		"\xef\xbc\x91\r\nx\r\n",
		";a\r\nx\r\n",
		"8000000000000000\r\n",
		"ffffffffffffffff\r\n",
		"10000000000000000\r\n",
		"10000000000000005\r\nhello\r\n",
		"00000000000000001\r\nx\r\n",
		/* ends of lines */
		"1\nx\r\n",
		"1\r\r\nx\r\n",
		"1\rx",
		"\n1\r\nx\r\n",
		"0\n\r\n",
		"0\r\n\n",
		"0\r\n\rX",
		/* extensions */
		"1;a\nx\r\n",
		"1;a\rb\r\nx\r\n",
		"1;a\x01\r\nx\r\n",
		"1;a\x7f\r\nx\r\n",
		"1;a\r\r\nx\r\n",
		/* content longer or shorter than said */
		"5\r\nhello!\r\n",
		"5\r\nhello\n",
		"5\r\nhello\rX",
		"5\r\nhello0\r\n",
		"5\r\nhell\r\n0\r\n\r\n",
		"5\r\nhello\r\n\r\n",
		/* trailers */
		"0\r\nX\r\n\r\n",
		"0\r\n: x\r\n\r\n",
		"0\r\n X: y\r\n\r\n",
		"0\r\nX : y\r\n\r\n",
		"0\r\nX Y: z\r\n\r\n",
		"0\r\nX: y\n\r\n",
		"0\r\nX: y\r\n z\r\n\r\n",
		"0\r\nX: y\rZ\r\n\r\n",
		"0\r\nX: y\x01\r\n\r\n",
		"0\r\nX\x80: y\r\n\r\n",
		"0\r\n5\r\nhello\r\n",
	};

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		const struct outcome *o = chunked(rows[i]);

		if (o->result != BODY_BAD)
			fail_msg("row %zu, %s: %d", i, rows[i], o->result);
		assert_int_equal(body_eof(&o->body), BODY_BAD);
	}
}

static void test_nul_in_each_part(void **unused)
{
	(void)unused;
	assert_int_equal(feed_all(HTTP1_BODY_CHUNKED, 0, BOTH("1\0\r\nx\r\n"))->result, BODY_BAD);
	assert_int_equal(feed_all(HTTP1_BODY_CHUNKED, 0, BOTH("1;\0\r\nx\r\n"))->result, BODY_BAD);
	assert_int_equal(feed_all(HTTP1_BODY_CHUNKED, 0, BOTH("1\r\n\0\r\n"))->result, BODY_MORE);
	assert_int_equal(feed_all(HTTP1_BODY_CHUNKED, 0, BOTH("0\r\nX\0: y\r\n"))->result,
			 BODY_BAD);
	assert_int_equal(feed_all(HTTP1_BODY_CHUNKED, 0, BOTH("0\r\nX: \0\r\n"))->result, BODY_BAD);
}

static void test_the_largest_chunk(void **unused)
{
	const struct outcome *o = chunked("7fffffffffffffff\r\nhello");

	(void)unused;
	assert_int_equal(o->result, BODY_MORE);
	assert_int_equal(o->body.received, 5);
	assert_int_equal(o->body.left, INT64_MAX - 5);
	o = chunked("7FFFFFFFFFFFFFFF;x\r\n");
	assert_int_equal(o->body.left, INT64_MAX);
}

/* ---- bounds --------------------------------------------------------------------------- */

/* `before`, n times 'a', `after`. */
static enum body_result padded(const char *before, size_t n, const char *after)
{
	static char bytes[16384];
	size_t at = strlen(before);

	memcpy(bytes, before, at);
	memset(bytes + at, 'a', n);
	strcpy(bytes + at + n, after);
	return chunked(bytes)->result;
}

static void test_extensions_are_bounded(void **unused)
{
	(void)unused;
	assert_int_equal(padded("0;", BODY_MAX_EXTENSION, "\r\n\r\n"), BODY_DONE);
	assert_int_equal(padded("0;", BODY_MAX_EXTENSION + 1, "\r\n\r\n"), BODY_BAD);
	assert_int_equal(padded("0000000000000000;", BODY_MAX_EXTENSION, "\r\n\r\n"), BODY_DONE);
	/* Each chunk has its own. */
	assert_int_equal(padded("1;0123456789\r\nx\r\n0;", BODY_MAX_EXTENSION, "\r\n\r\n"),
			 BODY_DONE);
}

static void test_trailers_are_pointed_to(void **unused)
{
	static const char bytes[] = "3\r\nabc\r\n0;x=y\r\nA: 1\r\nB:\r\n\r\nnext";
	static const char section[] = "A: 1\r\nB:\r\n\r\n";
	size_t len = sizeof(bytes) - 1;

	(void)unused;
	for (size_t first = 1; first <= len; first++) {
		for (size_t step = 1; step <= len; step += len - 1) {
			struct outcome *o =
				feed_cut(HTTP1_BODY_CHUNKED, 0, bytes, len, first, step);

			assert_int_equal(o->result, BODY_DONE);
			assert_int_equal(o->trailer_len, sizeof(section) - 1);
			assert_memory_equal(o->trailer, section, sizeof(section) - 1);
		}
	}
}

static void test_trailers_are_bounded(void **unused)
{
	static char bytes[2 * BODY_MAX_TRAILER];
	char *at = bytes + sprintf(bytes, "0\r\n");

	(void)unused;
	/* The name, the colon and the end of the line count too. */
	assert_int_equal(padded("0\r\nX:", BODY_MAX_TRAILER - 4, "\r\n\r\n"), BODY_DONE);
	assert_int_equal(padded("0\r\nX:", BODY_MAX_TRAILER - 3, "\r\n\r\n"), BODY_BAD);
	assert_int_equal(padded("0\r\n", BODY_MAX_TRAILER - 3, ":\r\n\r\n"), BODY_DONE);
	assert_int_equal(padded("0\r\n", BODY_MAX_TRAILER - 2, ":\r\n\r\n"), BODY_BAD);
	/* An extension before them does not. */
	assert_int_equal(padded("0;0123456789\r\nX:", BODY_MAX_TRAILER - 4, "\r\n\r\n"), BODY_DONE);
	for (int i = 0; i < BODY_MAX_TRAILER / 4; i++)
		at += sprintf(at, "X:\r\n");
	strcpy(at, "\r\n");
	assert_int_equal(chunked(bytes)->result, BODY_DONE);
	strcpy(at, "X:\r\n\r\n");
	assert_int_equal(chunked(bytes)->result, BODY_BAD);
}

/* ---- the other kinds ------------------------------------------------------------------ */

static void test_length(void **unused)
{
	const struct outcome *o = feed_all(HTTP1_BODY_LENGTH, 5, BOTH("hello"));

	(void)unused;
	assert_int_equal(o->result, BODY_DONE);
	assert_memory_equal(o->content, "hello", 5);
	o = feed_all(HTTP1_BODY_LENGTH, 5, BOTH("hello, and more"));
	assert_int_equal(o->result, BODY_DONE);
	assert_int_equal(o->used, 5);
	o = feed_all(HTTP1_BODY_LENGTH, 6, BOTH("hello"));
	assert_int_equal(o->result, BODY_MORE);
	assert_int_equal(o->body.left, 1);
	assert_int_equal(body_eof(&o->body), BODY_BAD);
	o = feed_all(HTTP1_BODY_LENGTH, 0, BOTH("x"));
	assert_int_equal(o->result, BODY_DONE);
	assert_int_equal(o->used, 0);
	o = feed_all(HTTP1_BODY_LENGTH, INT64_MAX, BOTH("x"));
	assert_int_equal(o->body.left, INT64_MAX - 1);
}

static void test_until_the_connection_closes(void **unused)
{
	const struct outcome *o = feed_all(HTTP1_BODY_CLOSE, 0, BOTH("0\r\n\r\n\0"));

	(void)unused;
	assert_int_equal(o->result, BODY_MORE);
	assert_int_equal(o->len, 6);
	assert_int_equal(body_eof(&o->body), BODY_DONE);
}

static void test_no_body(void **unused)
{
	const struct outcome *o = feed_all(HTTP1_BODY_NONE, 5, BOTH("GET"));

	(void)unused;
	assert_int_equal(o->result, BODY_DONE);
	assert_int_equal(o->used, 0);
	assert_int_equal(o->len, 0);
	assert_int_equal(body_eof(&o->body), BODY_DONE);
}

static void test_the_end_comes_early(void **unused)
{
	static const char bytes[] = "5;x\r\nhello\r\n0\r\nA: b\r\n\r\n";

	(void)unused;
	for (size_t have = 0; have < sizeof(bytes) - 1; have++) {
		struct outcome *o = feed_cut(HTTP1_BODY_CHUNKED, 0, bytes, have, have, have);

		assert_int_equal(o->result, BODY_MORE);
		assert_false(body_done(&o->body));
		assert_int_equal(body_eof(&o->body), BODY_BAD);
	}
}

static void test_done_before_anything_came(void **unused)
{
	struct body b;

	(void)unused;
	body_init(&b, HTTP1_BODY_NONE, 0);
	assert_true(body_done(&b));
	body_init(&b, HTTP1_BODY_LENGTH, 0);
	assert_true(body_done(&b));
	body_init(&b, HTTP1_BODY_LENGTH, 1);
	assert_false(body_done(&b));
	body_init(&b, HTTP1_BODY_CHUNKED, 0);
	assert_false(body_done(&b));
	body_init(&b, HTTP1_BODY_CLOSE, 0);
	assert_false(body_done(&b));
}

/* ---- written -------------------------------------------------------------------------- */

static void test_chunk_headers(void **unused)
{
	static const struct {
		uint64_t size;
		const char *text;
	} rows[] = {
		{0, "0\r\n"},
		{1, "1\r\n"},
		{9, "9\r\n"},
		{10, "a\r\n"},
		{15, "f\r\n"},
		{16, "10\r\n"},
		{0xdeadbeef, "deadbeef\r\n"},
		{INT64_MAX, "7fffffffffffffff\r\n"},
		{UINT64_MAX, "ffffffffffffffff\r\n"},
	};

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		char out[18];
		size_t n = body_chunk_header(out, rows[i].size);
		struct outcome *o;

		assert_int_equal(n, strlen(rows[i].text));
		assert_memory_equal(out, rows[i].text, n);
		if (rows[i].size > INT64_MAX)
			continue;
		o = feed_cut(HTTP1_BODY_CHUNKED, 0, out, n, n, n);
		assert_int_equal(o->result, BODY_MORE);
		assert_int_equal(o->body.left, rows[i].size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_bad_chunks),
		cmocka_unit_test(test_nul_in_each_part),
		cmocka_unit_test(test_the_largest_chunk),
		cmocka_unit_test(test_extensions_are_bounded),
		cmocka_unit_test(test_trailers_are_pointed_to),
		cmocka_unit_test(test_trailers_are_bounded),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_until_the_connection_closes),
		cmocka_unit_test(test_no_body),
		cmocka_unit_test(test_the_end_comes_early),
		cmocka_unit_test(test_done_before_anything_came),
		cmocka_unit_test(test_chunk_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
