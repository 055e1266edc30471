// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: asking the origin in the name of a cache. A fetch is a client without a connection that
 * takes the ordinary steps to a backend; its response's content goes into a content that others
 * read meanwhile. Promises: every fill that a fetch was started for comes to an end; what was
 * broken off, or is not as long as it said, is not kept.
 */
#include "l7/request.h"

#include <assert.h>
#include <stdlib.h>

struct fetch {
	const struct caching *use;
	struct fill *fill;       /* a reference */
	struct client *leader;   /* for which it is, or NULL */
	struct object *object;   /* what is being filled; a reference */
	struct content *content; /* its content, written here; a reference */
	bool ended;              /* the fill came to an end */
	bool kept;               /* goes into the store, when it is whole */
	bool own;                /* with its client's own conditions */
	bool authorization;
	bool paused; /* until its client reads */
	bool strip;  /* some of its fields are not kept */
	uint64_t asked_ms;
	struct sleeper sleeper;
	struct client *self;
	struct store_key key;
	uint32_t ask_len;
	char bytes[]; /* the key, then the request as the client sent it */
};

/* ---- its beginning -------------------------------------------------------------------- */

static void on_wake(struct sleeper *w)
{
	struct fetch *f = (struct fetch *)((char *)w - offsetof(struct fetch, sleeper));

	thread_clock(thread_of(f->self));
	request_drive(f->self);
}

static struct fetch *fetch_new(const struct client *like, struct fill *fill)
{
	const struct buf *key = &like->req->cached.key, *head = &like->req->head;
	struct fetch *f = calloc(1, sizeof(*f) + key->end + buf_len(head));

	if (!f)
		return NULL;
	f->use = like->req->cached.use;
	f->fill = fill;
	memcpy(f->bytes, key->data, key->end);
	memcpy(f->bytes + key->end, buf_at(head), buf_len(head));
	f->key = (struct store_key){{f->bytes, key->end}, like->req->cached.hash};
	f->ask_len = buf_len(head);
	f->asked_ms = thread_of(like)->now_ms;
	f->sleeper.mailbox = &thread_of(like)->mailbox;
	f->sleeper.wake = on_wake;
	return f;
}

/* What the client asked, read again. */
static const struct http1_head *asked(struct client *c)
{
	struct fetch *f = c->req->cached.fetch;
	struct http1_head *h = &thread_of(c)->request_head;
	struct buf b = {.data = f->bytes + f->key.text.len, .end = f->ask_len};

	return cache_request_parse(h, &b) ? h : NULL;
}

static bool head_write(struct client *c)
{
	struct fetch *f = c->req->cached.fetch;
	struct thread *t = thread_of(c);
	const struct http1_head *h = asked(c);
	const struct object *base = f->fill->base;
	const struct cache_ask ask = {
		.own = f->own,
		.etag = base ? OBJECT_SPAN(base, etag) : SPAN(""),
		.modified = base ? OBJECT_SPAN(base, last_modified) : SPAN(""),
		.capability = SPAN(FRESH_TARGET),
		.key_headers = f->use->key.headers,
		.n_key_headers = f->use->key.n_headers,
		.allowed = f->use->conf->allow_headers,
		.n_allowed = f->use->conf->n_allow_headers,
	};
	uint32_t room = f->ask_len + BUF_NOTE + (uint32_t)(ask.etag.len + ask.modified.len);
	size_t n;

	if (!h || !buf_reserve(&t->pool, &c->req->head, room < BUF_SIZE ? BUF_SIZE : room))
		return false;
	f->authorization = http1_find(h, HTTP1_F_AUTHORIZATION) != NULL;
	n = cache_head_ask(c->req->head.data, c->req->head.size, h, &ask);
	c->req->head.end = (uint32_t)n;
	return n > 0;
}

bool fetch_start(struct client *like, struct client *lead, struct fill *fill, bool own)
{
	struct fetch *f = fetch_new(like, fill);
	struct client *c = f ? request_detached(like->owner, like) : NULL;

	if (!c) {
		fill_failed(fill, 503, ACCESS_no_memory);
		fill_unlist(fill, (struct store_key){
					  {like->req->cached.key.data, like->req->cached.key.end},
					  like->req->cached.hash});
		fill_unref(fill);
		free(f);
		return false;
	}
	f->self = c;
	f->own = own;
	c->req->cached.fetch = f;
	c->req->method = HTTP1_M_GET;
	c->req->minor = 1;
	c->req->replay = true;
	relay_init(&c->req->up, HTTP1_BODY_NONE, 0, false);
	c->step = STEP_CONNECT;
	c->req->began_ms = thread_of(c)->now_ms;
	if (!head_write(c)) {
		request_end(c, fetch_failed(c, 503, ACCESS_no_memory));
		return false;
	}
	f->leader = lead;
	if (lead)
		lead->req->cached.leads = f;
	request_drive(c);
	return true;
}

