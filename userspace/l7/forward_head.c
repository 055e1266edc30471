// SPDX-License-Identifier: BSD-2-Clause
#include "l7/forward_head.h"

/* Writes until the room ends, then remembers only that it did. */
struct out {
	char *p, *end;
	bool full;
};

static void put(struct out *o, struct span s)
{
	if ((size_t)(o->end - o->p) < s.len) {
		o->full = true;
		return;
	}
	if (s.len == 0) /* may point nowhere */
		return;
	memcpy(o->p, s.p, s.len);
	o->p += s.len;
}

#define PUT(o, literal) put(o, SPAN(literal))

static void put_number(struct out *o, uint64_t n)
{
	char text[20];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	put(o, (struct span){text + at, sizeof(text) - at});
}

static void put_field(struct out *o, const struct http1_field *f)
{
	put(o, f->name);
	PUT(o, ": ");
	put(o, f->value);
	PUT(o, "\r\n");
}

/* "name: value" of a field of the proxy's own, unless an edit has another. */
static void put_own(struct out *o, const struct edits *edits, struct span name, struct span value)
{
	if (!edits_take(edits, name))
		put_field(o, &(struct http1_field){.name = name, .value = value});
}

/* All fields of the name that came, and the value. */
static void put_joined(struct out *o, const struct http1_head *h, const struct edit *e)
{
	bool any = false;

	for (unsigned i = 0; i <= h->n_fields; i++) {
		const struct http1_field *f = i < h->n_fields ? &h->fields[i] : NULL;
		struct span value = f ? f->value : e->value;

		if (value.len == 0 || (f && (f->hop || !span_equal_nocase(f->name, e->name))))
			continue;
		put(o, any ? SPAN(", ") : e->name);
		put(o, any ? SPAN("") : SPAN(": "));
		put(o, value);
		any = true;
	}
	put(o, any ? SPAN("\r\n") : SPAN(""));
}

/* h NULL: they are all there is. */
static void put_edits(struct out *o, const struct http1_head *h, const struct edits *edits)
{
	for (unsigned i = 0; edits && i < edits->n; i++) {
		const struct edit *e = &edits->items[i];

		if (e->kind == ROUTE_APPEND && h)
			put_joined(o, h, e);
		else if (e->kind != ROUTE_REMOVE && e->value.len)
			put_field(o, &(struct http1_field){.name = e->name, .value = e->value});
	}
}

static size_t finish(struct out *o, const char *start)
{
	PUT(o, "\r\n");
	return o->full ? 0 : (size_t)(o->p - start);
}

static void put_framing(struct out *o, const struct forward_facts *facts)
{
	if (facts->body == HTTP1_BODY_CHUNKED) {
		PUT(o, "Transfer-Encoding: chunked\r\n");
	} else if (facts->body == HTTP1_BODY_LENGTH) {
		PUT(o, "Content-Length: ");
		put_number(o, facts->content_length);
		PUT(o, "\r\n");
	}
}

/* te: the field is there and concerns this connection alone. */
static void put_connection(struct out *o, const struct forward_facts *facts, bool te)
{
	if (te)
		PUT(o, "TE: trailers\r\n");
	if (facts->upgrade.len) {
		PUT(o, "Upgrade: ");
		put(o, facts->upgrade);
		put(o, te ? SPAN("\r\nConnection: TE, upgrade\r\n")
			  : SPAN("\r\nConnection: upgrade\r\n"));
	} else if (te) {
		PUT(o, "Connection: TE\r\n");
	} else if (facts->close) {
		PUT(o, "Connection: close\r\n");
	} else if (facts->keep_alive) {
		PUT(o, "Connection: keep-alive\r\n");
	}
}

/* "name: a, b" of all fields with this id, joined, and one more element at the end. */
static void put_appended(struct out *o, const struct http1_head *h, enum http1_field_id id,
			 struct span name, struct span before, struct span last)
{
	put(o, name);
	for (unsigned i = 0; i < h->n_fields; i++) {
		if (h->fields[i].id != id || h->fields[i].value.len == 0)
			continue;
		put(o, h->fields[i].value);
		PUT(o, ", ");
	}
	put(o, before);
	put(o, last);
	PUT(o, "\r\n");
}

static void put_via(struct out *o, const struct http1_head *h, const struct forward_facts *facts)
{
	if (facts->via.len == 0)
		return;
	put_appended(o, h, HTTP1_F_VIA, SPAN("Via: "), h->minor ? SPAN("1.1 ") : SPAN("1.0 "),
		     facts->via);
}

