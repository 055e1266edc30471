// SPDX-License-Identifier: BSD-2-Clause
/* The rules of http1.h one by one: fields, what concerns one connection, what is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "l7/http1.h"

static const struct http1_limits limits = {
	.max_head = 65536, .max_target = 8192, .max_fields = HTTP1_MAX_FIELDS};

static struct http1_head head;

static int parse_request(const char *bytes)
{
	size_t scanned = 0;

	memset(&head, 0xa5, sizeof(head)); /* nothing is expected of it */
	return http1_parse_request(&head, bytes, strlen(bytes), &scanned, &limits);
}

static const struct http1_head *request(const char *bytes)
{
	assert_int_equal(parse_request(bytes), strlen(bytes));
	return &head;
}

static const struct http1_head *response(const char *bytes)
{
	size_t scanned = 0;

	memset(&head, 0xa5, sizeof(head));
	assert_int_equal(
		http1_parse_response(&head, bytes, strlen(bytes), &scanned, HTTP1_M_GET, &limits),
		strlen(bytes));
	return &head;
}

/* ---- fields --------------------------------------------------------------------------- */

static void test_fields_are_seen_as_sent(void **unused)
{
	const struct http1_head *h = request("GET / HTTP/1.1\r\nHOST: a\r\nX-Odd:\t b  c \r\n"
					     "x-forwarded-FOR: 1\r\nX-Forwarded-For: 2\r\n\r\n");

	(void)unused;
	assert_int_equal(h->n_fields, 4);
	assert_true(span_equal(h->fields[0].name, SPAN("HOST")));
	assert_int_equal(h->fields[0].id, HTTP1_F_HOST);
	assert_true(span_equal(h->fields[1].value, SPAN("b  c")));
	assert_int_equal(h->fields[1].id, HTTP1_F_OTHER);
	assert_ptr_equal(http1_find(h, HTTP1_F_X_FORWARDED_FOR), &h->fields[2]);
	assert_null(http1_find(h, HTTP1_F_VIA));
}

static void test_every_known_field_is_known(void **unused)
{
	static const char *const names[] = {"",
#define FIELD(id, name) name,
					    HTTP1_FIELDS(FIELD)
#undef FIELD
	};

	(void)unused;
	for (unsigned id = 1; id < HTTP1_F_COUNT; id++) {
		char bytes[128];

		snprintf(bytes, sizeof(bytes), "HTTP/1.1 304 x\r\n%sx: 1\r\n%s: chunked\r\n\r\n",
			 names[id], names[id]);
		if (id == HTTP1_F_CONTENT_LENGTH)
			strcpy(strstr(bytes, ": c"), ": 7\r\n\r\n");
		const struct http1_head *h = response(bytes);

		assert_int_equal(h->fields[0].id, HTTP1_F_OTHER);
		assert_int_equal(h->fields[1].id, id);
	}
}

/* Names of the fields not to be forwarded. */
static const char *hops(const struct http1_head *h)
{
	static char text[1024];

	text[0] = '\0';
	for (unsigned i = 0; i < h->n_fields; i++)
		if (h->fields[i].hop)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s ",
				 (int)h->fields[i].name.len, h->fields[i].name.p);
	return text;
}

static void test_fields_of_one_connection(void **unused)
{
	(void)unused;
	assert_string_equal(
		hops(request("POST / HTTP/1.1\r\nHost: a\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
			     "Trailer: X\r\nUpgrade: h2c\r\nProxy-Connection: close\r\n"
			     "Proxy-Authorization: x\r\nProxy-Authenticate: x\r\nExpect: "
			     "100-continue\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n")),
		"Keep-Alive TE Trailer Upgrade Proxy-Connection Proxy-Authorization "
		"Proxy-Authenticate Transfer-Encoding ");
}

static void test_fields_that_connection_names(void **unused)
{
	(void)unused;
	assert_string_equal(
		hops(request("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nConnection: x-a, ,X-B\r\n"
			     "x-b: 2\r\nX-A: 3\r\nconnection: x-c\r\nX-C: 4\r\nX-D: 5\r\n\r\n")),
		"X-A Connection x-b X-A connection X-C ");
}

