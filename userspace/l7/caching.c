// SPDX-License-Identifier: BSD-2-Clause
#include "l7/caching.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

/* ---- all of them ---------------------------------------------------------------------- */

static int64_t seconds(uint64_t ms)
{
	return (int64_t)(ms / 1000);
}

static struct fresh_policy policy_of(const struct conf_caching *c)
{
	struct fresh_policy p = {
		.default_ttl = seconds(c->default_ttl_ms),
		.heuristic_most = seconds(c->heuristic_ms),
		.stale_if_error = seconds(c->stale_if_error_ms),
		.stale_while = seconds(c->stale_while_ms),
		.set_cookie = c->cookie_never ? FRESH_COOKIE_NEVER : FRESH_COOKIE_EXPLICIT,
		.ignore_request = !c->request_directives,
		.n_rules = c->n_rules,
	};

	_Static_assert(CONF_CACHE_RULES <= FRESH_STATUS_RULES, "each rule has its place");
	for (unsigned i = 0; i < c->n_rules; i++) {
		p.rules[i].status = c->rules[i].status;
		p.rules[i].ttl = seconds(c->rules[i].ttl_ms);
	}
	return p;
}

int caches_init(struct caches *c, const struct conf *conf)
{
	*c = (struct caches){
		.stores = calloc(conf->n_caches + 1, sizeof(struct store *)),
		.cachings = calloc(conf->n_cachings + 1, sizeof(*c->cachings)),
		.n_stores = conf->n_caches,
		.n_cachings = conf->n_cachings,
	};
	if (!c->stores || !c->cachings)
		return -ENOMEM;
	for (unsigned i = 0; i < conf->n_caches; i++) {
		struct store_conf s = {.memory = conf->caches[i].memory,
				       .max_object = conf->caches[i].max_object};

		if (getrandom(&s.seed, sizeof(s.seed), 0) != sizeof(s.seed))
			return -errno;
		c->stores[i] = store_new(&s);
		if (!c->stores[i])
			return -ENOMEM;
	}
	for (unsigned i = 0; i < conf->n_services; i++) {
		const struct conf_caching *use = &conf->services[i].caching;

		if (!use->cache)
			continue;
		c->cachings[use->index] = (struct caching){
			.conf = use,
			.store = c->stores[use->cache->index],
			.policy = policy_of(use),
			.key = {.no_query = !use->query,
				.headers = use->key_headers,
				.n_headers = use->n_key_headers,
				.cookies = use->key_cookies,
				.n_cookies = use->n_key_cookies},
		};
	}
	return 0;
}

void caches_fini(struct caches *c)
{
	for (unsigned i = 0; c->stores && i < c->n_stores; i++)
		store_free(c->stores[i]);
	free(c->stores);
	free(c->cachings);
	*c = (struct caches){0};
}

const struct caching *caching_of(const struct thread *t, const struct conf_service *s)
{
	return s->caching.cache ? &t->caches->cachings[s->caching.index] : NULL;
}

/* ---- objects -------------------------------------------------------------------------- */

static void find_spans(struct thread *t, struct object *o)
{
	struct http1_head *h = &t->scratch_head;

	if (!cache_head_parse(h, object_head(o), o->status))
		return;
	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http1_field *f = &h->fields[i];
		uint32_t at = (uint32_t)(f->value.p - o->text), len = (uint32_t)f->value.len;

		if (f->id == HTTP1_F_ETAG)
			o->etag.at = at, o->etag.len = len;
		else if (f->id == HTTP1_F_LAST_MODIFIED)
			o->last_modified.at = at, o->last_modified.len = len;
		else if (f->id == HTTP1_F_CONTENT_LANGUAGE)
			o->language.at = at, o->language.len = len;
	}
}

static struct object *object_alloc(struct store *s, size_t text)
{
	struct object *o = calloc(1, sizeof(*o) + text);

	if (!o)
		return NULL;
	atomic_init(&o->refs, 1);
	o->store = s;
	atomic_fetch_add(store_used(s), sizeof(*o) + text);
	return o;
}

static size_t fields_len(const struct http1_head *h)
{
	size_t len = 0;

	for (unsigned i = 0; i < h->n_fields; i++)
		len += h->fields[i].name.len + h->fields[i].value.len + 4;
	return len;
}