/* Those of others stay where they are, if this proxy does not add itself. */
static bool via_rewrites(const struct http1_field *f, const struct forward_facts *facts)
{
	return f->id == HTTP1_F_VIA && facts->via.len;
}

/* origin-form, or "*"; an absolute-form target may have left its path empty. */
static void put_target(struct out *o, const struct http1_head *h)
{
	if (h->path.len == 0 || h->path.p[0] == '?')
		PUT(o, "/");
	put(o, h->path);
}

static bool request_rewrites(enum http1_field_id id)
{
	switch (id) {
	case HTTP1_F_HOST:
	case HTTP1_F_CONTENT_LENGTH:
	case HTTP1_F_X_FORWARDED_FOR:
	case HTTP1_F_X_FORWARDED_HOST:
	case HTTP1_F_X_FORWARDED_PROTO:
		return true;
	default:
		return false;
	}
}

static bool request_keeps(const struct http1_head *h, const struct http1_field *f,
			  const struct forward_facts *facts)
{
	if (f->id == HTTP1_F_TRAILER)
		return facts->trailers;
	if (f->id == HTTP1_F_TRACEPARENT && facts->trace.len)
		return false;
	if (f->id == HTTP1_F_TRACESTATE && facts->trace.len && !facts->trace_goes_on)
		return false;
	return !f->hop && !request_rewrites(f->id) && !via_rewrites(f, facts) &&
	       !edits_take(facts->edits, f->name) &&
	       (f->id != HTTP1_F_EXPECT || h->expect_continue);
}

/* Where Max-Forwards counts, one less goes on; where it does not it is any other field. */
static void put_max_forwards(struct out *o, const struct http1_head *h, const struct http1_field *f)
{
	int n = http1_max_forwards(h);

	if (n <= 0) {
		put_field(o, f);
		return;
	}
	PUT(o, "Max-Forwards: ");
	put_number(o, (uint64_t)n - 1);
	PUT(o, "\r\n");
}

size_t forward_request_room(const struct http1_head *h, const struct forward_facts *facts,
			    size_t len)
{
	/* What came, twice where fields are joined; a space more in each field; what is named here.
	 */
	return (facts->edits ? 2 * len : len) + h->n_fields + h->path.len +
	       2 * (h->authority.len + facts->authority.len) + facts->host.len + facts->via.len +
	       facts->client.len + facts->upgrade.len + facts->trace.len +
	       edits_room(facts->edits) + FORWARD_WORDS;
}

size_t forward_request(char *buf, size_t room, const struct http1_head *h,
		       const struct forward_facts *facts)
{
	struct out o = {buf, buf + room, false};
	struct span authority = h->authority.len ? h->authority : facts->authority;
	const struct edits *edits = facts->edits;

	put(&o, h->method_text);
	PUT(&o, " ");
	put_target(&o, h);
	PUT(&o, " HTTP/1.1\r\nHost: ");
	put(&o, facts->host.len ? facts->host : authority);
	PUT(&o, "\r\n");
	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http1_field *f = &h->fields[i];

		if (!request_keeps(h, f, facts))
			continue;
		if (f->id == HTTP1_F_MAX_FORWARDS)
			put_max_forwards(&o, h, f);
		else
			put_field(&o, f);
	}
	put_via(&o, h, facts);
	if (!facts->alone && !edits_take(edits, SPAN("X-Forwarded-For")))
		put_appended(&o, h, HTTP1_F_X_FORWARDED_FOR, SPAN("X-Forwarded-For: "), SPAN(""),
			     facts->client);
	if (!facts->alone) {
		put_own(&o, edits, SPAN("X-Forwarded-Proto"), facts->proto);
		put_own(&o, edits, SPAN("X-Forwarded-Host"), authority);
	}
	if (facts->trace.len)
		put_own(&o, edits, SPAN("traceparent"), facts->trace);
	put_edits(&o, h, edits);
	put_framing(&o, facts);
	put_connection(&o, facts, h->te_trailers && h->minor > 0);
	return finish(&o, buf);
}

/* Of an answer that was compressed on its way: what is not true of it any more. */
static bool encoding_removes(enum http1_field_id id)
{
	switch (id) {
	case HTTP1_F_ACCEPT_RANGES:
	case HTTP1_F_CONTENT_DIGEST:
	case HTTP1_F_CONTENT_ENCODING:
	case HTTP1_F_CONTENT_MD5:
	case HTTP1_F_DIGEST:
	case HTTP1_F_REPR_DIGEST:
		return true;
	default:
		return false;
	}
}

