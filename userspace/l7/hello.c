// SPDX-License-Identifier: BSD-2-Clause
#include "l7/hello.h"

#define RECORD_HEADER    5
#define RECORD_MOST      16384
#define RECORD_HANDSHAKE 22
#define CLIENT_HELLO     1

enum extension {
	EXT_SERVER_NAME = 0,
	EXT_GROUPS = 10,
	EXT_FORMATS = 11,
	EXT_SIGNATURES = 13,
	EXT_ALPN = 16,
	EXT_VERSIONS = 43,
};

/* ---- reading -------------------------------------------------------------------------- */

struct bytes {
	const unsigned char *p, *end;
};

static size_t left(const struct bytes *b)
{
	return (size_t)(b->end - b->p);
}

static bool number(struct bytes *b, size_t width, size_t *out)
{
	if (left(b) < width)
		return false;
	*out = 0;
	while (width--)
		*out = *out << 8 | *b->p++;
	return true;
}

/* What has its length in front, in so many bytes. */
static bool vector(struct bytes *b, size_t width, struct bytes *out)
{
	size_t len;

	if (!number(b, width, &len) || left(b) < len)
		return false;
	*out = (struct bytes){b->p, b->p + len};
	b->p += len;
	return true;
}

static struct span span_of(const struct bytes *b)
{
	return (struct span){(const char *)b->p, left(b)};
}

/* A list of pairs of bytes. */
static bool pairs(struct bytes *b, size_t width, struct span *out)
{
	struct bytes list;

	if (!vector(b, width, &list) || left(b) || left(&list) % 2)
		return false;
	*out = span_of(&list);
	return true;
}

/* Values that mean nothing, for servers to pass over (RFC 8701). */
static bool is_grease(unsigned v)
{
	return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

/* ---- extensions ----------------------------------------------------------------------- */

/* RFC 6066 section 3: one name of the only type. */
static bool server_name(struct hello *h, struct bytes *b)
{
	struct bytes list, name;
	size_t type;

	h->has_sni = true;
	if (!vector(b, 2, &list) || left(b) || !number(&list, 1, &type) ||
	    !vector(&list, 2, &name) || left(&name) == 0)
		return false;
	if (type == 0)
		h->sni = span_of(&name);
	return left(&list) == 0;
}

static bool protocols(struct hello *h, struct bytes *b)
{
	struct bytes list, one;

	if (!vector(b, 2, &list) || left(b) || left(&list) == 0)
		return false;
	h->alpn = span_of(&list);
	while (left(&list)) {
		if (!vector(&list, 1, &one) || left(&one) == 0)
			return false;
		if (h->first.len == 0)
			h->first = span_of(&one);
	}
	return true;
}

static bool versions(struct hello *h, struct bytes *b)
{
	struct bytes list;
	size_t v;

	if (!vector(b, 1, &list) || left(b) || left(&list) % 2)
		return false;
	while (number(&list, 2, &v))
		if (!is_grease((unsigned)v) && v > h->newest)
			h->newest = (uint16_t)v;
	return true;
}

static bool formats(struct hello *h, struct bytes *b)
{
	struct bytes list;

	if (!vector(b, 1, &list) || left(b))
		return false;
	h->formats = span_of(&list);
	return true;
}

static bool extension(struct hello *h, size_t type, struct bytes *b)
{
	switch (type) {
	case EXT_SERVER_NAME:
		return !h->has_sni && server_name(h, b);
	case EXT_GROUPS:
		return pairs(b, 2, &h->groups);
	case EXT_FORMATS:
		return formats(h, b);
	case EXT_SIGNATURES:
		return pairs(b, 2, &h->signatures);
	case EXT_ALPN:
		return h->alpn.len == 0 && protocols(h, b);
	case EXT_VERSIONS:
		return versions(h, b);
	default:
		return true;
	}
}

bool hello_parse(struct hello *h, const unsigned char *p, size_t len)
{
	struct bytes b = {p, p + len}, random, session, compression, all, one;
	size_t version, type;

	*h = (struct hello){0};
	if (!number(&b, 2, &version) || left(&b) < 32)
		return false;
	random = (struct bytes){b.p, b.p + 32};
	b.p = random.end;
	h->version = h->newest = (uint16_t)version;
	if (!vector(&b, 1, &session) || left(&session) > 32 || !vector(&b, 2, &all) ||
	    left(&all) % 2 || left(&all) == 0 || !vector(&b, 1, &compression))
		return false;
	h->ciphers = span_of(&all);
	if (left(&b) == 0)
		return true;
	if (!vector(&b, 2, &all) || left(&b))
		return false;
	h->extensions = span_of(&all);
	while (left(&all))
		if (!number(&all, 2, &type) || !vector(&all, 2, &one) || !extension(h, type, &one))
			return false;
	return true;
}

/* ---- records -------------------------------------------------------------------------- */

int hello_gather(unsigned char out[HELLO_HEADER + HELLO_MOST], size_t *len, const unsigned char *p,
		 size_t n)
{
	size_t want = HELLO_HEADER;

	for (*len = 0; *len < want;) {
		size_t record, take;

		if (n && (p[0] != RECORD_HANDSHAKE || (n > 1 && p[1] != 3)))
			return -1;
		if (n < RECORD_HEADER)
			return 0;
		record = (size_t)p[3] << 8 | p[4];
		if (record == 0 || record > RECORD_MOST)
			return -1;
		p += RECORD_HEADER;
		n -= RECORD_HEADER;
		while (record && n && *len < want) {
			take = want - *len < record ? want - *len : record;
			take = take < n ? take : n;
			memcpy(out + *len, p, take);
			*len += take;
			p += take;
			n -= take;
			record -= take;
			if (*len < HELLO_HEADER || want > HELLO_HEADER)
				continue;
			want += (size_t)out[1] << 16 | (size_t)out[2] << 8 | out[3];
			if (out[0] != CLIENT_HELLO || want > HELLO_HEADER + HELLO_MOST ||
			    want == HELLO_HEADER)
				return -1;
		}
		if (*len < want && record)
			return 0;
	}
	return 1;
}
