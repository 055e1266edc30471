// SPDX-License-Identifier: BSD-2-Clause
/*
 * Heads of requests and responses. Those in tests/data, and those made here, are parsed whole,
 * at every cut point and with more bytes behind them: the answer is always the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l7/http1.h"

#define DATA          "tests/data/" /* tests run from the top of the tree */
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define BOTH(s)       (s), sizeof(s) - 1

/* Of the corpora. */
static const struct http1_limits small = {.max_head = 512, .max_target = 64, .max_fields = 8};
static const struct http1_limits wide = {
	.max_head = 65536, .max_target = 8192, .max_fields = HTTP1_MAX_FIELDS};

static const struct method {
	const char *name;
	enum http1_method id;
} methods[] = {
	{"GET", HTTP1_M_GET},         {"HEAD", HTTP1_M_HEAD},     {"POST", HTTP1_M_POST},
	{"PUT", HTTP1_M_PUT},         {"DELETE", HTTP1_M_DELETE}, {"CONNECT", HTTP1_M_CONNECT},
	{"OPTIONS", HTTP1_M_OPTIONS}, {"TRACE", HTTP1_M_TRACE},   {"PATCH", HTTP1_M_PATCH},
};

static enum http1_method method_of(const char *name)
{
	for (size_t i = 0; i < LENGTH(methods); i++)
		if (strcmp(methods[i].name, name) == 0)
			return methods[i].id;
	return HTTP1_M_OTHER;
}

/* ---- a message as it arrives ---------------------------------------------------------- */

struct message {
	int asked; /* the method that a response answers, -1 = this is a request */
	const struct http1_limits *limits;
	char *buf; /* exactly as long as what has arrived, and elsewhere each time */
	size_t scanned;
	int n;
	const char *why;
	struct http1_head head;
};

static void message_init(struct message *m, int asked, const struct http1_limits *limits)
{
	m->asked = asked;
	m->limits = limits;
	m->buf = NULL;
	m->scanned = 0;
}

static int message_have(struct message *m, const char *bytes, size_t len)
{
	char *buf = malloc(len ? len : 1);

	assert_non_null(buf);
	memcpy(buf, bytes, len);
	free(m->buf);
	m->buf = buf;
	m->n = m->asked < 0 ? http1_parse_request(&m->head, buf, len, &m->scanned, m->limits)
			    : http1_parse_response(&m->head, buf, len, &m->scanned,
						   (enum http1_method)m->asked, m->limits);
	m->why = m->n < 0 ? http1_refusal() : "";
	return m->n;
}

static bool span_same(const struct message *a, struct span x, const struct message *b,
		      struct span y)
{
	/* "*" of an absolute-form is a literal. */
	return span_equal(x, y) && (x.p - a->buf == y.p - b->buf || (x.len == 1 && x.p[0] == '*'));
}

static bool head_same(const struct message *m, const struct message *n)
{
	const struct http1_head *a = &m->head, *b = &n->head;

	if (a->minor != b->minor || a->body != b->body || a->content_length != b->content_length ||
	    a->has_length != b->has_length || a->keep_alive != b->keep_alive ||
	    a->expect_continue != b->expect_continue || a->upgrade != b->upgrade ||
	    a->n_fields != b->n_fields)
		return false;
	for (unsigned i = 0; i < a->n_fields; i++) {
		const struct http1_field *f = &a->fields[i], *g = &b->fields[i];

		if (!span_same(m, f->name, n, g->name) || !span_same(m, f->value, n, g->value) ||
		    f->id != g->id || f->hop != g->hop)
			return false;
	}
	if (m->asked >= 0)
		return a->status == b->status && span_same(m, a->reason, n, b->reason);
	return a->method == b->method && span_same(m, a->method_text, n, b->method_text) &&
	       span_same(m, a->target, n, b->target) &&
	       span_same(m, a->authority, n, b->authority) && span_same(m, a->path, n, b->path);
}

static void assert_same(const char *name, const char *how, size_t at, const struct message *m,
			const struct message *whole)
{
	if (m->n != whole->n || strcmp(m->why, whole->why) != 0)
		fail_msg("%s: %s %zu: %d %s, not %d %s", name, how, at, m->n, m->why, whole->n,
			 whole->why);
	if (m->n > 0 && !head_same(m, whole))
		fail_msg("%s: %s %zu: another head", name, how, at);
}

