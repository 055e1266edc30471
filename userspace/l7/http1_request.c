// SPDX-License-Identifier: BSD-2-Clause
/*
 * Request heads: request line, target forms, Host, framing (RFC 9112 sections 3 and 6).
 */
#include "base/scan.h"
#include "l7/http1.h"
#include "l7/http1_internal.h"

/* What a request line holds beside its target: method, version, spaces and CRLF. */
#define LINE_EXTRA (HTTP1_MAX_METHOD + 12)

static enum http1_method method_id(struct span m)
{
	static const struct {
		struct span name;
		enum http1_method id;
	} known[] = {
		{SPAN("GET"), HTTP1_M_GET},       {SPAN("POST"), HTTP1_M_POST},
		{SPAN("HEAD"), HTTP1_M_HEAD},     {SPAN("PUT"), HTTP1_M_PUT},
		{SPAN("DELETE"), HTTP1_M_DELETE}, {SPAN("OPTIONS"), HTTP1_M_OPTIONS},
		{SPAN("PATCH"), HTTP1_M_PATCH},   {SPAN("CONNECT"), HTTP1_M_CONNECT},
		{SPAN("TRACE"), HTTP1_M_TRACE},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (span_equal(known[i].name, m))
			return known[i].id;
	}
	return HTTP1_M_OTHER;
}

static bool port_ok(const char *p, const char *end)
{
	unsigned n = 0;

	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		n = n * 10 + (unsigned)(*p - '0');
		if (n > 65535)
			return false;
	}
	return true;
}

static bool ip_literal_ok(const char *p, const char *end)
{
	if (p == end)
		return false;
	for (; p < end; p++) {
		if (!scan_is((unsigned char)*p, SCAN_HEX) && *p != ':' && *p != '.')
			return false;
	}
	return true;
}

/*
 * uri-host [":" port] of RFC 3986 section 3.2, without userinfo and without an empty host.
 * An empty port is allowed by the grammar, and harmless; need_port asks for a real one.
 */
static bool authority_ok(struct span a, bool need_port)
{
	const char *p = a.p, *end = a.p + a.len, *host_end;

	if (a.len == 0)
		return false;
	if (*p == '[') {
		host_end = memchr(p, ']', a.len);
		if (!host_end || !ip_literal_ok(p + 1, host_end))
			return false;
		host_end++;
	} else {
		host_end = scan_while(p, end, SCAN_HOST);
		if (host_end == p)
			return false;
		/* '%' stands for a byte, or for an attack. */
		for (; p < host_end; p++) {
			if (*p == '%' &&
			    (host_end - p < 3 || !scan_is((unsigned char)p[1], SCAN_HEX) ||
			     !scan_is((unsigned char)p[2], SCAN_HEX)))
				return false;
		}
	}
	if (host_end == end)
		return !need_port;
	return *host_end == ':' && port_ok(host_end + 1, end) &&
	       !(need_port && host_end + 1 == end);
}

bool http1_authority_ok(struct span authority)
{
	return authority_ok(authority, false);
}

/* absolute-form: http(s)://authority[path][?query]. */
static bool target_absolute(struct http1_head *h)
{
	struct span t = h->target;
	size_t scheme = t.len >= 7 && strncasecmp(t.p, "http://", 7) == 0    ? 7
			: t.len >= 8 && strncasecmp(t.p, "https://", 8) == 0 ? 8
									     : 0;
	const char *p, *end = t.p + t.len;

	if (!scheme)
		return false;
	for (p = t.p + scheme; p < end && *p != '/' && *p != '?';)
		p++;
	h->authority = (struct span){t.p + scheme, (size_t)(p - t.p) - scheme};
	h->path = (struct span){p, (size_t)(end - p)};
	if (h->path.len == 0 && h->method == HTTP1_M_OPTIONS)
		h->path = SPAN("*"); /* RFC 9112 section 3.2.4 */
	return authority_ok(h->authority, false);
}

/* Sets path, and authority where the target has one. */
static int target_parse(struct http1_head *h)
{
	const char *p = h->target.p;

	h->path = (struct span){p, 0};
	h->authority = (struct span){p, 0};
	if (h->method == HTTP1_M_CONNECT) {
		h->authority = h->target;
		return authority_ok(h->target, true) ? 0 : http1_refuse(400, "authority-form");
	}
	if (*p == '/') {
		h->path = h->target;
		return 0;
	}
	if (h->target.len == 1 && *p == '*' && h->method == HTTP1_M_OPTIONS) {
		h->path = h->target;
		return 0;
	}
	return target_absolute(h) ? 0 : http1_refuse(400, "request-target");
}

