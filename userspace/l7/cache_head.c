// SPDX-License-Identifier: BSD-2-Clause
#include "l7/cache_head.h"

#include "base/writer.h"

static size_t written(const struct writer *w, const char *start)
{
	return w->full ? 0 : (size_t)(w->p - start);
}

/* ---- in ------------------------------------------------------------------------------- */

size_t cache_head_keep(char *out, size_t room, const struct http1_head *h,
		       const struct cache_keep *keep)
{
	struct writer w = {out, out + room, false};
	bool dated = false;

	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http1_field *f = &h->fields[i];

		dated |= f->id == HTTP1_F_DATE;
		if (!fresh_drops(f, keep->cc) && (keep->again || f->id != HTTP1_F_VIA))
			writer_field(&w, f->name, f->value);
	}
	if (keep->again)
		return written(&w, out);
	if (!dated)
		writer_put(&w, keep->date);
	WRITER_PUT(&w, "Via: ");
	for (unsigned i = 0; i < h->n_fields; i++) {
		if (h->fields[i].id != HTTP1_F_VIA || h->fields[i].value.len == 0)
			continue;
		writer_put(&w, h->fields[i].value);
		WRITER_PUT(&w, ", ");
	}
	writer_put(&w, h->minor ? SPAN("1.1 ") : SPAN("1.0 "));
	writer_put(&w, keep->via);
	WRITER_PUT(&w, "\r\n");
	return written(&w, out);
}

/* The next line of kept fields, which are known to be sound. */
static bool line_next(struct span *kept, struct span *name, struct span *value)
{
	const char *end = kept->len ? memchr(kept->p, '\n', kept->len) : NULL,
		   *colon = end ? memchr(kept->p, ':', (size_t)(end - kept->p)) : NULL;

	if (!colon)
		return false;
	*name = (struct span){kept->p, (size_t)(colon - kept->p)};
	*value = (struct span){colon + 2, (size_t)(end - colon) - 3};
	kept->len -= (size_t)(end + 1 - kept->p);
	kept->p = end + 1;
	return true;
}

bool cache_head_parse(struct http1_head *h, struct span kept, unsigned status)
{
	struct span name, value;

	h->status = status;
	h->minor = 1;
	h->n_fields = 0;
	while (line_next(&kept, &name, &value)) {
		if (h->n_fields == HTTP1_MAX_FIELDS)
			return false;
		h->fields[h->n_fields++] = (struct http1_field){
			.name = name, .value = value, .id = (uint8_t)http1_field_id(name)};
	}
	return true;
}

static bool has_field(const struct http1_head *h, struct span name)
{
	for (unsigned i = 0; i < h->n_fields; i++)
		if (!h->fields[i].hop && !fresh_keeps(&h->fields[i]) &&
		    span_equal_nocase(h->fields[i].name, name))
			return true;
	return false;
}

bool cache_head_merge(struct http1_head *out, const struct http1_head *stored,
		      const struct http1_head *update)
{
	out->status = stored->status;
	out->minor = update->minor;
	out->n_fields = 0;
	for (unsigned i = 0; i < stored->n_fields; i++) {
		const struct http1_field *f = &stored->fields[i];

		/* This proxy's own is written anew. */
		if (f->id == HTTP1_F_VIA || f->id == HTTP1_F_DATE || has_field(update, f->name))
			continue;
		out->fields[out->n_fields++] = *f;
	}
	for (unsigned i = 0; i < update->n_fields; i++) {
		const struct http1_field *f = &update->fields[i];

		if (f->hop || fresh_keeps(f))
			continue;
		if (out->n_fields == HTTP1_MAX_FIELDS)
			return false;
		out->fields[out->n_fields++] = *f;
	}
	return true;
}

/* ---- out ------------------------------------------------------------------------------ */

/* A 304 says nothing of the content that the client has; a 206 of several parts has a type of
 * its own (RFC 9110 sections 15.4.5, 15.3.7.2). */
static bool answers_with(enum cache_answer_kind kind, enum http1_field_id id, bool tagged)
{
	switch (id) {
	case HTTP1_F_CONTENT_TYPE:
		return kind == CACHE_WHOLE || kind == CACHE_PART;
	case HTTP1_F_CONTENT_RANGE:
	case HTTP1_F_CONTENT_MD5:
		return kind == CACHE_WHOLE;
	case HTTP1_F_CONTENT_ENCODING:
	case HTTP1_F_CONTENT_LANGUAGE:
		return kind != CACHE_UNMODIFIED && kind != CACHE_UNSATISFIED;
	case HTTP1_F_LAST_MODIFIED:
		return kind != CACHE_UNMODIFIED || !tagged;
	default:
		return true;
	}
}

