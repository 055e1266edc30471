// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: what a request has to do with a cache: whether one answers it, what it waits for, and
 * what it changes there. Promises: what a response says about who may see it holds for everybody
 * who waited for it too; nobody waits for a fetch longer than wait_timeout.
 */
#include "l7/request.h"

#include <stdio.h>

#include "base/writer.h"

struct store_key cache_key_of(const struct client *c)
{
	const struct cached *cd = &c->req->cached;

	return (struct store_key){{cd->key.data, cd->key.end}, cd->hash};
}

/* ---- Cache-Status (RFC 9211) ---------------------------------------------------------- */

static const char *const forwards[] = {
	[CACHE_FWD_BYPASS] = "bypass", [CACHE_FWD_METHOD] = "method",
	[CACHE_FWD_URI_MISS] = "miss", [CACHE_FWD_REQUEST] = "request",
	[CACHE_FWD_STALE] = "stale",   [CACHE_FWD_PARTIAL] = "partial",
};

/* "sluice; hit; ttl=59", "sluice; fwd=miss; fwd-status=200; stored". fill NULL: a hit. */
static struct span status_text(const struct client *c, const struct object *o,
			       const struct fill *fill, char text[CACHE_STATUS_BYTES])
{
	const struct cached *cd = &c->req->cached;
	const char *name = thread_of(c)->conf->hop_name;
	int64_t ttl = o->verdict.lifetime - object_age(o, thread_of(c)->now_ms);
	int n;

	if (!cd->use->conf->cache_status)
		return SPAN("");
	if (!fill)
		n = snprintf(text, CACHE_STATUS_BYTES, "%s; hit; ttl=%lld", name, (long long)ttl);
	else if (fill->state == FILL_FAILED)
		n = snprintf(text, CACHE_STATUS_BYTES,
			     "%s; fwd=stale; fwd-status=%u; detail=stale-if-error; ttl=%lld", name,
			     fill->status, (long long)ttl);
	else
		n = snprintf(text, CACHE_STATUS_BYTES, "%s; fwd=%s; fwd-status=%u%s%s; ttl=%lld",
			     name, forwards[cd->forward], fill->status, o->shared ? "; stored" : "",
			     cd->waited ? "; collapsed" : "", (long long)ttl);
	return (struct span){text, (size_t)n};
}

struct span cache_status_passed(const struct client *c, char text[CACHE_STATUS_BYTES])
{
	const struct cached *cd = &c->req->cached;
	const char *stored = cd->takes.fill ? "; stored" : "";
	int n;

	if (!cd->use || !cd->use->conf->cache_status || cd->forward == CACHE_FWD_NONE)
		return SPAN("");
	n = snprintf(text, CACHE_STATUS_BYTES, "Cache-Status: %s; fwd=%s%s\r\n",
		     thread_of(c)->conf->hop_name, forwards[cd->forward], stored);
	return (struct span){text, (size_t)n};
}

struct span cache_word(const struct client *c)
{
	const struct cached *cd = &c->req->cached;

	if (!cd->use)
		return SPAN("");
	if (cd->forward == CACHE_FWD_NONE)
		return SPAN("hit");
	return (struct span){forwards[cd->forward], strlen(forwards[cd->forward])};
}

/* ---- looking -------------------------------------------------------------------------- */

static bool has_field(const struct http1_head *h, enum http1_field_id id)
{
	return http1_find(h, id) != NULL;
}

static bool has_cookie(const struct http1_head *h, const struct conf_caching *conf)
{
	for (unsigned i = 0; i < conf->n_bypass_cookies; i++) {
		const char *name = conf->bypass_cookies[i];

		if (cache_has_cookie(h, (struct span){name, strlen(name)}))
			return true;
	}
	return false;
}