struct object *caching_object(struct thread *t, struct store *s, const struct caching_answer *a)
{
	const struct cache_keep keep = {
		.via = {t->conf->hop_name, strlen(t->conf->hop_name)},
		.date = thread_date(t),
		.cc = a->all ? NULL : &a->said->cc,
		.again = a->again,
	};
	uint32_t room = (uint32_t)fields_len(a->head) + BUF_NOTE;
	struct object *o = NULL;
	size_t len = 0;

	if (buf_reserve(&t->pool, &t->scratch, room))
		len = cache_head_keep(t->scratch.data, t->scratch.size, a->head, &keep);
	if (len)
		o = object_alloc(s, len + a->vary.len);
	if (!o) {
		content_unref(a->content);
		return NULL;
	}
	o->shared = a->shared;
	o->status = (uint16_t)a->head->status;
	o->content = a->content;
	o->verdict = a->verdict;
	o->stored_ms = t->now_ms;
	o->stored_at = a->now;
	o->modified = a->said->last_modified != FRESH_NEVER ? a->said->last_modified
		      : a->said->date != FRESH_NEVER        ? a->said->date
							    : a->now;
	o->size = a->size;
	o->part = a->part;
	o->whole = a->whole;
	o->head_len = (uint32_t)len;
	o->vary_len = (uint32_t)a->vary.len;
	memcpy(o->text, t->scratch.data, len);
	memcpy(o->text + len, a->vary.p, a->vary.len);
	find_spans(t, o);
	return o;
}

/* All but text and content. */
static void facts_copy(struct object *to, const struct object *o)
{
	to->shared = true;
	to->status = o->status;
	to->verdict = o->verdict;
	to->stored_ms = o->stored_ms;
	to->stored_at = o->stored_at;
	to->modified = o->modified;
	to->part = o->part;
	to->whole = o->whole;
}

static struct object *stripped(struct thread *t, const struct object *o, struct content *content)
{
	struct http1_head *h = &t->merged_head;
	struct fresh_response said;
	struct caching_answer a = {
		.head = h,
		.said = &said,
		.vary = {o->text + o->head_len, o->vary_len},
		.again = true,
		.content = content,
		.size = content ? content->size : 0,
	};
	struct object *s;

	if (!cache_head_parse(h, object_head(o), o->status)) {
		content_unref(content);
		return NULL;
	}
	fresh_read(&said, h, o->stored_at);
	s = caching_object(t, o->store, &a);
	if (s)
		facts_copy(s, o);
	return s;
}

struct object *caching_settled(struct thread *t, const struct object *o, struct content *content,
			       bool strip)
{
	size_t text = (size_t)o->head_len + o->vary_len;
	struct object *s;

	if (strip)
		return stripped(t, o, content);
	s = object_alloc(o->store, text);
	if (!s) {
		content_unref(content);
		return NULL;
	}
	facts_copy(s, o);
	s->content = content;
	s->size = content ? content->size : 0;
	s->head_len = o->head_len;
	s->vary_len = o->vary_len;
	memcpy(s->text, o->text, text);
	find_spans(t, s);
	return s;
}

struct object *caching_updated(struct thread *t, const struct caching *c, const struct object *o,
			       const struct http1_head *update, const struct fresh_asked *asked,
			       int64_t now)
{
	struct http1_head *stored = &t->scratch_head, *merged = &t->merged_head;
	struct fresh_response said;
	struct caching_answer a = {
		.head = merged,
		.said = &said,
		.vary = {o->text + o->head_len, o->vary_len},
		.shared = true,
		.size = o->size,
		.part = o->part,
		.whole = o->whole,
		.now = now,
	};
	struct object *new;

	if (!cache_head_parse(stored, object_head(o), o->status) ||
	    !cache_head_merge(merged, stored, update))
		return NULL;
	fresh_read(&said, merged, now);
	a.verdict = fresh_judge(&said, asked, &c->policy, now);
	a.content = o->content ? content_ref(o->content) : NULL;
	new = caching_object(t, c->store, &a);
	if (new && said.last_modified == FRESH_NEVER)
		new->modified = o->modified;
	return new;
}