static void put_kept(struct writer *w, const struct cache_answer *a)
{
	struct span rest = a->kept, name, value;
	bool tagged = false;

	if (a->kind == CACHE_WHOLE && !a->edits) {
		writer_put(w, a->kept);
		return;
	}
	while (line_next(&rest, &name, &value))
		tagged |= http1_field_id(name) == HTTP1_F_ETAG;
	rest = a->kept;
	while (line_next(&rest, &name, &value))
		if (!edits_take(a->edits, name) &&
		    (a->kind == CACHE_WHOLE || answers_with(a->kind, http1_field_id(name), tagged)))
			writer_field(w, name, value);
}

/* As forward_head.c does it with a response that passes. */
static void put_edit(struct writer *w, const struct cache_answer *a, const struct edit *e)
{
	struct span rest = a->kept, name, value;
	bool any = false;

	while (e->kind == ROUTE_APPEND && line_next(&rest, &name, &value)) {
		if (value.len == 0 || !span_equal_nocase(name, e->name))
			continue;
		writer_put(w, any ? SPAN(", ") : e->name);
		writer_put(w, any ? SPAN("") : SPAN(": "));
		writer_put(w, value);
		any = true;
	}
	if (any && e->value.len) {
		WRITER_PUT(w, ", ");
		writer_put(w, e->value);
	}
	if (any)
		WRITER_PUT(w, "\r\n");
	else if (e->kind != ROUTE_REMOVE && e->value.len)
		writer_field(w, e->name, e->value);
}

static void put_content_range(struct writer *w, struct range r, uint64_t whole)
{
	WRITER_PUT(w, "Content-Range: bytes ");
	writer_number(w, r.first);
	WRITER_PUT(w, "-");
	writer_number(w, r.last);
	WRITER_PUT(w, "/");
	writer_number(w, whole);
	WRITER_PUT(w, "\r\n");
}

static unsigned status_of(const struct cache_answer *a)
{
	switch (a->kind) {
	case CACHE_PART:
	case CACHE_PARTS:
		return 206;
	case CACHE_UNMODIFIED:
		return 304;
	case CACHE_UNSATISFIED:
		return 416;
	default:
		return a->status;
	}
}

static void put_kind(struct writer *w, const struct cache_answer *a)
{
	if (a->kind == CACHE_PART) {
		put_content_range(w, a->range, a->whole);
	} else if (a->kind == CACHE_PARTS) {
		WRITER_PUT(w, "Content-Type: multipart/byteranges; boundary=");
		writer_put(w, (struct span){a->boundary, CACHE_BOUNDARY});
		WRITER_PUT(w, "\r\n");
	} else if (a->kind == CACHE_UNSATISFIED) {
		WRITER_PUT(w, "Content-Range: bytes */");
		writer_number(w, a->whole);
		WRITER_PUT(w, "\r\n");
	}
}

size_t cache_head_answer(char *out, size_t room, const struct cache_answer *a)
{
	struct writer w = {out, out + room, false};
	const char *phrase = http1_phrase(status_of(a));

	WRITER_PUT(&w, "HTTP/1.1 ");
	writer_number(&w, status_of(a));
	WRITER_PUT(&w, " ");
	writer_put(&w, (struct span){phrase, strlen(phrase)});
	WRITER_PUT(&w, "\r\n");
	put_kept(&w, a);
	put_kind(&w, a);
	for (unsigned i = 0; a->edits && i < a->edits->n; i++)
		put_edit(&w, a, &a->edits->items[i]);
	if (!a->origin) {
		WRITER_PUT(&w, "Age: ");
		writer_number(&w, a->age < 0 ? 0 : (uint64_t)a->age);
		WRITER_PUT(&w, "\r\n");
	}
	if (a->cache_status.len)
		writer_field(&w, SPAN("Cache-Status"), a->cache_status);
	if (a->body == HTTP1_BODY_CHUNKED) {
		WRITER_PUT(&w, "Transfer-Encoding: chunked\r\n");
	} else if (a->body == HTTP1_BODY_LENGTH) {
		WRITER_PUT(&w, "Content-Length: ");
		writer_number(&w, a->length);
		WRITER_PUT(&w, "\r\n");
	}
	if (a->close)
		WRITER_PUT(&w, "Connection: close\r\n");
	else if (a->keep_alive)
		WRITER_PUT(&w, "Connection: keep-alive\r\n");
	WRITER_PUT(&w, "\r\n");
	return written(&w, out);
}

