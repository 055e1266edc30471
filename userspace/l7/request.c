// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: clients' connections and the order of a request's steps. Promises: one log line for
 * each request that was begun; no backend hears of a request whose head was refused; a
 * response that was cut short never looks whole. Cost: in the steady state of a kept-alive
 * connection, one recvfrom and one sendmsg on each side, no allocation.
 */
#include "l7/request.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "l7/forward_head.h"

#define FRESH_MS      1000 /* for a first request, on a connection that is new when draining */
#define TURN_REQUESTS 16   /* in one go, before other connections have theirs */
#define LINGER_BYTES  (1U << 18) /* read in vain in one go */

static struct thread *thread_of(const struct client *c)
{
	return c->owner->thread;
}

/* ---- ends ----------------------------------------------------------------------------- */

static long since(const struct client *c, uint64_t then)
{
	return then ? (long)(then - c->began_ms) : -1;
}

static void request_log(struct client *c)
{
	struct thread *t = thread_of(c);
	const struct access_facts facts = {
		.status = c->status,
		.bytes = c->link.sent - c->sent_before,
		.service = c->service->name,
		.upstream = c->backend ? &c->backend->conf->endpoint : NULL,
		.connect_ms = c->connected_ms ? (long)(c->connected_ms - c->connect_ms) : -1,
		.first_ms = since(c, c->first_ms),
		.total_ms = since(c, t->now_ms),
		.retries = c->retries,
		.reason = c->reason,
	};

	if (t->access.fd >= 0)
		access_log(&t->access, &c->peer, &c->note, &facts);
}

/* Everything of the request is given back; the connection stays as it is. */
static void request_clear(struct client *c)
{
	struct buf_pool *pool = &thread_of(c)->pool;

	if (c->upstream)
		upstream_close(c->upstream);
	buf_release(pool, &c->head);
	buf_release(pool, &c->note);
	memset((char *)c + offsetof(struct client, method), 0,
	       sizeof(*c) - offsetof(struct client, method));
	c->scanned = 0;
}

static void client_free(struct client *c)
{
	struct requests *rs = c->owner;
	bool reset = c->reset;

	request_clear(c);
	wheel_stop(&c->timer);
	link_close(&c->link, &rs->thread->pool, reset);
	if (c->idle)
		TAILQ_REMOVE(&rs->idle, c, entry);
	else
		TAILQ_REMOVE(&rs->busy, c, entry);
	rs->n--;
	free(c);
}

enum go request_abort(struct client *c, enum access_reason reason)
{
	c->reason = reason;
	/* A close-delimited body that stops would look whole to a client that gets a FIN. */
	c->reset = c->answering && c->until_end;
	request_log(c);
	return END;
}

static enum go answer(struct client *c, unsigned status, bool keep, struct span allow)
{
	struct thread *t = thread_of(c);
	struct buf *out = &c->link.out;
	size_t n;

	if (c->upstream)
		upstream_close(c->upstream);
	c->upstream = NULL;
	c->close |= !keep || t->draining;
	c->status = status;
	c->answering = true;
	/* An interim answer may wait there. */
	if (!buf_reserve(&t->pool, out, buf_len(out) + BUF_NOTE))
		return request_abort(c, ACCESS_no_memory);
	n = forward_error(out->data + out->end, buf_room(out), status, c->close,
			  c->method == HTTP1_M_HEAD, thread_date(t), allow);
	assert(n > 0);
	out->end += (uint32_t)n;
	c->step = STEP_FLUSH;
	return GO;
}

/* A response of which nothing was sent is taken back. */
static bool take_back(struct client *c)
{
	if (c->link.sent > c->answer_at || c->link.broken)
		return false;
	c->link.out.end = c->link.out.start + (uint32_t)(c->answer_at - c->link.sent);
	c->until_end = false;
	return true;
}

enum go request_fail(struct client *c, unsigned status, enum access_reason reason)
{
	if (c->answering && !take_back(c))
		return request_abort(c, reason);
	c->reason = reason;
	/* The connection can only go on behind a request that was read to its end; what nobody
	 * took of its body must not be read as the next one. */
	relay_drop(&c->up, &c->link);
	return answer(c, status, relay_read_all(&c->up), SPAN(""));
}

