// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: clients' connections and the order of a request's steps. Promises: one log line for
 * each request that was begun; a response that was cut short never looks whole. Cost: in the
 * steady state of a kept-alive connection, one recvfrom and one sendmsg on each side, no
 * allocation.
 */
#include "l7/request.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "l7/tls.h"

#define FRESH_MS 1000 /* for a first request, on a connection that is new when draining */

/* ---- ends ----------------------------------------------------------------------------- */

static long since(const struct client *c, uint64_t then)
{
	return then ? (long)(then - c->req->began_ms) : -1;
}

/* What the line asks for of what is not at hand. */
static void log_facts(struct client *c, const struct log_format *format, struct access_facts *f)
{
	bool certificate = log_format_has(format, LOG_tls_client_subject) ||
			   log_format_has(format, LOG_tls_client_fingerprint) ||
			   log_format_has(format, LOG_tls_client_verify);

	f->scheme = c->service->tls ? SPAN("https") : SPAN("http");
	tls_facts(c->link.tls, certificate, &f->tls);
	if (log_format_has(format, LOG_request_id))
		f->request_id = request_id(c);
	f->trace_id = trace_id(c->req->trace);
	f->cache = cache_word(c);
}

static void log_line(struct client *c)
{
	struct thread *t = thread_of(c);
	struct access_facts facts = {
		.client = &c->peer,
		.status = c->req->status,
		.bytes = c->link.sent - c->req->sent_before,
		.service = c->service->name,
		.route = c->req->route->name,
		.upstream = c->req->backend ? &c->req->asked : NULL,
		.upstream_path = c->req->backend ? c->req->backend->conf->path : NULL,
		.backend = c->req->backend ? c->req->backend->conf->name : NULL,
		.bytes_body = c->req->up.body.received,
		.queue_ms = since(c, c->req->connect_ms),
		.connection = c->number,
		.connection_requests = c->n_requests,
		.connect_ms = c->req->connected_ms
				      ? (long)(c->req->connected_ms - c->req->connect_ms)
				      : -1,
		.first_ms = since(c, c->req->first_ms),
		.total_ms = since(c, t->now_ms),
		.retries = c->req->retries,
		.reason = c->req->reason,
	};

	log_facts(c, t->access.format, &facts);
	access_log(&t->access, &c->req->note, &facts);
}

void request_log(struct client *c)
{
	if (thread_of(c)->access.fd >= 0)
		log_line(c);
}

/* The memory of a request that has ended. */
struct request_spare {
	struct request_spare *next;
};

bool request_start(struct client *c)
{
	struct requests *rs = c->owner;
	struct request_spare *spare = rs->spare;
	struct request *r = (struct request *)spare;

	if (spare) {
		rs->spare = spare->next;
		rs->n_spare--;
	} else {
		r = malloc(sizeof(*r));
	}
	if (!r)
		return false;
	*r = (struct request){.client = c, .route = &c->service->routes.fallback};
	c->req = r;
	return true;
}

static void give_back(struct requests *rs, struct request *r)
{
	struct request_spare *spare = (struct request_spare *)r;

	if (rs->n_spare == REQUEST_SPARE) {
		free(r);
		return;
	}
	spare->next = rs->spare;
	rs->spare = spare;
	rs->n_spare++;
}

void request_clear(struct client *c)
{
	struct buf_pool *pool = &thread_of(c)->pool;
	struct request *r = c->req;

	if (!r)
		return;
	pool_leave(&r->waiter);
	cache_clear(c);
	file_clear(c);
	dial_clear(c);
	hedge_end(c);
	if (r->upstream)
		upstream_close(r->upstream);
	encoder_put(&thread_of(c)->encoders, r->down.encoder);
	buf_release(pool, &r->head);
	buf_release(pool, &r->note);
	buf_release(pool, &r->late);
	relay_fini(&r->up, pool);
	relay_fini(&r->down, pool);
	c->req = NULL;
	give_back(c->owner, r);
}

static void client_free(struct client *c)
{
	struct requests *rs = c->owner;
	bool reset = c->req && c->req->reset;

	request_clear(c);
	wheel_stop(&c->timer);
	link_close(&c->link, &rs->thread->pool, reset);
	if (c->waits)
		TAILQ_REMOVE(&rs->idle, c, entry);
	else
		TAILQ_REMOVE(&rs->busy, c, entry);
	rs->n--;
	free(c);
}

enum go request_abort(struct client *c, enum access_reason reason)
{
	if (c->req->cached.fetch)
		return fetch_failed(c, 502, reason);
	c->req->reason = reason;
	/* A close-delimited body that stops would look whole to a client that gets a FIN. */
	c->req->reset = c->req->answering && c->req->until_end;
	request_log(c);
	return END;
}

/* ---- the driver ----------------------------------------------------------------------- */

static enum go (*const steps[STEP_COUNT])(struct client *) = {
	[STEP_PROXIED] = proxied_step,   [STEP_HANDSHAKE] = handshake_step,
	[STEP_HEAD] = head_step,         [STEP_CONNECT] = connect_step,
	[STEP_EXCHANGE] = exchange_send, [STEP_RESPOND] = exchange_respond,
	[STEP_GATHER] = gather_step,     [STEP_TUNNEL] = tunnel_step,
	[STEP_FLUSH] = answer_flush,     [STEP_LINGER] = answer_linger,
	[STEP_CACHE] = cache_wait,       [STEP_SERVE] = cache_serve,
	[STEP_FETCH] = fetch_body,       [STEP_FILE] = file_send,
};

