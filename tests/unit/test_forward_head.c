// SPDX-License-Identifier: BSD-2-Clause
/* Heads that go on: what came, what a backend or a client gets, and in how much room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l7/forward_head.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define DATE          "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

/* What is added to every request of these tests. */
#define ADDED(via, for, host)                                                                      \
	"Via: " via "\r\nX-Forwarded-For: " for "\r\nX-Forwarded-Proto: http\r\n"                  \
	"X-Forwarded-Host: " host "\r\n"

static const struct http1_limits limits = {
	.max_head = 65536, .max_target = 8192, .max_fields = HTTP1_MAX_FIELDS};

static struct http1_head head;
static size_t head_len;

static void parse_request(const char *bytes)
{
	size_t scanned = 0;

	head_len = strlen(bytes);
	assert_int_equal(http1_parse_request(&head, bytes, strlen(bytes), &scanned, &limits),
			 strlen(bytes));
}

static void parse_response(enum http1_method asked, const char *bytes)
{
	size_t scanned = 0;

	assert_int_equal(
		http1_parse_response(&head, bytes, strlen(bytes), &scanned, asked, &limits),
		strlen(bytes));
}

typedef size_t write_fn(char *out, size_t room, const struct http1_head *h,
			const struct forward_facts *facts);

/* Written into just enough room, after it was seen that nothing is in any less. */
static const char *written(write_fn *write, const struct forward_facts *facts)
{
	static char text[4096];
	size_t n = write(text, sizeof(text) - 1, &head, facts);

	assert_true(n > 0);
	if (write == forward_request)
		assert_true(n <= forward_request_room(&head, facts, head_len));
	for (size_t room = 0; room <= n; room++) {
		char *out = malloc(room ? room : 1);

		assert_non_null(out);
		assert_int_equal(write(out, room, &head, facts), room < n ? 0 : n);
		if (room == n)
			assert_memory_equal(out, text, n);
		free(out);
	}
	text[n] = '\0';
	return text;
}

/* ---- requests ------------------------------------------------------------------------- */

static const char *to_backend(const char *bytes)
{
	struct forward_facts facts = {
		.via = SPAN("lb"),
		.client = SPAN("192.0.2.7"),
		.proto = SPAN("http"),
		.authority = SPAN("198.51.100.1:80"),
	};

	parse_request(bytes);
	facts.body = head.body;
	facts.content_length = head.content_length;
	return written(forward_request, &facts);
}

static void test_request_golden(void **unused)
{
	(void)unused;
	assert_string_equal(to_backend("GET /a?b HTTP/1.1\r\nUser-Agent: x\r\nAccept:*/*\r\n"
				       "hOST:\texample.org\r\nCookie:  a=b; c \r\n\r\n"),
			    "GET /a?b HTTP/1.1\r\nHost: example.org\r\nUser-Agent: x\r\n"
			    "Accept: */*\r\nCookie: a=b; c\r\n" ADDED("1.1 lb", "192.0.2.7",
								      "example.org") "\r\n");
}