/* ---- HEAD ----------------------------------------------------------------------------- */

static void set_idle(struct client *c, bool idle)
{
	struct requests *rs = c->owner;

	if (idle == c->idle)
		return;
	if (idle) {
		TAILQ_REMOVE(&rs->busy, c, entry);
		TAILQ_INSERT_TAIL(&rs->idle, c, entry);
	} else {
		TAILQ_REMOVE(&rs->idle, c, entry);
		TAILQ_INSERT_TAIL(&rs->busy, c, entry);
	}
	c->idle = idle;
}

static void note_request(struct client *c, const struct http1_head *h)
{
	struct thread *t = thread_of(c);
	struct span line = {buf_at(&c->link.in), buf_len(&c->link.in)};
	const char *end;

	if (t->access.fd < 0 || !buf_reserve(&t->pool, &c->note, BUF_NOTE))
		return;
	end = memchr(line.p, '\n', line.len);
	if (end)
		line.len = (size_t)(end - line.p);
	if (line.len && line.p[line.len - 1] == '\r')
		line.len--;
	access_note(&c->note, h, line);
}

static enum go refuse(struct client *c, unsigned status)
{
	log_debug("request refused client=%s status=%u: %s", c->peer_text, status, http1_refusal());
	note_request(c, NULL);
	c->reason = ACCESS_refused;
	return answer(c, status, false, SPAN(""));
}

/* The Host of a request that names none (HTTP/1.0): the address that it was sent to. */
static struct span local_authority(const struct client *c, char text[ENDPOINT_TEXT])
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint local;

	if (getsockname(c->link.fd, (struct sockaddr *)&ss, &len) != 0 ||
	    !endpoint_from_sockaddr(&local, (struct sockaddr *)&ss))
		return SPAN("");
	endpoint_format(&local, text);
	return (struct span){text, strlen(text)};
}

/* Writes the head as a backend gets it into c->head. */
static bool head_rewrite(struct client *c, const struct http1_head *h, uint32_t len)
{
	struct thread *t = thread_of(c);
	const char *via = t->conf->hop_name;
	char text[ENDPOINT_TEXT];
	const struct forward_facts facts = {
		.body = h->body,
		.content_length = h->content_length,
		.via = {via, strlen(via)},
		.client = {c->peer_text, strlen(c->peer_text)},
		.proto = SPAN("http"),
		.authority = h->authority.len ? h->authority : local_authority(c, text),
	};
	/* What is added is bounded, but for the authority, which may be there twice. */
	uint32_t room = 2 * len + BUF_NOTE;
	size_t n;

	if (!buf_reserve(&t->pool, &c->head, room < BUF_SIZE ? BUF_SIZE : room))
		return false;
	n = forward_request(c->head.data, c->head.size, h, &facts);
	assert(n > 0);
	c->head.end = (uint32_t)n;
	return true;
}

static enum go request_begin(struct client *c, uint32_t len)
{
	static const struct span allow = SPAN("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
	const struct http1_head *h = &thread_of(c)->head;

	note_request(c, h);
	c->scanned = 0;
	c->method = h->method;
	c->minor = h->minor;
	c->close = !h->keep_alive;
	relay_init(&c->up, h->body, h->content_length, h->body == HTTP1_BODY_CHUNKED);
	c->up.most = c->service->max_body;
	c->replay = relay_read_all(&c->up) && http1_idempotent(h->method);
	if (h->method == HTTP1_M_CONNECT || h->method == HTTP1_M_TRACE) {
		buf_consume(&c->link.in, len);
		c->reason = ACCESS_refused;
		return answer(c, 405, false, allow);
	}
	if (c->service->max_body && h->body == HTTP1_BODY_LENGTH &&
	    h->content_length > c->service->max_body) {
		buf_consume(&c->link.in, len);
		return request_fail(c, 413, ACCESS_refused);
	}
	if (!head_rewrite(c, h, len))
		return request_fail(c, 503, ACCESS_no_memory);
	buf_consume(&c->link.in, len);
	c->step = STEP_CONNECT;
	return GO;
}

/* No byte to be had. */
static enum go head_wait(struct client *c)
{
	struct thread *t = thread_of(c);

