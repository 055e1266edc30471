// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: what answers to requests that went past a cache change in it. An unsafe method makes what
 * is kept for its target void (RFC 9111 section 4.4); an answer to HEAD renews it, or makes it
 * stale (section 4.3.5); an answer to POST that says it is what GET would get is kept for GET
 * (RFC 9110 section 9.3.3). Promises: what was purged meanwhile stays purged; an answer that did
 * not come whole is not kept.
 */
#include "l7/request.h"

/* ---- unsafe methods ------------------------------------------------------------------- */

/* The key of what url names; else as that of the request's own target, so in the same route. */
static struct span key_named(char out[CACHE_KEY_MOST], struct span key, struct span url)
{
	struct span path = cache_key_path(key), rest;
	size_t n = cache_key_near(out, CACHE_KEY_MOST, key, url);

	rest.p = path.p + path.len;
	rest.len = (size_t)(key.p + key.len - rest.p);
	if (n == 0 || n + rest.len > CACHE_KEY_MOST)
		return SPAN("");
	memcpy(out + n, rest.p, rest.len);
	return (struct span){out, n + rest.len};
}

static void invalidate(struct client *c, const struct http1_head *answer)
{
	struct store *s = c->req->cached.use->store;
	struct store_key key = cache_key_of(c);
	char near[CACHE_KEY_MOST];

	store_remove(s, key);
	for (unsigned i = 0; i < answer->n_fields; i++) {
		const struct http1_field *f = &answer->fields[i];
		struct span named;

		if (f->id != HTTP1_F_LOCATION && f->id != HTTP1_F_CONTENT_LOCATION)
			continue;
		named = key_named(near, key.text, f->value);
		if (named.len)
			store_remove(s, store_key(s, named));
	}
}

/* ---- HEAD ----------------------------------------------------------------------------- */

static bool head_matches(const struct object *o, const struct http1_head *h)
{
	const struct http1_field *etag = http1_find(h, HTTP1_F_ETAG),
				 *modified = http1_find(h, HTTP1_F_LAST_MODIFIED);

	return h->status == o->status && (!etag || span_equal(etag->value, OBJECT_SPAN(o, etag))) &&
	       (!modified || span_equal(modified->value, OBJECT_SPAN(o, last_modified))) &&
	       (!h->has_length || h->content_length == o->size);
}

static void head_update(struct client *c, const struct http1_head *answer)
{
	struct cached *cd = &c->req->cached;
	struct thread *t = thread_of(c);
	const struct fresh_asked ask = {.method = HTTP1_M_GET,
					.delay = (int64_t)(t->now_ms - c->req->began_ms) / 1000};
	struct object *o = NULL;

	if (head_matches(cd->base, answer))
		o = caching_updated(t, cd->use, cd->base, answer, &ask, thread_wall());
	if (o && o->verdict.reason == FRESH_stored)
		store_replace(cd->use->store, cache_key_of(c), cd->base, o);
	else
		atomic_store(&cd->base->ask, true);
	object_unref(o);
}

/* ---- POST ----------------------------------------------------------------------------- */

static void on_content(struct relay_tap *tap, struct span bytes)
{
	struct taking *k = (struct taking *)((char *)tap - offsetof(struct taking, tap));

	if (atomic_load(&k->content->state) == CONTENT_OPEN && !content_add(k->content, bytes))
		content_end(k->content, CONTENT_BROKEN);
}

static bool own_location(const struct client *c, const struct http1_head *h)
{
	const struct http1_field *f = http1_find(h, HTTP1_F_CONTENT_LOCATION);
	struct span key = cache_key_of(c).text;
	char near[CACHE_KEY_MOST];

	return f && span_equal(key_named(near, key, f->value), key);
}

/* Narrower than for GET: no variants, no fields that are for the first alone, a length. */
static enum fresh_reason take_judge(struct client *c, struct fresh_response *said,
				    struct caching_answer *a)
{
	const struct caching *use = c->req->cached.use;
	const struct fresh_asked ask = {
		.method = HTTP1_M_POST,
		.own_location = own_location(c, a->head),
		.delay = (int64_t)(thread_of(c)->now_ms - c->req->began_ms) / 1000};

