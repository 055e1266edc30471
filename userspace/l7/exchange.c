// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: a request's way to the backend that is chosen (connect.c), and the response's way back.
 * Promises: a connection is used again only when both messages on it ended where they should.
 */
#include "l7/request.h"

#include <assert.h>

#include "l7/forward_head.h"

#define EXPECT_MS 1000 /* for a backend to say 100 (Continue); then the proxy says it */

/* ---- EXCHANGE: the request ------------------------------------------------------------ */

/* Sends of the request what can be sent. GO: the response may be looked at. */
static enum go send_request(struct client *c)
{
	struct thread *t = thread_of(c);
	struct upstream *u = c->req->upstream;
	enum relay_result result;

	if (c->req->up_done || u->link.broken)
		return GO;
	result = relay_pump(&c->req->up, &c->link, &u->link, &t->pool, c->req->replay);
	if (u->connecting && u->link.sent) {
		upstream_connected(u);
		c->req->connected_ms = t->now_ms;
	}
	switch (result) {
	case RELAY_DONE:
		c->req->up_done = true;
		if (!c->req->answering)
			wheel_set(&t->wheel, &c->timer, t->now_ms + c->req->route->response_ms);
		if (!c->req->answering && c->req->replay)
			pool_hedge(c->req->backend->pool, &c->req->hedge);
		return GO;
	case RELAY_WAIT:
		return GO;
	case RELAY_TURN:
		return TURN;
	case RELAY_BAD:
		return answer_fail(c, 400, ACCESS_refused);
	case RELAY_LARGE:
		return answer_fail(c, 413, ACCESS_refused);
	case RELAY_SRC_GONE:
		return request_abort(c, ACCESS_client_gone);
	case RELAY_DST_GONE:
		/* It may have answered before it stopped listening. */
		return GO;
	default:
		return answer_fail(c, 503, ACCESS_no_memory);
	}
}

/* ---- EXCHANGE: the response's head ---------------------------------------------------- */

/* Room behind what waits there for a head that was len bytes long. */
static bool head_room(struct client *to, size_t head)
{
	uint32_t len = (uint32_t)head;
	struct buf *out = &to->link.out;
	uint32_t need = buf_len(out) + len + BUF_NOTE;

	if (out->data && buf_room(out) >= len + BUF_NOTE)
		return true;
	return buf_reserve(&thread_of(to)->pool, out, need < BUF_SIZE ? BUF_SIZE : need);
}

static struct span via_of(const struct client *c)
{
	const char *name = thread_of(c)->conf->hop_name;

	if (c->service->outgoing && !c->service->outgoing->via)
		return SPAN("");
	return (struct span){name, strlen(name)};
}

/* to: who gets it; the client itself, or whom a fetch is for. */
static enum go forward(struct client *c, struct client *to, uint32_t len,
		       struct forward_facts *facts)
{
	struct thread *t = thread_of(c);
	struct buf *out = &to->link.out;
	size_t n;

	if (!head_room(to, len + edits_room(facts->edits)))
		return request_abort(c, ACCESS_no_memory);
	facts->via = via_of(c);
	facts->date = thread_date(t);
	n = forward_response(out->data + out->end, buf_room(out), &t->head, facts);
	assert(n > 0);
	out->end += (uint32_t)n;
	buf_consume(&c->req->upstream->link.in, len);
	c->req->scanned = 0;
	return GO;
}

/* 101: to what was asked for, and to nothing else. */
static enum go switched(struct client *c, uint32_t len)
{
	struct forward_facts facts = {.body = HTTP1_BODY_NONE, .upgrade = REQUEST_UPGRADE};

	if (!c->req->upgrade || !c->req->up_done ||
	    !http1_upgrades_to(&thread_of(c)->head, facts.upgrade) ||
	    !websocket_agrees(&thread_of(c)->head, c->req->accept))
		return answer_fail(c, 502, ACCESS_backend_bad);
	if (forward(c, c, len, &facts) == END)
		return END;
	return tunnel_begin(c);
}

/* 1xx (RFC 9110 section 15.2): goes to a client that knows what it is. */
static enum go interim(struct client *c, uint32_t len)
{
	struct forward_facts facts = {.body = HTTP1_BODY_NONE};
	struct client *to = c->req->cached.fetch ? fetch_leader(c) : c;

