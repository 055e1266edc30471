// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the step HEAD: a request's head is read, refused, or written anew as a backend gets
 * it. Promises: no backend hears of a request whose head was refused.
 */
#include "l7/request.h"

#include <assert.h>

#include "base/log.h"
#include "base/target.h"
#include "l7/forward_head.h"
#include "l7/hash_key.h"
#include "l7/tls.h"

/* Its place in the list is renewed now and then: at each request its neighbours there, which are
 * in no cache any more, would have to be written. */
static void set_idle(struct client *c)
{
	struct requests *rs = c->owner;

	c->idle = true;
	c->idle_ms = thread_of(c)->now_ms;
	if (c->waits && c->idle_ms < c->queued_ms + REQUEST_PLACE_MS)
		return;
	if (c->waits)
		TAILQ_REMOVE(&rs->idle, c, entry);
	else
		TAILQ_REMOVE(&rs->busy, c, entry);
	TAILQ_INSERT_TAIL(&rs->idle, c, entry);
	c->waits = true;
	c->queued_ms = c->idle_ms;
}

void head_note(struct client *c, const struct http1_head *h)
{
	struct thread *t = thread_of(c);
	struct span line = {buf_at(&c->link.in), buf_len(&c->link.in)};
	const char *end;

	if (t->access.fd < 0 || !buf_reserve(&t->pool, &c->req->note, BUF_NOTE))
		return;
	if (line.len == 0)
		line = SPAN(""); /* no bytes, no buffer */
	end = memchr(line.p, '\n', line.len);
	if (end)
		line.len = (size_t)(end - line.p);
	if (line.len && line.p[line.len - 1] == '\r')
		line.len--;
	access_note(&t->access, &c->req->note, h, line);
}

static enum go refuse(struct client *c, unsigned status)
{
	log_debug("request refused client=%s status=%u: %s", c->peer_text, status, http1_refusal());
	head_note(c, NULL);
	c->req->reason = ACCESS_refused;
	return answer_own(c, status, false, SPAN(""));
}

/* The Host of a request that names none (HTTP/1.0): the address that it was sent to. */
static struct span local_authority(const struct client *c, char text[ENDPOINT_TEXT])
{
	struct endpoint local;

	if (!request_local(c, &local))
		return SPAN("");
	endpoint_format(&local, text);
	return (struct span){text, strlen(text)};
}

/* Writes the head as a backend gets it into c->req->head. */
static bool head_rewrite(struct client *c, const struct http1_head *h, uint32_t len,
			 const struct edits *edits, struct span host)
{
	struct thread *t = thread_of(c);
	const struct conf_outgoing *outgoing = c->service->outgoing;
	const char *via = outgoing && !outgoing->via ? "" : t->conf->hop_name;
	char text[ENDPOINT_TEXT];
	const struct forward_facts facts = {
		.body = h->body,
		.content_length = h->content_length,
		.via = {via, strlen(via)},
		.client = {c->peer_text, strlen(c->peer_text)},
		.alone = outgoing,
		.proto = c->link.tls ? SPAN("https") : SPAN("http"),
		.upgrade = c->req->upgrade ? REQUEST_UPGRADE : SPAN(""),
		.trailers = c->req->up.trailers,
		.authority = h->authority.len ? h->authority : local_authority(c, text),
		.host = host,
		.edits = edits,
		.trace = {c->req->trace, c->req->trace[0] ? TRACE_LEN : 0},
		.trace_goes_on = c->req->trace_goes_on,
	};
	uint32_t room = (uint32_t)forward_request_room(h, &facts, len);
	size_t n;

	/* Sizes that the pool keeps; in front of a body it is sent with the first chunk. */
	if (room < BUF_NOTE)
		room = BUF_NOTE;
	if (room < BUF_SIZE && !relay_read_all(&c->req->up))
		room = BUF_SIZE;
	if (!buf_reserve(&t->pool, &c->req->head, room))
		return false;
	n = forward_request(c->req->head.data, c->req->head.size, h, &facts);
	assert(n > 0);
	c->req->head.end = (uint32_t)n;
	return true;
}

