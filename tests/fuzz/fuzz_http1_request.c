// SPDX-License-Identifier: BSD-2-Clause
// Request heads: one answer whatever the cuts; what is accepted can go on, and says the same.
// needs: userspace/l7/http1.c userspace/l7/http1_request.c userspace/l7/forward_head.c
// needs: userspace/l7/http1_trailer.c userspace/base/scan.c
#include "heads.h"
#include "l7/buf.h"
#include "l7/forward_head.h"

static const struct http1_limits all_limits[] = {
	{.max_head = 512, .max_target = 64, .max_fields = 8}, /* of tests/data */
	{.max_head = 300, .max_target = 300, .max_fields = 8},
	{.max_head = 65536, .max_target = 8192, .max_fields = HTTP1_MAX_FIELDS - 6},
};
static const struct http1_limits *limits;

static int parse(struct http1_head *head, const char *buf, size_t len, size_t *scanned)
{
	return http1_parse_request(head, buf, len, scanned, limits);
}

static void check(const struct parsed *p)
{
	const struct http1_head *h = &p->head;
	unsigned hosts = 0, lengths = 0, codings = 0;

	heads_check(p);
	span_check(p, h->method_text);
	span_check(p, h->target);
	assert(h->method_text.len > 0 && h->target.len > 0);
	assert(h->target.len <= limits->max_target && h->n_fields <= limits->max_fields);
	if (h->path.len != 1 || h->path.p[0] != '*')
		span_check(p, h->path);
	assert(h->path.len == 0 || strchr("/?*", h->path.p[0]));
	if (h->authority.len)
		span_check(p, h->authority);
	assert(!memchr(h->authority.p, '@', h->authority.len));
	assert(!memchr(h->authority.p, '/', h->authority.len));
	for (unsigned i = 0; i < h->n_fields; i++) {
		hosts += h->fields[i].id == HTTP1_F_HOST;
		lengths += h->fields[i].id == HTTP1_F_CONTENT_LENGTH;
		codings += h->fields[i].id == HTTP1_F_TRANSFER_ENCODING;
	}
	assert(hosts == 1 || (hosts == 0 && h->minor == 0));
	assert(h->authority.len || h->minor == 0);
	assert(lengths <= 1 && (lengths == 0 || codings == 0));
	assert((h->body == HTTP1_BODY_LENGTH) == (lengths == 1) && h->has_length == (lengths == 1));
	assert((h->body == HTTP1_BODY_CHUNKED) == (codings > 0));
	assert(h->content_length <= INT64_MAX && (lengths || h->content_length == 0));
}

static void check_same(const struct parsed *a, const struct parsed *b)
{
	const struct http1_head *g = &a->head, *h = &b->head;

	heads_same(a, b);
	if (a->n <= 0)
		return;
	assert(g->method == h->method);
	spans_same(a, g->method_text, b, h->method_text);
	spans_same(a, g->target, b, h->target);
	assert(span_equal(g->path, h->path) && span_equal(g->authority, h->authority));
}

/* A backend that reads what is written sees what was seen here. */
static void check_forwarded(const struct parsed *p)
{
	static const struct http1_limits backend = {
		.max_head = 1 << 20, .max_target = 1 << 20, .max_fields = HTTP1_MAX_FIELDS};
	static struct http1_head seen;
	const struct http1_head *h = &p->head;
	const struct forward_facts facts = {
		.body = h->body,
		.content_length = h->content_length,
		.via = SPAN("a-pseudonym-of-some-length.example.org"),
		.client = SPAN("2001:db8:1111:2222:3333:4444:5555:6666"),
		.proto = SPAN("https"),
		.authority = SPAN("[2001:db8:1111:2222:3333:4444:5555:6666]:65535"),
	};
	size_t room = 2 * (size_t)p->n + BUF_NOTE, scanned = 0, n; /* as the daemon has it */
	char *out = malloc(room);

	assert(out);
	n = forward_request(out, room, h, &facts);
	assert(n > 0);
	assert(http1_parse_request(&seen, out, n, &scanned, &backend) == (int)n);
	assert(span_equal(seen.method_text, h->method_text) && seen.minor == 1);
	assert(span_equal(seen.authority, h->authority.len ? h->authority : facts.authority));
	assert(seen.path.len >= h->path.len &&
	       memcmp(seen.path.p + seen.path.len - h->path.len, h->path.p, h->path.len) == 0);
	assert(seen.body == h->body && seen.content_length == h->content_length);
	assert(seen.keep_alive && seen.expect_continue == h->expect_continue && !seen.upgrade);
	assert(!http1_find(&seen, HTTP1_F_CONNECTION) == !http1_find(&seen, HTTP1_F_TE));
	assert(seen.te_trailers == (h->te_trailers && h->minor > 0));
	assert(!http1_find(&seen, HTTP1_F_TRAILER));
	free(out);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	static struct parsed whole, cut;

	for (size_t i = 0; i < sizeof(all_limits) / sizeof(all_limits[0]); i++) {
		limits = &all_limits[i];
		parsed_begin(&whole);
		parsed_have(&whole, parse, data, len);
		parsed_cut(&cut, parse, data, len);
		check_same(&whole, &cut);
		if (whole.n > 0) {
			check(&whole);
			check(&cut);
			if (whole.head.method != HTTP1_M_CONNECT)
				check_forwarded(&whole);
		}
		free(whole.buf);
		free(cut.buf);
	}
	return 0;
}
