// SPDX-License-Identifier: BSD-2-Clause
#include "l7/store_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "l7/cache_key.h"

#define BUCKETS_FIRST 64
#define BUCKETS_MOST  (1U << 22)

/* ---- objects -------------------------------------------------------------------------- */

struct object *object_ref(struct object *o)
{
	atomic_fetch_add(&o->refs, 1);
	return o;
}

static size_t object_own(const struct object *o)
{
	return sizeof(*o) + o->head_len + o->vary_len;
}

void object_unref(struct object *o)
{
	struct store *s;

	if (!o || atomic_fetch_sub(&o->refs, 1) != 1)
		return;
	s = o->store;
	content_unref(o->content);
	atomic_fetch_sub(&s->used, object_own(o));
	free(o);
}

uint64_t object_bytes(const struct object *o)
{
	return object_own(o) + (o->content ? o->content->added + sizeof(*o->content) : 0);
}

/* ---- entries -------------------------------------------------------------------------- */

struct store_key store_key(const struct store *s, struct span text)
{
	return (struct store_key){text, cache_hash(text.p, text.len, s->conf.seed)};
}

struct entry *entry_find(struct shard *sh, struct store_key key)
{
	struct entry *e = sh->buckets[key.hash & sh->mask];

	while (e && (e->hash != key.hash || e->key_len != key.text.len ||
		     memcmp(e->key, key.text.p, key.text.len) != 0))
		e = e->next;
	return e;
}

/* Twice the buckets; when there is no memory for them, chains grow. */
static void buckets_grow(struct shard *sh)
{
	uint32_t mask = sh->mask * 2 + 1;
	struct entry **buckets = calloc((size_t)mask + 1, sizeof(struct entry *));

	if (!buckets)
		return;
	for (uint32_t i = 0; i <= sh->mask; i++) {
		struct entry *e = sh->buckets[i], *next;

		for (; e; e = next) {
			next = e->next;
			e->next = buckets[e->hash & mask];
			buckets[e->hash & mask] = e;
		}
	}
	free(sh->buckets);
	sh->buckets = buckets;
	sh->mask = mask;
}

static size_t entry_own(const struct entry *e)
{
	return sizeof(*e) + e->key_len;
}

static struct entry *entry_get(struct store *s, struct shard *sh, struct store_key key)
{
	struct entry *e = entry_find(sh, key), **at;

	if (e)
		return e;
	e = malloc(sizeof(*e) + key.text.len);
	if (!e)
		return NULL;
	if (sh->n_entries > sh->mask && sh->mask < BUCKETS_MOST)
		buckets_grow(sh);
	TAILQ_INIT(&e->variants);
	TAILQ_INIT(&e->fills);
	e->n_variants = 0;
	e->hash = key.hash;
	e->key_len = (uint32_t)key.text.len;
	memcpy(e->key, key.text.p, key.text.len);
	at = &sh->buckets[key.hash & sh->mask];
	e->next = *at;
	*at = e;
	sh->n_entries++;
	atomic_fetch_add(&s->used, entry_own(e));
	return e;
}

static void entry_free(struct store *s, struct shard *sh, struct entry *e)
{
	struct entry **at = &sh->buckets[e->hash & sh->mask];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	sh->n_entries--;
	atomic_fetch_sub(&s->used, entry_own(e));
	free(e);
}

static void entry_tidy_of(struct store *s, struct shard *sh, struct entry *e)
{
	if (TAILQ_EMPTY(&e->variants) && TAILQ_EMPTY(&e->fills))
		entry_free(s, sh, e);
}

void object_unlist(struct shard *sh, struct object *o)
{
	struct entry *e = o->entry;
	struct store *s = o->store;

	assert(o->listed);
	TAILQ_REMOVE(&e->variants, o, variant);
	e->n_variants--;
	evict_forget(sh, o);
	sh->n_objects--;
	o->listed = false;
	o->entry = NULL;
	object_unref(o);
	entry_tidy_of(s, sh, e);
}

/* ---- the store ------------------------------------------------------------------------ */

struct store *store_new(const struct store_conf *conf)
{
	unsigned n = 1;
	struct store *s;