static void test_request_bodies(void **unused)
{
	(void)unused;
	assert_string_equal(
		to_backend("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0007\r\n\r\n"),
		"POST / HTTP/1.1\r\nHost: a\r\n" ADDED("1.1 lb", "192.0.2.7",
						       "a") "Content-Length: 7\r\n\r\n");
	assert_string_equal(to_backend("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
			    "POST / HTTP/1.1\r\nHost: a\r\n" ADDED(
				    "1.1 lb", "192.0.2.7", "a") "Content-Length: 0\r\n\r\n");
	assert_string_equal(
		to_backend("PUT / HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING:\tCHUNKED\r\n\r\n"),
		"PUT / HTTP/1.1\r\nHost: a\r\n" ADDED("1.1 lb", "192.0.2.7",
						      "a") "Transfer-Encoding: chunked\r\n\r\n");
}

static void test_request_keeps_nothing_of_its_hop(void **unused)
{
	(void)unused;
	assert_string_equal(
		to_backend("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Secret\r\n"
			   "Keep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: p\r\n"
			   "TE: gzip\r\nTrailer: T\r\nUpgrade: h2c\r\nX-Secret: 1\r\n"
			   "X-Open: 2\r\nx-secret: 3\r\n\r\n"),
		"GET / HTTP/1.1\r\nHost: a\r\nX-Open: 2\r\n" ADDED("1.1 lb", "192.0.2.7",
								   "a") "\r\n");
}

static void test_request_says_that_trailers_are_read(void **unused)
{
	(void)unused;
	assert_string_equal(
		to_backend("GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, Trailers\r\n\r\n"),
		"GET / HTTP/1.1\r\nHost: a\r\n" ADDED(
			"1.1 lb", "192.0.2.7", "a") "TE: trailers\r\nConnection: TE\r\n\r\n");
	/* HTTP/1.0 has no chunks for them to follow. */
	assert_null(strstr(to_backend("GET / HTTP/1.0\r\nTE: trailers\r\n\r\n"), "TE:"));
}

static void test_the_end_of_a_chunked_body(void **unused)
{
	static const struct {
		const char *section, *end;
	} rows[] = {
		{"", "0\r\n\r\n"},
		{"\r\n", "0\r\n\r\n"},
		{"A:  b \t\r\nGrpc-Status:0\r\n\r\n", "0\r\nA: b\r\nGrpc-Status: 0\r\n\r\n"},
		{"Content-Length: 3\r\nETag: x\r\nHost: a\r\n\r\n", "0\r\nETag: x\r\n\r\n"},
		{"Transfer-Encoding: chunked\r\nX-Forwarded-For: 1\r\n\r\n", "0\r\n\r\n"},
		{"authorization: 1\r\ncookie: 2\r\nset-cookie: 3\r\nTE: 4\r\n\r\n", "0\r\n\r\n"},
		{"Content-Type: a\r\ncontent-md5: b\r\nif-match: c\r\nExpect: d\r\n\r\n",
		 "0\r\n\r\n"},
		{"A: 1\r\nVary: x\r\nB: 2\r\n\r\n", "0\r\nA: 1\r\nB: 2\r\n\r\n"},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span section = {rows[i].section, strlen(rows[i].section)};
		size_t room = FORWARD_END + section.len;
		char *out = malloc(room);

		assert_non_null(out);
		assert_int_equal(forward_end(out, room, section), strlen(rows[i].end));
		assert_memory_equal(out, rows[i].end, strlen(rows[i].end));
		free(out);
	}
}

static void test_request_cannot_delete_what_matters(void **unused)
{
	(void)unused;
	assert_string_equal(
		to_backend("POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, "
			   "cookie, authorization, x-forwarded-for, via\r\nContent-Length: 3\r\n"
			   "Cookie: c\r\nAuthorization: d\r\nX-Forwarded-For: 1.2.3.4\r\n"
			   "Via: 1.0 w\r\n\r\n"),
		"POST / HTTP/1.1\r\nHost: a\r\nCookie: c\r\nAuthorization: d\r\n" ADDED(
			"1.0 w, 1.1 lb", "1.2.3.4, 192.0.2.7", "a") "Content-Length: 3\r\n\r\n");
}

static void test_request_through_other_proxies(void **unused)
{
	(void)unused;
	assert_string_equal(
		to_backend("GET / HTTP/1.1\r\nVia: 1.1 x\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\r\n"
			   "Forwarded: for=1.1.1.1\r\nHost: a\r\nVia:\r\nvia: 1.0 y, 1.1 z\r\n"
			   "x-forwarded-for: 3.3.3.3\r\nX-Forwarded-For:\r\n\r\n"),
		"GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=1.1.1.1\r\n" ADDED(
			"1.1 x, 1.0 y, 1.1 z, 1.1 lb", "1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.7",
			"a") "\r\n");
}

/* The scheme and the host are what this proxy saw, whatever a client says. */
static void test_request_that_lies(void **unused)
{
	(void)unused;
	assert_string_equal(
		to_backend("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n"
			   "X-Forwarded-Host: evil\r\nx-forwarded-host: worse\r\n\r\n"),
		"GET / HTTP/1.1\r\nHost: a\r\n" ADDED("1.1 lb", "192.0.2.7", "a") "\r\n");
}

static void test_request_targets(void **unused)
{
	static const struct {
		const char *line, *wanted, *host;
	} rows[] = {
		{"GET http://b:81/x?y HTTP/1.1", "GET /x?y", "b:81"},
		{"GET http://b HTTP/1.1", "GET /", "b"},
		{"GET http://b?q HTTP/1.1", "GET /?q", "b"},
		{"OPTIONS http://b HTTP/1.1", "OPTIONS *", "b"},
		{"OPTIONS * HTTP/1.1", "OPTIONS *", "a"},
		{"GET /../%2e//x HTTP/1.1", "GET /../%2e//x", "a"},
		{"get / HTTP/1.9", "get /", "a"},
	};
	char bytes[256], wanted[512];

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		snprintf(bytes, sizeof(bytes), "%s\r\nHost: a\r\n\r\n", rows[i].line);
		snprintf(wanted, sizeof(wanted),
			 "%s HTTP/1.1\r\nHost: %s\r\n" ADDED("1.1 lb", "192.0.2.7", "%s") "\r\n",
			 rows[i].wanted, rows[i].host, rows[i].host);
		assert_string_equal(to_backend(bytes), wanted);
	}
}

