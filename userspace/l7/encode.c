// SPDX-License-Identifier: BSD-2-Clause
#include "l7/encode.h"

#define NOT_NAMED (-1)

/* ---- Accept-Encoding ------------------------------------------------------------------ */

/* Each encoding's quality in thousandths; NOT_NAMED. */
struct wishes {
	int quality[CONF_ENCODING_COUNT];
	int others; /* "*" */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
	while (s.len && is_blank(s.p[0])) {
		s.p++;
		s.len--;
	}
	while (s.len && is_blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

/* What stands in front of the separator; *rest is what stands behind it. */
static struct span cut(struct span *rest, char separator)
{
	const char *at = rest->len ? memchr(rest->p, separator, rest->len) : NULL;
	struct span first = *rest;

	if (at) {
		first.len = (size_t)(at - rest->p);
		*rest = (struct span){at + 1, rest->len - first.len - 1};
	} else {
		*rest = SPAN("");
	}
	return trim(first);
}

/* qvalue: "0" or "1", and up to three decimals. What is none is taken for 0: not wanted. */
static int qvalue(struct span s)
{
	static const int places[] = {100, 10, 1};
	int q;

	if (s.len == 0 || s.len > 5 || (s.p[0] != '0' && s.p[0] != '1') ||
	    (s.len > 1 && s.p[1] != '.'))
		return 0;
	q = (s.p[0] - '0') * 1000;
	for (size_t i = 2; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
		q += (s.p[i] - '0') * places[i - 2];
	}
	return q > 1000 ? 0 : q;
}

static int weight(struct span parameters)
{
	while (parameters.len) {
		struct span value = cut(&parameters, ';');
		struct span name = cut(&value, '=');

		if (span_equal_nocase(name, SPAN("q")))
			return qvalue(trim(value));
	}
	return 1000;
}

static void wish_add(struct wishes *w, struct span element)
{
	struct span coding = cut(&element, ';');
	int q = weight(element);

	if (span_equal(coding, SPAN("*")))
		w->others = q;
	else if (span_equal_nocase(coding, SPAN("identity")))
		w->quality[CONF_ENCODING_identity] = q;
	else if (span_equal_nocase(coding, SPAN("x-gzip")))
		w->quality[CONF_ENCODING_gzip] = q;
	for (unsigned e = CONF_ENCODING_identity + 1; e < CONF_ENCODING_COUNT; e++)
		if (span_equal_nocase(coding, conf_encoding_name(e)))
			w->quality[e] = q;
}

enum conf_encoding encode_wanted(const struct http1_head *request, const struct conf_compress *c)
{
	enum conf_encoding best = CONF_ENCODING_identity;
	struct wishes w = {.others = NOT_NAMED};
	int best_q = 0;

	for (unsigned e = 0; e < CONF_ENCODING_COUNT; e++)
		w.quality[e] = NOT_NAMED;
	for (unsigned i = 0; i < request->n_fields; i++) {
		struct span list = request->fields[i].value;

		if (request->fields[i].id != HTTP1_F_ACCEPT_ENCODING)
			continue;
		while (list.len)
			wish_add(&w, cut(&list, ','));
	}
	for (unsigned i = 0; i < c->n_order; i++) {
		int q = w.quality[c->order[i]];

		q = q == NOT_NAMED ? w.others : q;
		if (q > best_q) {
			best_q = q;
			best = c->order[i];
		}
	}
	return w.quality[CONF_ENCODING_identity] > best_q ? CONF_ENCODING_identity : best;
}

/* ---- which answers -------------------------------------------------------------------- */

static bool type_listed(const struct conf_compress *c, struct span value)
{
	struct span type = cut(&value, ';');

	for (unsigned i = 0; i < c->n_types; i++) {
		struct span t = c->types[i];
		bool all = t.p[t.len - 1] == '/';

		if ((all ? type.len > t.len : type.len == t.len) &&
		    strncasecmp(type.p, t.p, t.len) == 0)
			return true;
	}
	return false;
}

static bool has_element(struct span list, struct span wanted)
{
	while (list.len)
		if (span_equal_nocase(cut(&list, ','), wanted))
			return true;
	return false;
}

bool encode_eligible(const struct http1_head *h, const struct conf_compress *c)
{
	bool listed = false;

	if (h->status < 200 || h->status == 204 || h->status == 205 || h->status == 206 ||
	    h->status == 304 || (h->has_length && h->content_length < c->min_length))
		return false;
	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http1_field *f = &h->fields[i];

		switch (f->id) {
		case HTTP1_F_CONTENT_TYPE:
			listed = type_listed(c, f->value);
			break;
		case HTTP1_F_CONTENT_ENCODING:
		case HTTP1_F_CONTENT_RANGE:
			return false;
		case HTTP1_F_CACHE_CONTROL:
			if (has_element(f->value, SPAN("no-transform")))
				return false;
			break;
		default:
			break;
		}
	}
	return listed;
}
