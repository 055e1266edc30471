// SPDX-License-Identifier: BSD-2-Clause
#include "l7/cache_key.h"

#include <assert.h>
#include <stdlib.h>

#include "base/writer.h"
#include "l7/cc.h"

#define ABSENT        "\x7f" /* no field value holds it */
#define ELEMENTS_MOST 32     /* of a list that is sorted; longer ones stay as they are */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static void put_lower(struct writer *o, struct span s)
{
	char *start = o->p;

	writer_put(o, s);
	for (; start < o->p; start++)
		*start = lower(*start);
}

static struct span text_span(const char *text)
{
	return (struct span){text, strlen(text)};
}

/* ---- field values --------------------------------------------------------------------- */

/* All elements of all fields of this name, without blanks around them. */
static void put_elements(struct writer *o, const struct http1_head *h, struct span name)
{
	bool first = true;

	for (unsigned i = 0; i < h->n_fields; i++) {
		struct span list = h->fields[i].value, e;

		if (!span_equal_nocase(h->fields[i].name, name))
			continue;
		while (cc_list_next(&list, &e)) {
			if (!first)
				writer_byte(o, ',');
			first = false;
			writer_put(o, e);
		}
	}
}

static int by_text(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	int d = memcmp(x->p, y->p, x->len < y->len ? x->len : y->len);

	return d ? d : (x->len > y->len) - (x->len < y->len);
}

/* Sorts "en,de" in place. */
static void sort_elements(char *text, size_t len)
{
	struct span all[ELEMENTS_MOST], list = {text, len}, e;
	char copy[CACHE_VARY_MOST];
	size_t n = 0, at = 0;

	if (len > sizeof(copy))
		return;
	while (cc_list_next(&list, &e)) {
		if (n == ELEMENTS_MOST)
			return;
		all[n++] = e;
	}
	qsort(all, n, sizeof(*all), by_text);
	for (size_t i = 0; i < n; i++) {
		if (i)
			copy[at++] = ',';
		memcpy(copy + at, all[i].p, all[i].len);
		at += all[i].len;
	}
	if (at == len)
		memcpy(text, copy, len);
}

/* Their order says nothing but in weights, and their case nothing at all. */
static bool is_set(struct span name)
{
	return span_equal_nocase(name, SPAN("accept-language")) ||
	       span_equal_nocase(name, SPAN("accept-encoding"));
}

static void put_value(struct writer *o, const struct http1_head *h, struct span name)
{
	char *start = o->p;
	bool there = false;

	for (unsigned i = 0; i < h->n_fields; i++)
		there |= span_equal_nocase(h->fields[i].name, name);
	if (!there) {
		writer_put(o, SPAN(ABSENT));
		return;
	}
	put_elements(o, h, name);
	if (o->full || !is_set(name))
		return;
	for (char *p = start; p < o->p; p++)
		*p = lower(*p);
	sort_elements(start, (size_t)(o->p - start));
}

/* The value of a cookie, or nothing. */
static struct span cookie_find(const struct http1_head *h, struct span name)
{
	for (unsigned i = 0; i < h->n_fields; i++) {
		struct span rest = h->fields[i].value;

		if (h->fields[i].id != HTTP1_F_COOKIE)
			continue;
		while (rest.len) {
			const char *end = memchr(rest.p, ';', rest.len);
			struct span pair = {rest.p, end ? (size_t)(end - rest.p) : rest.len};

			rest.p += pair.len + (end != NULL);
			rest.len -= pair.len + (end != NULL);
			while (pair.len && pair.p[0] == ' ')
				pair.p++, pair.len--;
			if (pair.len > name.len && pair.p[name.len] == '=' &&
			    memcmp(pair.p, name.p, name.len) == 0)
				return (struct span){pair.p + name.len + 1,
						     pair.len - name.len - 1};
		}
	}
	return SPAN(ABSENT);
}

bool cache_has_cookie(const struct http1_head *head, struct span name)
{
	return !span_equal(cookie_find(head, name), SPAN(ABSENT));
}

/* ---- the key -------------------------------------------------------------------------- */

/* The port that goes without saying is not said. */
static struct span host_plain(struct span a, struct span scheme)
{
	struct span port = span_equal(scheme, SPAN("https")) ? SPAN(":443") : SPAN(":80");

