// SPDX-License-Identifier: BSD-2-Clause
#include "l7/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "l7/upstream.h"

#define RAMP_LEAST 10 /* percent of its weight that a backend has when it comes back */

/* ---- all of it ------------------------------------------------------------------------ */

static uint64_t seed_of(const void *p)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)(uintptr_t)p ^ ((uint64_t)now.tv_nsec << 32) ^ (uint64_t)now.tv_sec;
}

static void backend_init(struct pool *p, const struct conf_backend *conf, unsigned at)
{
	struct backend *b = &p->backends[at];
	bool backup = at >= p->n_primaries;

	*b = (struct backend){
		.conf = conf,
		.pool = p,
		.balance = backup ? &p->backups : &p->primaries,
		.index = backup ? at - p->n_primaries : at,
		.endpoint = conf->endpoint,
		.there = !conf->host,
		.up = true,
	};
	TAILQ_INIT(&b->pooled);
	b->balance->members[b->index].weight = b->there ? conf->weight : 0;
}

const char *backend_text(const struct backend *b, char buf[ENDPOINT_TEXT])
{
	return b->conf->path ? b->conf->path : endpoint_format(&b->endpoint, buf);
}

/* Tells hash where members stand. */
static int place(struct pool *p)
{
	char(*texts)[ENDPOINT_TEXT] = calloc(p->n + 1, sizeof(*texts));
	const char **keys = calloc(p->n + 1, sizeof(*keys));
	int rc = texts && keys ? 0 : -ENOMEM;

	for (unsigned i = 0; rc == 0 && i < p->n; i++)
		keys[i] = backend_text(&p->backends[i], texts[i]);
	rc = rc ? rc : balance_place(&p->primaries, keys);
	rc = rc ? rc : balance_place(&p->backups, keys + p->n_primaries);
	free(texts);
	free(keys);
	return rc;
}

int pool_init(struct pool *p, const struct conf_pool *conf, struct upstreams *owner,
	      const struct upstream_calls *calls)
{
	unsigned first = 0, behind, rc;

	*p = (struct pool){.conf = conf,
			   .owner = owner,
			   .thread = owner->thread,
			   .n = conf->n_backends,
			   .calls = calls};
	TAILQ_INIT(&p->waiters);
	TAILQ_INIT(&p->hedges);
	p->interval_ms = p->thread->now_ms + conf->outlier.interval_ms;
	if (event_assign(&p->hedge_timer, p->thread->base, -1, 0, pool_on_hedge, p) != 0)
		return -ENOMEM;
	for (unsigned i = 0; i < conf->n_backends; i++)
		p->n_primaries += !conf->backends[i].backup;
	behind = p->n_primaries;
	p->backends = calloc(p->n ? p->n : 1, sizeof(*p->backends));
	rc = balance_init(&p->primaries, conf->balance, p->n_primaries, seed_of(p)) ||
	     balance_init(&p->backups, conf->balance, p->n - p->n_primaries, seed_of(&p->backups));
	if (!p->backends || rc)
		return -ENOMEM;
	for (unsigned i = 0; i < conf->n_backends; i++)
		backend_init(p, &conf->backends[i], conf->backends[i].backup ? behind++ : first++);
	p->stale = true;
	return place(p);
}

void pool_fini(struct pool *p)
{
	if (p->thread)
		event_del(&p->hedge_timer);
	balance_fini(&p->primaries);
	balance_fini(&p->backups);
	free(p->backends);
	p->backends = NULL;
	p->n = 0;
}

/* ---- who stands out -------------------------------------------------------------------- */

/* Puts it aside, if the pool has enough others. */
static void eject(struct backend *b)
{
	static struct log_rate aside_rate;
	const struct conf_outlier *conf = &b->pool->conf->outlier;
	uint64_t now = b->pool->thread->now_ms;
	unsigned aside = 1, all = 0;

	for (unsigned i = 0; i < b->pool->n; i++) {
		const struct backend *other = &b->pool->backends[i];

		all += other->there && other->conf->weight > 0;
		aside += other != b && other->outlier.until_ms > now;
	}
	if (b->outlier.until_ms > now || aside * 100 > conf->share * all)
		return;
	outlier_eject(&b->outlier, conf, now);
	b->counts.ejected++;
	b->pool->stale = true;
	log_limited(&aside_rate, LOG_LEVEL_WARN,
		    "backend stands out pool=%s backend=%s: put aside for %" PRIu64 " ms",
		    b->pool->conf->name, b->conf->name, b->outlier.until_ms - now);
}

static void note(struct backend *b, bool failed, uint64_t latency_us)
{
	if (outlier_note(&b->outlier, &b->pool->conf->outlier, failed, latency_us))
		eject(b);
}