static void parse_cut(const char *name, const char *bytes, size_t len, const struct message *whole)
{
	static const char more[] = "\r\n\r\nGET / HTTP/1.1\r\nHost: more\r\n\r\n";
	static struct message m;
	char *longer = malloc(len + sizeof(more));

	assert_non_null(longer);
	message_init(&m, whole->asked, whole->limits);
	for (size_t have = 0; have <= len; have++) {
		if (message_have(&m, bytes, have) != 0)
			break;
		if (whole->n < 0 ? have == len : have >= (size_t)whole->n)
			fail_msg("%s: still waiting after %zu bytes", name, have);
		/* What is no head's end is not looked at again. */
		if (have > 2 && m.scanned != have)
			fail_msg("%s: scanned %zu of %zu", name, m.scanned, have);
	}
	assert_same(name, "byte by byte", 0, &m, whole);
	for (size_t cut = 1; cut < len; cut++) {
		m.scanned = 0;
		if (message_have(&m, bytes, cut) == 0)
			message_have(&m, bytes, len);
		assert_same(name, "cut at", cut, &m, whole);
	}
	memcpy(longer, bytes, len);
	memcpy(longer + len, more, sizeof(more));
	m.scanned = 0;
	message_have(&m, longer, len + sizeof(more) - 1);
	assert_same(name, "with more behind", len, &m, whole);
	free(longer);
	free(m.buf);
}

/* The answer to all of it at once, after it was seen that cuts make no difference. */
static struct message *parse(const char *name, int asked, const struct http1_limits *limits,
			     const char *bytes, size_t len)
{
	static struct message whole;

	free(whole.buf);
	memset(&whole, 0xa5, sizeof(whole)); /* nothing is expected of a head */
	message_init(&whole, asked, limits);
	message_have(&whole, bytes, len);
	parse_cut(name, bytes, len, &whole);
	return &whole;
}

static const struct http1_head *response(enum http1_method asked, const char *bytes)
{
	struct message *m = parse(bytes, (int)asked, &wide, bytes, strlen(bytes));

	if (m->n <= 0)
		fail_msg("%s: refused: %d %s", bytes, m->n, m->why);
	return &m->head;
}

/* ---- the corpora ---------------------------------------------------------------------- */

struct row {
	FILE *file;
	char *line;
	size_t size, len;
	unsigned n;
	const char *word[6];
	char *bytes;
};

static void row_open(struct row *r, const char *path)
{
	*r = (struct row){.file = fopen(path, "r")};
	if (!r->file)
		fail_msg("%s: not found; tests run from the top of the tree", path);
}

static void unescape(struct row *r)
{
	const char *from = r->bytes;
	char *to = r->bytes;
	unsigned c;

	while (*from) {
		if (*from != '\\') {
			*to++ = *from++;
			continue;
		}
		from += 2;
		switch (from[-1]) {
		case 'r':
			*to++ = '\r';
			break;
		case 'n':
			*to++ = '\n';
			break;
		case 't':
			*to++ = '\t';
			break;
		case '0':
			*to++ = '\0';
			break;
		case '\\':
			*to++ = '\\';
			break;
		default:
			if (from[-1] != 'x' || sscanf(from, "%2x", &c) != 1)
				fail_msg("%s: an escape that is none", r->word[0]);
			*to++ = (char)c;
			from += 2;
		}
	}
	r->len = (size_t)(to - r->bytes);
}

/* The next row: words, then bytes. */
static bool row_next(struct row *r, unsigned words)
{
	ssize_t n;
	char *at;

	do {
		n = getline(&r->line, &r->size, r->file);
	} while (n > 0 && r->line[0] == '#');
	if (n <= 0) {
		free(r->line);
		fclose(r->file);
		return false;
	}
	r->line[strcspn(r->line, "\n")] = '\0';
	at = r->line;
	for (unsigned i = 0; i < words; i++) {
		r->word[i] = strsep(&at, " ");
		assert_non_null(at);
	}
	r->bytes = at;
	unescape(r);
	r->n++;
	return true;
}

static void test_bad_requests(void **unused)
{
	struct row r;

	(void)unused;
	row_open(&r, DATA "bad_requests.txt");
	while (row_next(&r, 2)) {
		struct message *m = parse(r.word[1], -1, &small, r.bytes, r.len);

		if (m->n != -atoi(r.word[0]))
			fail_msg("%s: %d %s, not -%s", r.word[1], m->n, m->why, r.word[0]);
		assert_string_not_equal(m->why, "");
	}
	assert_true(r.n >= 150);
}

static void test_bad_responses(void **unused)
{
	struct row r;

	(void)unused;
	row_open(&r, DATA "bad_responses.txt");
	while (row_next(&r, 2)) {
		struct message *m =
			parse(r.word[1], (int)method_of(r.word[0]), &small, r.bytes, r.len);

		if (m->n != -502)
			fail_msg("%s: %d %s, not -502", r.word[1], m->n, m->why);
		assert_string_not_equal(m->why, "");
	}
	assert_true(r.n >= 60);
}

