/* SPDX-License-Identifier: BSD-2-Clause */
/* What requests and responses share; private to http1*.c. */
#ifndef L7_HTTP1_INTERNAL_H
#define L7_HTTP1_INTERNAL_H

#include "l7/http1.h"

#define HTTP1_MAX_METHOD  32 /* bytes; longer tokens are not methods that anybody knows */
#define HTTP1_MAX_OPTIONS 32 /* options in Connection fields; bounds the work they cause */

/* RFC 9110 section 15, as far as the proxy says them or a reader expects them. */
#define HTTP1_PHRASES(PHRASE)                                                                      \
	PHRASE(100, "Continue")                                                                    \
	PHRASE(101, "Switching Protocols")                                                         \
	PHRASE(103, "Early Hints")                                                                 \
	PHRASE(200, "OK")                                                                          \
	PHRASE(201, "Created")                                                                     \
	PHRASE(202, "Accepted")                                                                    \
	PHRASE(204, "No Content")                                                                  \
	PHRASE(206, "Partial Content")                                                             \
	PHRASE(301, "Moved Permanently")                                                           \
	PHRASE(302, "Found")                                                                       \
	PHRASE(303, "See Other")                                                                   \
	PHRASE(304, "Not Modified")                                                                \
	PHRASE(307, "Temporary Redirect")                                                          \
	PHRASE(308, "Permanent Redirect")                                                          \
	PHRASE(400, "Bad Request")                                                                 \
	PHRASE(401, "Unauthorized")                                                                \
	PHRASE(403, "Forbidden")                                                                   \
	PHRASE(404, "Not Found")                                                                   \
	PHRASE(405, "Method Not Allowed")                                                          \
	PHRASE(408, "Request Timeout")                                                             \
	PHRASE(409, "Conflict")                                                                    \
	PHRASE(410, "Gone")                                                                        \
	PHRASE(411, "Length Required")                                                             \
	PHRASE(412, "Precondition Failed")                                                         \
	PHRASE(413, "Content Too Large")                                                           \
	PHRASE(414, "URI Too Long")                                                                \
	PHRASE(415, "Unsupported Media Type")                                                      \
	PHRASE(416, "Range Not Satisfiable")                                                       \
	PHRASE(417, "Expectation Failed")                                                          \
	PHRASE(421, "Misdirected Request")                                                         \
	PHRASE(426, "Upgrade Required")                                                            \
	PHRASE(429, "Too Many Requests")                                                           \
	PHRASE(431, "Request Header Fields Too Large")                                             \
	PHRASE(500, "Internal Server Error")                                                       \
	PHRASE(501, "Not Implemented")                                                             \
	PHRASE(502, "Bad Gateway")                                                                 \
	PHRASE(503, "Service Unavailable")                                                         \
	PHRASE(504, "Gateway Timeout")                                                             \
	PHRASE(505, "HTTP Version Not Supported")

/* A head being parsed: from p to end, which is just behind the final CRLF. */
struct http1_parse {
	struct http1_head *head;
	const char *p, *end;
	const struct http1_limits *limits;
	unsigned n_host, n_length, n_coding; /* fields seen */
	bool bad_length;
	/* Transfer-Encoding: */
	bool chunked_last, chunked_early, other_coding, bad_coding;
	unsigned options;
};

/* Notes why and returns -status. */
int http1_refuse(int status, const char *why);

/*
 * Finds the end of the head: its length, 0 = more bytes needed, -1 = a line does not end in
 * CRLF, -2 = first line beyond max_line (or max_head), -3 = head beyond max_head.
 */
int http1_head_end(const char *buf, size_t len, size_t *scanned, size_t max_line,
		   const struct http1_limits *limits);

/* "HTTP/1.x" at p: the minor version, -1 = not HTTP at all, -2 = another major version. */
int http1_version(const char *p, size_t len);

/* One field line. Returns 0 or -400, with the reason noted. */
int http1_field_line(struct http1_parse *parse, struct http1_field *f);

/* All field lines up to the empty one. Returns 0, -400 or -431, with the reason noted. */
int http1_fields(struct http1_parse *parse);

/* Marks hop-by-hop fields and decides keep_alive. */
void http1_connection(struct http1_parse *parse);

#endif