void request_turn(struct client *c)
{
	if (c->req && c->req->cached.fetch)
		fetch_turn(c);
	else
		event_active(&c->link.event, EV_TIMEOUT, 0);
}

static void go_on(struct client *c, enum go go)
{
	while (go == GO)
		go = steps[c->step](c);
	if (go == TURN)
		request_turn(c);
	else if (go == END)
		client_free(c);
}

void request_end(struct client *c, enum go go)
{
	go_on(c, go);
}

void request_drive(struct client *c)
{
	go_on(c, GO);
}

static struct pace_rule pace_rule(const struct client *c)
{
	return (struct pace_rule){c->service->min_rate, c->req->route->body_ms};
}

/* Nobody but the client can make its request go on. */
static bool client_owes(const struct client *c)
{
	return !relay_read_all(&c->req->up) &&
	       (!c->req->upstream || c->req->upstream->link.writable);
}

enum go request_watch(struct client *c, uint32_t ms)
{
	struct thread *t = thread_of(c);
	uint64_t moved = c->link.sent + c->req->up.body.received + c->req->down.body.received +
			 (c->req->upstream ? c->req->upstream->link.sent : 0);

	if (moved != c->req->progress) {
		c->req->progress = moved;
		wheel_set(&t->wheel, &c->timer, t->now_ms + ms);
	}
	return WAIT;
}

enum go request_wait(struct client *c, uint32_t ms)
{
	const struct pace_rule rule = pace_rule(c);

	if (!pace_given(&c->req->pace, &rule, thread_of(c)->now_ms, client_owes(c),
			c->req->up.body.received))
		return answer_fail(c, 408, ACCESS_client_timeout);
	return request_watch(c, ms);
}

bool request_taken(struct client *c)
{
	const struct pace_rule rule = pace_rule(c);
	struct thread *t = thread_of(c);

	if (!pace_taken(&c->req->pace, &rule, link_acked(&c->link)))
		return false;
	wheel_set(&t->wheel, &c->timer, t->now_ms + c->req->route->body_ms);
	return true;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	thread_clock(thread_of(c));
	link_ready(&c->link, what);
	/* A client may have said its last word and still wait for the answer; one that has
	 * reset the connection does not, and nobody reads here who would be told. */
	if ((what & (EV_READ | EV_CLOSED)) && c->req && relay_read_all(&c->req->up)) {
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
	case STEP_HANDSHAKE:
		return handshake_timeout(c);
	case STEP_HEAD:
		if (!c->req)
			return END;
		head_note(c, NULL);
		c->req->reason = ACCESS_client_timeout;
		return answer_own(c, 408, false, SPAN(""));
	case STEP_FILE:
	case STEP_FLUSH:
		return request_taken(c) ? WAIT : request_abort(c, ACCESS_client_timeout);
	case STEP_PROXIED:
	case STEP_LINGER:
		return END;
	case STEP_GATHER:
		return answer_fail(c, 408, ACCESS_client_timeout);
	case STEP_TUNNEL:
		return request_abort(c, ACCESS_tunnel_idle);
	case STEP_CACHE:
	case STEP_SERVE:
		return cache_timeout(c);
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
	static const struct upstream_calls calls = {
		.ready = exchange_ready, .serve = connect_serve, .hedge = hedge_start};

	rs->thread = thread;
	TAILQ_INIT(&rs->busy);
	TAILQ_INIT(&rs->idle);
	return upstreams_init(&rs->upstreams, thread, &calls);
}

void requests_fini(struct requests *rs)
{
	struct client *c;

	while ((c = TAILQ_FIRST(&rs->idle)) || (c = TAILQ_FIRST(&rs->busy)))
		go_on(c, c->req ? request_abort(c, ACCESS_stopped) : END);
	upstreams_fini(&rs->upstreams);
	for (struct request_spare *spare; (spare = rs->spare); free(spare))
		rs->spare = spare->next;
}

enum go request_open(struct client *c)
{
	c->step = STEP_HEAD;
	if (!c->service->tls)
		return head_wait(c);
	return handshake_begin(c) ? WAIT : END;
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
	c->step = STEP_HEAD;
	c->number = ++rs->accepted;
	c->service = service;
	c->peer = *peer;
	addr_format(&peer->addr, c->peer_text);
	c->timer.fire = on_timer;
	TAILQ_INSERT_TAIL(&rs->busy, c, entry);
	rs->n++;
	if (proxied(service, &peer->addr))
		proxied_begin(c);
	else
		go_on(c, request_open(c));
}

struct client *request_detached(struct requests *rs, const struct client *like)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->link.fd = -1;
	c->owner = rs;
	c->service = like->service;
	if (!request_start(c)) {
		free(c);
		return NULL;
	}
	c->req->route = like->req->route;
	c->req->pool = like->req->pool;
	c->req->key = like->req->key;
	c->peer = like->peer;
	memcpy(c->peer_text, like->peer_text, sizeof(c->peer_text));
	c->timer.fire = on_timer;
	TAILQ_INSERT_TAIL(&rs->busy, c, entry);
	rs->n++;
	return c;
}

bool requests_idle(struct requests *rs)
{
	struct client *c;

	while ((c = TAILQ_FIRST(&rs->idle)) && !c->idle) {
		TAILQ_REMOVE(&rs->idle, c, entry);
		TAILQ_INSERT_TAIL(&rs->busy, c, entry);
		c->waits = false;
	}
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
		if (!c->idle)
			continue;
		if (c->n_requests)
			client_free(c);
		else
			wheel_set(&rs->thread->wheel, &c->timer, rs->thread->now_ms + FRESH_MS);
	}
}