static const char *seen(const struct http1_head *h)
{
	static char text[1024];
	char length[32];

	snprintf(length, sizeof(length), "length=%llu", (unsigned long long)h->content_length);
	snprintf(text, sizeof(text), "%.*s %.*s %.*s %s %s%s%s%s", (int)h->method_text.len,
		 h->method_text.p, h->path.len ? (int)h->path.len : 1,
		 h->path.len ? h->path.p : "-", h->authority.len ? (int)h->authority.len : 1,
		 h->authority.len ? h->authority.p : "-",
		 h->body == HTTP1_BODY_NONE     ? "none"
		 : h->body == HTTP1_BODY_LENGTH ? length
						: "chunked",
		 h->keep_alive ? "keep" : "close", h->expect_continue ? "+expect" : "",
		 h->upgrade ? "+upgrade" : "", h->minor ? "" : "+1.0");
	return text;
}

static void test_good_requests(void **unused)
{
	struct row r;
	char wanted[1024];

	(void)unused;
	row_open(&r, DATA "good_requests.txt");
	while (row_next(&r, 6)) {
		struct message *m = parse(r.word[0], -1, &small, r.bytes, r.len);
		const char *end = memmem(r.bytes, r.len, "\r\n\r\n", 4);

		if (m->n != end + 4 - r.bytes)
			fail_msg("%s: %d %s", r.word[0], m->n, m->why);
		snprintf(wanted, sizeof(wanted), "%s %s %s %s %s", r.word[1], r.word[2], r.word[3],
			 r.word[4], r.word[5]);
		if (strcmp(seen(&m->head), wanted) != 0)
			fail_msg("%s: seen %s", r.word[0], seen(&m->head));
		assert_int_equal(m->head.method, method_of(r.word[1]));
		assert_int_equal(m->head.has_length, m->head.body == HTTP1_BODY_LENGTH);
	}
	assert_true(r.n >= 40);
}

/* ---- limits --------------------------------------------------------------------------- */

/* A request line of `line` bytes with its CRLF, a field of `field` bytes, and the end. */
static struct message *sized(size_t line, size_t field, const struct http1_limits *limits)
{
	static char bytes[70000];
	size_t len = line + field;

	assert_true(len + 2 < sizeof(bytes));
	memset(bytes, 'a', len);
	memcpy(bytes, "GET /", 5);
	memcpy(bytes + line - 11, " HTTP/1.0\r\n", 11);
	memcpy(bytes + line, "X:", 2);
	memcpy(bytes + len - 2, "\r\n\r\n", 4);
	return parse("sized", -1, limits, bytes, len + 2);
}

static void test_a_line_beyond_the_head_is_a_target_too_long(void **unused)
{
	/* As the daemon has it: a target may fill the head. */
	const struct http1_limits l = {.max_head = 300, .max_target = 300, .max_fields = 8};

	(void)unused;
	assert_int_equal(sized(260, 38, &l)->n, 300);
	assert_int_equal(sized(260, 39, &l)->n, -431);
	assert_int_equal(sized(294, 4, &l)->n, 300);
	assert_int_equal(sized(301, 4, &l)->n, -414);
	assert_int_equal(sized(600, 4, &l)->n, -414);
}

static void test_the_skipped_line_does_not_count(void **unused)
{
	static const char bytes[] = "\r\nGET / HTTP/1.0\r\n\r\n";
	struct http1_limits l = {.max_head = sizeof(bytes) - 3, .max_target = 1, .max_fields = 0};

	(void)unused;
	assert_int_equal(parse("room", -1, &l, BOTH(bytes))->n, sizeof(bytes) - 1);
	l.max_head--;
	assert_int_equal(parse("no room", -1, &l, BOTH(bytes))->n, -431);
}

static void test_fields_have_two_bounds(void **unused)
{
	struct http1_limits l = wide;
	char bytes[2048] = "GET / HTTP/1.0\r\n", *at = bytes + strlen(bytes);

	(void)unused;
	l.max_fields = 1000;
	for (int i = 0; i < HTTP1_MAX_FIELDS; i++)
		at += sprintf(at, "a:\r\n");
	strcpy(at, "\r\n");
	assert_int_equal(parse("256", -1, &l, bytes, strlen(bytes))->head.n_fields, 256);
	strcpy(at, "a:\r\n\r\n");
	assert_int_equal(parse("257", -1, &l, bytes, strlen(bytes))->n, -431);
	assert_int_equal(parse("257", HTTP1_M_GET, &l, BOTH("HTTP/1.1 200\r\na:\r\n\r\n"))->n, 20);
}

