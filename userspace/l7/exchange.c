// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: a request's way to a backend and the response's way back. Promises: another backend
 * is asked only as long as nothing was sent to this one, or once more when the request may
 * be repeated (RFC 9110 section 9.2.2) and nothing came back; a connection is used again
 * only when both messages on it ended where they should.
 */
#include "l7/request.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "base/log.h"
#include "l7/forward_head.h"

#define EXPECT_MS 1000 /* for a backend to say 100 (Continue); then the proxy says it */

/* ---- CONNECT -------------------------------------------------------------------------- */

/* The backend is left; the head that it has not got is kept for another. */
static void leave(struct client *c)
{
	struct upstream *u = c->upstream;

	if (c->head.data == NULL) {
		c->head = u->link.out;
		c->head.start = 0;
		u->link.out = (struct buf){0};
	}
	upstream_close(u);
	c->upstream = NULL;
	c->fresh = true;
}

/* It could not be reached. */
static enum go unreachable(struct client *c, enum access_reason reason)
{
	static struct log_rate rate;
	char text[ENDPOINT_TEXT];

	log_limited(&rate, LOG_LEVEL_WARN,
		    "backend not reached service=%s backend=%s address=%s: %s", c->service->name,
		    c->backend->conf->name, endpoint_format(&c->backend->endpoint, text),
		    reason == ACCESS_connect_timeout ? "no answer in time" : strerror(errno));
	pool_rest(c->backend);
	c->reason = reason;
	if (c->upstream)
		leave(c);
	c->step = STEP_CONNECT;
	return GO;
}

static enum go none_left(struct client *c)
{
	if (c->n_tried == 0)
		return answer_fail(c, 503, ACCESS_no_backend);
	if (c->reason == ACCESS_connect_timeout)
		return answer_fail(c, 504, ACCESS_connect_timeout);
	if (c->reason == ACCESS_backend_gone)
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

	if (c->waiter.pool)
		return WAIT;
	if (!pool_wait(p, &c->waiter))
		return answer_busy(c, ACCESS_queue_full);
	wheel_set(&t->wheel, &c->timer, t->now_ms + c->pool->queue_ms);
	/* Another thread may have freed a connection before it could know of this one. */
	return pool_is_behind(p, &c->waiter) ? WAIT : GO;
}

/* The next backend, with a connection, if there is one: else says what to do. */
static enum go choose(struct client *c)
{
	struct thread *t = thread_of(c);
	struct pool *p = &c->owner->upstreams.pools[c->pool->index];
	struct pool_ask ask = {.tried = c->tried, .n_tried = c->n_tried, .key = c->key};
	struct backend *b = NULL;
	int error;

	if (pool_is_behind(p, &c->waiter))
		return queue_up(c, p);
	if (c->n_tried < REQUEST_TRIES)
		b = pool_choose(p, &ask);
	if (!b)
		return ask.busy ? queue_up(c, p) : none_left(c);
	c->upstream = upstream_get(b, c, c->fresh);
	error = errno;
	if (!c->upstream && error == EBUSY)
		return queue_up(c, p);
	pool_leave(&c->waiter);
	c->tried[c->n_tried++] = c->backend = b;
	c->connect_ms = t->now_ms;
	if (c->upstream) {
		wheel_set(&t->wheel, &c->timer, t->now_ms + c->pool->connect_ms);
		return GO;
	}
	if (own_limit(error))
		return answer_fail(c, 503, ACCESS_no_memory);
	errno = error;
	return unreachable(c, ACCESS_no_backend);
}

enum go exchange_connect(struct client *c)
{
	struct upstream *u;
	enum go go;

	if (!c->upstream) {
		go = choose(c);
		if (!c->upstream)
			return go;
	}
	u = c->upstream;
	if (!u->link.writable)
		return WAIT;
	u->link.out = c->head;
	c->head = (struct buf){0};
	c->scanned = 0;
	c->step = STEP_EXCHANGE;
	return GO;
}

