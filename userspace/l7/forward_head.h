/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Heads that go on: written anew from what was parsed, so that a backend never sees what
 * the parser did not. Pure: bytes into the caller's buffer.
 *
 * Of a request: Host first, then the end-to-end fields, then Via, X-Forwarded-For (the
 * client appended), -Proto and -Host, and the framing. TE: trailers goes on, no other coding. A
 * Forwarded field that came is left as it is: the X-Forwarded fields are this proxy's word.
 * Edits of the configuration have the last one.
 */
#ifndef L7_FORWARD_HEAD_H
#define L7_FORWARD_HEAD_H

#include "l7/edits.h"
#include "l7/http1.h"

struct forward_facts {
	enum http1_body body; /* framing of what follows */
	uint64_t content_length;
	bool close;                /* say Connection: close */
	bool keep_alive;           /* say Connection: keep-alive (to an HTTP/1.0 client) */
	bool trailers;             /* trailer fields may follow: Trailer goes on */
	struct span upgrade;       /* ask for this protocol, or agree to it */
	struct span via;           /* this proxy's pseudonym; empty: it does not name itself */
	struct span client;        /* request: the client's address, for X-Forwarded-For */
	bool alone;                /* request: nothing is said of the client, whatever came */
	struct span proto;         /* request: "http" or "https" */
	struct span authority;     /* request: Host if none came (HTTP/1.0) */
	struct span trace;         /* request: traceparent, whatever came; may be empty */
	bool trace_goes_on;        /* request: with the tracestate that came */
	struct span host;          /* request: Host, whatever came; may be empty */
	const struct edits *edits; /* or NULL */
	struct span extra;         /* whole field lines to add */
	struct span date;          /* response: "Date: ...\r\n" to add if none came */
	struct span encoding; /* response: what its body is compressed by; empty = as it came */
	bool vary_encoding;   /* response: for another client it would be otherwise */
};

/* Bytes that forward_request takes at most, of a head that was len bytes long. */
#define FORWARD_WORDS 512 /* names and punctuation that it adds */
size_t forward_request_room(const struct http1_head *h, const struct forward_facts *facts,
			    size_t len);

/* Bytes written, or 0 when they do not fit into room. */
size_t forward_request(char *out, size_t room, const struct http1_head *h,
		       const struct forward_facts *facts);
size_t forward_response(char *out, size_t room, const struct http1_head *h,
			const struct forward_facts *facts);

/* What ends a chunked body: the last chunk, those fields of a trailer section (NULL: none) that
 * may go on, the empty line. Needs FORWARD_END bytes of room besides the section's. */
#define FORWARD_END 8
size_t forward_end(char *out, size_t room, struct span section);

/* An answer of the proxy's own. */
struct forward_answer {
	unsigned status;
	bool close;
	bool head_only;            /* to HEAD */
	struct span date;          /* as above */
	struct span field;         /* one more line of the head, with its CRLF; may be empty */
	struct span location;      /* may be empty */
	const struct edits *edits; /* or NULL */
	struct span content_type;  /* empty: the status and its phrase are the content */
	struct span content;
};

/* Room that is enough, whatever it says. */
size_t forward_answer_room(const struct forward_answer *a);
size_t forward_answer(char *out, size_t room, const struct forward_answer *a);

#endif
