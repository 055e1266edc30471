// SPDX-License-Identifier: BSD-2-Clause
/*
 * Trailer fields. Many receivers merge them into the head as if they had come there, so what
 * would matter in a head must not come behind it.
 */
#include "l7/http1.h"
#include "l7/http1_internal.h"

static bool starts(struct span name, struct span with)
{
	return name.len >= with.len && span_equal_nocase((struct span){name.p, with.len}, with);
}

/* Framing, routing, request modifiers, authentication, response control, and how the content
 * is to be read (RFC 9110 section 6.5.1). */
static bool belongs_in_head(const struct http1_field *f)
{
	static const struct span names[] = {
		SPAN("accept"),        SPAN("age"),        SPAN("authorization"),
		SPAN("cache-control"), SPAN("cookie"),     SPAN("early-data"),
		SPAN("expires"),       SPAN("from"),       SPAN("location"),
		SPAN("origin"),        SPAN("pragma"),     SPAN("range"),
		SPAN("retry-after"),   SPAN("set-cookie"), SPAN("status"),
		SPAN("vary"),          SPAN("warning"),    SPAN("www-authenticate"),
	};
	static const struct span families[] = {
		SPAN("accept-"),      SPAN("access-control-"), SPAN("content-"),
		SPAN("if-"),          SPAN("proxy-"),          SPAN("sec-"),
		SPAN("x-forwarded-"),
	};

	switch (f->id) {
	case HTTP1_F_OTHER:
		break;
	case HTTP1_F_DIGEST: /* made while the content goes by: what trailers are for */
	case HTTP1_F_ETAG:
	case HTTP1_F_REPR_DIGEST:
		return false;
	default:
		return true;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_equal_nocase(f->name, names[i]))
			return true;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (starts(f->name, families[i]))
			return true;
	return false;
}

bool http1_trailer_next(struct span *section, struct http1_field *field)
{
	struct http1_parse parse = {.p = section->p, .end = section->p + section->len};
	bool found = false;

	while (!found && parse.end - parse.p > 2)
		found = http1_field_line(&parse, field) == 0 ? !belongs_in_head(field)
							     : (parse.p = parse.end, false);
	*section = (struct span){parse.p, (size_t)(parse.end - parse.p)};
	return found;
}
