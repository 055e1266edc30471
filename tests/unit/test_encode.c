// SPDX-License-Identifier: BSD-2-Clause
/* What a client wants, and what may be compressed. That what comes out can be unpacked by others
 * is seen in tests/proxy/test_compress.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l7/encode.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define BR            CONF_ENCODING_br
#define ZSTD          CONF_ENCODING_zstd
#define GZIP          CONF_ENCODING_gzip
#define NONE          CONF_ENCODING_identity

static const struct http1_limits limits = {
	.max_head = 65536, .max_target = 8192, .max_fields = HTTP1_MAX_FIELDS};
static const struct span types[] = {{"text/", 5}, {"application/json", 16}};
static const struct conf_compress conf = {.on = true,
					  .order = {BR, ZSTD, GZIP},
					  .n_order = 3,
					  .types = types,
					  .n_types = 2,
					  .min_length = 100,
					  .gzip_level = 5,
					  .br_level = 4,
					  .zstd_level = 3};
static struct http1_head head;

/* ---- what a client wants -------------------------------------------------------------- */

static enum conf_encoding wanted(const char *fields)
{
	char bytes[1024];
	size_t scanned = 0;
	int n = snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);

	assert_int_equal(http1_parse_request(&head, bytes, (size_t)n, &scanned, &limits), n);
	return encode_wanted(&head, &conf);
}

static void test_what_a_client_wants(void **unused)
{
	static const struct {
		const char *accept;
		enum conf_encoding wanted;
	} rows[] = {
		{"gzip", GZIP},
		{"gzip, br", BR},
		{"gzip, deflate, br, zstd", BR},
		{"GZip", GZIP},
		{"x-gzip", GZIP},
		{"deflate", NONE},
		{"", NONE},
		{"identity", NONE},
		{"*", BR},
		{"*;q=0", NONE},
		{"gzip;q=1.0, br;q=0.9", GZIP},
		{"gzip;q=0.5, zstd;q=0.5", ZSTD},
		{"gzip;q=0", NONE},
		{"gzip;q=0, *", BR},
		{"br;q=0, zstd;q=0, *;q=0.1", GZIP},
		{"gzip;q=0.001", GZIP},
		{"gzip;q=0.000", NONE},
		{"gzip ; Q=0.5 , br\t;\tq=0.4", GZIP},
		{"identity;q=1, gzip;q=0.5", NONE},
		{"identity;q=0.5, gzip;q=0.5", GZIP},
		{"identity;q=0, gzip", GZIP},
		{",, ,gzip,,", GZIP},
		{"gzip;level=9;q=0.7, br;q=0.8", BR},
		{"gzip;q=1.001", NONE},
		{"gzip;q=2", NONE},
		{"gzip;q=0.1234", NONE},
		{"gzip;q=abc", NONE},
		{"gzip;q=", NONE},
		{"gzip;q=1.", GZIP},
		{"gzipx, xgzip, g zip", NONE},
		{"gzip;q=0.5;q=0", GZIP},
	};
	char fields[256];

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		snprintf(fields, sizeof(fields), "Accept-Encoding: %s\r\n", rows[i].accept);
		if (wanted(fields) != rows[i].wanted)
			fail_msg("%s", rows[i].accept);
	}
	assert_int_equal(wanted(""), NONE);
	assert_int_equal(wanted("Accept-Encoding: gzip\r\nAccept-Encoding: br;q=0.5\r\n"), GZIP);
}

/* ---- what may be compressed ----------------------------------------------------------- */

static bool eligible(enum http1_method asked, const char *answer)
{
	size_t scanned = 0;

	assert_int_equal(
		http1_parse_response(&head, answer, strlen(answer), &scanned, asked, &limits),
		strlen(answer));
	return encode_eligible(&head, &conf);
}

