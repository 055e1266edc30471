// SPDX-License-Identifier: BSD-2-Clause
// Messages against llhttp, the parser of many origins, in its strict build: what is accepted
// here it accepts as well, and sees the same in it: where the head ends, what it says, which
// bytes are the body and where that ends. Input that begins with HTTP/ is a response to GET.
//
// Where the two differ by intention, llhttp gets what it would take for the same:
//   method   llhttp knows a list of them; here each token is one
//   version  llhttp knows 1.0 and 1.1; a higher minor version is 1.1 here (RFC 9110 section 2.5)
//   tabs     llhttp takes none behind the digits of a Content-Length
//   status   a reason may be missing together with the space before it
// and it is not asked about:
//   bodies behind CONNECT and Upgrade, where its caller has to decide
//   bodies without a length behind a response, which end with the connection
//   chunk extensions, of which it takes tokens alone, and here all but control bytes is read over
//   trailers, among which it goes by framing fields, and here none counts
//   keeping alive where Proxy-Connection says something, to which it listens; and what keeps a
//   connection there may end it here, such as both words in HTTP/1.0
//   keeping alive after 1xx, 204 and 304 without a length, and after 101
// needs: userspace/l7/http1.c userspace/l7/http1_request.c userspace/l7/http1_response.c
// needs: userspace/l7/body.c userspace/base/scan.c
// links: -w -DLLHTTP_STRICT_MODE=1 -I/usr/share/include/llhttp
// links: /usr/share/llhttp/llhttp.c /usr/share/llhttp/api.c /usr/share/llhttp/http.c
#include <assert.h>
#include <llhttp.h>
#include <stdlib.h>
#include <string.h>

#include "l7/body.h"
#include "l7/http1.h"

#define MOST 8192 /* bytes of an input that are looked at */

/* What a parser saw. Fields are "name:value\n", one behind the other. */
struct seen {
	size_t head_end, end; /* end: of the body; 0 = it goes on */
	char *target, *fields, *body;
	size_t target_len, fields_len, body_len;
	unsigned method, status, minor;
	bool chunked, keep_alive, has_length, bad_body;
	bool aside; /* chunk extensions or trailers */
	uint64_t content_length;
};

static void seen_init(struct seen *s)
{
	*s = (struct seen){
		.target = malloc(MOST), .fields = malloc(3 * MOST), .body = malloc(MOST)};
	assert(s->target && s->fields && s->body);
}

static void seen_fini(struct seen *s)
{
	free(s->target);
	free(s->fields);
	free(s->body);
}

static void add(char *to, size_t *len, const char *p, size_t n)
{
	if (n)
		memcpy(to + *len, p, n);
	*len += n;
}

/* ---- llhttp --------------------------------------------------------------------------- */

static int on_url(llhttp_t *parser, const char *p, size_t n)
{
	struct seen *s = parser->data;

	add(s->target, &s->target_len, p, n);
	return 0;
}

static int on_text(llhttp_t *parser, const char *p, size_t n)
{
	struct seen *s = parser->data;

	/* Trailers come by the same way. */
	if (!s->head_end)
		add(s->fields, &s->fields_len, p, n);
	return 0;
}

static int on_name_end(llhttp_t *parser)
{
	return on_text(parser, ":", 1);
}

static int on_value_end(llhttp_t *parser)
{
	struct seen *s = parser->data;

	/* It leaves the space behind a value in place. */
	while (!s->head_end && strchr(" \t", s->fields[s->fields_len - 1]))
		s->fields_len--;
	return on_text(parser, "\n", 1);
}

static int on_head(llhttp_t *parser)
{
	struct seen *s = parser->data;

	s->head_end = 1; /* fields after this are trailers */
	s->method = parser->method;
	s->status = parser->status_code;
	s->minor = parser->http_minor;
	s->chunked = parser->flags & F_CHUNKED;
	s->has_length = parser->flags & F_CONTENT_LENGTH;
	s->content_length = s->has_length ? parser->content_length : 0;
	s->keep_alive = llhttp_should_keep_alive(parser);
	return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *p, size_t n)
{
	struct seen *s = parser->data;

	add(s->body, &s->body_len, p, n);
	return 0;
}