struct client *fetch_leader(const struct client *c)
{
	return c->req->cached.fetch->leader;
}

void fetch_abandon(struct fetch *f)
{
	if (f->paused)
		mailbox_post(&f->sleeper);
	f->paused = false;
	f->leader = NULL;
}

/* ---- its answer ----------------------------------------------------------------------- */

static void leader_told(struct client *c)
{
	struct client *to = c->req->cached.fetch->leader;

	if (!to)
		return;
	to->req->backend = c->req->backend;
	to->req->asked = c->req->asked;
	to->req->retries = c->req->retries;
	to->req->connect_ms = c->req->connect_ms;
	to->req->connected_ms = c->req->connected_ms;
	to->req->first_ms = thread_of(c)->now_ms;
}

/* The leader goes on with the connection, on which the answer is still unread; others ask for
 * themselves. */
static enum go hand_over(struct client *c)
{
	struct fetch *f = c->req->cached.fetch;
	struct client *to = f->leader;

	f->ended = true;
	if (to) {
		leader_told(c);
		to->req->upstream = c->req->upstream;
		to->req->upstream->user = to;
		c->req->upstream = NULL;
		to->req->pool = c->req->pool;
		to->req->n_interim = c->req->n_interim;
		to->req->up_done = true;
		to->req->scanned = 0;
		to->step = STEP_EXCHANGE;
	}
	fill_passed(f->fill);
	return END;
}

static enum go refuse(struct client *c, enum fresh_reason why)
{
	struct fetch *f = c->req->cached.fetch;
	struct thread *t = thread_of(c);

	store_refused(f->use->store, why);
	if (f->use->conf->pass_ms && !f->own)
		store_pass_until(f->use->store, f->key, t->now_ms + f->use->conf->pass_ms);
	return hand_over(c);
}

/* 304 to the cache's own condition. */
static enum go validated(struct client *c, uint32_t len)
{
	struct fetch *f = c->req->cached.fetch;
	struct thread *t = thread_of(c);
	const struct fresh_asked ask = {.method = HTTP1_M_GET,
					.delay = (int64_t)(t->now_ms - f->asked_ms) / 1000};
	struct object *o = caching_updated(t, f->use, f->fill->base, &t->head, &ask, thread_wall());

	if (!o)
		return fetch_failed(c, 502, ACCESS_no_memory);
	if (o->verdict.reason == FRESH_stored)
		store_put(f->use->store, f->key, o, f->fill);
	else
		o->shared = false;
	leader_told(c);
	pool_answered(c->req->backend, c->req->upstream->asked_us, 304);
	f->ended = true;
	fill_answered(f->fill, o, 304);
	buf_consume(&c->req->upstream->link.in, len);
	c->req->keep_upstream = t->head.keep_alive;
	exchange_release(c);
	return END;
}

/* The origin has trouble, and there is something that may answer instead. */
static bool covered(const struct client *c, unsigned status)
{
	const struct object *base = c->req->cached.fetch->fill->base;

	return base && (status == 500 || (status >= 502 && status <= 504)) &&
	       fresh_use_on_error(&base->verdict, object_age(base, thread_of(c)->now_ms));
}

/* A 206 that says where it belongs, is as long as that, and is what was asked for. */
static bool part_of(const struct http1_head *h, const struct http1_head *request,
		    struct caching_answer *a)
{
	const struct http1_field *f = http1_find(h, HTTP1_F_CONTENT_RANGE),
				 *wanted = http1_find(request, HTTP1_F_RANGE);
	struct range ranges[RANGE_MOST];
	unsigned n;

	return f && wanted && range_content_parse(f->value, &a->part, &a->whole) && h->has_length &&
	       h->content_length == a->part.last - a->part.first + 1 &&
	       range_parse(wanted->value, a->whole, ranges, &n) == RANGE_SOME && n == 1 &&
	       ranges[0].first >= a->part.first && ranges[0].last <= a->part.last;
}