	fresh_read(said, a->head, a->now);
	a->verdict = fresh_judge(said, &ask, &use->policy, a->now);
	if (a->verdict.reason != FRESH_stored)
		return a->verdict.reason;
	if (a->head->body != HTTP1_BODY_LENGTH || said->vary || said->cc.n_fields)
		return FRESH_method;
	a->size = a->head->content_length;
	if (a->size > store_max_object(use->store))
		return FRESH_too_large;
	return store_room(use->store, a->size) ? FRESH_stored : FRESH_no_room;
}

static bool take_open(struct client *c, struct caching_answer *a)
{
	struct taking *k = &c->req->cached.takes;
	struct store *s = c->req->cached.use->store;

	if (a->size) {
		k->content = content_new(a->size, store_used(s));
		if (!k->content)
			return false;
		a->content = content_ref(k->content);
	}
	k->object = caching_object(thread_of(c), s, a);
	return k->object != NULL;
}

/* Who asks with GET meanwhile reads it as it comes, like what is fetched. */
static void take(struct client *c, const struct http1_head *h)
{
	struct taking *k = &c->req->cached.takes;
	struct store *s = c->req->cached.use->store;
	struct fresh_response said;
	struct caching_answer a = {
		.head = h, .said = &said, .vary = SPAN(""), .shared = true, .now = thread_wall()};
	enum fresh_reason why = take_judge(c, &said, &a);
	bool lead = false;

	if (why != FRESH_stored) {
		store_refused(s, why);
		return;
	}
	k->fill = store_fill(s, cache_key_of(c), NULL, false, &lead);
	if (!lead) { /* somebody fetches it already */
		fill_unref(k->fill);
		k->fill = NULL;
	}
	if (!k->fill)
		return;
	if (!take_open(c, &a)) {
		cache_taking_clear(c);
		return;
	}
	k->tap.content = on_content;
	fill_answered(k->fill, object_ref(k->object), h->status);
}

struct relay_tap *cache_tap(struct client *c)
{
	struct taking *k = &c->req->cached.takes;

	return k->content ? &k->tap : NULL;
}

void cache_taken(struct client *c)
{
	struct taking *k = &c->req->cached.takes;
	struct store *s = c->req->cached.use ? c->req->cached.use->store : NULL;
	struct content *settled = NULL;
	struct object *o;

	if (!k->object)
		return;
	if (k->content && atomic_load(&k->content->state) == CONTENT_OPEN) {
		content_end(k->content, CONTENT_WHOLE);
		settled = content_settle(k->content);
	}
	if ((settled || !k->content) &&
	    (o = caching_settled(thread_of(c), k->object, settled, false))) {
		store_put(s, cache_key_of(c), o, k->fill);
		object_unref(o);
		store_refused(s, FRESH_stored);
	}
	cache_taking_clear(c);
}

void cache_taking_clear(struct client *c)
{
	struct taking *k = &c->req->cached.takes;

	/* Those who wait for one that could not be begun ask for themselves. */
	if (k->fill && !k->object)
		fill_passed(k->fill);
	if (k->content && atomic_load(&k->content->state) == CONTENT_OPEN)
		content_end(k->content, CONTENT_BROKEN);
	if (k->fill)
		fill_unlist(k->fill, cache_key_of(c));
	fill_unref(k->fill);
	object_unref(k->object);
	content_unref(k->content);
	c->req->down.tap = NULL;
	*k = (struct taking){0};
}

/* --------------------------------------------------------------------------------------- */

void cache_passed(struct client *c, const struct http1_head *answer)
{
	struct cached *cd = &c->req->cached;

	if (!cd->use || cd->key.end == 0)
		return;
	if (c->req->method == HTTP1_M_HEAD && answer->status == 200 && cd->base)
		head_update(c, answer);
	if (fresh_safe(c->req->method) || answer->status < 200 || answer->status >= 400)
		return;
	invalidate(c, answer);
	if (cd->may_take && answer->status == 200)
		take(c, answer);
}
