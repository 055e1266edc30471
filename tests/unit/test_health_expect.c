// SPDX-License-Identifier: BSD-2-Clause
/* Answers of backends, at every cut point: expected ones, wrong ones and nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health/expect.h"

static char why[EXPECT_WHY];

static const struct conf_health any_200 = {.type = CONF_HEALTH_http,
					   .method = "GET",
					   .path = "/health?a=b",
					   .statuses = {{200, 299}, {304, 304}},
					   .n_statuses = 2};

static struct conf_health with_body(const char *body)
{
	struct conf_health h = any_200;

	h.body = body;
	return h;
}

/* In memory of its own size, so that sanitizers see reads beyond it. */
static enum expect_word cut(const struct conf_health *h, const char *answer, size_t len, bool ended)
{
	char *copy = malloc(len + !len);
	enum expect_word word;

	assert_non_null(copy);
	memcpy(copy, answer, len);
	why[0] = '\0';
	word = expect_http(h, copy, len, ended, why);
	assert_true(word != EXPECT_NO || why[0]);
	free(copy);
	return word;
}

/* The word that the whole answer gets, and that no part of it contradicts. */
static void says(const struct conf_health *h, const char *answer, enum expect_word word,
		 const char *reason)
{
	size_t len = strlen(answer);

	for (size_t n = 0; n < len; n++) {
		enum expect_word part = cut(h, answer, n, false);

		assert_true(part == EXPECT_MORE || part == word);
	}
	assert_int_equal(cut(h, answer, len, true), word);
	if (word == EXPECT_NO)
		assert_string_equal(why, reason);
}

static void test_the_request_is_whole(void **unused)
{
	char out[EXPECT_QUESTION];
	struct conf_health h = any_200;
	size_t n = expect_http_ask(&h, "[fd00::1]:80", out);

	(void)unused;
	assert_memory_equal(out, "GET /health?a=b HTTP/1.1\r\nHost: [fd00::1]:80\r\n", 46);
	assert_memory_equal(out + n - 4, "\r\n\r\n", 4);
	h.host = "www.example.org";
	expect_http_ask(&h, "[fd00::1]:80", out);
	assert_non_null(strstr(out, "\r\nHost: www.example.org\r\n"));
}

static void test_status_lines(void **unused)
{
	static const char not_http[] = "the answer is not HTTP";

	(void)unused;
	says(&any_200, "HTTP/1.1 200 OK\r\n", EXPECT_YES, "");
	says(&any_200, "HTTP/1.0 299\r\n", EXPECT_YES, "");
	says(&any_200, "HTTP/1.1 304 Not Modified\r\n", EXPECT_YES, "");
	says(&any_200, "HTTP/1.1 300 Many\r\n", EXPECT_NO, "status 300");
	says(&any_200, "HTTP/1.1 503 No\r\n", EXPECT_NO, "status 503");
	says(&any_200, "HTTP/2 200 OK\r\n", EXPECT_NO, not_http);
	says(&any_200, "HTTP/1.1 2000 OK\r\n", EXPECT_NO, not_http);
	says(&any_200, "HTTP/1.1 20 OK\r\n", EXPECT_NO, not_http);
	says(&any_200, "HTTP/1.1  200 OK\r\n", EXPECT_NO, not_http);
	says(&any_200, "SSH-2.0-OpenSSH_9.2p1\r\n", EXPECT_NO, not_http);
	says(&any_200, "HTTP/1.1 200 OK", EXPECT_NO, not_http);
	says(&any_200, "", EXPECT_NO, "closed without an answer");
}

static void test_interim_answers_are_passed_over(void **unused)
{
	struct conf_health h = with_body("well");

	(void)unused;
	says(&any_200, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n",
	     EXPECT_YES, "");
	says(&h, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 200 OK\r\n\r\nwell",
	     EXPECT_YES, "");
	says(&any_200, "HTTP/1.1 100 Continue\r\n\r\n", EXPECT_NO, "closed without an answer");
	says(&any_200, "HTTP/1.1 101 Switching\r\n\r\n", EXPECT_NO, "status 101");
}

