/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names that requests of a thread wait for: the resolver is asked over a socketpair (lookup.h).
 * At most LOOKUP_THREAD at a time. An answer that nobody waits for any more is passed over; one
 * that never comes is the owner's to time.
 */
#ifndef L7_NAMER_H
#define L7_NAMER_H

#include <stdbool.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/lookup.h"

struct namer_query {
	uint32_t id; /* 0: it does not wait */
	/* Called once, from the loop; the query waits no more. */
	void (*done)(struct namer_query *q, const struct lookup_answer *answer);
};

struct namer {
	int fd;        /* borrowed; -1: nobody is to be asked */
	uint32_t last; /* id */
	struct event event;
	struct namer_query *waiting[LOOKUP_THREAD]; /* [id % LOOKUP_THREAD] */
};

/* 0 or -errno; namer_fini either way. */
int namer_init(struct namer *n, struct event_base *base, int fd);
void namer_fini(struct namer *n);

/* False: there are too many, or the resolver does not listen. */
bool namer_ask(struct namer *n, struct namer_query *q, const char *name);
/* Fine for one that does not wait. */
void namer_stop(struct namer *n, struct namer_query *q);

#endif
