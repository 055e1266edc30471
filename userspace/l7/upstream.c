// SPDX-License-Identifier: BSD-2-Clause
#include "l7/upstream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- all of them ---------------------------------------------------------------------- */

int upstreams_init(struct upstreams *us, struct thread *thread, void (*ready)(struct upstream *))
{
	const struct conf *conf = thread->conf;

	us->thread = thread;
	us->ready = ready;
	us->pools = calloc(conf->n_pools ? conf->n_pools : 1, sizeof(us->pools[0]));
	if (!us->pools)
		return -ENOMEM;
	for (unsigned i = 0; i < conf->n_pools; i++) {
		const struct conf_pool *p = &conf->pools[i];

		us->pools[i] = calloc(p->n_backends ? p->n_backends : 1, sizeof(struct backend));
		if (!us->pools[i])
			return -ENOMEM;
		for (unsigned b = 0; b < p->n_backends; b++) {
			us->pools[i][b] =
				(struct backend){.conf = &p->backends[b], .pool = p, .owner = us};
			TAILQ_INIT(&us->pools[i][b].pooled);
		}
	}
	return 0;
}

static void backend_flush(struct backend *b)
{
	struct upstream *u;

	while ((u = TAILQ_FIRST(&b->pooled)))
		upstream_close(u);
}

void upstreams_flush(struct upstreams *us)
{
	const struct conf *conf = us->thread->conf;

	for (unsigned i = 0; us->pools && i < conf->n_pools; i++)
		for (unsigned b = 0; us->pools[i] && b < conf->pools[i].n_backends; b++)
			backend_flush(&us->pools[i][b]);
}

void upstreams_fini(struct upstreams *us)
{
	upstreams_flush(us);
	for (unsigned i = 0; us->pools && i < us->thread->conf->n_pools; i++)
		free(us->pools[i]);
	free(us->pools);
	us->pools = NULL;
}

/* ---- which backend -------------------------------------------------------------------- */

static bool was_tried(const struct backend *b, struct backend *const tried[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (tried[i] == b)
			return true;
	return false;
}

/* Each backend gains its weight in credit, the richest is chosen and pays what all gained:
 * weights 5 1 1 give a a b a c a a, not a a a a a b c. */
static struct backend *choose(struct upstreams *us, const struct conf_pool *p,
			      struct backend *const tried[], unsigned n_tried, bool resting)
{
	struct backend *all = us->pools[p->index], *best = NULL;
	int64_t gained = 0;

	for (unsigned i = 0; i < p->n_backends; i++) {
		struct backend *b = &all[i];

		if (b->conf->weight == 0 || was_tried(b, tried, n_tried) ||
		    !health_page_takes(us->thread->health, b->conf->slot) ||
		    (!resting && b->rest_ms > us->thread->now_ms))
			continue;
		b->credit += b->conf->weight;
		gained += b->conf->weight;
		if (!best || b->credit > best->credit)
			best = b;
	}
	if (best)
		best->credit -= gained;
	return best;
}

struct backend *upstream_choose(struct upstreams *us, const struct conf_pool *pool,
				struct backend *const tried[], unsigned n_tried)
{
	struct backend *b = choose(us, pool, tried, n_tried, false);

	return b ? b : choose(us, pool, tried, n_tried, true);
}

void upstream_rest(struct backend *b)
{
	b->rest_ms = b->owner->thread->now_ms + UPSTREAM_REST_MS;
}

/* ---- one connection ------------------------------------------------------------------- */

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *u = arg;

	(void)fd;
	thread_clock(u->backend->owner->thread);
	link_ready(&u->link, what);
	if (u->user)
		u->backend->owner->ready(u);
	else if (u->link.readable)
		/* Between requests a backend can only hang up, or say what nobody asked for. */
		upstream_close(u);
}

static int connect_start(const struct endpoint *to)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int on = 1, saved;

	if (fd < 0)
		return -1;
	/* A request leaves in one piece; its last part must not wait for an acknowledgement. */
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
	    (connect(fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS))
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static void too_old(struct timer *t)
{
	upstream_close((struct upstream *)((char *)t - offsetof(struct upstream, timer)));
}

static struct upstream *upstream_new(struct backend *b, void *user)
{
	struct upstream *u = calloc(1, sizeof(*u));
	int fd = u ? connect_start(&b->conf->endpoint) : -1, saved;

	if (fd >= 0 && link_open(&u->link, fd, b->owner->thread->base, on_event, u) == 0) {
		u->backend = b;
		u->user = user;
		u->connecting = true;
		u->timer.fire = too_old;
		return u;
	}
	saved = fd >= 0 ? ENOMEM : errno;
	free(u);
	errno = saved;
	return NULL;
}

static void unpool(struct upstream *u)
{
	TAILQ_REMOVE(&u->backend->pooled, u, entry);
	u->backend->n_pooled--;
	u->backend->owner->n_pooled--;
	wheel_stop(&u->timer);
}

struct upstream *upstream_get(struct backend *b, void *user, bool fresh)
{
	struct upstream *u = fresh ? NULL : TAILQ_FIRST(&b->pooled);

	if (!u)
		return upstream_new(b, user);
	unpool(u);
	u->user = user;
	u->reused = true;
	u->link.sent = 0;
	u->link.unsure = false; /* the request tells */
	return u;
}

void upstream_put(struct upstream *u)
{
	struct backend *b = u->backend;
	struct thread *t = b->owner->thread;

	assert(buf_len(&u->link.in) == 0);
	if (b->n_pooled >= b->pool->upstream_idle_max ||
	    b->owner->n_pooled >= t->conf->max_connections || t->draining) {
		upstream_close(u);
		return;
	}
	u->user = NULL;
	buf_release(&t->pool, &u->link.in);
	buf_release(&t->pool, &u->link.out);
	TAILQ_INSERT_HEAD(&b->pooled, u, entry);
	b->n_pooled++;
	b->owner->n_pooled++;
	wheel_set(&t->wheel, &u->timer, t->now_ms + b->pool->upstream_idle_ms);
}

void upstream_close(struct upstream *u)
{
	if (!u->user)
		unpool(u);
	wheel_stop(&u->timer);
	link_close(&u->link, &u->backend->owner->thread->pool, false);
	free(u);
}