static void test_bodies(void **unused)
{
	struct conf_health h = with_body("it is well");

	(void)unused;
	says(&h, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nsay it is well", EXPECT_YES, "");
	says(&h, "HTTP/1.1 200 OK\r\n\r\nit is ill", EXPECT_NO,
	     "the body does not have the expected text");
	says(&h, "HTTP/1.1 200 OK\r\nX: it is well\r\n\r\n", EXPECT_NO,
	     "the body does not have the expected text");
	says(&h, "HTTP/1.1 200 OK\r\nX: y\r\n", EXPECT_NO, "the answer's head is cut short");
	says(&h, "HTTP/1.1 500 No\r\n\r\nit is well", EXPECT_NO, "status 500");
}

static void test_chunked_bodies_are_put_together(void **unused)
{
	struct conf_health h = with_body("it is well");
	static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked \r\n\r\n";
	static const struct {
		const char *chunks;
		enum expect_word word;
		const char *reason;
	} rows[] = {
		{"5\r\nit is\r\n5;x=y\r\n well\r\n0\r\n\r\n", EXPECT_YES, ""},
		{"A\r\nit is well\r\n", EXPECT_YES, ""},
		{"3\r\nill\r\n0\r\n\r\n", EXPECT_NO, "the body does not have the expected text"},
		{"zz\r\nit is well", EXPECT_NO, "the body's chunks are broken"},
		{"ffffffffffffffff\r\nit is", EXPECT_NO, "the body's chunks are broken"},
		{"ffffff\r\nit is well", EXPECT_YES, ""},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char answer[256];

		snprintf(answer, sizeof(answer), "%s%s", head, rows[i].chunks);
		says(&h, answer, rows[i].word, rows[i].reason);
	}
}

static void test_a_long_answer_is_not_read_for_ever(void **unused)
{
	static char answer[EXPECT_ANSWER];
	struct conf_health h = with_body("it is well");

	(void)unused;
	memset(answer, 'x', sizeof(answer));
	assert_int_equal(cut(&h, answer, sizeof(answer), false), EXPECT_NO);
	memcpy(answer, "HTTP/1.1 200 OK\r\n\r\n", 19);
	assert_int_equal(cut(&h, answer, sizeof(answer), false), EXPECT_NO);
	assert_int_equal(cut(&h, answer, sizeof(answer) - 1, false), EXPECT_MORE);
}

/* ---- DNS ------------------------------------------------------------------------------- */

static const struct conf_health dns = {
	.type = CONF_HEALTH_dns, .name = "www.Example.org", .record = 28};

/* The query turned into an answer, with flags and a number of records. */
static size_t answer_to(char out[EXPECT_QUESTION], uint16_t id, unsigned flags, unsigned records)
{
	size_t n = expect_dns_ask(&dns, id, out);

	out[2] = (char)(flags >> 8);
	out[3] = (char)flags;
	out[7] = (char)records;
	return n;
}

static void test_a_query_as_rfc_1035_has_it(void **unused)
{
	static const char want[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
				   "\x03www\x07"
				   "Example\x03org\x00\x00\x1c\x00\x01";
	struct conf_health root = {.name = ".", .record = 2};
	char out[EXPECT_QUESTION];

	(void)unused;
	assert_int_equal(expect_dns_ask(&dns, 0x1234, out), sizeof(want) - 1);
	assert_memory_equal(out, want, sizeof(want) - 1);
	assert_int_equal(expect_dns_ask(&root, 1, out), 12 + 1 + 4);
}

static void test_dns_answers(void **unused)
{
	static const struct {
		unsigned flags, records;
		enum expect_word word;
		const char *reason;
	} rows[] = {
		{0x8180, 1, EXPECT_YES, ""},
		{0x8380, 0, EXPECT_YES, ""}, /* truncated */
		{0x8180, 0, EXPECT_NO, "the answer has no record"},
		{0x8182, 1, EXPECT_NO, "the answer is SERVFAIL"},
		{0x8183, 0, EXPECT_NO, "the answer is NXDOMAIN"},
		{0x8185, 0, EXPECT_NO, "the answer is REFUSED"},
		{0x818f, 0, EXPECT_NO, "the answer is an error"},
		{0x0100, 0, EXPECT_MORE, ""}, /* the query itself, sent back */
		{0x9180, 1, EXPECT_MORE, ""}, /* to another kind of query */
	};
	char out[EXPECT_QUESTION];

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = answer_to(out, 7, rows[i].flags, rows[i].records);

		assert_int_equal(expect_dns(&dns, 7, out, n, why), rows[i].word);
		if (rows[i].word == EXPECT_NO)
			assert_string_equal(why, rows[i].reason);
	}
}

static void test_what_was_not_asked_is_no_answer(void **unused)
{
	char out[EXPECT_QUESTION];
	size_t n = answer_to(out, 7, 0x8180, 1);

	(void)unused;
	assert_int_equal(expect_dns(&dns, 8, out, n, why), EXPECT_MORE);
	for (size_t len = 0; len < n; len++)
		assert_int_equal(expect_dns(&dns, 7, out, len, why), EXPECT_MORE);
	out[13] = 'W'; /* servers may change the case of letters */
	assert_int_equal(expect_dns(&dns, 7, out, n, why), EXPECT_YES);
	out[13] = 'v';
	assert_int_equal(expect_dns(&dns, 7, out, n, why), EXPECT_MORE);
}

static void test_datagrams(void **unused)
{
	struct conf_health any = {.type = CONF_HEALTH_udp},
			   some = {.type = CONF_HEALTH_udp, .expect = {"po\0ng", 5}};

	(void)unused;
	assert_int_equal(expect_udp(&any, "", 0, why), EXPECT_YES);
	assert_int_equal(expect_udp(&some, "xpo\0ngx", 7, why), EXPECT_YES);
	assert_int_equal(expect_udp(&some, "po", 2, why), EXPECT_NO);
	assert_int_equal(expect_udp(&some, "", 0, why), EXPECT_NO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_request_is_whole),
		cmocka_unit_test(test_status_lines),
		cmocka_unit_test(test_interim_answers_are_passed_over),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_chunked_bodies_are_put_together),
		cmocka_unit_test(test_a_long_answer_is_not_read_for_ever),
		cmocka_unit_test(test_a_query_as_rfc_1035_has_it),
		cmocka_unit_test(test_dns_answers),
		cmocka_unit_test(test_what_was_not_asked_is_no_answer),
		cmocka_unit_test(test_datagrams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