/* All that can be longer behind it than in front. */
static void test_request_that_grows(void **unused)
{
	static const struct forward_facts facts = {
		.body = HTTP1_BODY_CHUNKED,
		.via = SPAN("a-proxy-with-a-name.example"),
		.client = SPAN("2001:db8:1111:2222:3333:4444:5555:6666"),
		.proto = SPAN("https"),
		.upgrade = SPAN("websocket"),
		.trailers = true,
		.trace = SPAN("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
	};
	char bytes[2048] = "GET http://a?b HTTP/1.1\r\nHost:a\r\nTE:trailers\r\nConnection:TE\r\n";

	(void)unused;
	for (int i = 0; i < 200; i++)
		strcat(bytes, i % 3 ? "a:\r\n" : i % 2 ? "Via:x\r\n" : "X-Forwarded-For:x\r\n");
	parse_request(strcat(bytes, "\r\n"));
	written(forward_request, &facts);
}

static void test_request_of_http_1_0(void **unused)
{
	(void)unused;
	assert_string_equal(to_backend("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
			    "GET / HTTP/1.1\r\nHost: 198.51.100.1:80\r\n" ADDED(
				    "1.0 lb", "192.0.2.7", "198.51.100.1:80") "\r\n");
	assert_string_equal(
		to_backend("GET / HTTP/1.0\r\nHost: b\r\n\r\n"),
		"GET / HTTP/1.1\r\nHost: b\r\n" ADDED("1.0 lb", "192.0.2.7", "b") "\r\n");
}

static void test_request_that_expects(void **unused)
{
	(void)unused;
	assert_non_null(strstr(to_backend("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
					  "Expect: 100-continue\r\n\r\n"),
			       "\r\nExpect: 100-continue\r\n"));
	assert_null(strstr(to_backend("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 1\r\n"
				      "Expect: 100-continue\r\n\r\n"),
			   "Expect"));
}

/* What was written is read again as what it was. */
static void test_request_survives_itself(void **unused)
{
	char once[4096];

	(void)unused;
	strcpy(once, to_backend("POST http://b:81?q HTTP/1.1\r\nHost: a\r\nX:\r\nConnection: x\r\n"
				"Content-Length: 5\r\n\r\n"));
	parse_request(once);
	assert_true(span_equal(head.authority, SPAN("b:81")));
	assert_true(span_equal(head.path, SPAN("/?q")));
	assert_int_equal(head.body, HTTP1_BODY_LENGTH);
	assert_int_equal(head.content_length, 5);
	assert_true(head.keep_alive);
}

/* A forward proxy that says nothing of itself or of the client; Via of others stays. */
static void test_request_that_leaves_the_site(void **unused)
{
	const struct forward_facts alone = {.body = HTTP1_BODY_NONE, .alone = true};

	(void)unused;
	parse_request("GET http://a/x HTTP/1.1\r\nHost: b\r\nX-Forwarded-For: 10.0.0.1\r\n"
		      "X-Forwarded-Host: c\r\nX-Forwarded-Proto: http\r\nVia: 1.0 d\r\n"
		      "Proxy-Authorization: e\r\nProxy-Connection: close\r\n\r\n");
	assert_string_equal(written(forward_request, &alone),
			    "GET /x HTTP/1.1\r\nHost: a\r\nVia: 1.0 d\r\n\r\n");
}

static void test_request_with_nothing_known(void **unused)
{
	const struct forward_facts none = {.body = HTTP1_BODY_NONE};

	(void)unused;
	parse_request("GET / HTTP/1.0\r\n\r\n");
	assert_string_equal(written(forward_request, &none),
			    "GET / HTTP/1.1\r\nHost: \r\nX-Forwarded-For: \r\n"
			    "X-Forwarded-Proto: \r\nX-Forwarded-Host: \r\n\r\n");
}

/* ---- responses ------------------------------------------------------------------------ */

static const char *to_client(enum http1_method asked, const char *bytes, struct forward_facts facts)
{
	facts.via = SPAN("lb");
	facts.date = SPAN(DATE);
	parse_response(asked, bytes);
	return written(forward_response, &facts);
}

static void test_response_golden(void **unused)
{
	(void)unused;
	assert_string_equal(
		to_client(HTTP1_M_GET,
			  "HTTP/1.1 200 All right\r\nServer:x\r\nDate: now\r\nSet-Cookie: a\r\n"
			  "Content-Length: 5\r\nset-cookie: b\r\nContent-Type: text/plain \r\n\r\n",
			  (struct forward_facts){.body = HTTP1_BODY_LENGTH, .content_length = 5}),
		"HTTP/1.1 200 All right\r\nServer: x\r\nDate: now\r\nSet-Cookie: a\r\n"
		"set-cookie: b\r\nContent-Type: text/plain\r\nVia: 1.1 lb\r\n"
		"Content-Length: 5\r\n\r\n");
}

static void test_response_keeps_nothing_of_its_hop(void **unused)
{
	(void)unused;
	assert_string_equal(
		to_client(HTTP1_M_GET,
			  "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-A\r\nKeep-Alive: 5\r\n"
			  "Transfer-Encoding: chunked\r\nTrailer: T\r\nUpgrade: h2c\r\nX-A: 1\r\n"
			  "Proxy-Authenticate: p\r\nVia: 1.1 x\r\nX-B: 2\r\n\r\n",
			  (struct forward_facts){.body = HTTP1_BODY_CHUNKED}),
		"HTTP/1.1 200 OK\r\nX-B: 2\r\n" DATE
		"Via: 1.1 x, 1.1 lb\r\nTransfer-Encoding: chunked\r\n\r\n");
}

/* A chunked body, undone for an HTTP/1.0 client. */
static void test_response_that_ends_with_the_connection(void **unused)
{
	(void)unused;
	assert_string_equal(
		to_client(HTTP1_M_GET, "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n",
			  (struct forward_facts){
				  .body = HTTP1_BODY_CLOSE, .close = true, .keep_alive = true}),
		"HTTP/1.1 200 \r\n" DATE "Via: 1.1 lb\r\nConnection: close\r\n\r\n");
}

static void test_response_to_an_old_client(void **unused)
{
	(void)unused;
	assert_string_equal(to_client(HTTP1_M_GET, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
				      (struct forward_facts){.body = HTTP1_BODY_LENGTH,
							     .content_length = 1,
							     .keep_alive = true}),
			    "HTTP/1.1 200 OK\r\n" DATE "Via: 1.0 lb\r\nContent-Length: 1\r\n"
			    "Connection: keep-alive\r\n\r\n");
}

static void test_response_without_a_body(void **unused)
{
	(void)unused;
	/* HEAD: the length that a GET would get. */
	assert_string_equal(
		to_client(HTTP1_M_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 18446744\r\n\r\n",
			  (struct forward_facts){.body = HTTP1_BODY_LENGTH,
						 .content_length = 18446744}),
		"HTTP/1.1 200 OK\r\n" DATE "Via: 1.1 lb\r\nContent-Length: 18446744\r\n\r\n");
	/* A 204 that says one gets none. */
	assert_string_equal(
		to_client(HTTP1_M_GET, "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n",
			  (struct forward_facts){.body = HTTP1_BODY_NONE, .content_length = 9}),
		"HTTP/1.1 204 No Content\r\n" DATE "Via: 1.1 lb\r\n\r\n");
	/* An interim answer needs no date. */
	assert_string_equal(to_client(HTTP1_M_GET, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
				      (struct forward_facts){.body = HTTP1_BODY_NONE}),
			    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nVia: 1.1 lb\r\n\r\n");
}

static void test_response_without_a_clock(void **unused)
{
	const struct forward_facts none = {.body = HTTP1_BODY_LENGTH, .content_length = UINT64_MAX};

	(void)unused;
	parse_response(HTTP1_M_GET, "HTTP/1.1 200 OK\r\n\r\n");
	assert_string_equal(written(forward_response, &none),
			    "HTTP/1.1 200 OK\r\n"
			    "Content-Length: 18446744073709551615\r\n\r\n");
}

/* ---- the proxy's own answers ---------------------------------------------------------- */

static struct forward_answer own;

static size_t write_own(char *out, size_t room, const struct http1_head *h,
			const struct forward_facts *facts)
{
	(void)h;
	(void)facts;
	return forward_answer(out, room, &own);
}

static const char *answer(unsigned status, bool close, bool head_only, const char *field)
{
	own.status = status;
	own.close = close;
	own.head_only = head_only;
	own.date = SPAN(DATE);
	own.field = (struct span){field, strlen(field)};
	return written(write_own, NULL);
}

static void test_own_answers(void **unused)
{
	(void)unused;
	assert_string_equal(answer(502, false, false, ""),
			    "HTTP/1.1 502 Bad Gateway\r\n" DATE
			    "Content-Type: text/plain\r\nCache-Control: no-store\r\n"
			    "Content-Length: 16\r\n\r\n502 Bad Gateway\n");
	assert_string_equal(answer(400, true, false, ""),
			    "HTTP/1.1 400 Bad Request\r\n" DATE
			    "Content-Type: text/plain\r\nCache-Control: no-store\r\n"
			    "Content-Length: 16\r\nConnection: close\r\n\r\n400 Bad Request\n");
	assert_string_equal(
		answer(405, true, false, "Allow: GET, HEAD\r\n"),
		"HTTP/1.1 405 Method Not Allowed\r\n" DATE "Allow: GET, HEAD\r\n"
		"Content-Type: text/plain\r\nCache-Control: no-store\r\n"
		"Content-Length: 23\r\nConnection: close\r\n\r\n405 Method Not Allowed\n");
	assert_string_equal(answer(503, false, true, ""),
			    "HTTP/1.1 503 Service Unavailable\r\n" DATE
			    "Content-Type: text/plain\r\nCache-Control: no-store\r\n"
			    "Content-Length: 24\r\n\r\n");
	own.date = (struct span){NULL, 0};
	own.field = (struct span){NULL, 0};
	assert_non_null(strstr(written(write_own, NULL), "able\r\nContent-Type"));
}

static void test_answers_of_routes(void **unused)
{
	(void)unused;
	own = (struct forward_answer){.status = 301, .date = SPAN(DATE), .location = SPAN("/b")};
	assert_string_equal(written(write_own, NULL),
			    "HTTP/1.1 301 Moved Permanently\r\n" DATE "Location: /b\r\n"
			    "Content-Type: text/plain\r\nContent-Length: 22\r\n\r\n"
			    "301 Moved Permanently\n");
	own = (struct forward_answer){.status = 200,
				      .date = SPAN(DATE),
				      .content_type = SPAN("text/html"),
				      .content = SPAN("<p>")};
	assert_string_equal(written(write_own, NULL),
			    "HTTP/1.1 200 OK\r\n" DATE "Content-Type: text/html\r\n"
			    "Content-Length: 3\r\n\r\n<p>");
	own.status = 204;
	assert_string_equal(written(write_own, NULL), "HTTP/1.1 204 No Content\r\n" DATE "\r\n");
}

static void test_own_answers_of_every_status(void **unused)
{
	(void)unused;
	for (unsigned status = 200; status < 600; status++) {
		size_t scanned = 0;
		const char *text = answer(status, false, false, ""), *body = strstr(text, "\n\r\n");
		int n = http1_parse_response(&head, text, strlen(text), &scanned, HTTP1_M_GET,
					     &limits);

		assert_int_equal(n, body + 3 - text);
		assert_int_equal(head.status, status);
		if (status != 204 && status != 304)
			assert_int_equal(head.content_length, strlen(body + 3));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_golden),
		cmocka_unit_test(test_request_bodies),
		cmocka_unit_test(test_request_keeps_nothing_of_its_hop),
		cmocka_unit_test(test_request_says_that_trailers_are_read),
		cmocka_unit_test(test_the_end_of_a_chunked_body),
		cmocka_unit_test(test_request_cannot_delete_what_matters),
		cmocka_unit_test(test_request_through_other_proxies),
		cmocka_unit_test(test_request_that_lies),
		cmocka_unit_test(test_request_targets),
		cmocka_unit_test(test_request_that_grows),
		cmocka_unit_test(test_request_of_http_1_0),
		cmocka_unit_test(test_request_that_expects),
		cmocka_unit_test(test_request_survives_itself),
		cmocka_unit_test(test_request_that_leaves_the_site),
		cmocka_unit_test(test_request_with_nothing_known),
		cmocka_unit_test(test_response_golden),
		cmocka_unit_test(test_response_keeps_nothing_of_its_hop),
		cmocka_unit_test(test_response_that_ends_with_the_connection),
		cmocka_unit_test(test_response_to_an_old_client),
		cmocka_unit_test(test_response_without_a_body),
		cmocka_unit_test(test_response_without_a_clock),
		cmocka_unit_test(test_own_answers),
		cmocka_unit_test(test_answers_of_routes),
		cmocka_unit_test(test_own_answers_of_every_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
