// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: which backend a request goes to, and to which other one when that fails. Promises:
 * another one is asked only as long as nothing was sent to this one, or when the request may be
 * repeated (RFC 9110 section 9.2.2) and nothing of the answer went to the client; beyond the
 * first try within the pool's attempts and budget. A pooled connection that was closed meanwhile
 * is no failure of its backend, and does not count.
 */
#include "l7/request.h"

#include <errno.h>
#include <stddef.h>

#include "base/log.h"
#include "l7/proxy_proto.h"

static struct pool *pool_of(const struct client *c)
{
	return &c->owner->upstreams.pools[c->req->pool->index];
}

/* The backend is left; the head that it has not got is kept for another. */
static void leave(struct client *c)
{
	struct upstream *u = c->req->upstream;

	hedge_end(c);
	if (c->req->head.data == NULL) {
		c->req->head = u->link.out;
		c->req->head.start = 0;
		u->link.out = (struct buf){0};
	}
	upstream_close(u);
	c->req->upstream = NULL;
	c->req->up_done = false;
	c->req->fresh = true;
	c->step = STEP_CONNECT;
}

/* ---- the next one --------------------------------------------------------------------- */

static enum go none_left(struct client *c)
{
	if (c->req->n_tried == 0)
		return answer_fail(c, 503,
				   pool_is_nowhere(pool_of(c)) ? ACCESS_unresolved
							       : ACCESS_no_backend);
	if (c->req->reason == ACCESS_connect_timeout || c->req->reason == ACCESS_response_timeout)
		return answer_fail(c, 504, c->req->reason);
	if (c->req->reason == ACCESS_backend_gone)
		return answer_fail(c, 502, ACCESS_backend_gone);
	return answer_fail(c, 502, ACCESS_no_backend);
}