	while (n < STORE_SHARDS && conf->memory / (2ULL * n) >= STORE_SHARD)
		n *= 2;
	s = calloc(1, sizeof(*s) + n * sizeof(struct shard));
	if (!s)
		return NULL;
	s->n_shards = n;
	s->conf = *conf;
	pthread_mutex_init(&s->ban_lock, NULL);
	for (unsigned i = 0; i < s->n_shards; i++) {
		struct shard *sh = &s->shards[i];

		pthread_mutex_init(&sh->lock, NULL);
		TAILQ_INIT(&sh->small.objects);
		TAILQ_INIT(&sh->main.objects);
		sh->mask = BUCKETS_FIRST - 1;
		sh->buckets = calloc(BUCKETS_FIRST, sizeof(struct entry *));
		if (!sh->buckets) {
			store_free(s);
			return NULL;
		}
	}
	return s;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->n_shards; i++) {
		struct shard *sh = &s->shards[i];

		while (evict_turn(sh) != EVICT_NONE)
			;
		free(sh->buckets);
		pthread_mutex_destroy(&sh->lock);
	}
	for (unsigned i = 0; i < STORE_BANS; i++)
		free(s->bans[i].text);
	pthread_mutex_destroy(&s->ban_lock);
	free(s);
}

atomic_ullong *store_used(struct store *s)
{
	return &s->used;
}

uint64_t store_max_object(const struct store *s)
{
	return s->conf.max_object;
}

void store_count(struct store *s, enum store_counter what)
{
	atomic_fetch_add_explicit(&s->counts[what], 1, memory_order_relaxed);
}

void store_refused(struct store *s, enum fresh_reason why)
{
	atomic_fetch_add_explicit(&s->refused[why], 1, memory_order_relaxed);
}

void store_stats(struct store *s, struct store_stats *out)
{
	*out = (struct store_stats){
		.hits = s->counts[STORE_HITS],
		.stale_hits = s->counts[STORE_STALE_HITS],
		.misses = s->counts[STORE_MISSES],
		.passes = s->counts[STORE_PASSES],
		.validations = s->counts[STORE_VALIDATIONS],
		.collapsed = s->counts[STORE_COLLAPSED],
		.used = s->used,
	};
	for (unsigned i = 0; i < FRESH_REASON_COUNT; i++)
		out->refused[i] = s->refused[i];
	for (unsigned i = 0; i < s->n_shards; i++) {
		struct shard *sh = &s->shards[i];

		pthread_mutex_lock(&sh->lock);
		out->objects += sh->n_objects;
		out->inserted += sh->inserted;
		out->evicted += sh->evicted;
		out->purged += sh->purged;
		pthread_mutex_unlock(&sh->lock);
	}
}

/* ---- looking up ----------------------------------------------------------------------- */

/* A part answers who wants nothing but bytes of it. */
static bool part_suits(const struct object *o, const struct http1_head *request)
{
	const struct http1_field *f = http1_find(request, HTTP1_F_RANGE);
	struct range ranges[RANGE_MOST];
	unsigned n;

	return f && range_parse(f->value, o->whole, ranges, &n) == RANGE_SOME && n == 1 &&
	       ranges[0].first >= o->part.first && ranges[0].last <= o->part.last;
}

static bool suits(const struct object *o, const struct http1_head *request, bool part)
{
	struct span vary = {o->text + o->head_len, o->vary_len};

	if (o->whole && !(part && part_suits(o, request)))
		return false;
	return o->vary_len == 0 || cache_vary_match(vary, request, OBJECT_SPAN(o, language));
}

static void asked_again(struct object *o)
{
	unsigned char n = atomic_load_explicit(&o->asked, memory_order_relaxed);

	if (n < 3)
		atomic_store_explicit(&o->asked, n + 1, memory_order_relaxed);
}

struct object *store_find(struct store *s, struct store_key key, const struct http1_head *request,
			  bool part)
{
	struct shard *sh = shard_of(s, key.hash);
	struct object *o, *next, *found = NULL;
	struct entry *e;

	pthread_mutex_lock(&sh->lock);
	e = entry_find(sh, key);
	for (o = e ? TAILQ_FIRST(&e->variants) : NULL; o && !found; o = next) {
		next = TAILQ_NEXT(o, variant);
		if (ban_hits(s, o)) {
			sh->purged++;
			object_unlist(sh, o);
		} else if (suits(o, request, part)) {
			found = object_ref(o);
			asked_again(o);
		}
	}
	pthread_mutex_unlock(&sh->lock);
	return found;
}