size_t cache_head_part(char *out, size_t room, struct span kept, const char *boundary,
		       struct range range, uint64_t whole, bool first)
{
	struct writer w = {out, out + room, false};
	struct span name, value;

	writer_put(&w, first ? SPAN("--") : SPAN("\r\n--"));
	writer_put(&w, (struct span){boundary, CACHE_BOUNDARY});
	WRITER_PUT(&w, "\r\n");
	while (line_next(&kept, &name, &value))
		if (http1_field_id(name) == HTTP1_F_CONTENT_TYPE)
			writer_field(&w, name, value);
	put_content_range(&w, range, whole);
	WRITER_PUT(&w, "\r\n");
	return written(&w, out);
}

size_t cache_head_parts_end(char *out, size_t room, const char *boundary)
{
	struct writer w = {out, out + room, false};

	WRITER_PUT(&w, "\r\n--");
	writer_put(&w, (struct span){boundary, CACHE_BOUNDARY});
	WRITER_PUT(&w, "--\r\n");
	return written(&w, out);
}

bool cache_request_parse(struct http1_head *h, const struct buf *head)
{
	const struct http1_limits limits = {.max_head = buf_len(head) + 1,
					    .max_target = buf_len(head),
					    .max_fields = HTTP1_MAX_FIELDS};
	size_t scanned = 0;

	return buf_len(head) && http1_parse_request(h, buf_at(head), buf_len(head), &scanned,
						    &limits) == (int)buf_len(head);
}

/* ---- asking --------------------------------------------------------------------------- */

/* Fields by which a client makes some origins answer something else, and that are in no key: the
 * answer would be there for everybody (cache poisoning). X-Forwarded-Host, -Proto and -For are
 * this proxy's own word. */
static const char *const poisons[] = {
	"forwarded",
	"x-forwarded-scheme",
	"x-forwarded-port",
	"x-forwarded-server",
	"x-forwarded-prefix",
	"x-forwarded-path",
	"x-forwarded-ssl",
	"x-original-url",
	"x-original-host",
	"x-rewrite-url",
	"x-host",
	"x-http-host-override",
	"x-http-method",
	"x-method-override",
	"x-http-method-override",
};

static bool in_list(struct span name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_equal_nocase(name, (struct span){list[i], strlen(list[i])}))
			return true;
	return false;
}

static bool poisons_with(const struct http1_field *f, const struct cache_ask *ask)
{
	return (f->id == HTTP1_F_FORWARDED || f->id == HTTP1_F_OTHER) &&
	       in_list(f->name, poisons, sizeof(poisons) / sizeof(poisons[0])) &&
	       !in_list(f->name, ask->key_headers, ask->n_key_headers) &&
	       !in_list(f->name, ask->allowed, ask->n_allowed);
}

bool cache_head_poisons(const struct http1_head *h, const struct cache_ask *ask)
{
	for (unsigned i = 0; i < h->n_fields; i++)
		if (poisons_with(&h->fields[i], ask))
			return true;
	return false;
}

static bool asks_without(const struct http1_field *f, const struct cache_ask *ask)
{
	switch (f->id) {
	case HTTP1_F_IF_NONE_MATCH:
	case HTTP1_F_IF_MODIFIED_SINCE:
	case HTTP1_F_IF_RANGE:
	case HTTP1_F_RANGE:
		return !ask->own;
	default:
		return poisons_with(f, ask);
	}
}

size_t cache_head_ask(char *out, size_t room, const struct http1_head *h,
		      const struct cache_ask *ask)
{
	struct writer w = {out, out + room, false};

	writer_put(&w, h->method_text);
	WRITER_PUT(&w, " ");
	writer_put(&w, h->target);
	WRITER_PUT(&w, " HTTP/1.1\r\n");
	for (unsigned i = 0; i < h->n_fields; i++)
		if (!h->fields[i].hop && !asks_without(&h->fields[i], ask))
			writer_field(&w, h->fields[i].name, h->fields[i].value);
	if (ask->etag.len)
		writer_field(&w, SPAN("If-None-Match"), ask->etag);
	if (ask->modified.len)
		writer_field(&w, SPAN("If-Modified-Since"), ask->modified);
	WRITER_PUT(&w, "Surrogate-Capability: ");
	writer_put(&w, ask->capability);
	WRITER_PUT(&w, "=\"Surrogate/1.0\"\r\n\r\n");
	return written(&w, out);
}
