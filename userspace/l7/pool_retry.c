// SPDX-License-Identifier: BSD-2-Clause
/* Owns: what a pool allows beyond one try for each request: the budget, and the time of hedges. */
#include "l7/pool.h"
#include "l7/upstream.h"

#define RETRY      1000U         /* what one costs */
#define RETRY_MOST (100 * RETRY) /* that can be saved up */

/* Each request adds its part; whatever that comes to, some may be had each second. */
bool pool_may_retry(struct pool *p)
{
	uint64_t now = p->thread->now_ms;

	if (now >= p->tokens_ms + 1000) {
		p->tokens_ms = now;
		if (p->tokens < POOL_RETRIES * RETRY && p->conf->retry.budget)
			p->tokens = POOL_RETRIES * RETRY;
	}
	if (p->tokens < RETRY) {
		p->counts.retries_refused++;
		return false;
	}
	p->tokens -= RETRY;
	p->counts.retries++;
	return true;
}

void pool_begin(struct pool *p)
{
	p->counts.requests++;
	p->tokens += p->conf->retry.budget * RETRY / 100;
	if (p->tokens > RETRY_MOST)
		p->tokens = RETRY_MOST;
}

/* ---- hedges --------------------------------------------------------------------------- */

static void hedge_timer_set(struct pool *p)
{
	const struct hedge *first = TAILQ_FIRST(&p->hedges);
	uint64_t now_us = pool_clock(p),
		 wait = first && first->due_us > now_us ? first->due_us - now_us : 0;
	const struct timeval tv = {.tv_sec = (time_t)(wait / 1000000),
				   .tv_usec = (suseconds_t)(wait % 1000000)};

	if (first)
		event_add(&p->hedge_timer, &tv);
}

void pool_on_hedge(evutil_socket_t fd, short what, void *arg)
{
	struct pool *p = arg;
	struct hedge *h;

	(void)fd, (void)what;
	thread_clock(p->thread);
	while ((h = TAILQ_FIRST(&p->hedges)) && h->due_us <= pool_clock(p)) {
		pool_hedge_stop(h);
		p->calls->hedge(h);
	}
	hedge_timer_set(p);
}

void pool_hedge(struct pool *p, struct hedge *h)
{
	uint64_t wait = p->conf->retry.hedge_ms == CONF_HEDGE_P95
				? latency_percentile(&p->latency, 95)
				: p->conf->retry.hedge_ms * 1000ULL;

	if (wait == 0 || h->pool)
		return;
	h->pool = p;
	h->due_us = pool_clock(p) + wait;
	TAILQ_INSERT_TAIL(&p->hedges, h, entry);
	if (TAILQ_FIRST(&p->hedges) == h)
		hedge_timer_set(p);
}

/* The timer may be for one that has gone; it sets itself anew. */
void pool_hedge_stop(struct hedge *h)
{
	if (!h->pool)
		return;
	TAILQ_REMOVE(&h->pool->hedges, h, entry);
	h->pool = NULL;
}