	if (buf_len(&c->link.in))
		return WAIT;
	if (t->draining && c->n_requests)
		return END;
	if (!c->idle) {
		buf_release(&t->pool, &c->link.in);
		set_idle(c, true);
		c->idle_ms = t->now_ms;
		wheel_set(&t->wheel, &c->timer,
			  t->now_ms +
				  (c->n_requests ? c->service->idle_ms : c->service->header_ms));
	}
	return WAIT;
}

static bool head_read(struct client *c)
{
	struct buf *in = &c->link.in;
	uint32_t size = in->size && buf_len(in) == in->size ? 2 * in->size : BUF_SIZE;

	if (!buf_reserve(&thread_of(c)->pool, in, size < in->size ? in->size : size))
		return false;
	link_read(&c->link);
	return true;
}

/* The first byte of a request: its time begins. */
static void head_first(struct client *c)
{
	struct thread *t = thread_of(c);

	set_idle(c, false);
	c->began_ms = t->now_ms;
	c->sent_before = c->link.sent;
	c->n_requests++;
	wheel_set(&t->wheel, &c->timer, t->now_ms + c->service->header_ms);
}

static enum go step_head(struct client *c)
{
	const struct http1_limits limits = {.max_head = c->service->max_head,
					    .max_target = c->service->max_head,
					    .max_fields = c->service->max_fields};
	struct link *l = &c->link;

	for (;;) {
		int n = 0;

		if (buf_len(&l->in)) {
			if (c->began_ms == 0)
				head_first(c);
			n = http1_parse_request(&thread_of(c)->head, buf_at(&l->in),
						buf_len(&l->in), &c->scanned, &limits);
		}
		if (n > 0)
			return request_begin(c, (uint32_t)n);
		if (n < 0)
			return refuse(c, (unsigned)-n);
		if (l->eof || l->failed) {
			if (c->began_ms == 0)
				return END;
			note_request(c, NULL);
			return request_abort(c, ACCESS_client_gone);
		}
		if (!l->readable && !(l->unsure && buf_len(&l->in)))
			return head_wait(c);
		if (!head_read(c))
			return END;
	}
}

/* ---- FLUSH, LINGER -------------------------------------------------------------------- */

static enum go linger(struct client *c)
{
	struct thread *t = thread_of(c);

	/* Closed with bytes unread, the kernel would send a reset, which can overtake the
	 * answer (RFC 9112 section 9.6). */
	if (c->link.eof || c->link.failed ||
	    (!c->link.readable && relay_read_all(&c->up) && buf_len(&c->link.in) == 0))
		return END;
	shutdown(c->link.fd, SHUT_WR);
	request_clear(c);
	c->step = STEP_LINGER;
	wheel_set(&t->wheel, &c->timer, t->now_ms + LINGER_MS);
	return GO;
}

static enum go step_linger(struct client *c)
{
	struct buf *in = &c->link.in;

	for (uint32_t got = 0; got < LINGER_BYTES;) {
		if (c->link.eof || c->link.failed)
			return END;
		buf_release(&thread_of(c)->pool, in);
		if (!c->link.readable)
			return WAIT;
		if (!buf_reserve(&thread_of(c)->pool, in, BUF_SIZE))
			return END;
		got += (uint32_t)link_read(&c->link);
	}
	return TURN;
}

static enum go step_flush(struct client *c)
{
	bool turn;