/* Requests on which a cache has no opinion: it has no answer, and keeps none. */
static bool bypasses(const struct http1_head *h, const struct conf_caching *conf)
{
	return h->body == HTTP1_BODY_CHUNKED || h->content_length > 0 || h->upgrade ||
	       h->authority.len == 0 || has_field(h, HTTP1_F_IF_MATCH) ||
	       has_field(h, HTTP1_F_IF_UNMODIFIED_SINCE) || has_cookie(h, conf);
}

/* An answer to POST may be for everybody who asks with GET, if nothing in the request could have
 * made it another one than theirs. */
static bool may_take(const struct http1_head *h, const struct caching *use)
{
	const struct cache_ask ask = {.key_headers = use->key.headers,
				      .n_key_headers = use->key.n_headers,
				      .allowed = use->conf->allow_headers,
				      .n_allowed = use->conf->n_allow_headers};
	struct fresh_request asks;

	if (h->method != HTTP1_M_POST || has_field(h, HTTP1_F_AUTHORIZATION) ||
	    has_cookie(h, use->conf) || cache_head_poisons(h, &ask))
		return false;
	fresh_request_read(&asks, h);
	return !asks.no_store || use->policy.ignore_request;
}

static bool key_keep(struct client *c, const struct store_key *key)
{
	struct cached *cd = &c->req->cached;

	if (!buf_reserve(&thread_of(c)->pool, &cd->key, (uint32_t)key->text.len))
		return false;
	memcpy(cd->key.data, key->text.p, key->text.len);
	cd->key.end = (uint32_t)key->text.len;
	cd->hash = key->hash;
	return true;
}

static bool serve(struct client *c, struct object *o, const struct http1_head *request,
		  const struct fill *fill)
{
	char text[CACHE_STATUS_BYTES];

	if (!cache_serve_begin(c, o, request, status_text(c, o, fill, text)))
		return false;
	c->req->reason = fill && fill->state == FILL_ANSWERED ? ACCESS_ok : ACCESS_cached;
	return true;
}

/* Answers with o if it may; else notes what is to be done about it. */
static bool use_stored(struct client *c, struct object *o, const struct http1_head *h)
{
	struct cached *cd = &c->req->cached;
	int64_t age = object_age(o, thread_of(c)->now_ms);
	enum fresh_use use = fresh_use(&o->verdict, age, &cd->asks, &cd->use->policy);

	if (atomic_load(&o->ask))
		use = FRESH_VALIDATE;
	if (use == FRESH_USE) {
		bool done = serve(c, o, h, NULL);

		if (done) {
			cd->forward = CACHE_FWD_NONE;
			store_count(cd->use->store, STORE_HITS);
		}
		object_unref(o);
		return done;
	}
	cd->forward = age < o->verdict.lifetime ? CACHE_FWD_REQUEST : CACHE_FWD_STALE;
	cd->renew = use == FRESH_USE_RENEW && h->method == HTTP1_M_GET;
	cd->base = o;
	return false;
}

static bool look(struct client *c, const struct http1_head *h, struct store_key key)
{
	struct cached *cd = &c->req->cached;
	struct object *o = store_find(cd->use->store, key, h, h->method == HTTP1_M_GET);

	cd->forward = CACHE_FWD_URI_MISS;
	if (o && use_stored(c, o, h))
		return true;
	if (cd->asks.only_if_cached && !cd->renew && !cd->use->policy.ignore_request) {
		answer_fail(c, 504, ACCESS_refused);
		return true;
	}
	if (h->method == HTTP1_M_GET && key_keep(c, &key)) {
		cd->joins = true;
		store_count(cd->use->store, cd->base ? STORE_VALIDATIONS : STORE_MISSES);
	} else if (cd->base && !has_field(h, HTTP1_F_AUTHORIZATION)) {
		key_keep(c, &key);
	}
	return false;
}

/* Answers of one route are not those of another, which may ask another backend for something
 * else. A prefix that is purged is that of all. */
