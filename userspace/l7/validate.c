// SPDX-License-Identifier: BSD-2-Clause
#include "l7/validate.h"

#include "base/httpdate.h"
#include "l7/cc.h"

/* ---- entity tags ---------------------------------------------------------------------- */

static bool is_weak(struct span etag)
{
	return etag.len > 2 && etag.p[0] == 'W' && etag.p[1] == '/';
}

static struct span opaque(struct span etag)
{
	return is_weak(etag) ? (struct span){etag.p + 2, etag.len - 2} : etag;
}

bool validate_same_strong(struct span a, struct span b)
{
	return a.len && !is_weak(a) && span_equal(a, b);
}

/* The next tag of a list; within its quotes a backslash is a byte like others. */
static bool tag_next(struct span *list, struct span *tag)
{
	const char *p = list->p, *end = list->p + list->len, *start, *quote;

	while (p < end && (*p == ' ' || *p == '\t' || *p == ','))
		p++;
	start = p;
	while (p < end && *p != ',' && *p != '"')
		p++;
	if (p < end && *p == '"') {
		quote = memchr(p + 1, '"', (size_t)(end - p - 1));
		p = quote ? quote + 1 : end;
	}
	*tag = (struct span){start, (size_t)(p - start)};
	while (tag->len && (tag->p[tag->len - 1] == ' ' || tag->p[tag->len - 1] == '\t'))
		tag->len--;
	*list = (struct span){p, (size_t)(end - p)};
	return tag->len > 0;
}

/* Weak comparison (RFC 9110 section 8.8.3.2). */
static bool in_list(struct span list, struct span etag)
{
	struct span tag;

	while (tag_next(&list, &tag))
		if (span_equal(tag, SPAN("*")) ||
		    (etag.len && span_equal(opaque(tag), opaque(etag))))
			return true;
	return false;
}

/* Strong comparison; "*" is whatever there is (RFC 9110 section 13.1.1). */
static bool in_strong_list(struct span list, struct span etag)
{
	struct span tag;

	while (tag_next(&list, &tag))
		if (span_equal(tag, SPAN("*")) || validate_same_strong(tag, etag))
			return true;
	return false;
}

/* ---- conditions ----------------------------------------------------------------------- */

bool validate_unmodified(const struct http1_head *request, const struct validators *v, int64_t now)
{
	const struct http1_field *since = http1_find(request, HTTP1_F_IF_MODIFIED_SINCE);
	bool tags = false;
	int64_t then;

	for (unsigned i = 0; i < request->n_fields; i++) {
		if (request->fields[i].id != HTTP1_F_IF_NONE_MATCH)
			continue;
		tags = true;
		if (in_list(request->fields[i].value, v->etag))
			return true;
	}
	if (tags || !since)
		return false;
	return httpdate_parse(&then, since->value, now) && v->modified <= then;
}

bool validate_precondition(const struct http1_head *request, const struct validators *v,
			   int64_t now)
{
	const struct http1_field *since = http1_find(request, HTTP1_F_IF_UNMODIFIED_SINCE);
	bool tags = false;
	int64_t then;

	for (unsigned i = 0; i < request->n_fields; i++) {
		if (request->fields[i].id != HTTP1_F_IF_MATCH)
			continue;
		tags = true;
		if (in_strong_list(request->fields[i].value, v->etag))
			return true;
	}
	if (tags)
		return false;
	return !since || !httpdate_parse(&then, since->value, now) || v->modified <= then;
}

bool validate_range_counts(const struct http1_head *request, const struct validators *v)
{
	const struct http1_field *f = http1_find(request, HTTP1_F_IF_RANGE);

	if (!f)
		return true;
	if (memchr(f->value.p, '"', f->value.len))
		return validate_same_strong(f->value, v->etag);
	/* A date must be the very one (RFC 9110 section 13.1.5). */
	return f->value.len && span_equal(f->value, v->last_modified);
}

/* ---- ranges --------------------------------------------------------------------------- */

/* Digits from the front; false when there are none or too many. */
static bool number(struct span *text, uint64_t *out)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < text->len && text->p[i] >= '0' && text->p[i] <= '9'; i++) {
		if (n > (INT64_MAX - 9) / 10)
			return false;
		n = n * 10 + (uint64_t)(text->p[i] - '0');
	}
	text->p += i;
	text->len -= i;
	*out = n;
	return i > 0;
}

static bool sign(struct span *text, char wanted)
{
	if (text->len == 0 || text->p[0] != wanted)
		return false;
	text->p++;
	text->len--;
	return true;
}

/* "0-4", "5-", "-5". False: it is none. *there: it has a byte of the size. */
static bool spec_parse(struct span text, uint64_t size, struct range *out, bool *there)
{
	if (sign(&text, '-')) {
		uint64_t n;

		if (!number(&text, &n) || text.len)
			return false;
		*there = n && size;
		out->first = n < size ? size - n : 0;
		out->last = size - 1;
		return true;
	}
	if (!number(&text, &out->first) || !sign(&text, '-'))
		return false;
	out->last = UINT64_MAX;
	if (text.len && (!number(&text, &out->last) || text.len || out->last < out->first))
		return false;
	*there = out->first < size;
	if (out->last >= size)
		out->last = size - 1;
	return true;
}

enum range_result range_parse(struct span value, uint64_t size, struct range out[RANGE_MOST],
			      unsigned *n)
{
	static const size_t unit = sizeof("bytes=") - 1;
	struct span list, text;
	uint64_t bytes = 0;
	bool any = false;

	*n = 0;
	if (value.len < unit || strncasecmp(value.p, "bytes=", unit) != 0)
		return RANGE_ALL;
	list = (struct span){value.p + unit, value.len - unit};
	while (cc_list_next(&list, &text)) {
		struct range r;
		bool there;

		if (!spec_parse(text, size, &r, &there))
			return RANGE_ALL;
		any = true;
		if (!there)
			continue;
		if (*n == RANGE_MOST)
			return RANGE_ALL;
		bytes += r.last - r.first + 1;
		if (bytes > size)
			return RANGE_ALL;
		out[(*n)++] = r;
	}
	return !any ? RANGE_ALL : *n ? RANGE_SOME : RANGE_NONE;
}

bool range_content_parse(struct span value, struct range *out, uint64_t *size)
{
	static const size_t unit = sizeof("bytes ") - 1;
	struct span text;

	if (value.len < unit || strncasecmp(value.p, "bytes ", unit) != 0)
		return false;
	text = (struct span){value.p + unit, value.len - unit};
	return number(&text, &out->first) && sign(&text, '-') && number(&text, &out->last) &&
	       sign(&text, '/') && number(&text, size) && text.len == 0 &&
	       out->first <= out->last && out->last < *size;
}
