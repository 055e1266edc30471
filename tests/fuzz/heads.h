/* SPDX-License-Identifier: BSD-2-Clause */
/* What holds for every head that was parsed, and for two parses of the same bytes. */
#ifndef FUZZ_HEADS_H
#define FUZZ_HEADS_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cuts.h"
#include "l7/http1.h"

/* A parse, and the bytes that its spans point into. */
struct parsed {
	char *buf; /* exactly as long as what was parsed */
	size_t len, scanned;
	int n;
	const char *why;
	struct http1_head head;
};

typedef int parse_fn(struct http1_head *head, const char *buf, size_t len, size_t *scanned);

static inline void parsed_begin(struct parsed *p)
{
	p->buf = NULL;
	p->scanned = 0;
	p->n = 0;
	p->why = "";
}

/* The message has grown to len bytes, and lies elsewhere. */
static inline void parsed_have(struct parsed *p, parse_fn *parse, const void *bytes, size_t len)
{
	free(p->buf);
	p->buf = malloc(len ? len : 1);
	assert(p->buf);
	if (len)
		memcpy(p->buf, bytes, len);
	p->len = len;
	p->n = parse(&p->head, p->buf, len, &p->scanned);
	p->why = p->n < 0 ? http1_refusal() : "";
	assert(p->n <= (int)len && p->scanned <= len);
}

static inline void parsed_cut(struct parsed *p, parse_fn *parse, const unsigned char *data,
			      size_t len)
{
	struct cuts cuts;
	size_t have = 0;

	cuts_init(&cuts, data, len);
	parsed_begin(p);
	while (have < len && p->n == 0) {
		have += cuts_next(&cuts, len - have);
		parsed_have(p, parse, data, have);
	}
}

static inline void span_check(const struct parsed *p, struct span s)
{
	assert(s.len <= (size_t)p->n);
	assert(s.p >= p->buf && s.p + s.len <= p->buf + p->n);
}

static inline void heads_check(const struct parsed *p)
{
	const struct http1_head *h = &p->head;

	assert(p->n >= 4 && memcmp(p->buf + p->n - 4, "\r\n\r\n", 4) == 0);
	assert(!memchr(p->buf, '\0', (size_t)p->n));
	for (int i = 0; i < p->n; i++) /* CR and LF come together */
		assert(p->buf[i] == '\r' ? p->buf[i + 1] == '\n'
					 : p->buf[i] != '\n' || (i && p->buf[i - 1] == '\r'));
	assert(h->n_fields <= HTTP1_MAX_FIELDS);
	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http1_field *f = &h->fields[i];

		span_check(p, f->name);
		span_check(p, f->value);
		assert(f->name.len > 0 && f->name.p[f->name.len] == ':');
		assert(!memchr(f->value.p, '\r', f->value.len));
		assert(f->value.len == 0 || (f->value.p[0] != ' ' && f->value.p[0] != '\t'));
	}
}

static inline void spans_same(const struct parsed *a, struct span x, const struct parsed *b,
			      struct span y)
{
	assert(x.len == y.len && x.p - a->buf == y.p - b->buf);
}

static inline void heads_same(const struct parsed *a, const struct parsed *b)
{
	const struct http1_head *g = &a->head, *h = &b->head;

	assert(a->n == b->n && a->why == b->why);
	if (a->n <= 0)
		return;
	assert(g->minor == h->minor && g->body == h->body);
	assert(g->content_length == h->content_length && g->has_length == h->has_length);
	assert(g->keep_alive == h->keep_alive && g->upgrade == h->upgrade);
	assert(g->expect_continue == h->expect_continue && g->n_fields == h->n_fields);
	for (unsigned i = 0; i < g->n_fields; i++) {
		spans_same(a, g->fields[i].name, b, h->fields[i].name);
		spans_same(a, g->fields[i].value, b, h->fields[i].value);
		assert(g->fields[i].id == h->fields[i].id && g->fields[i].hop == h->fields[i].hop);
	}
}

#endif