static size_t key_make(const struct client *c, const struct http1_head *h, char *key, size_t room)
{
	const char *route = c->req->route->name;
	size_t name = strlen(route), n = 0;
	bool prefix =
		h->method == HTTP1_M_OTHER && h->path.len && h->path.p[h->path.len - 1] == '*';

	if (h->authority.len)
		n = cache_key(key, room, h, c->link.tls ? SPAN("https") : SPAN("http"),
			      h->authority, h->path, &c->req->cached.use->key);
	if (n == 0 || prefix || c->req->route == &c->service->routes.fallback)
		return n;
	if (room - n < name + sizeof("\0$route"))
		return 0;
	memcpy(key + n, "\0$route", sizeof("\0$route"));
	memcpy(key + n + sizeof("\0$route"), route, name);
	return n + sizeof("\0$route") + name;
}

bool cache_begin(struct client *c, const struct http1_head *h)
{
	const struct caching *use = caching_of(thread_of(c), c->service);
	struct cached *cd = &c->req->cached;
	struct span text = {NULL, 0};
	char key[CACHE_KEY_MOST];

	if (!use || !c->req->route->cache)
		return false;
	cd->use = use;
	cd->forward = CACHE_FWD_BYPASS;
	text.p = key;
	text.len = key_make(c, h, key, sizeof(key));
	if (cache_purge(c, h, text))
		return true;
	if (!fresh_safe(h->method)) {
		struct store_key k = store_key(use->store, text);

		cd->forward = CACHE_FWD_METHOD;
		cd->may_take = text.len && key_keep(c, &k) && may_take(h, use);
	} else if (text.len && (h->method == HTTP1_M_GET || h->method == HTTP1_M_HEAD) &&
		   !bypasses(h, use->conf)) {
		fresh_request_read(&cd->asks, h);
		if (!cd->asks.no_store || use->policy.ignore_request)
			return look(c, h, store_key(use->store, text));
		cd->forward = CACHE_FWD_REQUEST;
	}
	store_count(use->store, STORE_PASSES);
	return false;
}

/* ---- waiting -------------------------------------------------------------------------- */

/* What the client asked, as a backend gets it. */
static const struct http1_head *request_of(struct client *c)
{
	struct http1_head *h = &thread_of(c)->request_head;

	return cache_request_parse(h, &c->req->head) ? h : NULL;
}

static void leave(struct client *c)
{
	struct cached *cd = &c->req->cached;

	if (cd->fill)
		fill_leave(cd->fill, &cd->sleeper);
	if (cd->leads)
		fetch_abandon(cd->leads);
	fill_unref(cd->fill);
	cd->fill = NULL;
	cd->leads = NULL;
	cd->lead = false;
}

/* Without the cache. */
static enum go pass(struct client *c)
{
	leave(c);
	c->step = STEP_CONNECT;
	return GO;
}

static enum go join(struct client *c, const struct http1_head *h, bool alone)
{
	struct thread *t = thread_of(c);
	struct cached *cd = &c->req->cached;
	struct store *store = cd->use->store;
	bool range = has_field(h, HTTP1_F_RANGE), own;

	alone |= range || has_field(h, HTTP1_F_AUTHORIZATION) ||
		 store_passes(store, cache_key_of(c), t->now_ms);
	own = alone && (range || !cd->base);
	if (range && cd->forward == CACHE_FWD_URI_MISS)
		cd->forward = CACHE_FWD_PARTIAL;
	cd->fill = store_fill(store, cache_key_of(c), own ? NULL : cd->base, alone, &cd->lead);
	if (!cd->fill)
		return pass(c);
	cache_sleeper_set(c);
	c->step = STEP_CACHE;
	if (!cd->lead) {
		cd->waited = true;
		store_count(store, STORE_COLLAPSED);
		wheel_set(&t->wheel, &c->timer, t->now_ms + cd->use->conf->wait_ms);
		return GO;
	}
	wheel_stop(&c->timer);
	atomic_fetch_add(&cd->fill->refs, 1);
	if (!fetch_start(c, c, cd->fill, own))
		return pass(c);
	return GO;
}