/* ---- EXCHANGE: the request ------------------------------------------------------------ */

/* Not a byte of the request could be sent: a connection that was not accepted, or that the
 * backend closed while it was pooled. */
static enum go not_begun(struct client *c)
{
	struct upstream *u = c->upstream;

	errno = u->link.error;
	if (!u->reused)
		return unreachable(c, ACCESS_no_backend);
	c->n_tried--;
	leave(c);
	c->step = STEP_CONNECT;
	return GO;
}

/* What is to be done when the connection failed before there was a response. */
static enum go lost(struct client *c)
{
	struct upstream *u = c->upstream;

	if (c->replay && c->retries == 0 && c->n_interim == 0 && buf_len(&u->link.in) == 0) {
		c->retries++;
		c->reason = ACCESS_backend_gone;
		/* A pooled connection says little about its backend: it may be asked again. */
		if (u->reused)
			c->n_tried--;
		leave(c);
		c->up_done = false;
		c->step = STEP_CONNECT;
		return GO;
	}
	return answer_fail(c, 502, ACCESS_backend_gone);
}

/* Sends of the request what can be sent. GO: the response may be looked at. */
static enum go send_request(struct client *c)
{
	struct thread *t = thread_of(c);
	struct upstream *u = c->upstream;
	enum relay_result result;