/* The target gets its one spelling, for rules and backends alike; *status says what else is to
 * be answered. */
static bool target_settle(const struct client *c, struct http1_head *h, unsigned *status)
{
	struct thread *t = thread_of(c);

	if (h->method == HTTP1_M_CONNECT)
		return true;
	*status = 503;
	if (!buf_reserve(&t->pool, &t->target, (uint32_t)TARGET_ROOM(h->path.len)))
		return false;
	*status = 400;
	return target_normalise(&h->path, h->path, c->service->merge_slashes, t->target.data);
}

/* Writes the head as its route changes it. What a cache goes by then is the target that the client
 * named, and the fields that a backend gets. */
static enum go head_change(struct client *c, const struct route_choice *choice, uint32_t len,
			   const struct http1_head **ask)
{
	struct thread *t = thread_of(c);
	struct http1_head *h = &t->head;
	struct span host, came = h->path, target = came;
	const struct edits *edits;
	struct expand_facts facts;
	bool ok;

	rules_facts(c, choice, &facts);
	if (!change_request(c, &facts, &edits) || !change_host(c, &facts, &host) ||
	    !change_target(c, &facts, &target))
		return answer_fail(c, 400, ACCESS_refused);
	h->path = target;
	ok = head_rewrite(c, h, len, edits, host);
	h->path = came;
	if (!ok || !cache_request_parse(&t->request_head, &c->req->head))
		return answer_fail(c, 503, ACCESS_no_memory);
	t->request_head.authority = h->authority;
	t->request_head.path = came;
	*ask = &t->request_head;
	return GO;
}

/* Goes to a backend, or the cache. */
static enum go request_forward(struct client *c, const struct route_choice *choice, uint32_t len)
{
	bool gather = c->req->route->request_buffer && !relay_read_all(&c->req->up);
	struct http1_head *h = &thread_of(c)->head;
	const struct http1_head *ask = h;

	if (c->req->up.most && h->body == HTTP1_BODY_LENGTH && h->content_length > c->req->up.most)
		return answer_fail(c, 413, ACCESS_refused);
	c->req->key = hash_key(c->req->pool, h, &c->peer.addr);
	c->req->upgrade = c->req->route->websocket && h->method == HTTP1_M_GET &&
			  relay_read_all(&c->req->up) && http1_upgrades_to(h, REQUEST_UPGRADE) &&
			  websocket_expects(c->req->accept, h);
	h->expect_continue &= !gather; /* it is answered here */
	if (c->req->route->changes) {
		enum go go = head_change(c, choice, len, &ask);

		if (ask == h)
			return go;
	}
	if (cache_begin(c, ask))
		return GO;
	if (!c->req->route->changes && !head_rewrite(c, h, len, NULL, SPAN("")))
		return answer_fail(c, 503, ACCESS_no_memory);
	cache_next(c);
	return gather && c->step == STEP_CONNECT ? gather_begin(c) : GO;
}

/* Goes where its route says. */
static enum go request_route(struct client *c, uint32_t len)
{
	struct route_choice choice;

	if (!rules_choose(c, &choice))
		return answer_fail(c, 500, ACCESS_expression);
	if (c->req->route->action != ROUTE_POOL)
		return rules_answer(c, &choice);
	return request_forward(c, &choice, len);
}

/* Leaves the site. What a target's path looks like is its server's business. */
static enum go request_outgoing(struct client *c, uint32_t len)
{
	enum go go;

	if (dial_begin(c, &thread_of(c)->head, &go) && c->req->method != HTTP1_M_CONNECT &&
	    !head_rewrite(c, &thread_of(c)->head, len, NULL, SPAN("")))
		return answer_fail(c, 503, ACCESS_no_memory);
	return go;
}

/* On a connection of TLS a request is for who was asked for in the handshake (RFC 9110 section
 * 7.4). */
