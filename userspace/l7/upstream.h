/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections to backends, of one thread: which backend is next, which of its connections
 * can be used again, and the making of new ones. A connection carries one request at a
 * time; between requests it waits in its backend's pool, the last one used on top, so that
 * those which are not needed grow old and are closed.
 */
#ifndef L7_UPSTREAM_H
#define L7_UPSTREAM_H

#include "l7/link.h"
#include "l7/thread.h"

#define UPSTREAM_REST_MS                                                                           \
	5000 /* a backend that refused a connection is the last choice for so long */

struct upstream {
	struct link link;
	struct timer timer; /* pooled: until it is too old */
	TAILQ_ENTRY(upstream) entry;
	struct backend *backend;
	void *user;      /* whose request it carries; NULL = pooled */
	bool connecting; /* the first sending tells whether it succeeded */
	bool reused;     /* has carried another request before */
};

struct backend {
	const struct conf_backend *conf;
	const struct conf_pool *pool;
	struct upstreams *owner;
	TAILQ_HEAD(, upstream) pooled;
	uint32_t n_pooled;
	int64_t credit;   /* of the smooth weighted round */
	uint64_t rest_ms; /* thread time until which it rests; 0 = it does not */
};

struct upstreams {
	struct thread *thread;
	uint32_t n_pooled;                 /* of all backends; at most conf->max_connections */
	struct backend **pools;            /* [pool index][backend index] */
	void (*ready)(struct upstream *u); /* a connection in use has an event */
};

/* 0 or -ENOMEM; upstreams_fini either way. */
int upstreams_init(struct upstreams *us, struct thread *thread, void (*ready)(struct upstream *));
/* Closes those that are pooled; none may be in use. */
void upstreams_fini(struct upstreams *us);
/* Closes those that are pooled. */
void upstreams_flush(struct upstreams *us);

/*
 * The next backend by smooth weighted round-robin, leaving out weight 0, those that checks say
 * are down, and those in tried[0..n_tried); those that rest only if there is no other. NULL if none
 * is left.
 */
struct backend *upstream_choose(struct upstreams *us, const struct conf_pool *pool,
				struct backend *const tried[], unsigned n_tried);

/* A pooled connection (unless fresh), or a new one that is being made. NULL with errno. */
struct upstream *upstream_get(struct backend *b, void *user, bool fresh);
/* The request is over and the connection is clean: into the pool, or closed if that is full. */
void upstream_put(struct upstream *u);
void upstream_close(struct upstream *u);

/* The backend could not be reached: others are asked first for a while. */
void upstream_rest(struct backend *b);

#endif
