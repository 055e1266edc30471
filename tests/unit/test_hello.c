// SPDX-License-Identifier: BSD-2-Clause
/* ClientHellos: what is read of one, whatever its cuts; fingerprints as their authors have them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "l7/hello.h"

/* ---- making one ----------------------------------------------------------------------- */

static unsigned char message[2048];
static size_t length;

static void put(unsigned v, unsigned width)
{
	while (width--)
		message[length++] = (unsigned char)(v >> 8 * width);
}

/* A length of so many bytes that is known later. */
static size_t open_length(unsigned width)
{
	length += width;
	return length;
}

static void close_length(size_t at, unsigned width)
{
	size_t end = length;

	length = at - width;
	put((unsigned)(end - at), width);
	length = end;
}

static void put_list(const char *hex, unsigned width)
{
	size_t at = open_length(width);
	unsigned v;
	int n;

	while (sscanf(hex, "%4x%n", &v, &n) == 1) {
		put(v, 2);
		hex += n + (hex[n] == ',');
	}
	close_length(at, width);
}

static void begin(const char *ciphers)
{
	length = HELLO_HEADER;
	put(0x0303, 2);
	memset(message + length, 'r', 32);
	length += 32;
	put(0, 1);
	put_list(ciphers, 2);
	put(0x0100, 2);
}

static void put_extension(unsigned type)
{
	size_t at, list;

	put(type, 2);
	at = open_length(2);
	switch (type) {
	case 0x0000:
		list = open_length(2);
		put(0, 1);
		put(9, 2);
		memcpy(message + length, "site.test", 9);
		length += 9;
		close_length(list, 2);
		break;
	case 0x000a:
		put_list("2a2a,001d,0017,0018", 2);
		break;
	case 0x000b:
		put(0x0100, 2);
		break;
	case 0x000d:
		put_list("0403,0804,0401,0503,0805,0501,0806,0601", 2);
		break;
	case 0x0010:
		list = open_length(2);
		memcpy(message + length, "\x02h2\x08http/1.1", 12);
		length += 12;
		close_length(list, 2);
		break;
	case 0x002b:
		put_list("7a7a,0304,0303", 1);
		break;
	default:
		break;
	}
	close_length(at, 2);
}

static void end(size_t extensions)
{
	close_length(extensions, 2);
	message[0] = 1;
	message[1] = 0;
	message[2] = (unsigned char)((length - HELLO_HEADER) >> 8);
	message[3] = (unsigned char)(length - HELLO_HEADER);
}

/* As a Chrome of 2023 sent it; its JA4 stands in FoxIO's description. */
static void make_chrome(void)
{
	static const unsigned types[] = {0x1a1a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469,
					 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012,
					 0x002b, 0xff01, 0x000b, 0x000a, 0x0015, 0xfafa};
	size_t at;

	begin("3a3a,1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035");
	at = open_length(2);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		put_extension(types[i]);
	end(at);
}

static struct hello parsed(void)
{
	struct hello h;

	assert_true(hello_parse(&h, message + HELLO_HEADER, length - HELLO_HEADER));
	return h;
}

/* ---- tests ---------------------------------------------------------------------------- */

static void assert_span(struct span s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.p, text, s.len);
}

static void test_what_is_read(void **unused)
{
	struct hello h;

	(void)unused;
	make_chrome();
	h = parsed();
	assert_span(h.sni, "site.test");
	assert_span(h.alpn, "\x02h2\x08http/1.1");
	assert_span(h.first, "h2");
	assert_int_equal(h.version, 0x0303);
	assert_int_equal(h.newest, 0x0304);
	assert_int_equal(h.ciphers.len, 32);
}

static void test_fingerprints(void **unused)
{
	char ja4[HELLO_JA4], ja3[HELLO_JA3];
	struct hello h;

	(void)unused;
	make_chrome();
	h = parsed();
	assert_true(hello_ja4(ja4, &h));
	assert_string_equal(ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
	/* md5 of 771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,
	 * 27-0-51-16-17513-23-45-13-5-35-18-43-65281-11-10-21,29-23-24,0 */
	assert_true(hello_ja3(ja3, &h));
	assert_string_equal(ja3, "c000e2caf3a25423f9de6c8a4b12a975");
}

static void test_little_of_everything(void **unused)
{
	char ja4[HELLO_JA4];
	struct hello h;

	(void)unused;
	begin("002f");
	message[0] = 1;
	h = parsed();
	assert_false(h.has_sni);
	assert_true(hello_ja4(ja4, &h));
	assert_string_equal(ja4, "t12i010000_ba72b8082249_000000000000");
}

static void test_what_is_cut_is_none(void **unused)
{
	struct hello h;

	(void)unused;
	make_chrome();
	for (size_t n = 0; n < length - HELLO_HEADER; n++) {
		/* Without any extensions it is one of another time. */
		bool whole = n == 2 + 32 + 1 + 2 + 32 + 2;

		assert_int_equal(hello_parse(&h, message + HELLO_HEADER, n), whole);
	}
	message[length] = 0;
	assert_false(hello_parse(&h, message + HELLO_HEADER, length - HELLO_HEADER + 1));
}

static void test_records_of_any_size(void **unused)
{
	static unsigned char wire[8 * sizeof(message)], out[HELLO_HEADER + HELLO_MOST];
	size_t n, len;

	(void)unused;
	make_chrome();
	for (size_t each = 1; each <= length; each += each < 8 ? 1 : 61) {
		n = 0;
		for (size_t at = 0; at < length; at += each) {
			size_t take = length - at < each ? length - at : each;

			memcpy(wire + n, "\x16\x03\x01", 3);
			wire[n + 3] = (unsigned char)(take >> 8);
			wire[n + 4] = (unsigned char)take;
			memcpy(wire + n + 5, message + at, take);
			n += 5 + take;
		}
		for (size_t part = 0; part < n; part++)
			assert_int_equal(hello_gather(out, &len, wire, part), 0);
		memcpy(wire + n, "\x17\x03\x03", 3); /* early data */
		assert_int_equal(hello_gather(out, &len, wire, n + 3), 1);
		assert_int_equal(len, length);
		assert_memory_equal(out, message, length);
	}
}

static void test_what_is_no_hello(void **unused)
{
	static const struct {
		const char *bytes;
		size_t n;
	} rows[] = {
		{"GET / HTTP/1.1\r\n", 16},
		{"\x80\x2e\x01\x00\x02", 5},
		{"\x16\x04\x01\x00\x10", 5},
		{"\x16\x03\x01\x00\x00", 5},
		{"\x16\x03\x01\x40\x01", 5},
		{"\x15\x03\x01\x00\x02\x02\x28", 7},
		{"\x16\x03\x01\x00\x04\x02\x00\x00\x10", 9},
		{"\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9},
		{"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9},
	};
	unsigned char out[HELLO_HEADER + HELLO_MOST];
	size_t len;

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
			hello_gather(out, &len, (const unsigned char *)rows[i].bytes, rows[i].n),
			-1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_read),
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test(test_little_of_everything),
		cmocka_unit_test(test_what_is_cut_is_none),
		cmocka_unit_test(test_records_of_any_size),
		cmocka_unit_test(test_what_is_no_hello),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
