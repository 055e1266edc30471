/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections to backends, of one thread: which can be used again, and the making of new ones.
 * A connection carries one request at a time; between requests it waits with its backend, the
 * last one used on top, so that those which are not needed grow old and are closed.
 */
#ifndef L7_UPSTREAM_H
#define L7_UPSTREAM_H

#include "l7/link.h"
#include "l7/pool.h"
#include "l7/thread.h"

struct upstream {
	struct link link;
	struct timer timer; /* pooled: until it is too old */
	TAILQ_ENTRY(upstream) entry;
	struct backend *backend;
	uint32_t turn;     /* of the backend's address, when it was made */
	void *user;        /* whose request it carries; NULL = pooled */
	bool connecting;   /* the first sending tells whether it succeeded */
	bool introduced;   /* a PROXY header was sent */
	bool reused;       /* has carried another request before */
	uint32_t keep_ms;  /* the backend keeps it no longer than this; 0: it does not say */
	uint64_t asked_us; /* when it was taken into use; 0: nobody wants to know */
};

struct upstreams {
	struct thread *thread;
	uint32_t n_pooled;                 /* of all backends; at most conf->max_connections */
	struct pool *pools;                /* [index] */
	void (*ready)(struct upstream *u); /* a connection in use has an event */
};

/* What connections and queues tell their user. */
struct upstream_calls {
	void (*ready)(struct upstream *u);
	void (*serve)(struct waiter *w); /* it is its turn in the queue */
	void (*hedge)(struct hedge *h);  /* the time for an answer is over */
};

/* 0 or -ENOMEM; upstreams_fini either way. */
int upstreams_init(struct upstreams *us, struct thread *thread, const struct upstream_calls *calls);
/* Closes those that are pooled; none may be in use. */
void upstreams_fini(struct upstreams *us);
/* Closes those that are pooled. */
void upstreams_flush(struct upstreams *us);
/* The backend has another address: pooled connections go to the old one. */
void upstreams_forget(struct backend *b);
/* Now and then, and when another thread has freed something: those who wait try again. */
void upstreams_serve(struct upstreams *us);

/* A pooled connection (unless fresh), or a new one that is being made. NULL with errno; EBUSY:
 * the backend is at its limit. */
struct upstream *upstream_get(struct backend *b, void *user, bool fresh);
/* Something was sent: there is a connection. */
void upstream_connected(struct upstream *u);
/* What the head of a response says about how long the backend keeps the connection. */
void upstream_told(struct upstream *u, const struct http1_head *h);
/* The request is over and the connection is clean: into the pool, or closed if that is full. */
void upstream_put(struct upstream *u);
void upstream_close(struct upstream *u);

#endif