static int on_end(llhttp_t *parser)
{
	struct seen *s = parser->data;

	s->end = 1;
	return HPE_PAUSED;
}

/* The head, and if with_body what is behind it. */
static void theirs(struct seen *s, const char *in, size_t len, llhttp_type_t type, bool with_body)
{
	llhttp_settings_t settings;
	llhttp_t parser;
	llhttp_errno_t e;

	llhttp_settings_init(&settings);
	settings.on_url = on_url;
	settings.on_header_field = settings.on_header_value = on_text;
	settings.on_header_field_complete = on_name_end;
	settings.on_header_value_complete = on_value_end;
	settings.on_headers_complete = on_head;
	settings.on_body = on_body;
	settings.on_message_complete = on_end;
	llhttp_init(&parser, type, &settings);
	parser.data = s;
	e = llhttp_execute(&parser, in, len);
	assert(e == HPE_PAUSED && s->head_end);
	s->head_end = (size_t)(llhttp_get_error_pos(&parser) - in);
	if (!with_body)
		return;
	llhttp_resume(&parser);
	e = llhttp_execute(&parser, in + s->head_end, len - s->head_end);
	if (s->end)
		s->end = (size_t)(llhttp_get_error_pos(&parser) - in);
	s->bad_body = e != HPE_OK && e != HPE_PAUSED && e != HPE_PAUSED_UPGRADE;
}

/* ---- ours ----------------------------------------------------------------------------- */

static void body_see(struct seen *s, const struct http1_head *h, const char *in, size_t len)
{
	enum body_result result = BODY_MORE;
	size_t at = s->head_end;
	struct body body;

	body_init(&body, h->body, h->content_length);
	if (body_done(&body))
		result = BODY_DONE;
	while (result == BODY_MORE && at < len) {
		struct span content;
		size_t used;

		result = body_feed(&body, in + at, len - at, &used, &content);
		add(s->body, &s->body_len, content.p, content.len);
		at += used;
		s->aside |= body.trailer.len > 2;
	}
	s->aside |=
		h->body == HTTP1_BODY_CHUNKED && memchr(in + s->head_end, ';', at - s->head_end);
	s->bad_body = result == BODY_BAD;
	s->end = result == BODY_DONE ? at : 0;
}

static void ours(struct seen *s, const struct http1_head *h, const char *in, size_t len, int n)
{
	s->head_end = (size_t)n;
	add(s->target, &s->target_len, h->target.p, h->target.len);
	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http1_field *f = &h->fields[i];

		add(s->fields, &s->fields_len, f->name.p, f->name.len);
		add(s->fields, &s->fields_len, ":", 1);
		add(s->fields, &s->fields_len, f->value.p, f->value.len);
		add(s->fields, &s->fields_len, "\n", 1);
	}
	s->has_length = h->has_length;
	s->content_length = h->has_length ? h->content_length : 0;
	s->keep_alive = h->keep_alive;
	s->minor = h->minor;
	s->status = h->status;
	body_see(s, h, in, len);
}

static void tabs_to_spaces(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		text[i] = text[i] == '\t' ? ' ' : text[i];
}

/* ---- both ----------------------------------------------------------------------------- */

static void compare(const struct seen *a, const struct seen *b, bool keep_alive, bool body)
{
	assert(a->head_end == b->head_end && a->minor == b->minor);
	assert(a->target_len == b->target_len && memcmp(a->target, b->target, a->target_len) == 0);
	assert(a->fields_len == b->fields_len && memcmp(a->fields, b->fields, a->fields_len) == 0);
	assert(a->has_length == b->has_length && a->content_length == b->content_length);
	if (keep_alive)
		assert(!a->keep_alive || b->keep_alive);
	if (!body || a->bad_body)
		return; /* what is refused here, it may accept */
	if (b->bad_body && a->aside)
		return;
	assert(!b->bad_body && a->end == b->end);
	assert(a->body_len == b->body_len && memcmp(a->body, b->body, a->body_len) == 0);
}