void store_pass_until(struct store *s, struct store_key key, uint64_t ms)
{
	struct shard *sh = shard_of(s, key.hash);
	unsigned slot = key.hash % STORE_PASSES_KEPT;

	pthread_mutex_lock(&sh->lock);
	sh->passes[slot].hash = key.hash;
	sh->passes[slot].until_ms = ms;
	pthread_mutex_unlock(&sh->lock);
}

bool store_passes(struct store *s, struct store_key key, uint64_t now_ms)
{
	struct shard *sh = shard_of(s, key.hash);
	unsigned slot = key.hash % STORE_PASSES_KEPT;
	bool passes;

	pthread_mutex_lock(&sh->lock);
	passes = sh->passes[slot].hash == key.hash && sh->passes[slot].until_ms > now_ms;
	pthread_mutex_unlock(&sh->lock);
	return passes;
}

/* ---- keeping -------------------------------------------------------------------------- */

bool store_room(struct store *s, uint64_t bytes)
{
	unsigned empty = 0;

	if (bytes > s->conf.memory)
		return false;
	while (atomic_load(&s->used) + bytes > s->conf.memory) {
		struct shard *sh = &s->shards[atomic_fetch_add(&s->turn, 1) & (s->n_shards - 1)];
		enum evicted evicted;

		pthread_mutex_lock(&sh->lock);
		evicted = evict_turn(sh);
		pthread_mutex_unlock(&sh->lock);
		empty = evicted == EVICT_NONE ? empty + 1 : 0;
		if (empty == s->n_shards)
			return false;
	}
	return true;
}

/* The same requests would select both. */
static bool replaces(const struct object *o, const struct object *old)
{
	bool same = o->vary_len == old->vary_len &&
		    memcmp(o->text + o->head_len, old->text + old->head_len, o->vary_len) == 0;

	if (o->whole)
		return same && old->whole && old->part.first >= o->part.first &&
		       old->part.last <= o->part.last;
	return same || o->vary_len == 0;
}

static void put(struct shard *sh, struct entry *e, struct object *o)
{
	struct object *old, *next;

	/* First, so that the entry is never without one. */
	TAILQ_INSERT_HEAD(&e->variants, o, variant);
	e->n_variants++;
	o->entry = e;
	o->listed = true;
	sh->n_objects++;
	sh->inserted++;
	for (old = TAILQ_NEXT(o, variant); old; old = next) {
		next = TAILQ_NEXT(old, variant);
		if (!replaces(o, old))
			continue;
		o->main |= old->main; /* a place that was earned already */
		object_unlist(sh, old);
	}
	evict_insert(sh, o);
	if (e->n_variants > STORE_VARIANTS)
		object_unlist(sh, TAILQ_LAST(&e->variants, objects));
}

bool store_put(struct store *s, struct store_key key, struct object *o, struct fill *f)
{
	struct shard *sh = shard_of(s, key.hash);
	struct entry *e;

	pthread_mutex_lock(&sh->lock);
	e = f->doomed ? NULL : entry_get(s, sh, key);
	if (e) {
		o->ban = f->ban;
		put(sh, e, object_ref(o));
	}
	pthread_mutex_unlock(&sh->lock);
	return e != NULL;
}

bool store_replace(struct store *s, struct store_key key, struct object *old, struct object *o)
{
	struct shard *sh = shard_of(s, key.hash);
	bool there;

	pthread_mutex_lock(&sh->lock);
	there = old->listed;
	if (there) {
		o->ban = old->ban;
		atomic_store(&o->ask, atomic_load(&old->ask));
		put(sh, old->entry, object_ref(o));
	}
	pthread_mutex_unlock(&sh->lock);
	return there;
}

static void fill_unlist_of(struct shard *sh, struct fill *f)
{
	struct entry *e = f->entry;

	if (!e)
		return;
	TAILQ_REMOVE(&e->fills, f, listed);
	f->entry = NULL;
	entry_tidy_of(f->store, sh, e);
	/* The list's reference; the caller has one of its own. */
	fill_unref(f);
}