	if (c->up_done || u->link.broken)
		return GO;
	result = relay_pump(&c->up, &c->link, &u->link, &t->pool, c->replay);
	if (u->connecting && u->link.sent) {
		upstream_connected(u);
		c->connected_ms = t->now_ms;
	}
	switch (result) {
	case RELAY_DONE:
		c->up_done = true;
		if (!c->answering)
			wheel_set(&t->wheel, &c->timer, t->now_ms + c->pool->response_ms);
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
static bool head_room(struct client *c, uint32_t len)
{
	struct buf *out = &c->link.out;
	uint32_t need = buf_len(out) + len + BUF_NOTE;

	if (out->data && buf_room(out) >= len + BUF_NOTE)
		return true;
	return buf_reserve(&thread_of(c)->pool, out, need < BUF_SIZE ? BUF_SIZE : need);
}

static enum go forward(struct client *c, uint32_t len, struct forward_facts *facts)
{
	struct thread *t = thread_of(c);
	struct buf *out = &c->link.out;
	size_t n;

	if (!head_room(c, len))
		return request_abort(c, ACCESS_no_memory);
	facts->via = (struct span){t->conf->hop_name, strlen(t->conf->hop_name)};
	facts->date = thread_date(t);
	n = forward_response(out->data + out->end, buf_room(out), &t->head, facts);
	assert(n > 0);
	out->end += (uint32_t)n;
	buf_consume(&c->upstream->link.in, len);
	c->scanned = 0;
	return GO;
}

/* 101: to what was asked for, and to nothing else. */
static enum go switched(struct client *c, uint32_t len)
{
	struct forward_facts facts = {.body = HTTP1_BODY_NONE, .upgrade = REQUEST_UPGRADE};

	if (!c->upgrade || !c->up_done || !http1_upgrades_to(&thread_of(c)->head, facts.upgrade))
		return answer_fail(c, 502, ACCESS_backend_bad);
	if (forward(c, len, &facts) == END)
		return END;
	return tunnel_begin(c);
}

/* 1xx (RFC 9110 section 15.2): goes to a client that knows what it is. */
static enum go interim(struct client *c, uint32_t len)
{
	struct forward_facts facts = {.body = HTTP1_BODY_NONE};

	if (thread_of(c)->head.status == 101)
		return switched(c, len);
	if (++c->n_interim > REQUEST_INTERIM)
		return answer_fail(c, 502, ACCESS_backend_bad);
	c->expects &= thread_of(c)->head.status != 100;
	if (c->minor == 0) {
		buf_consume(&c->upstream->link.in, len);
		c->scanned = 0;
		return GO;
	}
	if (forward(c, len, &facts) == END)
		return END;
	link_send(&c->link, NULL, 0, false);
	return c->link.broken ? request_abort(c, ACCESS_client_gone) : GO;
}

/* An answer that may be compressed for this client is, in chunks. */
static void encode_answer(struct client *c, const struct http1_head *h, struct forward_facts *facts)
{
	const struct conf_compress *conf = &c->service->compress;
	bool empty = h->body == HTTP1_BODY_LENGTH && h->content_length == 0;

	facts->vary_encoding = conf->on && encode_eligible(h, conf);
	if (!facts->vary_encoding || c->encoding == CONF_ENCODING_identity || c->minor == 0 ||
	    empty)
		return;
	if (h->body == HTTP1_BODY_NONE) { /* of HEAD: what a GET would get */
		facts->encoding = conf_encoding_name(c->encoding);
		facts->body = HTTP1_BODY_NONE;
		return;
	}
	c->down.encoder = encoder_get(&thread_of(c)->encoders, c->encoding, conf);
	if (!c->down.encoder)
		return;
	c->down.chunk = true;
	facts->encoding = conf_encoding_name(c->encoding);
	facts->body = HTTP1_BODY_CHUNKED;
}

static enum go final(struct client *c, uint32_t len)
{
	struct thread *t = thread_of(c);
	const struct http1_head *h = &t->head;
	bool open_ended = h->body == HTTP1_BODY_CHUNKED || h->body == HTTP1_BODY_CLOSE;
	bool chunk = open_ended && c->minor > 0;
	struct forward_facts facts = {.body = h->body, .content_length = h->content_length};

	pool_answered(c->backend, c->upstream->asked_us, h->status);
	c->answering = true;
	c->expects = false;
	c->answer_at = c->link.sent + buf_len(&c->link.out);
	c->status = h->status;
	c->reason = ACCESS_ok; /* whatever others said before */
	c->first_ms = t->now_ms;
	c->keep_upstream = h->keep_alive && h->body != HTTP1_BODY_CLOSE;
	c->until_end = open_ended && !chunk;
	/* What is left of the request may never be read: no other one can follow it. */
	c->close |= c->until_end || t->draining || !c->up_done;
	if (open_ended)
		facts.body = chunk ? HTTP1_BODY_CHUNKED : HTTP1_BODY_CLOSE;
	else if (h->body == HTTP1_BODY_NONE && h->has_length && h->status != 204)
		facts.body = HTTP1_BODY_LENGTH; /* of HEAD, 304: what a GET would get */
	facts.close = c->close;
	facts.keep_alive = c->minor == 0 && !c->close;
	relay_init(&c->down, h->body, h->content_length, chunk);
	facts.trailers = c->down.trailers = c->trailers && chunk;
	encode_answer(c, h, &facts);
	if (c->up_done)
		buf_release(&t->pool, &c->upstream->link.out);
	c->replay = false;
	c->step = STEP_RESPOND;
	return forward(c, len, &facts);
}

static bool response_read(struct client *c)
{
	struct link *l = &c->upstream->link;
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
	struct link *l = &c->upstream->link;

	for (;;) {
		struct thread *t = thread_of(c);
		int n = 0;

		if (buf_len(&l->in))
			n = http1_parse_response(&t->head, buf_at(&l->in), buf_len(&l->in),
						 &c->scanned, c->method, &limits);
		if (n > 0 && t->head.status < 200)
			return interim(c, (uint32_t)n);
		if (n > 0)
			return final(c, (uint32_t)n);
		if (n < 0)
			return answer_fail(c, 502, ACCESS_backend_bad);
		if (l->eof || l->failed)
			return lost(c);
		if (!l->readable && !l->unsure) {
			if (buf_len(&l->in) == 0)
				buf_release(&t->pool, &l->in);
			/* Once the request is sent, the time for the response runs. */
			if (c->up_done)
				return WAIT;
			c->expects &= c->up.body.received == 0;
			return request_wait(c, c->expects ? EXPECT_MS : c->service->body_ms);
		}
		if (!response_read(c))
			return answer_fail(c, 503, ACCESS_no_memory);
	}
}

enum go exchange_send(struct client *c)
{
	struct upstream *u = c->upstream;
	enum go go = send_request(c), next;

	if (go == END || c->step != STEP_EXCHANGE)
		return go;
	if (u->link.broken && u->link.sent == 0)
		return not_begun(c);
	if (u->connecting)
		return WAIT;
	next = read_head(c);
	return next == WAIT && go == TURN ? TURN : next;
}

/* ---- RESPOND -------------------------------------------------------------------------- */

/* The response was read to its end, and is sent or in client.out. */
static void release(struct client *c)
{
	struct upstream *u = c->upstream;
	struct link *l = &u->link;

	c->upstream = NULL;
	/* A request that nobody reads on. */
	c->close |= !c->up_done;
	if (c->keep_upstream && c->up_done && buf_len(&l->in) == 0 && !l->eof && !l->hangup &&
	    !l->failed && !l->broken && link_quiet(l)) {
		u->reused = true;
		upstream_put(u);
		return;
	}
	upstream_close(u);
}

enum go exchange_respond(struct client *c)
{
	struct thread *t = thread_of(c);
	struct upstream *u = c->upstream;
	enum go go = send_request(c);
	enum relay_result result;

	if (go == END)
		return END;
	result = relay_pump(&c->down, &u->link, &c->link, &t->pool, false);
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
	if (!relay_read_all(&c->down))
		return go == TURN ? TURN : request_wait(c, c->service->body_ms);
	if (!relay_settle(&c->down, &u->link, &c->link, &t->pool))
		return request_abort(c, ACCESS_no_memory);
	release(c);
	c->step = STEP_FLUSH;
	return GO;
}

/* ---- events --------------------------------------------------------------------------- */

/* The client waits for 100 (Continue) and the backend does not say it: one that knows no
 * expectations would wait for the body as well (RFC 9110 section 10.1.1). */
static enum go encourage(struct client *c)
{
	static const char words[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct buf *out = &c->link.out;

	c->expects = false;
	c->progress = 0;
	if (!head_room(c, sizeof(words)))
		return request_abort(c, ACCESS_no_memory);
	memcpy(out->data + out->end, words, sizeof(words) - 1);
	out->end += sizeof(words) - 1;
	link_send(&c->link, NULL, 0, false);
	return c->link.broken ? request_abort(c, ACCESS_client_gone)
			      : request_wait(c, c->service->body_ms);
}

enum go exchange_timeout(struct client *c)
{
	struct upstream *u = c->upstream;

	if (c->waiter.pool) {
		c->waiter.pool->counts.queue_timeout++;
		return answer_busy(c, ACCESS_queue_timeout);
	}
	if (!u || c->step == STEP_CONNECT || u->connecting)
		return unreachable(c, ACCESS_connect_timeout);
	if (c->expects)
		return encourage(c);
	if (c->step == STEP_RESPOND && c->link.writable && buf_len(&c->link.out) == 0)
		return request_abort(c, ACCESS_response_timeout);
	if (c->step == STEP_RESPOND)
		return request_taken(c) ? WAIT : request_abort(c, ACCESS_client_timeout);
	if (!c->up_done && u->link.writable)
		return answer_fail(c, 408, ACCESS_client_timeout);
	return answer_fail(c, 504, ACCESS_response_timeout);
}

void exchange_ready(struct upstream *u)
{
	request_drive(u->user);
}

void exchange_serve(struct waiter *w)
{
	struct client *c = (struct client *)((char *)w - offsetof(struct client, waiter));

	event_active(&c->link.event, EV_TIMEOUT, 0);
}