static void test_nothing_yet(void **unused)
{
	static struct http1_head h;
	size_t scanned = 0;

	(void)unused;
	assert_int_equal(http1_parse_request(&h, NULL, 0, &scanned, &wide), 0);
	assert_int_equal(http1_parse_response(&h, NULL, 0, &scanned, HTTP1_M_GET, &wide), 0);
	assert_int_equal(scanned, 0);
}

/* ---- responses ------------------------------------------------------------------------ */

#define NO_FIELD ""
#define FIVE     "Content-Length: 5\r\n"
#define CHUNKS   "Transfer-Encoding: chunked\r\n"

static void test_bodies_of_responses(void **unused)
{
	static const struct {
		enum http1_method asked;
		const char *line, *fields;
		enum http1_body body;
		bool keep_alive;
	} rows[] = {
		{HTTP1_M_GET, "HTTP/1.1 200 OK", FIVE, HTTP1_BODY_LENGTH, true},
		{HTTP1_M_GET, "HTTP/1.1 200 OK", CHUNKS, HTTP1_BODY_CHUNKED, true},
		{HTTP1_M_GET, "HTTP/1.1 200 OK", NO_FIELD, HTTP1_BODY_CLOSE, false},
		{HTTP1_M_GET, "HTTP/1.0 200 OK", FIVE, HTTP1_BODY_LENGTH, false},
		{HTTP1_M_GET, "HTTP/1.0 200 OK", "Connection: keep-alive\r\n", HTTP1_BODY_CLOSE,
		 false},
		{HTTP1_M_GET, "HTTP/1.0 200 OK", FIVE "Connection: keep-alive\r\n",
		 HTTP1_BODY_LENGTH, true},
		{HTTP1_M_GET, "HTTP/1.1 200 OK", FIVE "Connection: close\r\n", HTTP1_BODY_LENGTH,
		 false},
		{HTTP1_M_OTHER, "HTTP/1.1 500 Oops", FIVE, HTTP1_BODY_LENGTH, true},
		{HTTP1_M_POST, "HTTP/1.1 599", CHUNKS, HTTP1_BODY_CHUNKED, true},
		{HTTP1_M_HEAD, "HTTP/1.1 200 OK", FIVE, HTTP1_BODY_NONE, true},
		{HTTP1_M_HEAD, "HTTP/1.1 200 OK", CHUNKS, HTTP1_BODY_NONE, true},
		{HTTP1_M_HEAD, "HTTP/1.1 200 OK", NO_FIELD, HTTP1_BODY_NONE, true},
		{HTTP1_M_GET, "HTTP/1.1 204 No Content", FIVE, HTTP1_BODY_NONE, true},
		{HTTP1_M_GET, "HTTP/1.1 205 Reset", NO_FIELD, HTTP1_BODY_CLOSE, false},
		{HTTP1_M_GET, "HTTP/1.1 304 Not Modified", FIVE, HTTP1_BODY_NONE, true},
		{HTTP1_M_GET, "HTTP/1.1 100 Continue", NO_FIELD, HTTP1_BODY_NONE, true},
		{HTTP1_M_GET, "HTTP/1.1 103 Early Hints", CHUNKS, HTTP1_BODY_NONE, true},
		{HTTP1_M_CONNECT, "HTTP/1.1 200 OK", FIVE, HTTP1_BODY_NONE, true},
		{HTTP1_M_CONNECT, "HTTP/1.1 299 OK", NO_FIELD, HTTP1_BODY_NONE, true},
		{HTTP1_M_CONNECT, "HTTP/1.1 403 No", FIVE, HTTP1_BODY_LENGTH, true},
	};

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		const struct http1_head *h;
		char bytes[256];

		snprintf(bytes, sizeof(bytes), "%s\r\n%s\r\n", rows[i].line, rows[i].fields);
		h = response(rows[i].asked, bytes);
		if (h->body != rows[i].body || h->keep_alive != rows[i].keep_alive)
			fail_msg("%s: body %d, keep %d", bytes, h->body, h->keep_alive);
		assert_int_equal(h->has_length, strstr(bytes, FIVE) != NULL);
		assert_int_equal(h->content_length, h->has_length ? 5 : 0);
		assert_int_equal(h->status, atoi(rows[i].line + 9));
		assert_int_equal(h->minor, rows[i].line[7] - '0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_bad_responses),
		cmocka_unit_test(test_good_requests),
		cmocka_unit_test(test_a_line_beyond_the_head_is_a_target_too_long),
		cmocka_unit_test(test_the_skipped_line_does_not_count),
		cmocka_unit_test(test_fields_have_two_bounds),
		cmocka_unit_test(test_nothing_yet),
		cmocka_unit_test(test_bodies_of_responses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
