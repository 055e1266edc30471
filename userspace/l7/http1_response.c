// SPDX-License-Identifier: BSD-2-Clause
/*
 * Response heads, as strict as requests: an origin can be wrong or hostile too. The one
 * leniency is a status line without the space before an empty reason, which many servers
 * send and which cannot be misread.
 */
#include "base/scan.h"
#include "l7/http1.h"
#include "l7/http1_internal.h"

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static int status_line(struct http1_parse *parse)
{
	struct http1_head *h = parse->head;
	const char *p = parse->p, *eol = memchr(p, '\r', (size_t)(parse->end - p)), *reason;
	int minor;

	if (!eol || eol[1] != '\n' || eol - p < 12)
		return http1_refuse(502, "status line");
	minor = http1_version(p, 8);
	if (minor < 0)
		return http1_refuse(502, "version");
	if (p[8] != ' ' || !digit(p[9]) || !digit(p[10]) || !digit(p[11]))
		return http1_refuse(502, "status");
	h->minor = (uint8_t)minor;
	h->status = (unsigned)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'));
	if (h->status < 100 || h->status > 599)
		return http1_refuse(502, "status");
	if (eol - p > 12 && p[12] != ' ')
		return http1_refuse(502, "status");
	reason = eol - p > 12 ? p + 13 : eol;
	if (scan_value(reason, eol) != eol)
		return http1_refuse(502, "control byte in the reason");
	h->reason = (struct span){reason, (size_t)(eol - reason)};
	parse->p = eol + 2;
	return 0;
}

/* RFC 9112 section 6.3. Framing fields that contradict are refused even where no body can
 * follow: the origin does not know what it says. */
static int response_framing(struct http1_parse *parse, enum http1_method method)
{
	struct http1_head *h = parse->head;
	bool no_body = method == HTTP1_M_HEAD || h->status < 200 || h->status == 204 ||
		       h->status == 304 || (method == HTTP1_M_CONNECT && h->status < 300);

	h->has_length = parse->n_length > 0;
	if (parse->n_length > 1 || parse->bad_length)
		return http1_refuse(502, "Content-Length");
	if (parse->n_coding) {
		if (parse->n_length)
			return http1_refuse(502, "Content-Length and Transfer-Encoding");
		if (h->minor == 0)
			return http1_refuse(502, "Transfer-Encoding in HTTP/1.0");
		if (parse->bad_coding || parse->other_coding || parse->chunked_early ||
		    !parse->chunked_last)
			return http1_refuse(502, "Transfer-Encoding");
	}
	if (no_body)
		h->body = HTTP1_BODY_NONE;
	else if (parse->n_coding)
		h->body = HTTP1_BODY_CHUNKED;
	else
		h->body = parse->n_length ? HTTP1_BODY_LENGTH : HTTP1_BODY_CLOSE;
	return 0;
}

int http1_parse_response(struct http1_head *head, const char *buf, size_t len, size_t *scanned,
			 enum http1_method request_method, const struct http1_limits *limits)
{
	static const char protocol[] = "HTTP/";
	struct http1_parse parse = {.head = head, .p = buf, .limits = limits};
	int end;

	/* Something that is no HTTP need not be waited for. */
	if (len && memcmp(buf, protocol, len < 5 ? len : 5) != 0)
		return http1_refuse(502, "status line");
	end = http1_head_end(buf, len, scanned, limits->max_head, limits);
	if (end == 0)
		return 0;
	if (end < 0)
		return http1_refuse(502, end == -1 ? "line without CRLF" : "head too large");
	parse.end = buf + end;
	head->content_length = 0;
	head->expect_continue = false;
	if (status_line(&parse) != 0)
		return -502;
	if (http1_fields(&parse) != 0)
		return -502;
	if (response_framing(&parse, request_method) != 0)
		return -502;
	http1_connection(&parse);
	/* Without an end of its own, the body ends with the connection. */
	if (head->body == HTTP1_BODY_CLOSE)
		head->keep_alive = false;
	return end;
}