static void test_what_may_be_compressed(void **unused)
{
	static const struct {
		bool yes;
		const char *status, *fields;
	} rows[] = {
		{true, "200 OK", "Content-Type: text/html\r\n"},
		{true, "200 OK", "Content-Type: TEXT/html; charset=utf-8\r\n"},
		{true, "200 OK", "Content-Type: application/json ;x=y\r\n"},
		{true, "404 Not Found", "Content-Type: text/plain\r\nContent-Length: 100\r\n"},
		{true, "200 OK", "Content-Type: text/html\r\nCache-Control: no-transformer\r\n"},
		{false, "200 OK", "Content-Type: text/plain\r\nContent-Length: 99\r\n"},
		{false, "200 OK", "Content-Type: text/\r\n"},
		{false, "200 OK", "Content-Type: application/jsonx\r\n"},
		{false, "200 OK", "Content-Type: application/jso\r\n"},
		{false, "200 OK", "Content-Type: image/png\r\n"},
		{false, "200 OK", "Content-Type:\r\n"},
		{false, "200 OK", ""},
		{false, "204 No Content", "Content-Type: text/html\r\n"},
		{false, "206 Partial Content", "Content-Type: text/html\r\n"},
		{false, "304 Not Modified", "Content-Type: text/html\r\n"},
		{false, "200 OK", "Content-Type: text/html\r\nContent-Encoding: gzip\r\n"},
		{false, "200 OK", "Content-Type: text/html\r\nContent-Encoding: identity\r\n"},
		{false, "200 OK", "Content-Type: text/html\r\nContent-Range: bytes 0-1/2\r\n"},
		{false, "200 OK", "Content-Type: text/html\r\nCache-Control: a, No-Transform\r\n"},
	};
	char answer[512];

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		snprintf(answer, sizeof(answer), "HTTP/1.1 %s\r\n%s\r\n", rows[i].status,
			 rows[i].fields);
		if (eligible(HTTP1_M_GET, answer) != rows[i].yes)
			fail_msg("%s", answer);
	}
}

/* ---- encoders ------------------------------------------------------------------------- */

/* In every size of room, all that goes in comes out, and an encoder can be used again. */
static void test_an_encoder_goes_on_where_it_stopped(void **unused)
{
	static const size_t rooms[] = {1, 7, 64, 4096};
	char text[20000], out[4096], first[64], whole[65536];
	struct encoders es = {0};

	(void)unused;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i * i % 23);
	for (unsigned kind = 1; kind < CONF_ENCODING_COUNT; kind++) {
		size_t length = 0;

		for (size_t r = 0; r < LENGTH(rooms); r++) {
			struct encoder *e = encoder_get(&es, kind, &conf);
			struct span in = {text, sizeof(text)};
			size_t made, total = 0;
			bool failed = false, done = false;

			assert_non_null(e);
			while (!done) {
				done = encoder_run(e, ENCODER_END, &in, out, rooms[r], &made,
						   &failed);
				assert_false(failed);
				assert_true(made <= rooms[r] && total + made <= sizeof(whole));
				memcpy(whole + total, out, made);
				total += made;
			}
			assert_int_equal(in.len, 0);
			if (r == 0) {
				length = total;
				memcpy(first, whole, sizeof(first));
			}
			assert_int_equal(total, length);
			assert_memory_equal(first, whole, sizeof(first));
			encoder_put(&es, e);
		}
	}
	assert_int_equal(es.n_used, 0);
	encoders_fini(&es);
}

static void test_so_many_and_no_more(void **unused)
{
	static struct encoder *all[ENCODER_MOST];
	struct conf_compress small = conf;
	struct encoders es = {0};

	(void)unused;
	small.gzip_level = 1;
	for (unsigned i = 0; i < ENCODER_MOST; i++)
		assert_non_null(all[i] = encoder_get(&es, GZIP, &small));
	assert_null(encoder_get(&es, GZIP, &small));
	for (unsigned i = 0; i < ENCODER_MOST; i++)
		encoder_put(&es, all[i]);
	assert_int_equal(es.n_spare[GZIP], ENCODER_SPARE);
	encoder_put(&es, NULL);
	encoders_fini(&es);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_client_wants),
		cmocka_unit_test(test_what_may_be_compressed),
		cmocka_unit_test(test_an_encoder_goes_on_where_it_stopped),
		cmocka_unit_test(test_so_many_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