static bool own_limit(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* All backends that could be asked are at their limits: into the queue, or away. */
static enum go queue_up(struct client *c, struct pool *p)
{
	struct thread *t = thread_of(c);

	if (c->req->waiter.pool)
		return WAIT;
	if (!pool_wait(p, &c->req->waiter))
		return answer_busy(c, ACCESS_queue_full);
	wheel_set(&t->wheel, &c->timer, t->now_ms + c->req->pool->queue_ms);
	/* Another thread may have freed a connection before it could know of this one. */
	return pool_is_behind(p, &c->req->waiter) ? WAIT : GO;
}

/* Another try is allowed, and paid for once. */
static bool allowed(struct client *c, struct pool *p)
{
	if (c->req->n_tried == 0 || c->req->paid)
		return true;
	if (c->req->n_tried > c->req->pool->retry.attempts || !pool_may_retry(p))
		return false;
	c->req->paid = true;
	return true;
}

static struct backend *pick(struct client *c, struct pool *p, bool *busy)
{
	struct pool_ask ask = {
		.tried = c->req->tried, .n_tried = c->req->n_tried, .key = c->req->key};
	struct backend *b = pool_choose(p, &ask);

	*busy = ask.busy;
	return b;
}

/* The next backend, with a connection, if there is one: else says what to do. */
static enum go choose(struct client *c)
{
	struct thread *t = thread_of(c);
	struct pool *p = pool_of(c);
	struct backend *b;
	bool busy;
	int error;

	if (pool_is_behind(p, &c->req->waiter))
		return queue_up(c, p);
	if (!allowed(c, p))
		return none_left(c);
	b = pick(c, p, &busy);
	if (!b)
		return busy ? queue_up(c, p) : none_left(c);
	c->req->upstream = upstream_get(b, c, c->req->fresh);
	error = errno;
	if (!c->req->upstream && error == EBUSY)
		return queue_up(c, p);
	pool_leave(&c->req->waiter);
	if (c->req->n_tried == 0)
		pool_begin(p);
	c->req->paid = false;
	c->req->tried[c->req->n_tried++] = c->req->backend = b;
	c->req->asked = b->endpoint;
	c->req->connect_ms = t->now_ms;
	if (c->req->upstream) {
		c->req->retries += c->req->again;
		c->req->again = false;
		wheel_set(&t->wheel, &c->timer, t->now_ms + c->req->route->connect_ms);
		return GO;
	}
	if (own_limit(error))
		return answer_fail(c, 503, ACCESS_no_memory);
	errno = error;
	return connect_failed(c, ACCESS_no_backend);
}

bool connect_introduce(struct client *c, struct upstream *u)
{
	struct endpoint local = c->local;
	char words[PROXY_WRITE];
	size_t n;

	if (c->req->pool->proxy == 0 || u->introduced)
		return true;
	if (addr_is_any(&local.addr))
		link_local(&c->link, &local);
	n = proxy_write(words, c->req->pool->proxy, &c->peer, &local);
	u->introduced = link_send(&u->link, words, n, false) == n;
	u->link.sent = 0; /* of the request */
	return u->introduced;
}

enum go connect_step(struct client *c)
{
	struct upstream *u;
	enum go go;

	if (!c->req->upstream) {
		go = c->req->dial ? dial_next(c) : choose(c);
		if (!c->req->upstream)
			return go;
	}
	u = c->req->upstream;
	if (!u->link.writable)
		return WAIT;
	if (c->req->dial && c->req->method == HTTP1_M_CONNECT)
		return dial_tunnel(c);
	if (!connect_introduce(c, u))
		return connect_not_begun(c);
	u->link.out = c->req->head;
	c->req->head = (struct buf){0};
	c->req->scanned = 0;
	c->step = STEP_EXCHANGE;
	return GO;
}

void connect_serve(struct waiter *w)
{
	struct request *r = (struct request *)((char *)w - offsetof(struct request, waiter));
	struct client *c = r->client;

	request_turn(c);
}

/* ---- what failed ---------------------------------------------------------------------- */

enum go connect_failed(struct client *c, enum access_reason reason)
{
	static struct log_rate rate;
	char text[ENDPOINT_TEXT];

	log_limited(&rate, LOG_LEVEL_WARN,
		    "backend not reached service=%s backend=%s address=%s: %s", c->service->name,
		    c->req->backend->conf->name,
		    c->req->backend->conf->path ? c->req->backend->conf->path
						: endpoint_format(&c->req->asked, text),
		    reason == ACCESS_connect_timeout ? "no answer in time" : strerror(errno));
	pool_rest(c->req->backend);
	c->req->reason = reason;
	if (c->req->upstream)
		leave(c);
	if (!(c->req->pool->retry.on & CONF_RETRY_CONNECT))
		return none_left(c);
	c->step = STEP_CONNECT;
	return GO;
}

enum go connect_not_begun(struct client *c)
{
	struct upstream *u = c->req->upstream;

	errno = u->link.error;
	if (!u->reused)
		return connect_failed(c, ACCESS_no_backend);
	c->req->n_tried--;
	leave(c);
	return GO;
}

/* It may be sent once more: it has no effect that another one has not, and nobody has heard of
 * an answer. */
static bool repeatable(const struct client *c)
{
	return c->req->replay && c->req->n_interim == 0;
}

enum go connect_lost(struct client *c)
{
	struct upstream *u = c->req->upstream;
	bool stale = u->reused && c->req->retries == 0;

	if (!stale)
		pool_failed(c->req->backend);
	if (hedge_promote(c))
		return GO;
	if (!repeatable(c) || buf_len(&u->link.in) ||
	    !(stale || c->req->pool->retry.on & CONF_RETRY_CLOSED))
		return answer_fail(c, 502, ACCESS_backend_gone);
	c->req->again = true;
	c->req->reason = ACCESS_backend_gone;
	/* A pooled connection says little about its backend: it may be asked again. */
	if (u->reused)
		c->req->n_tried--;
	leave(c);
	return GO;
}

/* There is another one to be asked; who it is may change until it is. */
static bool elsewhere(struct client *c)
{
	struct pool *p = pool_of(c);
	bool busy;

	return repeatable(c) && !c->req->answering &&
	       c->req->n_tried <= c->req->pool->retry.attempts && pick(c, p, &busy) &&
	       allowed(c, p);
}

enum go connect_late(struct client *c)
{
	pool_failed(c->req->backend);
	if (hedge_promote(c))
		return GO;
	if (!(c->req->pool->retry.on & CONF_RETRY_TIMEOUT) || buf_len(&c->req->upstream->link.in) ||
	    !elsewhere(c))
		return answer_fail(c, 504, ACCESS_response_timeout);
	c->req->again = true;
	c->req->reason = ACCESS_response_timeout;
	leave(c);
	return GO;
}

static bool is_wanted(uint32_t on, unsigned status)
{
	switch (status) {
	case 429:
		return on & CONF_RETRY_429;
	case 500:
		return on & (CONF_RETRY_500 | CONF_RETRY_5XX);
	case 502:
		return on & (CONF_RETRY_502 | CONF_RETRY_5XX);
	case 503:
		return on & (CONF_RETRY_503 | CONF_RETRY_5XX);
	case 504:
		return on & (CONF_RETRY_504 | CONF_RETRY_5XX);
	default:
		return status >= 500 && on & CONF_RETRY_5XX;
	}
}

bool connect_again_for(struct client *c, unsigned status)
{
	if (!is_wanted(c->req->pool->retry.on, status) || !elsewhere(c))
		return false;
	c->req->again = true;
	leave(c);
	return true;
}
