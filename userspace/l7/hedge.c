// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the second try of a request whose answer is late, while the first one goes on. Promises:
 * whichever answers first answers the client, and the other connection is closed; nothing of it
 * outlives the request. Excludes: when, and whether that is within the budget (pool_retry.c).
 */
#include "l7/request.h"

#include <stddef.h>

void hedge_end(struct client *c)
{
	pool_hedge_stop(&c->req->hedge);
	if (c->req->rival)
		upstream_close(c->req->rival);
	c->req->rival = NULL;
}

/* The rival takes the first one's place. */
static void swap(struct client *c)
{
	struct thread *t = thread_of(c);

	upstream_close(c->req->upstream);
	c->req->upstream = c->req->rival;
	c->req->backend = c->req->rival->backend;
	c->req->asked = c->req->backend->endpoint;
	c->req->rival = NULL;
	c->req->scanned = 0;
	c->req->connected_ms = t->now_ms;
	wheel_set(&t->wheel, &c->timer, t->now_ms + c->req->route->response_ms);
}

bool hedge_promote(struct client *c)
{
	if (!c->req->rival || buf_len(&c->req->rival->link.out))
		return false;
	swap(c);
	return true;
}

/* The head as the first backend got it. */
static bool head_copy(struct client *c)
{
	const struct buf *from = &c->req->upstream->link.out;
	struct buf *to = &c->req->rival->link.out;

	if (!buf_reserve(&thread_of(c)->pool, to, from->end))
		return false;
	memcpy(to->data, from->data, from->end);
	to->start = 0;
	to->end = from->end;
	return true;
}

void hedge_start(struct hedge *h)
{
	struct request *r = (struct request *)((char *)h - offsetof(struct request, hedge));
	struct client *c = r->client;
	struct pool *p = c->req->backend->pool;
	struct pool_ask ask = {
		.tried = c->req->tried, .n_tried = c->req->n_tried, .key = c->req->key};
	struct backend *b;

	if (c->step != STEP_EXCHANGE || !c->req->replay || c->req->n_interim ||
	    buf_len(&c->req->upstream->link.in) || c->req->n_tried > c->req->pool->retry.attempts)
		return;
	b = pool_choose(p, &ask);
	if (!b || !pool_may_retry(p))
		return;
	c->req->rival = upstream_get(b, c, false);
	if (!c->req->rival)
		return;
	c->req->tried[c->req->n_tried++] = b;
	p->counts.hedges++;
	if (!head_copy(c))
		hedge_end(c);
	else if (c->req->rival->link.writable)
		hedge_ready(c);
}

void hedge_ready(struct client *c)
{
	struct link *l = &c->req->rival->link;

	if (buf_len(&l->out) && l->writable && connect_introduce(c, c->req->rival)) {
		link_send(l, NULL, 0, true);
		if (l->sent)
			upstream_connected(c->req->rival);
		if (l->broken && l->sent == 0 && !c->req->rival->reused)
			pool_rest(c->req->rival->backend);
	}
	if (l->broken) {
		hedge_end(c);
		return;
	}
	if (!l->readable || c->req->rival->connecting)
		return;
	if (!buf_reserve(&thread_of(c)->pool, &l->in, BUF_SIZE))
		return;
	link_read(l);
	if (buf_len(&l->in)) {
		c->req->backend->pool->counts.hedges_won++;
		swap(c);
		request_drive(c);
	} else if (l->eof || l->failed) {
		hedge_end(c);
	}
}
