/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Body framing of HTTP/1.x (RFC 9112 sections 6 and 7): where a body's bytes are, and
 * where it ends. Pure: feed bytes at any cut points, get spans of content.
 */
#ifndef L7_BODY_H
#define L7_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "l7/http1.h"

#define BODY_MAX_EXTENSION 256  /* bytes of chunk extensions, per chunk line */
#define BODY_MAX_TRAILER   8192 /* bytes of the trailer section */

struct body {
	enum http1_body kind;
	uint8_t state;       /* of the chunk reader; private */
	uint64_t left;       /* content bytes still to come: of the body, or of this chunk */
	uint64_t received;   /* content bytes so far */
	uint32_t aside;      /* bytes of extensions or trailers so far; private */
	struct span trailer; /* of the last input: the trailer section's bytes, the empty line
				that ends it among them */
};

void body_init(struct body *b, enum http1_body kind, uint64_t content_length);

enum body_result {
	BODY_MORE, /* all input taken, the body goes on */
	BODY_DONE, /* the body ended; what is left of the input is not of this message */
	BODY_BAD,  /* framing error: the connection cannot be used further */
};

/*
 * Takes bytes from in[0..len). *used says how many; of these, `content` is the one run of
 * body bytes found (len 0 if none). Call again while the result is BODY_MORE and *used <
 * len. Trailers are checked, and pointed to in b->trailer, never with content. Chunk data longer
 * than 2^63-1 is refused, and a size of more than 16 digits.
 */
enum body_result body_feed(struct body *b, const char *in, size_t len, size_t *used,
			   struct span *content);

/* The sender closed: DONE for a close-delimited body, BAD for one cut short. */
enum body_result body_eof(const struct body *b);

/* True once nothing more is to come (always true for HTTP1_BODY_NONE). */
bool body_done(const struct body *b);

/* "<hex>\r\n" into out (18 bytes are enough); returns its length. */
size_t body_chunk_header(char out[18], uint64_t size);

#endif