static void interval_end(struct pool *p)
{
	struct outlier_norm norm;

	outlier_norm(&norm, &p->backends->outlier, p->n, sizeof(*p->backends), &p->conf->outlier);
	for (unsigned i = 0; i < p->n; i++) {
		if (outlier_stands_out(&p->backends[i].outlier, &norm))
			eject(&p->backends[i]);
		outlier_begin(&p->backends[i].outlier, p->thread->now_ms);
	}
	p->interval_ms = p->thread->now_ms + p->conf->outlier.interval_ms;
}

/* ---- what each may take now ----------------------------------------------------------- */

/* It is somewhere, and checks do not speak against it. */
static bool checked_up(const struct backend *b)
{
	return b->there && health_page_takes(b->pool->thread->health, b->conf->slot);
}

/* A slow start: the share grows with the time since it came back. */
static uint32_t share_of(const struct backend *b)
{
	uint64_t full = (uint64_t)b->conf->weight * BALANCE_UNIT;
	uint64_t age = b->pool->thread->now_ms - b->up_ms, whole = b->pool->conf->slow_start_ms;
	uint64_t percent = b->up_ms && age < whole ? age * 100 / whole : 100;

	return (uint32_t)(full * (percent > RAMP_LEAST ? percent : RAMP_LEAST) / 100);
}

static bool renew(struct backend *b)
{
	uint64_t now = b->pool->thread->now_ms;
	struct balance_member *m = &b->balance->members[b->index];
	bool up = b->rest_ms <= now && b->outlier.until_ms <= now && checked_up(b);
	uint32_t share;

	if (up && !b->up)
		b->up_ms = now;
	b->up = up;
	share = up ? share_of(b) : 0;
	if (share == m->share)
		return false;
	m->share = share;
	return true;
}

static void pool_renew(struct pool *p)
{
	static struct log_rate place_rate;
	bool primaries = false, backups = false;

	if (!p->stale && p->thread->now_ms < p->renewed_ms + POOL_RENEW_MS)
		return;
	p->stale = false;
	p->renewed_ms = p->thread->now_ms;
	/* Without memory hash goes on by where members stood. */
	if (pool_seats_look(p) && place(p) != 0)
		log_limited(&place_rate, LOG_LEVEL_ERR, "out of memory pool=%s", p->conf->name);
	if (p->conf->outlier.on && p->renewed_ms >= p->interval_ms && p->n)
		interval_end(p);
	for (unsigned i = 0; i < p->n_primaries; i++)
		primaries |= renew(&p->backends[i]);
	for (unsigned i = p->n_primaries; i < p->n; i++)
		backups |= renew(&p->backends[i]);
	if (primaries)
		balance_renew(&p->primaries);
	if (backups)
		balance_renew(&p->backups);
}

/* ---- limits --------------------------------------------------------------------------- */

static struct pool_used *used_of(const struct backend *b)
{
	return &b->pool->thread->shared->used[b->conf->number];
}

/* Adds one, unless that is past the limit; 0 is no limit, and is not counted. */
static bool count_up(_Atomic uint32_t *n, uint32_t limit)
{
	if (limit == 0 || atomic_fetch_add(n, 1) < limit)
		return true;
	atomic_fetch_sub(n, 1);
	return false;
}

static bool has_room(const struct backend *b)
{
	const struct conf_backend *c = b->conf;

	if (c->max_conns && atomic_load(&used_of(b)->conns) >= c->max_conns)
		return false;
	return c->max_connecting == 0 || b->n_pooled > 0 ||
	       atomic_load(&used_of(b)->connecting) < c->max_connecting;
}

bool pool_take(struct backend *b, bool connecting)
{
	const struct conf_backend *c = b->conf;

	if (!count_up(&used_of(b)->conns, c->max_conns))
		return false;
	if (connecting && !count_up(&used_of(b)->connecting, c->max_connecting)) {
		if (c->max_conns)
			atomic_fetch_sub(&used_of(b)->conns, 1);
		return false;
	}
	b->balance->members[b->index].active++;
	b->balance->active++;
	return true;
}

void pool_connected(struct backend *b)
{
	if (b->conf->max_connecting)
		atomic_fetch_sub(&used_of(b)->connecting, 1);
	if (b->conf->max_connecting && b->pool->conf->queue)
		pool_serve(b->pool);
}

/* Somebody of another thread waits: the next one behind this thread. */
static void wake_another(const struct pool *p)
{
	const struct pool_shared *s = p->thread->shared;
	const uint64_t one = 1;

	for (unsigned k = 1; k < s->n_threads; k++) {
		unsigned t = (p->thread->index + k) % s->n_threads;

		if (atomic_load(&s->waiting[p->conf->index * s->n_threads + t]) == 0)
			continue;
		/* A full counter wakes as well. */
		if (write(s->wake_fds[t], &one, sizeof(one)) < 0)
			continue;
		return;
	}
}

