// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the step GATHER: a request's body is read before a backend is asked, up to a bound, so
 * that a slow client holds no backend. What is more than that comes through as it is sent.
 */
#include "l7/request.h"

enum go gather_begin(struct client *c)
{
	c->req->progress = UINT64_MAX; /* a time of its own */
	c->step = STEP_GATHER;
	return c->req->expects ? answer_continue(c) : GO;
}

enum go gather_step(struct client *c)
{
	enum relay_result result = relay_gather(&c->req->up, &c->link, &c->req->head,
						c->req->route->request_buffer, &thread_of(c)->pool);

	switch (result) {
	case RELAY_DONE:
		/* A body that is here can be sent twice. */
		c->req->replay = relay_read_all(&c->req->up) && http1_idempotent(c->req->method);
		c->step = STEP_CONNECT;
		return GO;
	case RELAY_WAIT:
		return request_wait(c, c->req->route->body_ms);
	case RELAY_TURN:
		return TURN;
	case RELAY_BAD:
		return answer_fail(c, 400, ACCESS_refused);
	case RELAY_LARGE:
		return answer_fail(c, 413, ACCESS_refused);
	case RELAY_SRC_GONE:
		return request_abort(c, ACCESS_client_gone);
	default:
		return answer_fail(c, 503, ACCESS_no_memory);
	}
}
