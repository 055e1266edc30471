/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stores of a worker and how each service uses one: made once, before there are threads, and
 * then read by all of them. And the making of objects from heads, in a thread's memory.
 */
#ifndef L7_CACHING_H
#define L7_CACHING_H

#include "base/cache_page.h"
#include "l7/cache_head.h"
#include "l7/cache_key.h"
#include "l7/store.h"
#include "l7/thread.h"

struct caching {
	const struct conf_caching *conf;
	struct store *store;
	struct fresh_policy policy;
	struct cache_key_parts key;
};

struct caches {
	struct store **stores;    /* [conf_cache.index] */
	struct caching *cachings; /* [conf_caching.index] */
	unsigned n_stores, n_cachings;
};

/* 0 or -ENOMEM; caches_fini either way. */
int caches_init(struct caches *c, const struct conf *conf);
void caches_fini(struct caches *c);

/* What they count, onto the page; NULL is fine. */
void caches_report(const struct caches *c, const struct conf *conf, const struct cache_page *page);

/* How a service uses a cache; NULL: it does not. */
const struct caching *caching_of(const struct thread *t, const struct conf_service *s);

/* What an object is made of, besides its head. */
struct caching_answer {
	const struct http1_head *head;
	const struct fresh_response *said;
	struct fresh_verdict verdict;
	struct span vary;
	bool shared;             /* may answer others than who asked */
	bool all;                /* with the fields that only who asked may see */
	bool again;              /* head was kept before */
	struct content *content; /* a reference, which the object takes over; NULL: none */
	uint64_t size;           /* of the content, or CONTENT_UNKNOWN */
	struct range part;       /* of a 206 */
	uint64_t whole;          /* of a 206; else 0 */
	int64_t now;             /* seconds since 1970 */
};

/* NULL when memory is exhausted; the content's reference is given back then. */
struct object *caching_object(struct thread *t, struct store *s, const struct caching_answer *a);
/* The same response as it is kept, with its content whole: a reference, taken over. strip: without
 * the fields that only who asked may see. */
struct object *caching_settled(struct thread *t, const struct object *o, struct content *content,
			       bool strip);
/* The part o and what is kept beside it, together: a larger part, or all; o itself if there is
 * nothing beside it, or no memory. Takes o's reference and gives one. */
struct object *caching_combined(struct thread *t, struct store *s, struct store_key key,
				struct object *o);
/* o with what a 304, or a HEAD, says anew: of the same content. NULL when memory is exhausted or
 * there are too many fields; *verdict is that of the new one. */
struct object *caching_updated(struct thread *t, const struct caching *c, const struct object *o,
			       const struct http1_head *update, const struct fresh_asked *asked,
			       int64_t now);

#endif
