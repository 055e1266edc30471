// SPDX-License-Identifier: BSD-2-Clause
#include "l7/upstream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "l7/cc.h"
#include "l7/tls.h"

/* ---- all of them ---------------------------------------------------------------------- */

int upstreams_init(struct upstreams *us, struct thread *thread, const struct upstream_calls *calls)
{
	const struct conf *conf = thread->conf;
	int rc = 0;

	us->thread = thread;
	us->ready = calls->ready;
	us->pools = calloc(conf->n_pools ? conf->n_pools : 1, sizeof(us->pools[0]));
	if (!us->pools)
		return -ENOMEM;
	for (unsigned i = 0; rc == 0 && i < conf->n_pools; i++)
		rc = pool_init(&us->pools[i], &conf->pools[i], us, calls);
	return rc;
}

void upstreams_forget(struct backend *b)
{
	struct upstream *u;

	while ((u = TAILQ_FIRST(&b->pooled)))
		upstream_close(u);
}

void upstreams_flush(struct upstreams *us)
{
	for (unsigned i = 0; us->pools && i < us->thread->conf->n_pools; i++)
		for (unsigned b = 0; b < us->pools[i].n; b++)
			upstreams_forget(&us->pools[i].backends[b]);
}

void upstreams_fini(struct upstreams *us)
{
	upstreams_flush(us);
	for (unsigned i = 0; us->pools && i < us->thread->conf->n_pools; i++)
		pool_fini(&us->pools[i]);
	free(us->pools);
	us->pools = NULL;
}

void upstreams_serve(struct upstreams *us)
{
	for (unsigned i = 0; i < us->thread->conf->n_pools; i++)
		if (us->pools[i].n_waiting)
			pool_serve(&us->pools[i]);
}

static struct thread *thread_of(const struct backend *b)
{
	return b->pool->thread;
}

/* ---- one connection ------------------------------------------------------------------- */

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *u = arg;

	(void)fd;
	thread_clock(thread_of(u->backend));
	link_ready(&u->link, what);
	if (u->user)
		u->backend->pool->owner->ready(u);
	else if (!link_quiet(&u->link))
		/* Between requests a backend can only hang up, or say what nobody asked for. */
		upstream_close(u);
}

static socklen_t address_of(const struct backend *b, struct sockaddr_storage *ss)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	if (!b->conf->path)
		return endpoint_to_sockaddr(&b->endpoint, ss);
	strncpy(un.sun_path, b->conf->path, sizeof(un.sun_path) - 1);
	memcpy(ss, &un, sizeof(un));
	return sizeof(un);
}

static int connect_start(const struct backend *b)
{
	struct sockaddr_storage ss;
	socklen_t len = address_of(b, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, saved;

	if (fd < 0)
		return -1;
	/* A request leaves in one piece; its last part must not wait for an acknowledgement. */
	if ((b->conf->path || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0) &&
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

/* If its pool speaks TLS. */
static bool encrypt(struct upstream *u, struct backend *b)
{
	struct tls_thread *t = &thread_of(b)->tls;
	const struct conf_pool *conf = b->pool->conf;
	const struct tls_pool *pool = conf->tls ? tls_thread_pool(t, conf->index) : NULL;

	return !conf->tls || (pool && tls_connect(&u->link, t, pool, b->conf, &b->endpoint) == 0);
}

static struct upstream *upstream_new(struct backend *b, void *user)
{
	struct upstream *u = calloc(1, sizeof(*u));
	int fd = u ? connect_start(b) : -1, saved;

	if (fd >= 0 && link_open(&u->link, fd, thread_of(b)->base, on_event, u) == 0 &&
	    encrypt(u, b)) {
		u->backend = b;
		u->turn = b->turn;
		u->user = user;
		u->connecting = true;
		u->timer.fire = too_old;
		return u;
	}
	saved = fd >= 0 ? ENOMEM : errno;
	if (fd >= 0)
		link_close(&u->link, &thread_of(b)->pool, false);
	free(u);
	errno = saved;
	return NULL;
}

static void unpool(struct upstream *u)
{
	TAILQ_REMOVE(&u->backend->pooled, u, entry);
	u->backend->n_pooled--;
	u->backend->pool->owner->n_pooled--;
	wheel_rest(&u->timer);
}

/* Says why there is no connection still. */
static void give_back(struct backend *b)
{
	int saved = errno;

	pool_release(b, true);
	errno = saved;
}

struct upstream *upstream_get(struct backend *b, void *user, bool fresh)
{
	struct upstream *u = fresh ? NULL : TAILQ_FIRST(&b->pooled);

	if (!pool_take(b, !u)) {
		errno = EBUSY;
		return NULL;
	}
	b->counts.requests++;
	if (!u) {
		u = upstream_new(b, user);
		if (!u)
			give_back(b);
		else
			u->asked_us = pool_clock(b->pool);
		return u;
	}
	unpool(u);
	u->user = user;
	u->asked_us = pool_clock(b->pool);
	u->reused = true;
	u->link.sent = 0;
	u->link.unsure = false; /* the request tells */
	return u;
}

void upstream_connected(struct upstream *u)
{
	if (!u->connecting)
		return;
	u->connecting = false;
	pool_connected(u->backend);
}

/* Keep-Alive: timeout=5. A request that is sent just when the backend closes is lost, and who has a
 * body cannot be sent again: so it is let go before. */
void upstream_told(struct upstream *u, const struct http1_head *h)
{
	const struct http1_field *f = http1_find(h, HTTP1_F_KEEP_ALIVE);
	struct span list = f ? f->value : SPAN(""), e;
	static const size_t name = sizeof("timeout=") - 1;
	int64_t s;

	u->keep_ms = 0;
	while (cc_list_next(&list, &e)) {
		if (e.len <= name || strncasecmp(e.p, "timeout=", name) != 0 ||
		    !cc_delta(&s, (struct span){e.p + name, e.len - name}) || s > 86400)
			continue;
		u->keep_ms = s > 1 ? (uint32_t)(s - 1) * 1000 : s == 1 ? 500 : 1;
	}
}

void upstream_put(struct upstream *u)
{
	struct backend *b = u->backend;
	struct thread *t = thread_of(b);
	uint32_t idle_ms;

	assert(buf_len(&u->link.in) == 0);
	if (b->n_pooled >= b->pool->conf->upstream_idle_max ||
	    b->pool->owner->n_pooled >= t->conf->max_connections || t->draining ||
	    u->turn != b->turn) {
		upstream_close(u);
		return;
	}
	u->user = NULL;
	pool_release(b, u->connecting);
	buf_release(&t->pool, &u->link.in);
	buf_release(&t->pool, &u->link.out);
	TAILQ_INSERT_HEAD(&b->pooled, u, entry);
	b->n_pooled++;
	b->pool->owner->n_pooled++;
	idle_ms = b->pool->conf->upstream_idle_ms;
	if (u->keep_ms && u->keep_ms < idle_ms)
		idle_ms = u->keep_ms;
	wheel_set(&t->wheel, &u->timer, t->now_ms + idle_ms);
}

void upstream_close(struct upstream *u)
{
	if (u->user)
		pool_release(u->backend, u->connecting);
	else
		unpool(u);
	wheel_stop(&u->timer);
	link_close(&u->link, &thread_of(u->backend)->pool, false);
	free(u);
}