static enum fresh_reason judge(struct client *c, struct fresh_response *said,
			       struct caching_answer *a, char vary[CACHE_VARY_MOST])
{
	struct fetch *f = c->req->cached.fetch;
	struct thread *t = thread_of(c);
	const struct http1_head *h = &t->head, *request = asked(c);
	const struct fresh_asked ask = {.method = HTTP1_M_GET,
					.authorization = f->authorization,
					.delay = (int64_t)(t->now_ms - f->asked_ms) / 1000};
	uint64_t most = store_max_object(f->use->store);
	int n;

	fresh_read(said, h, a->now);
	a->verdict = fresh_judge(said, &ask, &f->use->policy, a->now);
	if (a->verdict.reason != FRESH_stored)
		return a->verdict.reason;
	a->all = f->strip = said->cc.n_fields > 0;
	a->shared = !f->strip;
	n = request ? cache_vary(vary, CACHE_VARY_MOST, h, request) : -1;
	if (n < 0)
		return FRESH_vary_star;
	a->vary = (struct span){vary, (size_t)n};
	if (h->status == 206 && !part_of(h, request, a))
		return FRESH_partial;
	a->size = h->body == HTTP1_BODY_NONE     ? 0
		  : h->body == HTTP1_BODY_LENGTH ? h->content_length
						 : CONTENT_UNKNOWN;
	if (a->size != CONTENT_UNKNOWN && a->size > most)
		return FRESH_too_large;
	if (!store_room(f->use->store, a->size == CONTENT_UNKNOWN ? BUF_SIZE : a->size))
		return FRESH_no_room;
	return FRESH_stored;
}

enum go fetch_answered(struct client *c, uint32_t len)
{
	struct fetch *f = c->req->cached.fetch;
	struct thread *t = thread_of(c);
	const struct http1_head *h = &t->head;
	char vary[CACHE_VARY_MOST];
	struct fresh_response said;
	struct caching_answer a = {.head = h, .said = &said, .shared = true, .now = thread_wall()};
	enum fresh_reason why;

	if (h->status == 304 && f->fill->base)
		return validated(c, len);
	if (covered(c, h->status)) {
		pool_answered(c->req->backend, c->req->upstream->asked_us, h->status);
		return fetch_failed(c, h->status, ACCESS_backend_bad);
	}
	why = judge(c, &said, &a, vary);
	if (why != FRESH_stored)
		return refuse(c, why);
	if (a.size)
		f->content = content_new(a.size, store_used(f->use->store));
	if (a.size && !f->content)
		return refuse(c, FRESH_no_room);
	a.content = f->content ? content_ref(f->content) : NULL;
	f->object = caching_object(t, f->use->store, &a);
	if (!f->object)
		return refuse(c, FRESH_no_room);
	f->kept = true;
	pool_answered(c->req->backend, c->req->upstream->asked_us, h->status);
	leader_told(c);
	f->ended = true;
	relay_init(&c->req->down, h->body, h->content_length, false);
	c->req->keep_upstream = h->keep_alive && h->body != HTTP1_BODY_CLOSE;
	c->req->status = h->status;
	buf_consume(&c->req->upstream->link.in, len);
	buf_release(&t->pool, &c->req->upstream->link.out);
	c->req->replay = false;
	c->step = STEP_FETCH;
	fill_answered(f->fill, object_ref(f->object), h->status);
	/* After those who wait in this thread have begun to read. */
	return TURN;
}

/* ---- its content ---------------------------------------------------------------------- */

/* It is all there. */
static enum go whole(struct client *c)
{
	struct fetch *f = c->req->cached.fetch;
	struct content *settled = NULL;
	struct object *o;

	if (f->content)
		content_end(f->content, CONTENT_WHOLE);
	if (f->kept && f->content)
		settled = content_settle(f->content);
	if (f->kept && (settled || !f->content) &&
	    (o = caching_settled(thread_of(c), f->object, settled, f->strip))) {
		o = caching_combined(thread_of(c), f->use->store, f->key, o);
		store_put(f->use->store, f->key, o, f->fill);
		object_unref(o);
		store_refused(f->use->store, FRESH_stored);
	}
	exchange_release(c);
	return END;
}

static enum go broken(struct client *c, enum fresh_reason why)
{
	struct fetch *f = c->req->cached.fetch;

