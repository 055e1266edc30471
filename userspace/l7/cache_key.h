/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tells answers apart in a cache: the key, made from the target of a request and what the
 * operator adds; and among answers of one key the fields that Vary names (RFC 9111 section
 * 4.1), normalised so that what means the same looks the same. Pure.
 *
 *   key   scheme NUL host NUL path?query [NUL name NUL value]...
 *   vary  [name NUL value NUL]...    names in lower case; an absent field has the value DEL
 */
#ifndef L7_CACHE_KEY_H
#define L7_CACHE_KEY_H

#include "l7/http1.h"

#define CACHE_KEY_MOST  4096 /* bytes; what would be longer is not cached */
#define CACHE_VARY_MOST 2048 /* likewise */

/* What besides the target is part of the key. */
struct cache_key_parts {
	bool no_query;
	const char *const *headers; /* in lower case */
	unsigned n_headers;
	const char *const *cookies;
	unsigned n_cookies;
};

/* Length, or 0 when it has no room. head: a request's. path: normalised, with its query. */
size_t cache_key(char *out, size_t room, const struct http1_head *head, struct span scheme,
		 struct span authority, struct span path, const struct cache_key_parts *parts);

/* The key of another target of the same scheme and host, for what an unsafe method changes: url
 * is a Location or Content-Location, as it came. 0 when it leads elsewhere. */
size_t cache_key_near(char *out, size_t room, struct span key, struct span url);

/* The request has such a cookie. */
bool cache_has_cookie(const struct http1_head *head, struct span name);

/* The target of a key: path and query. */
struct span cache_key_path(struct span key);

/* What the request has for the fields that the response's Vary names. Length; -1 when there is no
 * room, or a "*". */
int cache_vary(char *out, size_t room, const struct http1_head *response,
	       const struct http1_head *request);
/* The same request for these fields. language: Content-Language of the response, which answers
 * whoever likes that one best. */
bool cache_vary_match(struct span vary, const struct http1_head *request, struct span language);

/* Not cryptographic; seed it, so that nobody outside knows who collides. */
uint64_t cache_hash(const void *bytes, size_t len, uint64_t seed);

#endif
