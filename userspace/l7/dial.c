// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: requests that leave the site through a service of kind forward: CONNECT host:port, and
 * requests with an http:// target (RFC 9110 section 9.3.6, RFC 9112 section 3.2.2).
 * Promises: nothing is connected to but an address that was itself found allowed, by the very
 * look-up that found it; a name that no rule has is not even looked up. Why a request was refused
 * stands in Proxy-Status (RFC 9209) and in the access log.
 * Excludes: authentication; requests for https:// without CONNECT.
 */
#include "l7/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TUNNEL_OPEN "HTTP/1.1 200 Connection established\r\n\r\n"
#define SPARE_MS    500 /* for the resolver to say itself that the time is over */

/* ---- refusals ------------------------------------------------------------------------- */

/* The error as RFC 9209 section 2.3 names it. */
static enum go refuse(struct client *c, unsigned status, enum access_reason reason,
		      const char *error)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "Proxy-Status: %.64s; error=%s\r\n",
			 thread_of(c)->conf->hop_name, error);

	c->req->reason = reason;
	relay_drop(&c->req->up, &c->link);
	/* Behind CONNECT a client may have sent what is not for us. */
	return answer_own(c, status,
			  c->req->method != HTTP1_M_CONNECT && relay_read_all(&c->req->up),
			  (struct span){text, (size_t)n});
}

static bool is_client(const struct conf_outgoing *o, const struct sluice_addr *peer)
{
	for (unsigned i = 0; i < o->n_clients; i++)
		if (cidr_contains(&o->clients[i], peer))
			return true;
	return false;
}

/* Where it wants to go. False: that is no destination. */
static bool target_take(const struct client *c, const struct http1_head *h, struct destination *to)
{
	if (c->req->method == HTTP1_M_CONNECT)
		return h->body == HTTP1_BODY_NONE && destination_parse(to, h->authority, 0);
	return h->target.len > 7 && strncasecmp(h->target.p, "http://", 7) == 0 &&
	       destination_parse(to, h->authority, 80);
}

/* ---- begin ---------------------------------------------------------------------------- */

bool dial_begin(struct client *c, const struct http1_head *h, enum go *go)
{
	const struct conf_outgoing *o = c->service->outgoing;
	struct dial *d;

	c->req->pool = c->service->pool;
	c->req->up.most = c->service->max_body;
	c->req->replay = false;
	*go = GO;
	if (!is_client(o, &c->peer.addr)) {
		*go = refuse(c, 403, ACCESS_client_forbidden, "http_request_denied");
		return false;
	}
	d = c->req->dial = calloc(1, sizeof(*d));
	if (!d) {
		*go = answer_fail(c, 503, ACCESS_no_memory);
		return false;
	}
	d->client = c;
	if (!target_take(c, h, &d->to))
		*go = refuse(c, 400, ACCESS_refused, "http_request_error");
	else if (!destination_known(o, &d->to))
		*go = refuse(c, 403, ACCESS_destination_forbidden, "http_request_denied");
	else if (c->req->up.most && h->body == HTTP1_BODY_LENGTH &&
		 h->content_length > c->req->up.most)
		*go = answer_fail(c, 413, ACCESS_refused);
	else
		c->step = STEP_CONNECT;
	return c->step == STEP_CONNECT;
}

void dial_clear(struct client *c)
{
	if (!c->req->dial)
		return;
	namer_stop(&thread_of(c)->namer, &c->req->dial->query);
	free(c->req->dial);
	c->req->dial = NULL;
}

/* ---- its addresses -------------------------------------------------------------------- */

static void on_found(struct namer_query *q, const struct lookup_answer *answer)
{
	struct dial *d = (struct dial *)((char *)q - offsetof(struct dial, query));
	struct client *c = d->client;

	thread_clock(thread_of(c));
	d->looked = true;
	d->n = answer->n;
	memcpy(d->addrs, answer->addrs, answer->n * sizeof(answer->addrs[0]));
	if (answer->outcome == LOOKUP_TIMEOUT)
		request_end(c, dial_late(c));
	else if (answer->outcome == LOOKUP_BUSY)
		request_end(c, answer_busy(c, ACCESS_queue_full));
	else if (answer->n == 0)
		request_end(c, refuse(c, 502, ACCESS_unknown_host, "dns_error"));
	else
		request_drive(c);
}