	if (a.len && a.p[a.len - 1] == ':')
		a.len--;
	if (a.len > port.len && memcmp(a.p + a.len - port.len, port.p, port.len) == 0)
		a.len -= port.len;
	return a;
}

size_t cache_key(char *out, size_t room, const struct http1_head *head, struct span scheme,
		 struct span authority, struct span path, const struct cache_key_parts *parts)
{
	struct writer o = {out, out + room, false};
	const char *query = parts->no_query ? memchr(path.p, '?', path.len) : NULL;

	writer_put(&o, scheme);
	writer_byte(&o, '\0');
	put_lower(&o, host_plain(authority, scheme));
	writer_byte(&o, '\0');
	if (path.len == 0 || path.p[0] == '?')
		writer_byte(&o, '/');
	writer_put(&o, query ? (struct span){path.p, (size_t)(query - path.p)} : path);
	for (unsigned i = 0; i < parts->n_headers; i++) {
		struct span name = text_span(parts->headers[i]);

		writer_byte(&o, '\0');
		writer_put(&o, name);
		writer_byte(&o, '\0');
		put_value(&o, head, name);
	}
	for (unsigned i = 0; i < parts->n_cookies; i++) {
		struct span name = text_span(parts->cookies[i]);

		writer_byte(&o, '\0');
		writer_put(&o, name);
		writer_byte(&o, '\0');
		writer_put(&o, cookie_find(head, name));
	}
	return o.full ? 0 : (size_t)(o.p - out);
}

/* Of a key: up to the second NUL. */
static size_t origin_len(struct span key)
{
	const char *scheme = memchr(key.p, '\0', key.len), *host;

	assert(scheme);
	host = memchr(scheme + 1, '\0', key.len - (size_t)(scheme + 1 - key.p));
	assert(host);
	return (size_t)(host + 1 - key.p);
}

struct span cache_key_path(struct span key)
{
	size_t at = origin_len(key);
	const char *end = memchr(key.p + at, '\0', key.len - at);

	return (struct span){key.p + at, end ? (size_t)(end - key.p) - at : key.len - at};
}

/* Of "http://host/path" the path, if scheme and host are those of the key. */
static bool same_origin(struct span key, struct span *url)
{
	const char *scheme_end = memchr(key.p, '\0', key.len);
	struct span scheme = {key.p, (size_t)(scheme_end - key.p)}, host, wanted, rest = *url;

	if (rest.len > scheme.len + 3 && strncasecmp(rest.p, scheme.p, scheme.len) == 0 &&
	    memcmp(rest.p + scheme.len, "://", 3) == 0) {
		rest.p += scheme.len + 3;
		rest.len -= scheme.len + 3;
	} else if (rest.len > 2 && memcmp(rest.p, "//", 2) == 0) {
		rest.p += 2;
		rest.len -= 2;
	} else {
		return false;
	}
	host = rest;
	for (size_t i = 0; i < rest.len; i++)
		if (strchr("/?#", rest.p[i])) {
			host.len = i;
			break;
		}
	wanted = (struct span){scheme_end + 1, origin_len(key) - scheme.len - 2};
	if (!span_equal_nocase(host_plain(host, scheme), wanted))
		return false;
	*url = (struct span){rest.p + host.len, rest.len - host.len};
	return true;
}

size_t cache_key_near(char *out, size_t room, struct span key, struct span url)
{
	struct writer o = {out, out + room, false};
	struct span path = cache_key_path(key);
	const char *fragment = memchr(url.p, '#', url.len);

	if (fragment)
		url.len = (size_t)(fragment - url.p);
	writer_put(&o, (struct span){key.p, origin_len(key)});
	if (same_origin(key, &url)) {
		if (url.len == 0 || url.p[0] == '?')
			writer_byte(&o, '/');
	} else if (url.len == 0) {
		writer_put(&o, path);
	} else if (url.p[0] != '/' || (url.len > 1 && url.p[1] == '/')) {
		const char *colon = memchr(url.p, ':', url.len),
			   *slash = memchr(url.p, '/', url.len);
		size_t dir = 0;

		/* Another scheme, or another host. */
		if (url.p[0] == '/' || (colon && (!slash || colon < slash)))
			return 0;
		for (size_t i = 0; i < path.len && path.p[i] != '?'; i++)
			if (path.p[i] == '/')
				dir = i + 1;
		writer_put(&o, (struct span){path.p, dir});
	}
	writer_put(&o, url);
	return o.full ? 0 : (size_t)(o.p - out);
}

