// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: what both kinds of heads share: lines, fields, framing fields, Connection.
 * Cost: each byte is looked at twice, once for line ends and once for its meaning, both 16
 * or more at a time.
 */
#include "l7/http1.h"

#include "base/scan.h"
#include "l7/http1_internal.h"

static _Thread_local const char *refusal = "";

int http1_refuse(int status, const char *why)
{
	refusal = why;
	return -status;
}

const char *http1_refusal(void)
{
	return refusal;
}

int http1_head_end(const char *buf, size_t len, size_t *scanned, size_t max_line,
		   const struct http1_limits *limits)
{
	size_t most = len < limits->max_head ? len : limits->max_head;
	size_t at = *scanned;

	if (max_line > limits->max_head)
		max_line = limits->max_head;
	/* Before what is behind it, as if the bytes came one by one. */
	if (most >= max_line && !memchr(buf, '\n', max_line))
		return -2;
	for (;;) {
		const char *lf = at < most ? memchr(buf + at, '\n', most - at) : NULL;
		size_t i;

		if (!lf)
			break;
		i = (size_t)(lf - buf);
		if (i == 0 || buf[i - 1] != '\r')
			return -1;
		if (i >= 3 && buf[i - 2] == '\n')
			return (int)i + 1;
		at = i + 1;
	}
	*scanned = at > most ? at : most;
	return len >= limits->max_head ? -3 : 0;
}

int http1_version(const char *p, size_t len)
{
	if (len != 8 || memcmp(p, "HTTP/", 5) != 0 || p[5] < '0' || p[5] > '9' || p[6] != '.' ||
	    p[7] < '0' || p[7] > '9')
		return -1;
	if (p[5] != '1')
		return -2;
	/* A higher minor version speaks our language (RFC 9110 section 2.5). */
	return p[7] == '0' ? 0 : 1;
}

/* ---- fields --------------------------------------------------------------------------- */

enum http1_field_id http1_field_id(struct span name)
{
#define FIELD(id, text)                                                                            \
	if (name.len == sizeof(text) - 1 && (name.p[0] | 0x20) == (text)[0] &&                     \
	    strncasecmp(name.p, text, sizeof(text) - 1) == 0)                                      \
		return HTTP1_F_##id;
	HTTP1_FIELDS(FIELD)
#undef FIELD
	return HTTP1_F_OTHER;
}

/* Content-Length (RFC 9112 section 6.2): digits, nothing else, that fit 63 bits. */
static bool length_parse(uint64_t *out, struct span v)
{
	uint64_t n = 0;

	if (v.len == 0)
		return false;
	for (size_t i = 0; i < v.len; i++) {
		if (v.p[i] < '0' || v.p[i] > '9' || n > INT64_MAX / 10)
			return false;
		n = n * 10 + (uint64_t)(v.p[i] - '0');
	}
	if (n > INT64_MAX)
		return false;
	*out = n;
	return true;
}

/* Next element of a comma-separated list, trimmed; empty ones are skipped. */
static bool list_next(struct span *list, struct span *element)
{
	while (list->len) {
		const char *comma = memchr(list->p, ',', list->len);
		size_t len = comma ? (size_t)(comma - list->p) : list->len;
		struct span e = {list->p, len};

		list->p += comma ? len + 1 : len;
		list->len -= comma ? len + 1 : len;
		while (e.len && (e.p[0] == ' ' || e.p[0] == '\t'))
			e.p++, e.len--;
		while (e.len && (e.p[e.len - 1] == ' ' || e.p[e.len - 1] == '\t'))
			e.len--;
		if (e.len) {
			*element = e;
			return true;
		}
	}
	return false;
}

/* Codings in order; a second Transfer-Encoding field goes on where the first ended. Empty
 * elements, fine in other lists, are how this one is hidden from somebody. */