/* The bytes are others now, so a strong validator becomes a weak one (RFC 9110 section 8.8.1). */
static void put_weak_etag(struct out *o, const struct http1_field *f)
{
	put(o, f->name);
	PUT(o, ": ");
	if (f->value.len && f->value.p[0] == '"')
		PUT(o, "W/");
	put(o, f->value);
	PUT(o, "\r\n");
}

static void put_response_fields(struct out *o, const struct http1_head *h,
				const struct forward_facts *facts)
{
	bool dated = false;

	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http1_field *f = &h->fields[i];

		dated |= f->id == HTTP1_F_DATE;
		if ((f->hop && !(f->id == HTTP1_F_TRAILER && facts->trailers)) ||
		    f->id == HTTP1_F_CONTENT_LENGTH || via_rewrites(f, facts) ||
		    (facts->encoding.len && encoding_removes(f->id)) ||
		    edits_take(facts->edits, f->name))
			continue;
		if (facts->encoding.len && f->id == HTTP1_F_ETAG)
			put_weak_etag(o, f);
		else
			put_field(o, f);
	}
	if (!dated && h->status >= 200)
		put(o, facts->date);
}

size_t forward_response(char *buf, size_t room, const struct http1_head *h,
			const struct forward_facts *facts)
{
	struct out o = {buf, buf + room, false};

	PUT(&o, "HTTP/1.1 ");
	put_number(&o, h->status);
	PUT(&o, " ");
	put(&o, h->reason);
	PUT(&o, "\r\n");
	put_response_fields(&o, h, facts);
	if (facts->encoding.len) {
		PUT(&o, "Content-Encoding: ");
		put(&o, facts->encoding);
		PUT(&o, "\r\n");
	}
	if (facts->vary_encoding)
		PUT(&o, "Vary: Accept-Encoding\r\n");
	put_via(&o, h, facts);
	put(&o, facts->extra);
	put_edits(&o, h, facts->edits);
	put_framing(&o, facts);
	put_connection(&o, facts, false);
	return finish(&o, buf);
}

size_t forward_end(char *buf, size_t room, struct span section)
{
	struct out o = {buf, buf + room, false};
	struct http1_field field;

	PUT(&o, "0\r\n");
	while (http1_trailer_next(&section, &field))
		put_field(&o, &field);
	return finish(&o, buf);
}

/* "404 Not Found\n". */
static void put_plain_content(struct out *o, unsigned status, struct span phrase)
{
	put_number(o, status);
	PUT(o, " ");
	put(o, phrase);
	PUT(o, "\n");
}

static bool may_have_content(unsigned status)
{
	return status >= 200 && status != 204 && status != 304;
}

size_t forward_answer_room(const struct forward_answer *a)
{
	return edits_room(a->edits) + a->field.len + a->location.len + a->content_type.len +
	       a->content.len + 512;
}

size_t forward_answer(char *buf, size_t room, const struct forward_answer *a)
{
	struct out o = {buf, buf + room, false};
	struct span phrase = {http1_phrase(a->status), strlen(http1_phrase(a->status))};
	bool plain = a->content_type.len == 0;

	PUT(&o, "HTTP/1.1 ");
	put_number(&o, a->status);
	PUT(&o, " ");
	put(&o, phrase);
	PUT(&o, "\r\n");
	put(&o, a->date);
	put(&o, a->field);
	if (a->location.len)
		put_own(&o, a->edits, SPAN("Location"), a->location);
	if (may_have_content(a->status)) {
		put_own(&o, a->edits, SPAN("Content-Type"),
			plain ? SPAN("text/plain") : a->content_type);
		if (a->status >= 400 || (plain && a->location.len == 0))
			put_own(&o, a->edits, SPAN("Cache-Control"), SPAN("no-store"));
		PUT(&o, "Content-Length: ");
		put_number(&o, plain ? phrase.len + 5 : a->content.len); /* "NNN phrase\n" */
		PUT(&o, "\r\n");
	}
	put_edits(&o, NULL, a->edits);
	if (a->close)
		PUT(&o, "Connection: close\r\n");
	PUT(&o, "\r\n");
	if (!a->head_only && may_have_content(a->status)) {
		if (plain)
			put_plain_content(&o, a->status, phrase);
		else
			put(&o, a->content);
	}
	return o.full ? 0 : (size_t)(o.p - buf);
}