static int request_line(struct http1_parse *parse)
{
	struct http1_head *h = parse->head;
	const char *start = parse->p, *p = scan_while(start, parse->end, SCAN_TOKEN);
	const char *eol = memchr(p, '\r', (size_t)(parse->end - p));
	int minor;

	if (p == start || *p != ' ')
		return http1_refuse(400, "method");
	h->method_text = (struct span){start, (size_t)(p - start)};
	h->method = method_id(h->method_text);
	h->target.p = ++p;
	p = scan_while(p, parse->end, SCAN_TARGET);
	h->target.len = (size_t)(p - h->target.p);
	if (h->target.len == 0 || *p != ' ')
		return http1_refuse(400, "request-target");
	if (h->target.len > parse->limits->max_target)
		return http1_refuse(414, "request-target too long");
	p++;
	if (!eol || eol < p || eol[1] != '\n')
		return http1_refuse(400, "request line");
	minor = http1_version(p, (size_t)(eol - p));
	if (minor < 0)
		return minor == -2 ? http1_refuse(505, "version") : http1_refuse(400, "version");
	h->minor = (uint8_t)minor;
	parse->p = eol + 2;
	if (h->method_text.len > HTTP1_MAX_METHOD)
		return http1_refuse(501, "method too long");
	return target_parse(h);
}

/* RFC 9112 section 3.2: exactly one Host in HTTP/1.1, whatever the target's form. */
static int host_check(struct http1_parse *parse)
{
	struct http1_head *h = parse->head;
	const struct http1_field *host = http1_find(h, HTTP1_F_HOST);

	if (parse->n_host > 1 || (parse->n_host == 0 && h->minor == 1))
		return http1_refuse(400, parse->n_host ? "second Host" : "no Host");
	if (host && !authority_ok(host->value, false))
		return http1_refuse(400, "Host");
	if (host && h->authority.len == 0)
		h->authority = host->value;
	return 0;
}

/* RFC 9112 section 6.3, without its leniencies. */
static int request_framing(struct http1_parse *parse)
{
	struct http1_head *h = parse->head;

	h->has_length = parse->n_length > 0;
	if (parse->n_coding) {
		if (parse->n_length)
			return http1_refuse(400, "Content-Length and Transfer-Encoding");
		if (h->minor == 0)
			return http1_refuse(400, "Transfer-Encoding in HTTP/1.0");
		if (parse->bad_coding || parse->chunked_early || !parse->chunked_last)
			return http1_refuse(400, "Transfer-Encoding");
		if (parse->other_coding)
			return http1_refuse(501, "Transfer-Encoding");
		h->body = HTTP1_BODY_CHUNKED;
		return 0;
	}
	if (parse->n_length > 1 || parse->bad_length)
		return http1_refuse(400, "Content-Length");
	h->body = parse->n_length ? HTTP1_BODY_LENGTH : HTTP1_BODY_NONE;
	return 0;
}

static int expect_check(struct http1_head *h)
{
	h->expect_continue = false;
	/* HTTP/1.0 has no expectations (RFC 9110 section 10.1.1). */
	for (unsigned i = 0; h->minor == 1 && i < h->n_fields; i++) {
		if (h->fields[i].id != HTTP1_F_EXPECT)
			continue;
		if (!span_equal_nocase(h->fields[i].value, SPAN("100-continue")))
			return http1_refuse(417, "Expect");
		h->expect_continue = true;
	}
	return 0;
}

static int request_parse(struct http1_parse *parse)
{
	int rc = request_line(parse);

	if (rc == 0)
		rc = http1_fields(parse);
	if (rc == 0)
		rc = host_check(parse);
	if (rc == 0)
		rc = request_framing(parse);
	if (rc == 0)
		rc = expect_check(parse->head);
	if (rc == 0)
		http1_connection(parse);
	return rc;
}

int http1_parse_request(struct http1_head *head, const char *buf, size_t len, size_t *scanned,
			const struct http1_limits *limits)
{
	size_t skip = 0;
	int end, rc;

	/* One empty line, left behind by an old client's body (RFC 9112 section 2.2). */
	if (len >= 1 && buf[0] == '\r') {
		if (len == 1)
			return 0;
		if (buf[1] != '\n')
			return http1_refuse(400, "bare CR");
		skip = 2;
	}
	if (len == skip)
		return 0;
	if (!scan_is((unsigned char)buf[skip], SCAN_TOKEN))
		return http1_refuse(400, "method");
	if (*scanned < skip)
		*scanned = 0;
	else
		*scanned -= skip;
	end = http1_head_end(buf + skip, len - skip, scanned, limits->max_target + LINE_EXTRA,
			     limits);
	*scanned += skip;
	if (end == 0)
		return 0;
	if (end == -1)
		return http1_refuse(400, "line without CRLF");
	if (end == -2)
		return http1_refuse(414, "request-target too long");
	if (end == -3)
		return http1_refuse(431, "head too large");

	struct http1_parse parse = {
		.head = head,
		.p = buf + skip,
		.end = buf + skip + end,
		.limits = limits,
	};

	head->content_length = 0;
	rc = request_parse(&parse);
	return rc ? rc : end + (int)skip;
}