static void coding_parse(struct http1_parse *parse, struct span v)
{
	struct span coding;
	size_t wanted = 1;

	for (size_t i = 0; i < v.len; i++)
		wanted += v.p[i] == ',';
	while (list_next(&v, &coding)) {
		wanted--;
		if (parse->chunked_last)
			parse->chunked_early = true;
		parse->chunked_last = span_equal_nocase(coding, SPAN("chunked"));
		if (parse->chunked_last)
			continue;
		if (span_equal_nocase(coding, SPAN("gzip")) ||
		    span_equal_nocase(coding, SPAN("x-gzip")) ||
		    span_equal_nocase(coding, SPAN("compress")) ||
		    span_equal_nocase(coding, SPAN("x-compress")) ||
		    span_equal_nocase(coding, SPAN("deflate")))
			parse->other_coding = true;
		else
			parse->bad_coding = true;
	}
	if (wanted)
		parse->bad_coding = true;
}

static void field_note(struct http1_parse *parse, const struct http1_field *f)
{
	switch (f->id) {
	case HTTP1_F_HOST:
		parse->n_host++;
		break;
	case HTTP1_F_CONTENT_LENGTH:
		parse->n_length++;
		if (!length_parse(&parse->head->content_length, f->value))
			parse->bad_length = true;
		break;
	case HTTP1_F_TRANSFER_ENCODING:
		parse->n_coding++;
		coding_parse(parse, f->value);
		break;
	default:
		break;
	}
}

int http1_field_line(struct http1_parse *parse, struct http1_field *f)
{
	const char *name = parse->p, *colon = scan_while(name, parse->end, SCAN_TOKEN);
	const char *value, *stop, *last;

	if (colon == name || *colon != ':')
		return http1_refuse(400, "field name");
	/* The head ends in CRLF, so neither loop runs beyond it. */
	for (value = colon + 1; *value == ' ' || *value == '\t';)
		value++;
	stop = scan_value(value, parse->end);
	if (parse->end - stop < 2 || stop[0] != '\r' || stop[1] != '\n')
		return http1_refuse(400, "control byte in a field");
	for (last = stop; last > value && (last[-1] == ' ' || last[-1] == '\t');)
		last--;
	f->name = (struct span){name, (size_t)(colon - name)};
	f->value = (struct span){value, (size_t)(last - value)};
	f->id = (uint8_t)http1_field_id(f->name);
	f->hop = false;
	parse->p = stop + 2;
	return 0;
}

int http1_fields(struct http1_parse *parse)
{
	struct http1_head *h = parse->head;

	h->n_fields = 0;
	while (parse->end - parse->p > 2) {
		int rc;

		if (h->n_fields == parse->limits->max_fields || h->n_fields == HTTP1_MAX_FIELDS)
			return http1_refuse(431, "too many fields");
		rc = http1_field_line(parse, &h->fields[h->n_fields]);
		if (rc)
			return rc;
		field_note(parse, &h->fields[h->n_fields++]);
	}
	return 0;
}

/* ---- Connection ----------------------------------------------------------------------- */

/* Fields that concern one connection (RFC 9110 section 7.6.1). Proxy credentials are meant
 * for this hop as well, and go no further. */
static bool hop_by_nature(enum http1_field_id id)
{
	switch (id) {
	case HTTP1_F_CONNECTION:
	case HTTP1_F_KEEP_ALIVE:
	case HTTP1_F_PROXY_AUTHENTICATE:
	case HTTP1_F_PROXY_AUTHORIZATION:
	case HTTP1_F_PROXY_CONNECTION:
	case HTTP1_F_TE:
	case HTTP1_F_TRAILER:
	case HTTP1_F_TRANSFER_ENCODING:
	case HTTP1_F_UPGRADE:
		return true;
	default:
		return false;
	}
}

/* Naming these in Connection would let a client delete what the origin relies on; the known
 * ones are all of that kind. */