static const struct http1_limits limits = {
	.max_head = MOST, .max_target = MOST, .max_fields = HTTP1_MAX_FIELDS};

/* The bytes with another method and version; *moved: how much later everything is. */
static char *rewritten(const struct http1_head *h, const char *in, size_t len, size_t *out_len,
		       size_t *moved)
{
	size_t version = (size_t)(h->target.p - in) + h->target.len + 8; /* the digit */
	const char *method = h->method == HTTP1_M_CONNECT ? "CONNECT" : "OPTIONS";
	size_t rest = (size_t)(h->target.p - in) - 1;
	char *out = malloc(len + 8);

	assert(out);
	memcpy(out, method, 7);
	memcpy(out + 7, in + rest, len - rest);
	*out_len = 7 + len - rest;
	out[7 + version - rest] = (char)('0' + h->minor);
	*moved = rest - 7; /* wraps around, and back */
	return out;
}

static void check_request(const char *in, size_t len)
{
	static struct http1_head head;
	size_t scanned = 0, out_len, moved;
	int n = http1_parse_request(&head, in, len, &scanned, &limits);
	struct seen a, b;
	bool body;
	char *out;

	if (n <= 0)
		return;
	seen_init(&a);
	seen_init(&b);
	body = head.method != HTTP1_M_CONNECT && !head.upgrade;
	ours(&a, &head, in, len, n);
	out = rewritten(&head, in, len, &out_len, &moved);
	tabs_to_spaces(out, (size_t)n - moved);
	theirs(&b, out, out_len, HTTP_REQUEST, body);
	tabs_to_spaces(a.fields, a.fields_len);
	b.head_end += moved;
	b.end += b.end ? moved : 0;
	assert(b.chunked == (head.body == HTTP1_BODY_CHUNKED));
	compare(&a, &b, body && !http1_find(&head, HTTP1_F_PROXY_CONNECTION), body);
	free(out);
	seen_fini(&a);
	seen_fini(&b);
}

static void check_response(const char *in, size_t len)
{
	static struct http1_head head;
	size_t scanned = 0;
	int n = http1_parse_response(&head, in, len, &scanned, HTTP1_M_GET, &limits);
	struct seen a, b;
	bool bodiless;
	char *out;

	if (n <= 0)
		return;
	seen_init(&a);
	seen_init(&b);
	bodiless = head.status < 200 || head.status == 204 || head.status == 304;
	ours(&a, &head, in, len, n);
	out = malloc(len);
	assert(out);
	memcpy(out, in, len);
	out[7] = (char)('0' + head.minor);
	tabs_to_spaces(out, (size_t)n);
	tabs_to_spaces(a.fields, a.fields_len);
	theirs(&b, out, len, HTTP_RESPONSE,
	       head.body != HTTP1_BODY_CLOSE && !bodiless && !head.upgrade);
	assert(a.status == b.status);
	compare(&a, &b,
		(head.body == HTTP1_BODY_LENGTH || head.body == HTTP1_BODY_CHUNKED) &&
			!http1_find(&head, HTTP1_F_PROXY_CONNECTION),
		head.body != HTTP1_BODY_CLOSE && !bodiless && !head.upgrade);
	free(out);
	seen_fini(&a);
	seen_fini(&b);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	char *in;

	if (len == 0 || len > MOST)
		return 0;
	in = malloc(len); /* exactly, so that reading beyond it is seen */
	assert(in);
	memcpy(in, data, len);
	if (len > 5 && memcmp(in, "HTTP/", 5) == 0)
		check_response(in, len);
	else
		check_request(in, len);
	free(in);
	return 0;
}