/* In the background, unless somebody does it already. */
static void renew(struct client *c)
{
	struct cached *cd = &c->req->cached;
	bool lead;
	struct fill *f = store_fill(cd->use->store, cache_key_of(c), cd->base, false, &lead);

	if (f && lead)
		fetch_start(c, NULL, f, false);
	else
		fill_unref(f);
}

void cache_next(struct client *c)
{
	struct cached *cd = &c->req->cached;
	const struct http1_head *h = cd->joins ? request_of(c) : NULL;

	c->step = STEP_CONNECT;
	if (!h)
		return;
	if (cd->renew) {
		renew(c);
		/* Another head was read meanwhile. */
		h = request_of(c);
		if (h && serve(c, cd->base, h, NULL)) {
			store_count(cd->use->store, STORE_STALE_HITS);
			return;
		}
		c->step = STEP_CONNECT;
		return;
	}
	join(c, h, false);
}

/* This one is for somebody else: the next is one's own. */
static enum go again(struct client *c)
{
	const struct http1_head *h = request_of(c);

	leave(c);
	if (!h || c->req->cached.alone)
		return pass(c);
	c->req->cached.alone = true;
	c->req->cached.waited = false;
	return join(c, h, true);
}

static bool suits(struct client *c, const struct object *o, const struct http1_head *h)
{
	const struct cached *cd = &c->req->cached;
	struct span vary = {o->text + o->head_len, o->vary_len};

	if (cd->lead)
		return true;
	return o->shared && !o->whole && cache_vary_match(vary, h, OBJECT_SPAN(o, language)) &&
	       fresh_use(&o->verdict, object_age(o, thread_of(c)->now_ms), &cd->asks,
			 &cd->use->policy) != FRESH_VALIDATE;
}

static enum go failed(struct client *c)
{
	struct cached *cd = &c->req->cached;
	struct fill *f = cd->fill;
	struct object *base = cd->base;
	unsigned status = f->status;
	int reason = f->reason;
	const struct http1_head *h = request_of(c);

	if (h && base &&
	    fresh_use_on_error(&base->verdict, object_age(base, thread_of(c)->now_ms)) &&
	    serve(c, base, h, f)) {
		store_count(cd->use->store, STORE_STALE_HITS);
		leave(c);
		return GO;
	}
	leave(c);
	return answer_fail(c, status, (enum access_reason)reason);
}

enum go cache_wait(struct client *c)
{
	struct cached *cd = &c->req->cached;
	const struct http1_head *h;
	bool served;

	switch (fill_wait(cd->fill, &cd->sleeper)) {
	case FILL_ASKS:
		return WAIT;
	case FILL_PASSED:
		return again(c);
	case FILL_FAILED:
		return failed(c);
	default:
		break;
	}
	h = request_of(c);
	if (!h || !suits(c, cd->fill->object, h))
		return again(c);
	served = serve(c, cd->fill->object, h, cd->fill);
	if (!served)
		return again(c);
	leave(c);
	buf_release(&thread_of(c)->pool, &c->req->head);
	return GO;
}

enum go cache_timeout(struct client *c)
{
	if (c->step == STEP_CACHE)
		return c->req->cached.lead ? WAIT : again(c);
	if (c->link.writable && buf_len(&c->link.out) == 0)
		return request_abort(c, ACCESS_response_timeout);
	return request_taken(c) ? WAIT : request_abort(c, ACCESS_client_timeout);
}

void cache_clear(struct client *c)
{
	struct cached *cd = &c->req->cached;

	if (cd->fetch)
		fetch_clear(c);
	if (!cd->use)
		return;
	leave(c);
	cache_taking_clear(c);
	cache_serve_clear(c);
	object_unref(cd->base);
	buf_release(&thread_of(c)->pool, &cd->key);
}
