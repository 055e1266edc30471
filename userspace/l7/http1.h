/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1.x message heads (RFC 9112, RFC 9110): bytes in, spans out. Pure: no I/O, no
 * allocation, no state but what the caller holds; the same answer whatever the cut points.
 *
 * Strict where leniency was somebody's smuggling hole: lines end in CRLF, no NUL, no bare
 * CR or LF, no obs-fold, no space around a field name, no empty name, exactly one Host in
 * HTTP/1.1, one way to frame the body. Requests are meant to be written anew from the
 * spans (http1_write_*), never copied through.
 */
#ifndef L7_HTTP1_H
#define L7_HTTP1_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define HTTP1_MAX_FIELDS 256

/* Fields that the proxy itself must know; the rest are HTTP1_F_OTHER. */
#define HTTP1_FIELDS(FIELD)                                                                        \
	FIELD(ACCEPT_ENCODING, "accept-encoding")                                                  \
	FIELD(ACCEPT_RANGES, "accept-ranges")                                                      \
	FIELD(CACHE_CONTROL, "cache-control")                                                      \
	FIELD(CONNECTION, "connection")                                                            \
	FIELD(CONTENT_DIGEST, "content-digest")                                                    \
	FIELD(CONTENT_ENCODING, "content-encoding")                                                \
	FIELD(CONTENT_LENGTH, "content-length")                                                    \
	FIELD(CONTENT_MD5, "content-md5")                                                          \
	FIELD(CONTENT_RANGE, "content-range")                                                      \
	FIELD(CONTENT_TYPE, "content-type")                                                        \
	FIELD(DATE, "date")                                                                        \
	FIELD(DIGEST, "digest")                                                                    \
	FIELD(ETAG, "etag")                                                                        \
	FIELD(EXPECT, "expect")                                                                    \
	FIELD(FORWARDED, "forwarded")                                                              \
	FIELD(HOST, "host")                                                                        \
	FIELD(KEEP_ALIVE, "keep-alive")                                                            \
	FIELD(MAX_FORWARDS, "max-forwards")                                                        \
	FIELD(PROXY_AUTHENTICATE, "proxy-authenticate")                                            \
	FIELD(PROXY_AUTHORIZATION, "proxy-authorization")                                          \
	FIELD(PROXY_CONNECTION, "proxy-connection")                                                \
	FIELD(REPR_DIGEST, "repr-digest")                                                          \
	FIELD(TE, "te")                                                                            \
	FIELD(TRAILER, "trailer")                                                                  \
	FIELD(TRANSFER_ENCODING, "transfer-encoding")                                              \
	FIELD(UPGRADE, "upgrade")                                                                  \
	FIELD(VARY, "vary")                                                                        \
	FIELD(VIA, "via")                                                                          \
	FIELD(X_FORWARDED_FOR, "x-forwarded-for")                                                  \
	FIELD(X_FORWARDED_HOST, "x-forwarded-host")                                                \
	FIELD(X_FORWARDED_PROTO, "x-forwarded-proto")                                              \
	FIELD(ACCEPT_LANGUAGE, "accept-language")                                                  \
	FIELD(AGE, "age")                                                                          \
	FIELD(AUTHORIZATION, "authorization")                                                      \
	FIELD(CACHE_TAG, "cache-tag")                                                              \
	FIELD(CDN_CACHE_CONTROL, "cdn-cache-control")                                              \
	FIELD(CONTENT_LANGUAGE, "content-language")                                                \
	FIELD(CONTENT_LOCATION, "content-location")                                                \
	FIELD(COOKIE, "cookie")                                                                    \
	FIELD(EXPIRES, "expires")                                                                  \
	FIELD(IF_MATCH, "if-match")                                                                \
	FIELD(IF_MODIFIED_SINCE, "if-modified-since")                                              \
	FIELD(IF_NONE_MATCH, "if-none-match")                                                      \
	FIELD(IF_RANGE, "if-range")                                                                \
	FIELD(IF_UNMODIFIED_SINCE, "if-unmodified-since")                                          \
	FIELD(LAST_MODIFIED, "last-modified")                                                      \
	FIELD(LOCATION, "location")                                                                \
	FIELD(PRAGMA, "pragma")                                                                    \
	FIELD(PROXY_AUTHENTICATION_INFO, "proxy-authentication-info")                              \
	FIELD(RANGE, "range")                                                                      \
	FIELD(SET_COOKIE, "set-cookie")                                                            \
	FIELD(SURROGATE_CONTROL, "surrogate-control")                                              \
	FIELD(SURROGATE_KEY, "surrogate-key")                                                      \
	FIELD(REFERER, "referer")                                                                  \
	FIELD(TRACEPARENT, "traceparent")                                                          \
	FIELD(TRACESTATE, "tracestate")                                                            \
	FIELD(USER_AGENT, "user-agent")

