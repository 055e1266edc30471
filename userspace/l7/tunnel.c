// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the step TUNNEL: a connection that both sides took for another protocol's, after 101
 * or a CONNECT (RFC 9110 sections 7.8, 9.3.6). Bytes go both ways as they come; either side
 * may say its last word and still hear the other. Cost: at most two buffers each way, none
 * while it is silent.
 */
#include "l7/request.h"

enum go tunnel_begin(struct client *c)
{
	struct thread *t = thread_of(c);

	c->req->status = t->head.status;
	c->req->answering = c->req->close = true;
	c->req->up_done = c->req->replay = false;
	c->req->reason = ACCESS_ok;
	c->req->first_ms = t->now_ms;
	relay_init(&c->req->up, HTTP1_BODY_CLOSE, 0, false);
	relay_init(&c->req->down, HTTP1_BODY_CLOSE, 0, false);
	c->step = STEP_TUNNEL;
	return GO;
}

/* One direction. DONE: its end was handed on. */
static enum relay_result carry(struct client *c, struct relay *r, struct link *from,
			       struct link *to, bool *done)
{
	struct buf_pool *pool = &thread_of(c)->pool;
	enum relay_result result;

	if (*done)
		return RELAY_DONE;
	result = relay_pump(r, from, to, pool, false);
	if (result == RELAY_DONE) {
		link_finish(to);
		*done = true;
	}
	return result;
}

static bool broken(enum relay_result r)
{
	return r != RELAY_WAIT && r != RELAY_TURN && r != RELAY_DONE;
}

enum go tunnel_step(struct client *c)
{
	struct link *back = &c->req->upstream->link;
	enum relay_result up = carry(c, &c->req->up, &c->link, back, &c->req->up_done);
	enum relay_result down = carry(c, &c->req->down, back, &c->link, &c->req->down_done);

	/* Each side learns by a reset that what it has is not all. */
	c->req->until_end = broken(up) || broken(down);
	if (c->req->until_end) {
		link_break(back);
		return request_abort(c, up == RELAY_SRC_GONE || down == RELAY_DST_GONE
						? ACCESS_client_gone
						: ACCESS_backend_gone);
	}
	if (up == RELAY_DONE && down == RELAY_DONE) {
		request_log(c);
		return END;
	}
	if (up == RELAY_TURN || down == RELAY_TURN)
		return TURN;
	return request_watch(c, c->service->tunnel_ms);
}