void pool_release(struct backend *b, bool connecting)
{
	const struct conf_backend *c = b->conf;

	b->balance->members[b->index].active--;
	b->balance->active--;
	if (connecting && c->max_connecting)
		atomic_fetch_sub(&used_of(b)->connecting, 1);
	if (c->max_conns)
		atomic_fetch_sub(&used_of(b)->conns, 1);
	if (b->pool->conf->queue == 0 || (!c->max_conns && !c->max_connecting))
		return;
	if (b->pool->n_waiting)
		pool_serve(b->pool);
	else
		wake_another(b->pool);
}

void pool_failed(struct backend *b)
{
	b->counts.failures++;
	note(b, true, 0);
}

uint64_t pool_clock(const struct pool *p)
{
	struct timespec now;

	if (p->conf->balance != CONF_BALANCE_p2c && !p->conf->outlier.on &&
	    !p->conf->retry.hedge_ms)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void pool_answered(struct backend *b, uint64_t asked_us, unsigned status)
{
	uint64_t now_us = asked_us ? pool_clock(b->pool) : 0;

	b->counts.failures += status >= 500;
	note(b, status >= 500, now_us - asked_us);
	if (!asked_us)
		return;
	latency_add(&b->pool->latency, now_us - asked_us);
	balance_latency(&b->balance->members[b->index], (float)(now_us - asked_us),
			(float)(now_us - b->answered_us) / 1e6F);
	b->answered_us = now_us;
}

void pool_rest(struct backend *b)
{
	b->rest_ms = b->pool->thread->now_ms + POOL_REST_MS;
	b->pool->stale = true;
	pool_failed(b);
}

/* ---- the next one --------------------------------------------------------------------- */

struct asking {
	struct backend *backends; /* of the balance */
	struct pool_ask *ask;
};

static bool suits(struct pool_ask *ask, const struct backend *b)
{
	for (unsigned i = 0; i < ask->n_tried; i++)
		if (ask->tried[i] == b)
			return false;
	if (!checked_up(b))
		return false;
	if (has_room(b))
		return true;
	ask->busy = true;
	return false;
}

static bool takes(void *context, uint32_t index)
{
	const struct asking *a = context;

	return suits(a->ask, &a->backends[index]);
}

static struct backend *choose_of(struct balance *b, struct backend *backends, struct pool_ask *ask)
{
	struct asking asking = {backends, ask};
	const struct balance_ask of = {.takes = takes, .context = &asking, .key = ask->key};
	int i = b->n_live ? balance_choose(b, &of) : -1;

	return i < 0 ? NULL : &backends[i];
}

static uint64_t back_ms(const struct backend *b)
{
	return b->rest_ms > b->outlier.until_ms ? b->rest_ms : b->outlier.until_ms;
}

/* The one whose rest is over first. */
static struct backend *choose_resting(struct pool *p, struct pool_ask *ask)
{
	struct backend *best = NULL;

	for (unsigned i = 0; i < p->n; i++) {
		struct backend *b = &p->backends[i];

		if (!b->up && b->conf->weight && (!best || back_ms(b) < back_ms(best)) &&
		    suits(ask, b))
			best = b;
	}
	return best;
}

struct backend *pool_choose(struct pool *p, struct pool_ask *ask)
{
	struct backend *b;

	pool_renew(p);
	ask->busy = false;
	b = choose_of(&p->primaries, p->backends, ask);
	/* What primaries are too busy for waits for them. */
	if (!b && !ask->busy)
		b = choose_of(&p->backups, p->backends + p->n_primaries, ask);
	if (!b && !ask->busy)
		b = choose_resting(p, ask);
	return b;
}

/* ---- the queue ------------------------------------------------------------------------ */

static void waiting_add(const struct pool *p, int n)
{
	const struct pool_shared *s = p->thread->shared;
	_Atomic uint32_t *at = &s->waiting[p->conf->index * s->n_threads + p->thread->index];

	if (n > 0)
		atomic_fetch_add(at, 1);
	else
		atomic_fetch_sub(at, 1);
}

bool pool_wait(struct pool *p, struct waiter *w)
{
	if (p->n_waiting >= p->conf->queue) {
		p->counts.queue_full++;
		return false;
	}
	w->pool = p;
	TAILQ_INSERT_TAIL(&p->waiters, w, entry);
	p->n_waiting++;
	p->counts.queued++;
	waiting_add(p, 1);
	return true;
}

void pool_leave(struct waiter *w)
{
	struct pool *p = w->pool;
	bool first;

	if (!p)
		return;
	first = TAILQ_FIRST(&p->waiters) == w;
	TAILQ_REMOVE(&p->waiters, w, entry);
	w->pool = NULL;
	p->n_waiting--;
	waiting_add(p, -1);
	/* What was meant for it may be there still. */
	if (first)
		pool_serve(p);
}

bool pool_is_behind(const struct pool *p, const struct waiter *w)
{
	const struct waiter *first = TAILQ_FIRST(&p->waiters);

	return first && first != w;
}

void pool_serve(struct pool *p)
{
	struct waiter *first = TAILQ_FIRST(&p->waiters);

	if (first)
		p->calls->serve(first);
}
