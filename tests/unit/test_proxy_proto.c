// SPDX-License-Identifier: BSD-2-Clause
/* The PROXY protocol: what is written is read, at every cut point; what is malformed is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "l7/proxy_proto.h"

#define MARK "\r\n\r\n\0\r\nQUIT\n"

static struct endpoint endpoint(const char *text)
{
	struct endpoint e;

	assert_true(endpoint_parse(&e, text));
	return e;
}

/* The result for the whole text; before its end it must ask for more, or refuse early. */
static int parse(const char *p, size_t len, struct proxy_head *h)
{
	int n = proxy_parse(p, len, h);
	size_t whole = n > 0 ? (size_t)n : len;

	for (size_t cut = 0; n > 0 && cut < whole; cut++)
		assert_int_equal(proxy_parse(p, cut, h), 0);
	return proxy_parse(p, len, h);
}

static void test_what_is_written_is_read(void **unused)
{
	static const char *const pairs[][2] = {
		{"192.0.2.1:1234", "198.51.100.2:80"},
		{"[2001:db8::1]:1", "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
		{"255.255.255.255:65535", "1.1.1.1:1"},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct endpoint client = endpoint(pairs[i][0]), local = endpoint(pairs[i][1]);

		for (unsigned version = 1; version <= 2; version++) {
			char out[PROXY_WRITE + 4];
			size_t n = proxy_write(out, version, &client, &local);
			struct proxy_head h;

			memcpy(out + n, "GET ", 4);
			assert_int_equal(parse(out, n + 4, &h), n);
			assert_true(h.known);
			assert_memory_equal(&h.client.addr, &client.addr, sizeof(client.addr));
			assert_memory_equal(&h.local.addr, &local.addr, sizeof(local.addr));
			assert_int_equal(h.client.port, client.port);
			assert_int_equal(h.local.port, local.port);
		}
	}
}

static void test_texts_as_they_are_written(void **unused)
{
	struct endpoint client = endpoint("192.0.2.1:56324"), local = endpoint("192.0.2.2:443"),
			other = endpoint("[2001:db8::1]:443");
	char out[PROXY_WRITE];
	struct proxy_head h;

	(void)unused;
	assert_int_equal(proxy_write(out, 1, &client, &local), 42);
	assert_string_equal(out, "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n");
	proxy_write(out, 1, &client, &other);
	assert_string_equal(out, "PROXY UNKNOWN\r\n");
	assert_int_equal(proxy_write(out, 2, &client, &local), 28);
	assert_memory_equal(out, MARK "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\xdc\4\1\xbb", 28);
	/* IPv4 beside IPv6 is a mapped address. */
	assert_int_equal(proxy_write(out, 2, &client, &other), 52);
	assert_int_equal(proxy_parse(out, 52, &h), 52);
	assert_memory_equal(&h.client.addr, &client.addr, sizeof(client.addr));
}

static void test_who_tells_nothing(void **unused)
{
	static const struct {
		const char *p;
		size_t len;
	} rows[] = {
#define ROW(text) {text, sizeof(text) - 1}
		ROW("PROXY UNKNOWN\r\n"), ROW("PROXY UNKNOWN ffff::1 nonsense\r\n"),
		ROW(MARK "\x20\x00\0\0"), ROW(MARK "\x20\x11\0\4abcd"),
		ROW(MARK "\x21\x00\0\0"), ROW(MARK "\x21\x00\0\3abc"),
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct proxy_head h;

		assert_int_equal(parse(rows[i].p, rows[i].len, &h), rows[i].len);
		assert_false(h.known);
	}
}

static void test_values_behind_the_addresses_are_skipped(void **unused)
{
	static const char good[] = MARK "\x21\x11\0\x12"
					"abcdefgh\0\1\0\2"
					"\1\0\3abc";
	static const char bad[] = MARK "\x21\x11\0\x12"
				       "abcdefgh\0\1\0\2"
				       "\1\0\4abc";
	struct proxy_head h;

	(void)unused;
	assert_int_equal(parse(good, sizeof(good) - 1, &h), sizeof(good) - 1);
	assert_int_equal(proxy_parse(bad, sizeof(bad) - 1, &h), -1);
}

static void test_malformed(void **unused)
{
	static const struct {
		const char *p;
		size_t len;
	} rows[] = {
		ROW("GET / HTTP/1.1\r\n"),
		ROW("proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n"),
		ROW("PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n"),
		ROW("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n"),
		ROW("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"),
		ROW("PROXY TCP4 1.2.3.4  1.2.3.4 1 1\r\n"),
		ROW("PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n"),
		ROW("PROXY TCP4 1.2.3.4 ::1 1 1\r\n"),
		ROW("PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n"),
		ROW("PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n"),
		ROW("PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n"),
		ROW("PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n"),
		ROW("PROXY TCP4 1.2.3.4 1.2.3.4 1 123456\r\n"),
		ROW("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 1\r\n"),
		ROW("PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n"),
		ROW("PROXY \r\n"),
		ROW("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\rX"),
		ROW("PROXY UNKNOWN 1111111111111111111111111111111111111111111111111111111111111111"
		    "11111111111111111111111111111111\r\n"),
		ROW("\r\n\r\nX"),
		ROW(MARK "\x11\x11\0\x0c"
			 "abcdefghijkl"), /* version 1 in this form */
		ROW(MARK "\x22\x11\0\x0c"
			 "abcdefghijkl"), /* a command that is none */
		ROW(MARK "\x21\x12\0\x0c"
			 "abcdefghijkl"), /* datagrams */
		ROW(MARK "\x21\x41\0\x0c"
			 "abcdefghijkl"), /* a family that is none */
		ROW(MARK "\x21\x11\0\x0b"
			 "abcdefghijk"),
		ROW(MARK "\x21\x21\0\x0c"
			 "abcdefghijkl"),
		ROW(MARK "\x21\x11\xff\xff"),
#undef ROW
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct proxy_head h;

		if (proxy_parse(rows[i].p, rows[i].len, &h) != -1)
			fail_msg("row %zu is taken", i);
		/* It is never taken before, nor asked about for ever. */
		for (size_t cut = 0; cut < rows[i].len; cut++)
			assert_true(proxy_parse(rows[i].p, cut, &h) <= 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_texts_as_they_are_written),
		cmocka_unit_test(test_who_tells_nothing),
		cmocka_unit_test(test_values_behind_the_addresses_are_skipped),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
