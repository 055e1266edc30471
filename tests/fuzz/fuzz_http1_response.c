// SPDX-License-Identifier: BSD-2-Clause
// Response heads: one answer whatever the cuts; what is accepted can go on, and says the same.
// needs: userspace/l7/http1.c userspace/l7/http1_response.c userspace/l7/forward_head.c
// needs: userspace/l7/http1_trailer.c userspace/base/scan.c
#include "heads.h"
#include "l7/buf.h"
#include "l7/forward_head.h"

static const struct http1_limits all_limits[] = {
	{.max_head = 512, .max_target = 64, .max_fields = 8}, /* of tests/data */
	{.max_head = 65536, .max_target = 8192, .max_fields = HTTP1_MAX_FIELDS - 6},
};
static const enum http1_method all_asked[] = {HTTP1_M_GET, HTTP1_M_HEAD, HTTP1_M_CONNECT};

static const struct http1_limits *limits;
static enum http1_method asked;

static int parse(struct http1_head *head, const char *buf, size_t len, size_t *scanned)
{
	return http1_parse_response(head, buf, len, scanned, asked, limits);
}

static void check(const struct parsed *p)
{
	const struct http1_head *h = &p->head;
	bool none = asked == HTTP1_M_HEAD || h->status < 200 || h->status == 204 ||
		    h->status == 304 || (asked == HTTP1_M_CONNECT && h->status < 300);

	heads_check(p);
	span_check(p, h->reason);
	assert(h->status >= 100 && h->status <= 599 && h->n_fields <= limits->max_fields);
	assert((h->body == HTTP1_BODY_NONE) == none);
	assert(h->body != HTTP1_BODY_LENGTH || h->has_length);
	assert(h->body != HTTP1_BODY_CLOSE || !h->keep_alive);
	assert(h->content_length <= INT64_MAX && (h->has_length || h->content_length == 0));
	assert(!h->has_length || !http1_find(h, HTTP1_F_TRANSFER_ENCODING));
	assert(!h->expect_continue);
}

/* A client that reads what is written sees what was seen here. */
static void check_forwarded(const struct parsed *p)
{
	static const struct http1_limits client = {
		.max_head = 1 << 20, .max_target = 64, .max_fields = HTTP1_MAX_FIELDS};
	static struct http1_head seen;
	const struct http1_head *h = &p->head;
	const struct forward_facts facts = {
		.body = h->body,
		.content_length = h->content_length,
		.close = h->body == HTTP1_BODY_CLOSE,
		.via = SPAN("a-pseudonym-of-some-length.example.org"),
		.date = SPAN("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
	};
	size_t room = (size_t)p->n + BUF_NOTE, scanned = 0, n; /* as the daemon has it */
	char *out = malloc(room);

	assert(out);
	n = forward_response(out, room, h, &facts);
	assert(n > 0);
	assert(http1_parse_response(&seen, out, n, &scanned, asked, &client) == (int)n);
	assert(seen.status == h->status && seen.minor == 1 && span_equal(seen.reason, h->reason));
	assert(seen.body == h->body);
	assert(h->body != HTTP1_BODY_LENGTH || seen.content_length == h->content_length);
	assert(seen.keep_alive == (h->body != HTTP1_BODY_CLOSE));
	free(out);
}

static void check_one(const unsigned char *data, size_t len)
{
	static struct parsed whole, cut;

	parsed_begin(&whole);
	parsed_have(&whole, parse, data, len);
	parsed_cut(&cut, parse, data, len);
	heads_same(&whole, &cut);
	assert(whole.n >= 0 || whole.n == -502);
	if (whole.n > 0) {
		check(&whole);
		check(&cut);
		assert(whole.head.status == cut.head.status);
		spans_same(&whole, whole.head.reason, &cut, cut.head.reason);
		check_forwarded(&whole);
	}
	free(whole.buf);
	free(cut.buf);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	for (size_t i = 0; i < sizeof(all_limits) / sizeof(all_limits[0]); i++) {
		limits = &all_limits[i];
		for (size_t k = 0; k < sizeof(all_asked) / sizeof(all_asked[0]); k++) {
			asked = all_asked[k];
			check_one(data, len);
		}
	}
	return 0;
}