bool dial_waits(const struct client *c)
{
	return c->req->dial && c->req->dial->query.id;
}

enum go dial_late(struct client *c)
{
	namer_stop(&thread_of(c)->namer, &c->req->dial->query);
	return refuse(c, 504, ACCESS_lookup_timeout, "dns_timeout");
}

static enum go look_up(struct client *c, struct dial *d)
{
	const struct conf_resolver *conf = &thread_of(c)->conf->resolver;
	struct thread *t = thread_of(c);

	if (d->to.name[0] == '\0') {
		d->addrs[d->n++] = d->to.addr;
		d->looked = true;
		return GO;
	}
	d->query.done = on_found;
	if (!namer_ask(&t->namer, &d->query, d->to.name))
		return answer_busy(c, ACCESS_queue_full);
	wheel_set(&t->wheel, &c->timer,
		  t->now_ms + (uint64_t)conf->timeout_ms * conf->attempts * 2 + SPARE_MS);
	return WAIT;
}

/* ---- a connection --------------------------------------------------------------------- */

static enum go none_left(struct client *c)
{
	if (c->req->n_tried == 0)
		return refuse(c, 403, ACCESS_destination_private, "destination_ip_prohibited");
	if (c->req->reason == ACCESS_connect_timeout)
		return refuse(c, 504, ACCESS_connect_timeout, "connection_timeout");
	return refuse(c, 502, ACCESS_no_backend, "destination_unavailable");
}

/* The pool's one backend is at this address from here to the return of upstream_get. */
static enum go connect_to(struct client *c, const struct sluice_addr *addr)
{
	struct pool *p = &c->owner->upstreams.pools[c->req->pool->index];
	struct backend *b = &p->backends[0];
	struct thread *t = thread_of(c);

	b->endpoint = (struct endpoint){*addr, c->req->dial->to.port};
	c->req->upstream = upstream_get(b, c, true);
	if (!c->req->upstream && errno == EBUSY)
		return answer_busy(c, ACCESS_queue_full);
	if (c->req->n_tried == 0) {
		pool_begin(p);
		c->req->tried[c->req->n_tried++] = b;
	}
	c->req->backend = b;
	c->req->asked = b->endpoint;
	c->req->connect_ms = t->now_ms;
	if (c->req->upstream) {
		wheel_set(&t->wheel, &c->timer, t->now_ms + c->req->route->connect_ms);
		return GO;
	}
	return connect_failed(c, ACCESS_no_backend);
}

enum go dial_next(struct client *c)
{
	struct dial *d = c->req->dial;
	enum go go = GO;

	if (d->query.id)
		return WAIT;
	if (!d->looked)
		go = look_up(c, d);
	if (go != GO || c->step != STEP_CONNECT)
		return go;
	while (d->at < d->n) {
		const struct sluice_addr *addr = &d->addrs[d->at++];

		if (destination_allowed(c->service->outgoing, &d->to, addr))
			return connect_to(c, addr);
	}
	return none_left(c);
}

enum go dial_tunnel(struct client *c)
{
	struct upstream *u = c->req->upstream;
	struct thread *t = thread_of(c);
	socklen_t len = sizeof(errno);
	int error = 0;
	enum go go;

	if (getsockopt(u->link.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error) {
		errno = error;
		return connect_failed(c, ACCESS_no_backend);
	}
	upstream_connected(u);
	c->req->connected_ms = t->now_ms;
	if (!answer_put(c, TUNNEL_OPEN, sizeof(TUNNEL_OPEN) - 1))
		return request_abort(c, ACCESS_no_memory);
	wheel_set(&t->wheel, &c->timer, t->now_ms + c->service->tunnel_ms);
	go = tunnel_begin(c);
	c->req->status = 200;
	return go;
}