/* ---- Vary ----------------------------------------------------------------------------- */

/* Fields in which the proxy itself tells who asks: no two requests are the same for them. */
static bool is_of_connection(struct span name)
{
	return span_equal_nocase(name, SPAN("x-forwarded-for")) ||
	       span_equal_nocase(name, SPAN("forwarded")) || span_equal_nocase(name, SPAN("via"));
}

/* The proxy writes them from what is in the key. */
static bool is_in_key(struct span name)
{
	return span_equal_nocase(name, SPAN("host")) ||
	       span_equal_nocase(name, SPAN("x-forwarded-host")) ||
	       span_equal_nocase(name, SPAN("x-forwarded-proto"));
}

int cache_vary(char *out, size_t room, const struct http1_head *response,
	       const struct http1_head *request)
{
	struct writer o = {out, out + room, false};

	for (unsigned i = 0; i < response->n_fields; i++) {
		struct span list = response->fields[i].value, name;

		if (response->fields[i].id != HTTP1_F_VARY)
			continue;
		while (cc_list_next(&list, &name)) {
			if (span_equal(name, SPAN("*")) || is_of_connection(name))
				return -1;
			if (is_in_key(name))
				continue;
			put_lower(&o, name);
			writer_byte(&o, '\0');
			put_value(&o, request, name);
			writer_byte(&o, '\0');
		}
	}
	return o.full ? -1 : (int)(o.p - out);
}

/* "en;q=0.5": thousandths. */
static unsigned weight_of(struct span e, struct span *name)
{
	const char *semicolon = memchr(e.p, ';', e.len), *p, *end = e.p + e.len;
	unsigned n = 0, scale = 1000;

	*name = (struct span){e.p, semicolon ? (size_t)(semicolon - e.p) : e.len};
	while (name->len && (name->p[name->len - 1] == ' ' || name->p[name->len - 1] == '\t'))
		name->len--;
	p = semicolon ? semicolon + 1 : end;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (end - p < 3 || (p[0] | 0x20) != 'q' || p[1] != '=')
		return 1000;
	for (p += 2; p < end && ((*p >= '0' && *p <= '9') || *p == '.'); p++) {
		if (*p == '.')
			continue;
		n += (unsigned)(*p - '0') * scale;
		scale /= 10;
	}
	return n > 1000 ? 1000 : n;
}

/* It is the one that the request likes best, and no other as well. */
static bool language_liked(const struct http1_head *request, struct span language)
{
	unsigned best = 0;
	bool liked = false;

	for (unsigned i = 0; i < request->n_fields; i++) {
		struct span list = request->fields[i].value, e, name;

		if (request->fields[i].id != HTTP1_F_ACCEPT_LANGUAGE)
			continue;
		while (cc_list_next(&list, &e)) {
			unsigned weight = weight_of(e, &name);

			if (weight > best) {
				best = weight;
				liked = span_equal_nocase(name, language);
			} else if (weight == best) {
				liked = false;
			}
		}
	}
	return liked;
}

bool cache_vary_match(struct span vary, const struct http1_head *request, struct span language)
{
	const char *p = vary.p, *end = vary.p + vary.len;
	char text[CACHE_VARY_MOST];

	while (p < end) {
		struct span name = text_span(p), value = text_span(p + name.len + 1);
		struct writer o = {text, text + sizeof(text), false};
		struct span got;

		p = value.p + value.len + 1;
		put_value(&o, request, name);
		got = (struct span){text, (size_t)(o.p - text)};
		if (!o.full && span_equal(got, value))
			continue;
		if (!span_equal(name, SPAN("accept-language")) || language.len == 0 ||
		    !language_liked(request, language))
			return false;
	}
	return true;
}

/* ---- hash ----------------------------------------------------------------------------- */

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t cache_hash(const void *bytes, size_t len, uint64_t seed)
{
	const char *p = bytes;
	uint64_t h = seed ^ mix(len ^ 0x9e3779b97f4a7c15ULL, seed | 1), word;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		h = mix(h ^ word, 0xa0761d6478bd642fULL ^ seed);
	}
	word = 0;
	memcpy(&word, p, len);
	return mix(h ^ word, 0xe7037ed1a0b428dbULL ^ (seed << 1));
}