	hedge_end(c);
	if (thread_of(c)->head.status == 101)
		return switched(c, len);
	if (++c->req->n_interim > REQUEST_INTERIM)
		return answer_fail(c, 502, ACCESS_backend_bad);
	c->req->expects &= thread_of(c)->head.status != 100;
	if (!to || to->req->minor == 0) {
		buf_consume(&c->req->upstream->link.in, len);
		c->req->scanned = 0;
		return GO;
	}
	if (forward(c, to, len, &facts) == END)
		return END;
	link_send(&to->link, NULL, 0, false);
	return to == c && c->link.broken ? request_abort(c, ACCESS_client_gone) : GO;
}

/* An answer that may be compressed for this client is, in chunks. */
static void encode_answer(struct client *c, const struct http1_head *h, struct forward_facts *facts)
{
	const struct conf_compress *conf = &c->service->compress;
	bool empty = h->body == HTTP1_BODY_LENGTH && h->content_length == 0;

	facts->vary_encoding = conf->on && c->req->route->compress && encode_eligible(h, conf);
	if (!facts->vary_encoding || c->req->encoding == CONF_ENCODING_identity ||
	    c->req->minor == 0 || empty)
		return;
	if (h->body == HTTP1_BODY_NONE) { /* of HEAD: what a GET would get */
		facts->encoding = conf_encoding_name(c->req->encoding);
		facts->body = HTTP1_BODY_NONE;
		return;
	}
	c->req->down.encoder = encoder_get(&thread_of(c)->encoders, c->req->encoding, conf);
	if (!c->req->down.encoder)
		return;
	c->req->down.chunk = true;
	facts->encoding = conf_encoding_name(c->req->encoding);
	facts->body = HTTP1_BODY_CHUNKED;
}

static enum go final(struct client *c, uint32_t len)
{
	struct thread *t = thread_of(c);
	const struct http1_head *h = &t->head;
	bool open_ended = h->body == HTTP1_BODY_CHUNKED || h->body == HTTP1_BODY_CLOSE;
	bool chunk = open_ended && c->req->minor > 0;
	struct forward_facts facts = {.body = h->body, .content_length = h->content_length};
	char status[CACHE_STATUS_BYTES];

	if (c->req->cached.fetch) {
		hedge_end(c);
		return fetch_answered(c, len);
	}
	pool_answered(c->req->backend, c->req->upstream->asked_us, h->status);
	hedge_end(c);
	if (connect_again_for(c, h->status))
		return GO;
	cache_passed(c, h);
	c->req->answering = true;
	c->req->expects = false;
	c->req->answer_at = c->link.sent + buf_len(&c->link.out);
	c->req->status = h->status;
	c->req->reason = ACCESS_ok; /* whatever others said before */
	c->req->first_ms = t->now_ms;
	/* A connection that was introduced as this client's is nobody else's. */
	c->req->keep_upstream =
		h->keep_alive && h->body != HTTP1_BODY_CLOSE && !c->req->pool->proxy;
	c->req->until_end = open_ended && !chunk;
	/* What is left of the request may never be read: no other one can follow it. */
	c->req->close |= c->req->until_end || t->draining || !c->req->up_done;
	if (open_ended)
		facts.body = chunk ? HTTP1_BODY_CHUNKED : HTTP1_BODY_CLOSE;
	else if (h->body == HTTP1_BODY_NONE && h->has_length && h->status != 204)
		facts.body = HTTP1_BODY_LENGTH; /* of HEAD, 304: what a GET would get */
	facts.edits = change_response(c);
	facts.close = c->req->close;
	facts.keep_alive = c->req->minor == 0 && !c->req->close;
	relay_init(&c->req->down, h->body, h->content_length, chunk);
	c->req->down.ahead = c->req->route->response_buffer;
	c->req->down.tap = cache_tap(c);
	facts.trailers = c->req->down.trailers = c->req->trailers && chunk;
	encode_answer(c, h, &facts);
	if (c->req->up_done)
		buf_release(&t->pool, &c->req->upstream->link.out);
	c->req->replay = false;
	c->step = STEP_RESPOND;
	facts.extra = cache_status_passed(c, status);
	return forward(c, c, len, &facts);
}

static bool response_read(struct client *c)
{
	struct link *l = &c->req->upstream->link;
	uint32_t size = l->in.size && buf_len(&l->in) == l->in.size ? 2 * l->in.size : BUF_SIZE;

	if (!buf_reserve(&thread_of(c)->pool, &l->in, size < l->in.size ? l->in.size : size))
		return false;
	link_read(l);
	return true;
}

/* Reads until there is a response head. GO: there was one, of either kind. */
static enum go read_head(struct client *c)
{
	const struct http1_limits limits = {.max_head = c->service->max_head,
					    .max_fields = c->service->max_fields};
	struct link *l = &c->req->upstream->link;

