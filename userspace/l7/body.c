// SPDX-License-Identifier: BSD-2-Clause
/*
 * The chunk reader is a state machine over single bytes for the lines, and takes content in
 * one run. Lines end in CRLF and nothing else; extensions and trailers are read over.
 */
#include "l7/body.h"

#include "base/scan.h"

enum {
	SIZE_FIRST, /* first digit of a chunk's size */
	SIZE,
	EXTENSION,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_START, /* of a line: CR ends the body */
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
	END,
};

#define SIZE_DIGITS 16 /* of a chunk's size, leading zeros among them */

void body_init(struct body *b, enum http1_body kind, uint64_t content_length)
{
	*b = (struct body){.kind = (kind), .state = SIZE_FIRST};
	if (kind == HTTP1_BODY_LENGTH)
		b->left = content_length;
}

bool body_done(const struct body *b)
{
	switch (b->kind) {
	case HTTP1_BODY_NONE:
		return true;
	case HTTP1_BODY_LENGTH:
		return b->left == 0;
	case HTTP1_BODY_CHUNKED:
		return b->state == END;
	default:
		return false;
	}
}

enum body_result body_eof(const struct body *b)
{
	return b->kind == HTTP1_BODY_CLOSE || body_done(b) ? BODY_DONE : BODY_BAD;
}

static int hex_value(unsigned char c)
{
	if (!scan_is(c, SCAN_HEX))
		return -1;
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static bool control(unsigned char c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

static int size_digit(struct body *b, unsigned char c)
{
	int digit = hex_value(c);

	/* Leading zeros could go on for ever. */
	if (digit < 0 || ++b->aside > SIZE_DIGITS)
		return -1;
	if (b->left > (uint64_t)(INT64_MAX >> 4))
		return -1;
	b->left = b->left << 4 | (unsigned)digit;
	return SIZE;
}

/* One byte of the trailer section, the CR of the line behind it included. */
static int trailer_byte(struct body *b, unsigned char c)
{
	if (b->state == TRAILER_START && c == '\r')
		return END_LF;
	if (++b->aside > BODY_MAX_TRAILER)
		return -1;
	switch (b->state) {
	case TRAILER_START:
		return scan_is(c, SCAN_TOKEN) ? TRAILER_NAME : -1;
	case TRAILER_NAME:
		return c == ':' ? TRAILER_VALUE : scan_is(c, SCAN_TOKEN) ? TRAILER_NAME : -1;
	case TRAILER_VALUE:
		return c == '\r' ? TRAILER_LF : control(c) ? -1 : TRAILER_VALUE;
	case TRAILER_LF:
		return c == '\n' ? TRAILER_START : -1;
	default:
		return -1;
	}
}

/* One byte of a chunk line, or behind the last chunk: the next state, or -1. */
static int line_byte(struct body *b, unsigned char c)
{
	switch (b->state) {
	case SIZE_FIRST:
		b->left = 0;
		b->aside = 0;
		return size_digit(b, c);
	case SIZE:
		if (c == '\r')
			return SIZE_LF;
		if (c != ';')
			return size_digit(b, c);
		b->aside = 0;
		return EXTENSION;
	case EXTENSION:
		if (c == '\r')
			return SIZE_LF;
		return control(c) || ++b->aside > BODY_MAX_EXTENSION ? -1 : EXTENSION;
	case SIZE_LF:
		b->aside = 0;
		return c != '\n' ? -1 : b->left ? DATA : TRAILER_START;
	case DATA_CR:
		return c == '\r' ? DATA_LF : -1;
	case DATA_LF:
		return c == '\n' ? SIZE_FIRST : -1;
	case END_LF:
		return c == '\n' ? END : -1;
	default:
		return trailer_byte(b, c);
	}
}

static void take(struct body *b, const char *in, size_t have, struct span *content)
{
	content->p = in;
	content->len = have < b->left ? have : (size_t)b->left;
	b->left -= content->len;
	b->received += content->len;
}

static enum body_result chunk_feed(struct body *b, const char *in, size_t len, size_t *used,
				   struct span *content)
{
	size_t i = 0, trailer = 0;

	while (i < len && b->state != END) {
		int next;

		if (b->state == DATA) {
			take(b, in + i, len - i, content);
			*used = i + content->len;
			if (b->left == 0)
				b->state = DATA_CR;
			return BODY_MORE;
		}
		next = line_byte(b, (unsigned char)in[i]);
		if (next < 0) {
			*used = i;
			return BODY_BAD;
		}
		if (b->state < TRAILER_START)
			trailer = i + 1;
		b->state = (uint8_t)next;
		i++;
	}
	*used = i;
	if (b->state >= TRAILER_START)
		b->trailer = (struct span){in + trailer, i - trailer};
	return b->state == END ? BODY_DONE : BODY_MORE;
}

enum body_result body_feed(struct body *b, const char *in, size_t len, size_t *used,
			   struct span *content)
{
	*content = b->trailer = (struct span){in, 0};
	*used = 0;
	switch (b->kind) {
	case HTTP1_BODY_LENGTH:
		take(b, in, len, content);
		*used = content->len;
		return b->left ? BODY_MORE : BODY_DONE;
	case HTTP1_BODY_CHUNKED:
		return chunk_feed(b, in, len, used, content);
	case HTTP1_BODY_CLOSE:
		*content = (struct span){in, len};
		*used = len;
		b->received += len;
		return BODY_MORE;
	default:
		return BODY_DONE;
	}
}

size_t body_chunk_header(char out[18], uint64_t size)
{
	static const char digits[] = "0123456789abcdef";
	char text[16];
	size_t n = 0, at = 0;

	do {
		text[n++] = digits[size & 15];
		size >>= 4;
	} while (size);
	while (n)
		out[at++] = text[--n];
	out[at++] = '\r';
	out[at++] = '\n';
	return at;
}
