/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The steps of a request that has to do with a cache.
 *
 *   HEAD -> cache_begin -+-> SERVE          a stored response answers
 *                        +-> CACHE -> SERVE after waiting for a fetch, one's own or another's
 *                        +-> CONNECT ...    the cache has no say
 *
 * A fetch is a client without a connection (fetch.c): so an answer goes on to be fetched
 * whoever leaves, and is read by all who wait, each at its own pace. An answer that turns out to
 * be for one alone is handed to the client for which it was asked, with the connection to the
 * backend, before a byte of it was taken.
 */
#ifndef L7_CACHE_H
#define L7_CACHE_H

#include "l7/caching.h"
#include "l7/relay.h"

#define CACHE_STATUS_BYTES 160

struct client;
struct fetch;

/* Why the origin was asked: what Cache-Status calls fwd (RFC 9211 section 2.2). */
enum cache_forward {
	CACHE_FWD_NONE,
	CACHE_FWD_BYPASS,
	CACHE_FWD_METHOD,
	CACHE_FWD_URI_MISS,
	CACHE_FWD_REQUEST,
	CACHE_FWD_STALE,
	CACHE_FWD_PARTIAL,
};

/* An answer on its way to a client; which part of it, client.part says. */
struct serve {
	struct object *object; /* a reference */
	struct reader reader;
	uint64_t skip, left; /* of the reader's bytes: to be passed over; to be sent */
	bool chunk, chunk_open;
	size_t chunk_left;
};

/* An answer to POST that is kept for GET while it goes to its client (cache_change.c). */
struct taking {
	struct relay_tap tap;
	struct fill *fill; /* a reference; NULL: none is kept */
	struct object *object;
	struct content *content; /* NULL: there is none */
};

/* What a client has to do with a cache. */
struct cached {
	const struct caching *use; /* NULL: nothing */
	struct buf key;
	uint64_t hash;
	struct fresh_request asks;
	enum cache_forward forward;
	bool joins;          /* it waits for a fetch, or makes one */
	bool renew;          /* base answers, and is fetched anew */
	struct object *base; /* is to be validated; of HEAD, what GET has; a reference */
	bool may_take;       /* an answer to this POST may be kept for GET */
	struct taking takes;
	bool waited;            /* for a fetch of somebody else */
	bool alone;             /* it has waited once, in vain */
	bool lead;              /* the fetch is made for it */
	struct fill *fill;      /* a reference */
	struct fetch *fetch;    /* in a client without a connection: what it fetches */
	struct fetch *leads;    /* the fetch that is made for this client */
	struct sleeper sleeper; /* in a list of the fill, or of the content that is served */
	struct serve serve;
};

/* ---- cache.c -------------------------------------------------------------------------- */

/* The head h of a request was read, its target normalised. True: the answer is there, and the
 * step set. */
bool cache_begin(struct client *c, const struct http1_head *h);
/* The key of its target; cache_begin has made it. */
struct store_key cache_key_of(const struct client *c);
/* c->head has what a backend gets: the step that comes next. */
void cache_next(struct client *c);
/* Cache-Status for such an answer, as a whole field line, into text; may be empty. */
struct span cache_status_passed(const struct client *c, char text[CACHE_STATUS_BYTES]);
/* "hit", or why the origin was asked; empty: no cache was. */
struct span cache_word(const struct client *c);
/* Everything is given back. */
void cache_clear(struct client *c);

/* ---- cache_change.c ------------------------------------------------------------------- */

/* The backend's final answer to a request that went past the cache: what it changes there. */
void cache_passed(struct client *c, const struct http1_head *answer);
/* Who is shown its content, or NULL. */
struct relay_tap *cache_tap(struct client *c);
/* All of it was read. */
void cache_taken(struct client *c);
void cache_taking_clear(struct client *c);

/* ---- cache_purge.c -------------------------------------------------------------------- */

/* It is a PURGE that is answered here; the step is set. key: of its target, or empty. */
bool cache_purge(struct client *c, const struct http1_head *h, struct span key);

/* ---- cache_serve.c -------------------------------------------------------------------- */

/* Begins to answer with o: the head is in link.out, the step set. request: the client's. False:
 * memory is exhausted, or the content's beginning is gone. */
bool cache_serve_begin(struct client *c, struct object *o, const struct http1_head *request,
		       struct span status);
void cache_serve_clear(struct client *c);
/* c can be put into lists. */
void cache_sleeper_set(struct client *c);

#endif