	for (;;) {
		struct thread *t = thread_of(c);
		int n = 0;

		if (buf_len(&l->in))
			n = http1_parse_response(&t->head, buf_at(&l->in), buf_len(&l->in),
						 &c->req->scanned, c->req->method, &limits);
		if (n > 0 && t->head.status < 200)
			return interim(c, (uint32_t)n);
		if (n > 0) {
			upstream_told(c->req->upstream, &t->head);
			return final(c, (uint32_t)n);
		}
		if (n < 0) {
			pool_failed(c->req->backend);
			return answer_fail(c, 502, ACCESS_backend_bad);
		}
		if (l->eof || l->failed)
			return connect_lost(c);
		if (!l->readable && !l->unsure) {
			if (buf_len(&l->in) == 0)
				buf_release(&t->pool, &l->in);
			/* Once the request is sent, the time for the response runs. */
			if (c->req->up_done)
				return WAIT;
			c->req->expects &= c->req->up.body.received == 0;
			return request_wait(c,
					    c->req->expects ? EXPECT_MS : c->req->route->body_ms);
		}
		if (!response_read(c))
			return answer_fail(c, 503, ACCESS_no_memory);
	}
}

enum go exchange_send(struct client *c)
{
	struct upstream *u = c->req->upstream;
	enum go go = send_request(c), next;

	if (go == END || c->step != STEP_EXCHANGE)
		return go;
	if (u->link.broken && u->link.sent == 0)
		return connect_not_begun(c);
	if (u->connecting)
		return WAIT;
	next = read_head(c);
	return next == WAIT && go == TURN ? TURN : next;
}

/* ---- RESPOND -------------------------------------------------------------------------- */

/* The response was read to its end, and is sent or in client.out. */
void exchange_release(struct client *c)
{
	struct upstream *u = c->req->upstream;
	struct link *l = &u->link;

	c->req->upstream = NULL;
	/* A request that nobody reads on. */
	c->req->close |= !c->req->up_done;
	if (c->req->keep_upstream && c->req->up_done && buf_len(&l->in) == 0 && !l->eof &&
	    !l->hangup && !l->failed && !l->broken && link_quiet(l)) {
		u->reused = true;
		upstream_put(u);
		return;
	}
	upstream_close(u);
}

enum go exchange_respond(struct client *c)
{
	struct thread *t = thread_of(c);
	struct upstream *u = c->req->upstream;
	enum go go = send_request(c);
	enum relay_result result;

	if (go == END)
		return END;
	result = relay_pump(&c->req->down, &u->link, &c->link, &t->pool, false);
	switch (result) {
	case RELAY_TURN:
		return TURN;
	case RELAY_BAD:
		return answer_fail(c, 502, ACCESS_backend_bad);
	case RELAY_SRC_GONE:
		return answer_fail(c, 502, ACCESS_backend_gone);
	case RELAY_DST_GONE:
		return request_abort(c, ACCESS_client_gone);
	case RELAY_NO_MEMORY:
		return request_abort(c, ACCESS_no_memory);
	default:
		break;
	}
	if (!relay_read_all(&c->req->down))
		return go == TURN ? TURN : request_wait(c, c->req->route->body_ms);
	cache_taken(c);
	if (!relay_settle(&c->req->down, &u->link, &c->link, &t->pool))
		return request_abort(c, ACCESS_no_memory);
	exchange_release(c);
	c->step = STEP_FLUSH;
	return GO;
}

/* ---- events --------------------------------------------------------------------------- */

enum go exchange_timeout(struct client *c)
{
	struct upstream *u = c->req->upstream;

	if (c->req->waiter.pool) {
		c->req->waiter.pool->counts.queue_timeout++;
		return answer_busy(c, ACCESS_queue_timeout);
	}
	if (dial_waits(c))
		return dial_late(c);
	if (!u || c->step == STEP_CONNECT || u->connecting)
		return connect_failed(c, ACCESS_connect_timeout);
	if (c->req->expects)
		return answer_continue(c) == END ? END : request_wait(c, c->req->route->body_ms);
	if (c->step == STEP_RESPOND && c->link.writable && buf_len(&c->link.out) == 0)
		return request_abort(c, ACCESS_response_timeout);
	if (c->step == STEP_RESPOND)
		return request_taken(c) ? WAIT : request_abort(c, ACCESS_client_timeout);
	if (!c->req->up_done && u->link.writable)
		return answer_fail(c, 408, ACCESS_client_timeout);
	return connect_late(c);
}

void exchange_ready(struct upstream *u)
{
	struct client *c = u->user;

	if (u == c->req->rival)
		hedge_ready(c);
	else
		request_drive(c);
}