static bool undeletable(const struct http1_field *f)
{
	return f->id != HTTP1_F_OTHER || span_equal_nocase(f->name, SPAN("authorization")) ||
	       span_equal_nocase(f->name, SPAN("cookie")) ||
	       span_equal_nocase(f->name, SPAN("set-cookie")) ||
	       span_equal_nocase(f->name, SPAN("cache-control")) ||
	       span_equal_nocase(f->name, SPAN("content-type")) ||
	       span_equal_nocase(f->name, SPAN("content-encoding"));
}

static void option_apply(struct http1_head *h, struct span option)
{
	for (unsigned i = 0; i < h->n_fields; i++) {
		struct http1_field *f = &h->fields[i];

		if (span_equal_nocase(f->name, option) && !undeletable(f))
			f->hop = true;
	}
}

void http1_connection(struct http1_parse *parse)
{
	struct http1_head *h = parse->head;
	bool close = false, keep = false, upgrade = false, has_upgrade = false;

	h->te_trailers = false;
	for (unsigned i = 0; i < h->n_fields; i++) {
		struct http1_field *f = &h->fields[i];
		struct span list = f->value, option;

		if (hop_by_nature(f->id))
			f->hop = true;
		if (f->id == HTTP1_F_UPGRADE)
			has_upgrade = true;
		while (f->id == HTTP1_F_TE && list_next(&list, &option))
			h->te_trailers |= span_equal_nocase(option, SPAN("trailers"));
		if (f->id != HTTP1_F_CONNECTION)
			continue;
		while (list_next(&list, &option)) {
			if (span_equal_nocase(option, SPAN("close")))
				close = true;
			else if (span_equal_nocase(option, SPAN("keep-alive")))
				keep = true;
			else if (span_equal_nocase(option, SPAN("upgrade")))
				upgrade = true;
			else if (parse->options++ < HTTP1_MAX_OPTIONS)
				option_apply(h, option);
		}
	}
	h->keep_alive = !close && (h->minor == 1 || keep);
	h->upgrade = upgrade && has_upgrade && h->minor == 1;
}

const struct http1_field *http1_find(const struct http1_head *head, enum http1_field_id id)
{
	for (unsigned i = 0; i < head->n_fields; i++) {
		if (head->fields[i].id == id)
			return &head->fields[i];
	}
	return NULL;
}

bool http1_upgrades_to(const struct http1_head *head, struct span protocol)
{
	unsigned n = 0;
	bool is = false;

	for (unsigned i = 0; i < head->n_fields; i++) {
		if (head->fields[i].id != HTTP1_F_UPGRADE)
			continue;
		n++;
		is = span_equal_nocase(head->fields[i].value, protocol);
	}
	return head->upgrade && n == 1 && is;
}

int http1_max_forwards(const struct http1_head *head)
{
	const struct http1_field *f = NULL;
	int n = 0;

	if (head->method == HTTP1_M_OPTIONS || head->method == HTTP1_M_TRACE)
		f = http1_find(head, HTTP1_F_MAX_FORWARDS);
	if (!f || f->value.len == 0 || f->value.len > 9)
		return -1;
	for (size_t i = 0; i < f->value.len; i++) {
		if (f->value.p[i] < '0' || f->value.p[i] > '9')
			return -1;
		n = n * 10 + (f->value.p[i] - '0');
	}
	return n;
}

bool http1_idempotent(enum http1_method method)
{
	switch (method) {
	case HTTP1_M_GET:
	case HTTP1_M_HEAD:
	case HTTP1_M_PUT:
	case HTTP1_M_DELETE:
	case HTTP1_M_OPTIONS:
	case HTTP1_M_TRACE:
		return true;
	default:
		return false;
	}
}

const char *http1_phrase(unsigned status)
{
	switch (status) {
#define PHRASE(code, text)                                                                         \
	case code:                                                                                 \
		return text;
		HTTP1_PHRASES(PHRASE)
#undef PHRASE
	default:
		return "";
	}
}