	f->kept = false;
	store_refused(f->use->store, why);
	if (f->content)
		content_end(f->content, CONTENT_BROKEN);
	return END;
}

/* Why it cannot be kept after all; FRESH_stored: it can. */
static enum fresh_reason too_much(const struct fetch *f)
{
	const struct content *content = f->content;

	if (content->added > store_max_object(f->use->store))
		return FRESH_too_large;
	if (content->size == CONTENT_UNKNOWN && content->added > CONTENT_SEGMENT &&
	    !store_room(f->use->store, 2ULL * CONTENT_SEGMENT))
		return FRESH_no_room;
	return FRESH_stored;
}

/* Those who read it get it all the same. False: it must be tried again. */
static bool give_up(struct fetch *f, enum fresh_reason why)
{
	fill_unlist(f->fill, f->key);
	/* The one it is for has not begun to read. */
	f->paused = f->leader != NULL;
	if (f->paused || !content_slide(f->content, &f->sleeper))
		return false;
	f->kept = false;
	store_refused(f->use->store, why);
	return true;
}

/* Room for another buffer. GO: there is. */
static enum go room(struct client *c)
{
	struct fetch *f = c->req->cached.fetch;
	struct thread *t = thread_of(c);
	enum fresh_reason why = f->content && f->kept ? too_much(f) : FRESH_stored;
	bool alone = false, may = true;

	if (!f->content)
		return GO;
	if (why != FRESH_stored)
		may = give_up(f, why);
	if (may && !f->kept)
		may = content_may_add(f->content, &f->sleeper, &alone);
	if (may)
		return alone ? broken(c, FRESH_broken_off) : GO;
	wheel_set(&t->wheel, &c->timer, t->now_ms + c->req->route->body_ms);
	return WAIT;
}

static enum go take(struct client *c, struct buf *in)
{
	struct fetch *f = c->req->cached.fetch;

	while (buf_len(in) && !body_done(&c->req->down.body)) {
		struct span bytes;
		size_t used;
		enum body_result result =
			body_feed(&c->req->down.body, buf_at(in), buf_len(in), &used, &bytes);

		if (result == BODY_BAD || (bytes.len && !f->content))
			return broken(c, FRESH_bad_length);
		if (bytes.len && !content_add(f->content, bytes))
			return broken(c, FRESH_no_room);
		buf_consume(in, (uint32_t)used);
	}
	return GO;
}

enum go fetch_body(struct client *c)
{
	struct thread *t = thread_of(c);
	struct link *l = &c->req->upstream->link;

	for (unsigned turn = 0; turn < RELAY_TURNS; turn++) {
		enum go go = room(c);

		if (go == GO)
			go = take(c, &l->in);
		if (go != GO)
			return go;
		if (body_done(&c->req->down.body))
			return whole(c);
		if (l->eof || l->failed)
			return !l->failed && body_eof(&c->req->down.body) == BODY_DONE
				       ? whole(c)
				       : broken(c, FRESH_broken_off);
		if (!l->readable && !l->unsure) {
			buf_release(&t->pool, &l->in);
			return request_wait(c, c->req->route->body_ms);
		}
		if (!buf_reserve(&t->pool, &l->in, BUF_SIZE))
			return broken(c, FRESH_no_room);
		link_read(l);
	}
	return TURN;
}

/* ---- its end -------------------------------------------------------------------------- */

enum go fetch_failed(struct client *c, unsigned status, enum access_reason reason)
{
	struct fetch *f = c->req->cached.fetch;

	if (!f->ended) {
		leader_told(c);
		f->ended = true;
		fill_failed(f->fill, status, reason);
	} else if (f->content && atomic_load(&f->content->state) == CONTENT_OPEN) {
		broken(c, FRESH_broken_off);
	}
	return END;
}

void fetch_turn(struct client *c)
{
	mailbox_post(&c->req->cached.fetch->sleeper);
}

void fetch_clear(struct client *c)
{
	struct fetch *f = c->req->cached.fetch;

	fetch_failed(c, 503, ACCESS_stopped);
	if (f->content)
		content_writer_leaves(f->content, &f->sleeper);
	mailbox_take_back(&f->sleeper);
	if (f->leader)
		f->leader->req->cached.leads = NULL;
	fill_unlist(f->fill, f->key);
	fill_unref(f->fill);
	object_unref(f->object);
	content_unref(f->content);
	c->req->cached.fetch = NULL;
	free(f);
}
