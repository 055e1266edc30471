// SPDX-License-Identifier: BSD-2-Clause
#include "l7/expand.h"

#include <stdio.h>

#include "base/scan.h"
#include "l7/route.h"

/* Counts on when the room is over. */
struct writer {
	char *out;
	size_t room, n;
	enum expand_as as;
};

static void put_byte(struct writer *w, char c)
{
	if (w->n < w->room)
		w->out[w->n] = c;
	w->n++;
}

static void put_literal(struct writer *w, struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		put_byte(w, s.p[i]);
}

static void put_value(struct writer *w, struct span s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			continue;
		if (w->as != EXPAND_TARGET || scan_is(c, SCAN_TARGET)) {
			put_byte(w, (char)c);
			continue;
		}
		put_byte(w, '%');
		put_byte(w, digits[c >> 4]);
		put_byte(w, digits[c & 15]);
	}
}

static void put_number(struct writer *w, unsigned n)
{
	char text[12];

	snprintf(text, sizeof(text), "%u", n);
	put_value(w, (struct span){text, strlen(text)});
}

static void put_host(struct writer *w, struct span authority)
{
	struct span host = route_host_of(authority);

	for (size_t i = 0; i < host.len; i++) {
		char c = host.p[i];

		put_byte(w, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
	}
}

/* The first field of this name. */
static struct span header_of(const struct http1_head *h, struct span name)
{
	for (unsigned i = 0; i < h->n_fields; i++)
		if (span_equal_nocase(h->fields[i].name, name))
			return h->fields[i].value;
	return SPAN("");
}

/* "a=b; c=d" of each Cookie field (RFC 6265 section 4.2.1). */
static struct span cookie_of(const struct http1_head *h, struct span name)
{
	for (unsigned i = 0; i < h->n_fields; i++) {
		const char *p = h->fields[i].value.p, *end = p + h->fields[i].value.len;

		if (!span_equal_nocase(h->fields[i].name, SPAN("cookie")))
			continue;
		while (p < end) {
			const char *next = memchr(p, ';', (size_t)(end - p));
			size_t len = (size_t)((next ? next : end) - p);

			if (len > name.len && p[name.len] == '=' &&
			    memcmp(p, name.p, name.len) == 0)
				return (struct span){p + name.len + 1, len - name.len - 1};
			for (p = next ? next + 1 : end; p < end && *p == ' ';)
				p++;
		}
	}
	return SPAN("");
}

static struct span arg_of(const struct http1_head *h, struct span wanted)
{
	struct span query = route_query_of(h->path), name, value;

	while (route_query_next(&query, &name, &value))
		if (span_equal(name, wanted))
			return value;
	return SPAN("");
}

static void put_server(struct writer *w, const struct endpoint *server)
{
	char text[ADDR_TEXT];

	if (server->port == 0)
		return;
	addr_format(&server->addr, text);
	put_value(w, (struct span){text, strlen(text)});
}

static void put_late(struct writer *w, const struct expand_facts *f, bool status)
{
	if (w->as == EXPAND_LATER)
		put_byte(w, status ? EXPAND_STATUS : EXPAND_UPSTREAM);
	else if (status)
		put_number(w, f->status);
	else
		put_value(w, f->upstream);
}

/* Names whose value is a text of the facts. */
static struct span text_of(const struct template_segment *s, const struct expand_facts *f)
{
	switch (s->name) {
	case TEMPLATE_CAPTURE:
		return f->captures ? f->captures[s->capture] : SPAN("");
	case TEMPLATE_HEADER:
		return header_of(f->head, s->text);
	case TEMPLATE_COOKIE:
		return cookie_of(f->head, s->text);
	case TEMPLATE_ARG:
		return arg_of(f->head, s->text);
	case TEMPLATE_client_ip:
		return f->client_ip;
	case TEMPLATE_authority:
		return f->head->authority;
	case TEMPLATE_method:
		return f->head->method_text;
	case TEMPLATE_scheme:
		return f->scheme;
	case TEMPLATE_uri:
		return f->head->path;
	case TEMPLATE_path:
		return route_path_of(f->head->path);
	case TEMPLATE_query:
		return route_query_of(f->head->path);
	case TEMPLATE_request_id:
		return f->request_id;
	case TEMPLATE_service:
		return f->service;
	case TEMPLATE_route:
		return f->route;
	case TEMPLATE_trace_id:
		return f->trace_id;
	case TEMPLATE_tls_version:
		return f->tls.version;
	case TEMPLATE_tls_cipher:
		return f->tls.cipher;
	case TEMPLATE_tls_sni:
		return f->tls.sni;
	case TEMPLATE_tls_client_subject:
		return f->tls.client_subject;
	case TEMPLATE_tls_client_fingerprint:
		return f->tls.client_fingerprint;
	case TEMPLATE_tls_client_verify:
		return f->tls.client_verify;
	case TEMPLATE_ja4:
		return f->tls.ja4;
	default:
		return SPAN("");
	}
}

static void put_segment(struct writer *w, const struct template_segment *s,
			const struct expand_facts *f)
{
	switch (s->name) {
	case TEMPLATE_TEXT:
		put_literal(w, s->text);
		break;
	case TEMPLATE_client_port:
		put_number(w, f->client_port);
		break;
	case TEMPLATE_server_addr:
		put_server(w, &f->server);
		break;
	case TEMPLATE_server_port:
		put_number(w, f->server.port);
		break;
	case TEMPLATE_host:
		put_host(w, f->head->authority);
		break;
	case TEMPLATE_status:
	case TEMPLATE_upstream:
		put_late(w, f, s->name == TEMPLATE_status);
		break;
	default:
		put_value(w, text_of(s, f));
	}
}

size_t expand(char *out, size_t room, const struct template *t, const struct expand_facts *facts,
	      enum expand_as as)
{
	struct writer w = {out, room, 0, as};

	for (unsigned i = 0; i < t->n; i++)
		put_segment(&w, &t->segments[i], facts);
	return w.n;
}