bool store_remove(struct store *s, struct store_key key)
{
	struct shard *sh = shard_of(s, key.hash);
	struct fill *f, *next_fill;
	struct object *o, *next;
	struct entry *e;
	bool any = false;

	pthread_mutex_lock(&sh->lock);
	e = entry_find(sh, key);
	for (f = e ? TAILQ_FIRST(&e->fills) : NULL; f; f = next_fill) {
		next_fill = TAILQ_NEXT(f, listed);
		f->doomed = any = true;
		if (!next_fill && TAILQ_EMPTY(&e->variants))
			e = NULL;
		fill_unlist_of(sh, f);
	}
	for (o = e ? TAILQ_FIRST(&e->variants) : NULL; o; o = next) {
		next = TAILQ_NEXT(o, variant);
		any = true;
		sh->purged++;
		object_unlist(sh, o);
	}
	pthread_mutex_unlock(&sh->lock);
	return any;
}

bool store_age(struct store *s, struct store_key key)
{
	struct shard *sh = shard_of(s, key.hash);
	struct object *o;
	struct entry *e;
	bool any = false;

	pthread_mutex_lock(&sh->lock);
	e = entry_find(sh, key);
	for (o = e ? TAILQ_FIRST(&e->variants) : NULL; o; o = TAILQ_NEXT(o, variant)) {
		atomic_store(&o->ask, true);
		any = true;
	}
	pthread_mutex_unlock(&sh->lock);
	return any;
}

/* ---- fetches -------------------------------------------------------------------------- */

void fill_unref(struct fill *f)
{
	if (!f || atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	object_unref(f->object);
	object_unref(f->base);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static struct fill *fill_new(struct store *s, struct object *base)
{
	struct fill *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	atomic_init(&f->refs, 1);
	pthread_mutex_init(&f->lock, NULL);
	TAILQ_INIT(&f->waiting);
	f->store = s;
	f->ban = atomic_load(&s->ban_last);
	f->base = base ? object_ref(base) : NULL;
	return f;
}

struct fill *store_fill(struct store *s, struct store_key key, struct object *base, bool alone,
			bool *lead)
{
	struct shard *sh = shard_of(s, key.hash);
	struct fill *f = NULL;
	struct entry *e = NULL;

	*lead = true;
	if (alone)
		return fill_new(s, base);
	pthread_mutex_lock(&sh->lock);
	e = entry_get(s, sh, key);
	if (e && (f = TAILQ_FIRST(&e->fills))) {
		*lead = false;
		atomic_fetch_add(&f->refs, 1);
	} else if (e && (f = fill_new(s, base))) {
		f->entry = e;
		atomic_fetch_add(&f->refs, 1);
		TAILQ_INSERT_HEAD(&e->fills, f, listed);
	} else if (e) {
		entry_tidy_of(s, sh, e);
	}
	pthread_mutex_unlock(&sh->lock);
	return f;
}

void fill_unlist(struct fill *f, struct store_key key)
{
	struct shard *sh = shard_of(f->store, key.hash);

	pthread_mutex_lock(&sh->lock);
	fill_unlist_of(sh, f);
	pthread_mutex_unlock(&sh->lock);
}

static void fill_set(struct fill *f, enum fill_state state)
{
	f->state = state;
	mailbox_post_all(&f->waiting);
	pthread_mutex_unlock(&f->lock);
}

void fill_answered(struct fill *f, struct object *object, unsigned status)
{
	pthread_mutex_lock(&f->lock);
	f->object = object;
	f->status = status;
	fill_set(f, FILL_ANSWERED);
}

void fill_passed(struct fill *f)
{
	pthread_mutex_lock(&f->lock);
	fill_set(f, FILL_PASSED);
}

void fill_failed(struct fill *f, unsigned status, int reason)
{
	pthread_mutex_lock(&f->lock);
	f->status = status;
	f->reason = reason;
	fill_set(f, FILL_FAILED);
}

enum fill_state fill_wait(struct fill *f, struct sleeper *w)
{
	enum fill_state state;

	pthread_mutex_lock(&f->lock);
	state = f->state;
	if (state == FILL_ASKS && w->place == SLEEPER_IDLE) {
		TAILQ_INSERT_TAIL(&f->waiting, w, entry);
		w->place = SLEEPER_WAITS;
	}
	pthread_mutex_unlock(&f->lock);
	return state;
}

void fill_leave(struct fill *f, struct sleeper *w)
{
	pthread_mutex_lock(&f->lock);
	if (w->place == SLEEPER_WAITS) {
		TAILQ_REMOVE(&f->waiting, w, entry);
		w->place = SLEEPER_IDLE;
	}
	pthread_mutex_unlock(&f->lock);
	mailbox_take_back(w);
}