static bool host_fits(const struct client *c, const struct http1_head *h)
{
	struct span host = h->authority;
	const char *port = memchr(host.p, ':', host.len);

	if (!c->link.tls || !c->service->tls->strict_host)
		return true;
	if (port)
		host.len = (size_t)(port - host.p);
	return tls_host_fits(&thread_of(c)->tls, c->service->index, tls_sni(c->link.tls), host);
}

static enum go request_begin(struct client *c, uint32_t len)
{
	static const struct span allow =
		SPAN("Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n");
	struct http1_head *h = &thread_of(c)->head;
	unsigned status;
	enum go go;

	head_note(c, h);
	c->req->scanned = 0;
	c->req->method = h->method;
	c->req->minor = h->minor;
	c->req->close = !h->keep_alive ||
			(c->service->max_requests && c->n_requests >= c->service->max_requests);
	c->req->expects = h->expect_continue && h->body != HTTP1_BODY_NONE;
	if (c->service->n_id_from)
		request_id_take(c, h);
	relay_init(&c->req->up, h->body, h->content_length, h->body == HTTP1_BODY_CHUNKED);
	c->req->up.trailers = c->service->request_trailers && h->body == HTTP1_BODY_CHUNKED;
	c->req->trailers = h->te_trailers && h->minor > 0;
	if (c->service->compress.on)
		c->req->encoding = encode_wanted(h, &c->service->compress);
	c->req->replay = relay_read_all(&c->req->up) && http1_idempotent(h->method);
	if ((h->method == HTTP1_M_CONNECT && !c->service->outgoing) || h->method == HTTP1_M_TRACE) {
		buf_consume(&c->link.in, len);
		c->req->reason = ACCESS_refused;
		return answer_own(c, 405, false, allow);
	}
	if (c->service->outgoing)
		go = request_outgoing(c, len);
	else if (!target_settle(c, h, &status))
		go = answer_fail(c, status, status == 400 ? ACCESS_refused : ACCESS_no_memory);
	else if (!host_fits(c, h))
		go = answer_fail(c, 421, ACCESS_refused);
	else if (http1_max_forwards(h) == 0) /* the last one that may answer: RFC 9110, 7.6.2 */
		go = answer_own(c, 200, relay_read_all(&c->req->up), allow);
	else
		go = request_route(c, len);
	buf_consume(&c->link.in, len);
	if (buf_len(&c->link.in) == 0 && relay_read_all(&c->req->up))
		buf_release(&thread_of(c)->pool, &c->link.in);
	return go;
}

/* No byte to be had. */
enum go head_wait(struct client *c)
{
	struct thread *t = thread_of(c);

	if (buf_len(&c->link.in)) {
		buf_shrink(&t->pool, &c->link.in);
		return WAIT;
	}
	if (t->draining && c->n_requests)
		return END;
	if (!c->idle) {
		buf_release(&t->pool, &c->link.in);
		set_idle(c);
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
static bool head_first(struct client *c)
{
	struct thread *t = thread_of(c);

	if (!request_start(c))
		return false;
	c->idle = false;
	c->req->began_ms = t->now_ms;
	c->req->sent_before = c->link.sent;
	c->n_requests++;
	wheel_set(&t->wheel, &c->timer, t->now_ms + c->service->header_ms);
	return true;
}

enum go head_step(struct client *c)
{
	const struct http1_limits limits = {.max_head = c->service->max_head,
					    .max_target = c->service->max_target,
					    .max_fields = c->service->max_fields};
	struct link *l = &c->link;

	for (;;) {
		int n = 0;

		if (buf_len(&l->in)) {
			if (!c->req && !head_first(c))
				return END;
			n = http1_parse_request(&thread_of(c)->head, buf_at(&l->in),
						buf_len(&l->in), &c->req->scanned, &limits);
		}
		if (n > 0)
			return request_begin(c, (uint32_t)n);
		if (n < 0)
			return refuse(c, (unsigned)-n);
		if (l->eof || l->failed) {
			if (!c->req)
				return END;
			head_note(c, NULL);
			return request_abort(c, ACCESS_client_gone);
		}
		if (!l->readable && !(l->unsure && buf_len(&l->in)))
			return head_wait(c);
		if (!head_read(c))
			return END;
	}
}
