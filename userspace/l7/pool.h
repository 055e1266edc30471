/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool as one thread sees it: which backend is next, which of them rest, and who waits for
 * one. What is counted against max_conns and max_connecting is shared by all threads, since
 * those are limits of the backend; everything else is the thread's own.
 *
 * Who finds all backends at their limits waits in the pool's queue, if it has one: FIFO in a
 * thread, and a connection that becomes free goes to the thread that freed it first, then to the
 * others in turn.
 */
#ifndef L7_POOL_H
#define L7_POOL_H

#include <stdatomic.h>
#include <sys/queue.h>

#include <event2/event_struct.h>

#include "l7/balance.h"
#include "l7/latency.h"
#include "l7/outlier.h"
#include "l7/thread.h"

#define POOL_REST_MS  5000 /* a backend that refused a connection is the last choice for so long */
#define POOL_RETRIES  10   /* tries beyond the first that are to be had in any second */
#define POOL_RENEW_MS 250  /* for so long after a change of its health a choice may not know */

/* What all threads of a worker count together. */
struct pool_shared {
	unsigned n_threads;
	struct pool_used {
		_Atomic uint32_t conns, connecting;
	} *used;                   /* [conf_backend.number] */
	_Atomic uint32_t *waiting; /* [pool index * n_threads + thread] */
	const int *wake_fds;       /* an eventfd of each thread */
};

struct upstreams;
struct upstream_calls;

struct backend_counts {
	uint64_t requests, failures; /* failures: not reached, gone, no answer in time, 5xx */
	uint64_t ejected;            /* times that it was put aside */
};

struct backend {
	const struct conf_backend *conf;
	struct pool *pool;
	struct balance *balance; /* of primaries, or of backups */
	uint32_t index;          /* its member there */
	struct endpoint endpoint;
	uint32_t turn; /* of its seat, if its address is one of a name's */
	bool there;    /* it has an address, or is a UNIX socket */
	TAILQ_HEAD(, upstream) pooled;
	uint32_t n_pooled;
	uint64_t rest_ms; /* thread time until which it rests; 0 = it does not */
	struct outlier outlier;
	uint64_t answered_us; /* when it was last measured */
	uint64_t up_ms;       /* thread time since when it is up again; 0 = it always was */
	bool up;
	struct backend_counts counts;
};

/* Who waits for a backend; zeroed = nobody. */
struct waiter {
	TAILQ_ENTRY(waiter) entry;
	struct pool *pool;
};

/* A request that is sent to another backend too, if there is no answer; zeroed = none. */
struct hedge {
	TAILQ_ENTRY(hedge) entry;
	struct pool *pool;
	uint64_t due_us;
};

struct pool_counts {
	uint64_t requests;
	uint64_t queued, queue_full, queue_timeout;
	uint64_t retries, retries_refused; /* refused: beyond the budget */
	uint64_t hedges, hedges_won;
};

struct pool {
	const struct conf_pool *conf;
	struct upstreams *owner;
	struct thread *thread;
	struct backend *backends; /* the primaries first */
	unsigned n, n_primaries;
	struct balance primaries, backups;
	uint64_t renewed_ms;
	uint32_t turn; /* of the names' addresses, when it looked */
	bool stale;    /* something changed that renewing will see */
	TAILQ_HEAD(, waiter) waiters;
	uint32_t n_waiting;
	const struct upstream_calls *calls;
	uint64_t interval_ms; /* of outliers: thread time when it ends */
	uint32_t tokens;      /* of the budget: thousandths of a retry */
	uint64_t tokens_ms;   /* thread time of the last floor */
	struct latency latency;
	TAILQ_HEAD(, hedge) hedges; /* the one that is due next first */
	struct event hedge_timer;
	struct pool_counts counts;
};

/* 0 or -ENOMEM; pool_fini either way. */
int pool_init(struct pool *p, const struct conf_pool *conf, struct upstreams *owner,
	      const struct upstream_calls *calls);
void pool_fini(struct pool *p);

/* pool_seats.c: takes up what addresses names have by now. True: backends have moved. */
bool pool_seats_look(struct pool *p);
/* All its backends have names, and no name has an address. */
bool pool_is_nowhere(const struct pool *p);

/* Who asks. */
struct pool_ask {
	struct backend *const *tried; /* not these */
	unsigned n_tried;
	uint64_t key; /* of hash */
	bool busy;    /* out: some would take it, but for their limits */
};

/* Its address, or the path of its socket; returns buf or that. */
const char *backend_text(const struct backend *b, char buf[ENDPOINT_TEXT]);

/* The next backend: of those that are up by the pool's way to choose; one that rests only if
 * there is no other. NULL: see busy. */
struct backend *pool_choose(struct pool *p, struct pool_ask *ask);

/* A connection is taken into use, or given up; false: the backend is at its limit. connecting:
 * it is to be made. */
bool pool_take(struct backend *b, bool connecting);
void pool_connected(struct backend *b);
void pool_release(struct backend *b, bool connecting);

/* Microseconds, for pools that go by latency; 0 for others, which are spared the question. */
uint64_t pool_clock(const struct pool *p);
/* The head of a response is there. */
void pool_answered(struct backend *b, uint64_t asked_us, unsigned status);
/* There is none, and will be none. */
void pool_failed(struct backend *b);

/* A request that will ask it begins. */
void pool_begin(struct pool *p);
/* Another try is within the budget, which has it less then. */
bool pool_may_retry(struct pool *p);
/* The request was sent: it is hedged when its time comes. */
void pool_hedge(struct pool *p, struct hedge *h);
void pool_hedge_stop(struct hedge *h); /* fine for one that was not begun */
void pool_on_hedge(evutil_socket_t fd, short what, void *pool); /* of the timer */

/* The backend could not be reached: others are asked first for a while. */
void pool_rest(struct backend *b);

/* Into the queue; false: it is full. */
bool pool_wait(struct pool *p, struct waiter *w);
/* Out of it; fine for who does not wait. */
void pool_leave(struct waiter *w);
/* It waits, and others are before it. */
bool pool_is_behind(const struct pool *p, const struct waiter *w);
/* Backends may take requests again: the first in the queue tries, but not at once. */
void pool_serve(struct pool *p);

#endif