static void test_what_connection_cannot_delete(void **unused)
{
	(void)unused;
	assert_string_equal(
		hops(request("POST / HTTP/1.1\r\nConnection: host, content-length, cookie, via, "
			     "authorization, x-forwarded-for, x-forwarded-host, x-forwarded-proto, "
			     "forwarded, cache-control, content-type, content-encoding, date, "
			     "expect\r\nHost: a\r\nContent-Length: 0\r\nCookie: c\r\nVia: v\r\n"
			     "Authorization: z\r\nX-Forwarded-For: 1\r\nX-Forwarded-Host: h\r\n"
			     "X-Forwarded-Proto: p\r\nForwarded: f\r\nCache-Control: no-store\r\n"
			     "Content-Type: t\r\nContent-Encoding: e\r\nDate: d\r\n\r\n")),
		"Connection ");
	assert_string_equal(hops(response("HTTP/1.1 200 OK\r\nConnection: set-cookie\r\n"
					  "Set-Cookie: a\r\n\r\n")),
			    "Connection ");
}

/* ---- responses ------------------------------------------------------------------------ */

static void test_reasons(void **unused)
{
	(void)unused;
	assert_true(span_equal(response("HTTP/1.1 200\r\n\r\n")->reason, SPAN("")));
	assert_true(span_equal(response("HTTP/1.1 200 \r\n\r\n")->reason, SPAN("")));
	assert_true(span_equal(response("HTTP/1.1 200 Sch\xf6n, 2\t!\r\n\r\n")->reason,
			       SPAN("Sch\xf6n, 2\t!")));
}

static void test_an_upgraded_response(void **unused)
{
	const struct http1_head *h =
		response("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
			 "Upgrade: websocket\r\nExpect: 100-continue\r\n\r\n");

	(void)unused;
	assert_true(h->upgrade);
	assert_false(h->expect_continue);
}

/* ---- what is known beforehand --------------------------------------------------------- */

static void test_idempotent_methods(void **unused)
{
	(void)unused;
	assert_true(http1_idempotent(HTTP1_M_GET));
	assert_true(http1_idempotent(HTTP1_M_HEAD));
	assert_true(http1_idempotent(HTTP1_M_PUT));
	assert_true(http1_idempotent(HTTP1_M_DELETE));
	assert_true(http1_idempotent(HTTP1_M_OPTIONS));
	assert_true(http1_idempotent(HTTP1_M_TRACE));
	assert_false(http1_idempotent(HTTP1_M_POST));
	assert_false(http1_idempotent(HTTP1_M_PATCH));
	assert_false(http1_idempotent(HTTP1_M_CONNECT));
	assert_false(http1_idempotent(HTTP1_M_OTHER));
}

static void test_phrases(void **unused)
{
	(void)unused;
	assert_string_equal(http1_phrase(200), "OK");
	assert_string_equal(http1_phrase(431), "Request Header Fields Too Large");
	assert_string_equal(http1_phrase(505), "HTTP Version Not Supported");
	assert_string_equal(http1_phrase(299), "");
	assert_string_equal(http1_phrase(0), "");
}

/* Says what the other thread knew before, and is refused for another reason. */
static void *refuse_elsewhere(void *before)
{
	static struct http1_head h;
	size_t scanned = 0;

	*(const char **)before = http1_refusal();
	http1_parse_response(&h, "SSH", 3, &scanned, HTTP1_M_GET, &limits);
	return NULL;
}

static void test_a_refusal_is_of_its_thread(void **unused)
{
	pthread_t other;
	const char *before = NULL;

	(void)unused;
	assert_int_equal(parse_request("GET / HTTP/1.1\r\n\r\n"), -400);
	assert_string_equal(http1_refusal(), "no Host");
	assert_int_equal(pthread_create(&other, NULL, refuse_elsewhere, &before), 0);
	assert_int_equal(pthread_join(other, NULL), 0);
	assert_string_equal(before, "");
	assert_string_equal(http1_refusal(), "no Host");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_are_seen_as_sent),
		cmocka_unit_test(test_every_known_field_is_known),
		cmocka_unit_test(test_fields_of_one_connection),
		cmocka_unit_test(test_fields_that_connection_names),
		cmocka_unit_test(test_what_connection_cannot_delete),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_an_upgraded_response),
		cmocka_unit_test(test_idempotent_methods),
		cmocka_unit_test(test_phrases),
		cmocka_unit_test(test_a_refusal_is_of_its_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