	link_send(&c->link, NULL, 0, false);
	if (c->link.broken)
		return request_abort(c, ACCESS_client_gone);
	if (buf_len(&c->link.out))
		return request_wait(c, c->service->body_ms);
	request_log(c);
	if (c->close)
		return linger(c);
	turn = c->n_requests % TURN_REQUESTS == 0;
	request_clear(c);
	buf_release(&thread_of(c)->pool, &c->link.out);
	c->step = STEP_HEAD;
	return turn ? TURN : GO;
}

/* ---- the driver ----------------------------------------------------------------------- */

static enum go (*const steps[STEP_COUNT])(struct client *) = {
	[STEP_HEAD] = step_head,         [STEP_CONNECT] = exchange_connect,
	[STEP_EXCHANGE] = exchange_send, [STEP_RESPOND] = exchange_respond,
	[STEP_FLUSH] = step_flush,       [STEP_LINGER] = step_linger,
};

static void go_on(struct client *c, enum go go)
{
	while (go == GO)
		go = steps[c->step](c);
	if (go == TURN)
		event_active(&c->link.event, EV_TIMEOUT, 0);
	else if (go == END)
		client_free(c);
}

void request_drive(struct client *c)
{
	go_on(c, GO);
}

enum go request_wait(struct client *c, uint32_t ms)
{
	struct thread *t = thread_of(c);
	uint64_t moved = c->link.sent + c->up.body.received + c->down.body.received +
			 (c->upstream ? c->upstream->link.sent : 0);

	if (moved != c->progress) {
		c->progress = moved;
		wheel_set(&t->wheel, &c->timer, t->now_ms + ms);
	}
	return WAIT;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	thread_clock(thread_of(c));
	link_ready(&c->link, what);
	/* A client may have said its last word and still wait for the answer; one that has
	 * reset the connection does not, and nobody reads here who would be told. */
	if ((what & (EV_READ | EV_CLOSED)) && relay_read_all(&c->up)) {
		link_probe(&c->link);
		if (c->link.failed) {
			go_on(c, request_abort(c, ACCESS_client_gone));
			return;
		}
	}
	request_drive(c);
}

static enum go timeout(struct client *c)
{
	switch (c->step) {
	case STEP_HEAD:
		if (c->began_ms == 0)
			return END;
		note_request(c, NULL);
		c->reason = ACCESS_client_timeout;
		return answer(c, 408, false, SPAN(""));
	case STEP_FLUSH:
		return request_abort(c, ACCESS_client_timeout);
	case STEP_LINGER:
		return END;
	default:
		return exchange_timeout(c);
	}
}

static void on_timer(struct timer *timer)
{
	struct client *c = (struct client *)((char *)timer - offsetof(struct client, timer));

	go_on(c, timeout(c));
}

/* ---- all of them ---------------------------------------------------------------------- */

int requests_init(struct requests *rs, struct thread *thread)
{
	rs->thread = thread;
	TAILQ_INIT(&rs->busy);
	TAILQ_INIT(&rs->idle);
	return upstreams_init(&rs->upstreams, thread, exchange_ready);
}

void requests_fini(struct requests *rs)
{
	struct client *c;

	while ((c = TAILQ_FIRST(&rs->idle)))
		client_free(c);
	while ((c = TAILQ_FIRST(&rs->busy)))
		go_on(c, c->step == STEP_LINGER ? END : request_abort(c, ACCESS_stopped));
	upstreams_fini(&rs->upstreams);
}

void request_accept(struct requests *rs, int fd, const struct endpoint *peer,
		    const struct conf_service *service)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c || link_open(&c->link, fd, rs->thread->base, on_event, c) != 0) {
		if (!c)
			close(fd);
		free(c);
		return;
	}
	c->owner = rs;
	c->service = service;
	c->peer = *peer;
	addr_format(&peer->addr, c->peer_text);
	c->timer.fire = on_timer;
	TAILQ_INSERT_TAIL(&rs->busy, c, entry);
	rs->n++;
	go_on(c, head_wait(c));
}

bool requests_idle(const struct requests *rs)
{
	const struct client *c = TAILQ_FIRST(&rs->idle);

	return c && c->idle_ms + REQUEST_SPARE_MS <= rs->thread->now_ms;
}

void requests_reclaim(struct requests *rs)
{
	client_free(TAILQ_FIRST(&rs->idle));
}

void requests_drain(struct requests *rs)
{
	struct client *c, *next;

	rs->thread->draining = true;
	upstreams_flush(&rs->upstreams);
	for (c = TAILQ_FIRST(&rs->idle); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->n_requests)
			client_free(c);
		else
			wheel_set(&rs->thread->wheel, &c->timer, rs->thread->now_ms + FRESH_MS);
	}
}