enum http1_field_id {
	HTTP1_F_OTHER,
#define FIELD(id, name) HTTP1_F_##id,
	HTTP1_FIELDS(FIELD)
#undef FIELD
		HTTP1_F_COUNT,
};

struct http1_field {
	struct span name;  /* as sent */
	struct span value; /* without surrounding spaces and tabs */
	uint8_t id;        /* enum http1_field_id */
	bool hop;          /* hop-by-hop, or named by Connection: not to be forwarded */
};

enum http1_method {
	HTTP1_M_OTHER, /* a valid token that is none of these */
	HTTP1_M_GET,
	HTTP1_M_HEAD,
	HTTP1_M_POST,
	HTTP1_M_PUT,
	HTTP1_M_DELETE,
	HTTP1_M_CONNECT,
	HTTP1_M_OPTIONS,
	HTTP1_M_TRACE,
	HTTP1_M_PATCH,
};

enum http1_body {
	HTTP1_BODY_NONE,
	HTTP1_BODY_LENGTH,  /* content_length bytes, may be 0 */
	HTTP1_BODY_CHUNKED, /* body.h */
	HTTP1_BODY_CLOSE,   /* a response that ends when the connection does */
};

/* Filled by a parse that succeeded; spans point into the parsed buffer. */
struct http1_head {
	/* request */
	enum http1_method method;
	struct span method_text;
	struct span target;    /* request-target as sent */
	struct span authority; /* effective host[:port]: absolute-form, else Host; may be empty
				  in HTTP/1.0 */
	struct span path;      /* path and query: "/...", "*", or of an absolute-form without a path
				  empty or "?..."; for CONNECT empty */

	/* response */
	unsigned status; /* 100..599 */
	struct span reason;

	/* both */
	uint8_t minor; /* HTTP/1.minor: 0 or 1 */
	enum http1_body body;
	uint64_t content_length;
	bool has_length;      /* a Content-Length was there (also where no body follows: HEAD) */
	bool keep_alive;      /* the sender will hold the connection open after this message */
	bool expect_continue; /* Expect: 100-continue */
	bool upgrade;         /* Connection: upgrade with an Upgrade field */
	bool te_trailers;     /* TE: trailers: a request's sender reads trailer fields */
	unsigned n_fields;
	struct http1_field fields[HTTP1_MAX_FIELDS];
};

struct http1_limits {
	uint32_t max_head;   /* bytes, start line and all fields with the final CRLF */
	uint32_t max_target; /* bytes */
	uint32_t max_fields; /* at most HTTP1_MAX_FIELDS */
};

/*
 * Parse the head at buf[0..len). *scanned is the caller's, 0 for a new message: it spares
 * a slow sender's bytes from being scanned again, and does not change any answer.
 *
 * Returns the head's length when it is whole, 0 when more bytes are needed, and -status
 * when it is refused: for a request the status to answer with (400, 414, 417, 431, 501, 505);
 * for a response always -502. After a refusal the connection's framing is lost: answer and
 * close. One empty line before a request line is skipped (RFC 9112 section 2.2).
 */
int http1_parse_request(struct http1_head *head, const char *buf, size_t len, size_t *scanned,
			const struct http1_limits *limits);

/*
 * request_method decides whether a body follows (RFC 9112 section 6.3: none after HEAD,
 * 1xx, 204, 304, or 2xx to CONNECT).
 */
int http1_parse_response(struct http1_head *head, const char *buf, size_t len, size_t *scanned,
			 enum http1_method request_method, const struct http1_limits *limits);

/* Why the last refusal on this thread happened: a static string for the access log. */
const char *http1_refusal(void);

/* What a field of this name is to the proxy. */
enum http1_field_id http1_field_id(struct span name);
/* host[":" port] of RFC 3986 section 3.2, without userinfo and without an empty host. */
bool http1_authority_ok(struct span authority);

/* First field with this id, or NULL. */
const struct http1_field *http1_find(const struct http1_head *head, enum http1_field_id id);

/* One protocol is named in Upgrade, and it is this one. */
bool http1_upgrades_to(const struct http1_head *head, struct span protocol);

/* The next field of a trailer section, which body.h has found well-formed, that may go on:
 * false at its end. Those that would change what a message's head has said already, and all
 * that the proxy itself goes by, are passed over (RFC 9110 section 6.5.1). */
bool http1_trailer_next(struct span *section, struct http1_field *field);

/* The request's Max-Forwards where it means something, in OPTIONS and TRACE (RFC 9110 section
 * 7.6.2); -1: it has none that can be read. */
int http1_max_forwards(const struct http1_head *head);

/* Idempotent by RFC 9110 section 9.2.2; unknown methods are not. */
bool http1_idempotent(enum http1_method method);

/* The standard phrase of a status, "" if unknown. */
const char *http1_phrase(unsigned status);

#endif
