// SPDX-License-Identifier: BSD-2-Clause
#include "l7/content.h"

#include <assert.h>
#include <stdlib.h>

/* ---- segments ------------------------------------------------------------------------- */

static struct segment *segment_new(struct content *c, uint32_t size)
{
	struct segment *s = malloc(sizeof(*s) + size);

	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	atomic_init(&s->used, 0);
	atomic_init(&s->next, NULL);
	s->size = size;
	atomic_fetch_add(c->used, sizeof(*s) + size);
	if (c->open)
		atomic_fetch_add(&c->open->live, size);
	return s;
}

/* Those behind it go with it, as long as nobody else has them. */
static void segment_unref(struct segment *s, atomic_ullong *used, struct content_open *open)
{
	while (s && atomic_fetch_sub(&s->refs, 1) == 1) {
		struct segment *next = atomic_load(&s->next);

		atomic_fetch_sub(used, sizeof(*s) + s->size);
		if (open)
			atomic_fetch_sub(&open->live, s->size);
		free(s);
		s = next;
	}
}

/* ---- the whole ------------------------------------------------------------------------ */

static struct content_open *open_new(atomic_ullong *used)
{
	struct content_open *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	atomic_init(&o->refs, 1);
	pthread_mutex_init(&o->lock, NULL);
	TAILQ_INIT(&o->waiting);
	atomic_fetch_add(used, sizeof(*o));
	return o;
}

static void open_unref(struct content_open *o, atomic_ullong *used)
{
	if (!o || atomic_fetch_sub(&o->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&o->lock);
	free(o);
	atomic_fetch_sub(used, sizeof(*o));
}

struct content *content_new(uint64_t size, atomic_ullong *used)
{
	struct content *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->open = open_new(used);
	if (!c->open) {
		free(c);
		return NULL;
	}
	atomic_init(&c->refs, 1);
	atomic_init(&c->state, CONTENT_OPEN);
	c->size = size;
	c->used = used;
	atomic_fetch_add(used, sizeof(*c));
	return c;
}

struct content *content_ref(struct content *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void content_unref(struct content *c)
{
	atomic_ullong *used;

	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	used = c->used;
	segment_unref(c->first, used, c->open);
	open_unref(c->open, used);
	free(c);
	atomic_fetch_sub(used, sizeof(*c));
}

/* ---- the writer ----------------------------------------------------------------------- */

static void wake_readers(struct content_open *o)
{
	if (atomic_load(&o->n_waiting) == 0)
		return;
	pthread_mutex_lock(&o->lock);
	atomic_store(&o->n_waiting, 0);
	mailbox_post_all(&o->waiting);
	pthread_mutex_unlock(&o->lock);
}

/* As large as what is to come, or twice the one before. */
static uint32_t size_next(const struct content *c, size_t wanted)
{
	uint64_t size;

	if (c->size != CONTENT_UNKNOWN)
		size = c->size - c->added;
	else
		size = c->last ? 2ULL * c->last->size : CONTENT_FIRST;
	if (c->size == CONTENT_UNKNOWN && size < wanted)
		size = wanted;
	return size < CONTENT_SEGMENT ? (uint32_t)size : CONTENT_SEGMENT;
}

static bool segment_add(struct content *c, size_t wanted)
{
	struct segment *s = segment_new(c, size_next(c, wanted)), *before = c->last;

	if (!s)
		return false;
	/* One reference is the list's, one the writer's, who stands in it. */
	atomic_store(&s->refs, 2);
	c->last = s;
	if (before) {
		atomic_store(&before->next, s);
		segment_unref(before, c->used, c->open);
		return true;
	}
	pthread_mutex_lock(&c->open->lock);
	c->first = s;
	pthread_mutex_unlock(&c->open->lock);
	return true;
}

bool content_add(struct content *c, struct span bytes)
{
	while (bytes.len) {
		struct segment *s = c->last;
		uint32_t used = s ? atomic_load(&s->used) : 0, n;

		if (!s || used == s->size) {
			if (!segment_add(c, bytes.len))
				return false;
			s = c->last;
			used = 0;
		}
		n = s->size - used < bytes.len ? s->size - used : (uint32_t)bytes.len;
		memcpy(s->data + used, bytes.p, n);
		atomic_store(&s->used, used + n);
		bytes.p += n;
		bytes.len -= n;
		c->added += n;
	}
	wake_readers(c->open);
	return true;
}

static void last_unref(struct content *c)
{
	struct segment *s = c->last;

	c->last = NULL;
	segment_unref(s, c->used, c->open);
}

void content_end(struct content *c, enum content_state state)
{
	struct content_open *o = c->open;

	assert(atomic_load(&c->state) == CONTENT_OPEN);
	pthread_mutex_lock(&o->lock);
	atomic_store(&c->state, state);
	atomic_store(&o->n_waiting, 0);
	mailbox_post_all(&o->waiting);
	pthread_mutex_unlock(&o->lock);
	last_unref(c);
}

struct content *content_settle(const struct content *c)
{
	struct content *s = calloc(1, sizeof(*s));

	assert(atomic_load(&c->state) == CONTENT_WHOLE && !c->sliding);
	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	atomic_init(&s->state, CONTENT_WHOLE);
	s->size = s->added = c->added;
	s->used = c->used;
	s->first = c->first;
	if (s->first)
		atomic_fetch_add(&s->first->refs, 1);
	atomic_fetch_add(s->used, sizeof(*s));
	return s;
}

bool content_slide(struct content *c, struct sleeper *w)
{
	struct content_open *o = c->open;
	struct segment *first = NULL;
	bool may;

	pthread_mutex_lock(&o->lock);
	may = o->unstarted == 0;
	o->writer = may ? NULL : w;
	if (may) {
		first = c->first;
		c->first = NULL;
		c->sliding = true;
	}
	pthread_mutex_unlock(&o->lock);
	segment_unref(first, c->used, o);
	return may;
}

bool content_may_add(struct content *c, struct sleeper *w, bool *alone)
{
	struct content_open *o = c->open;
	bool may;

	pthread_mutex_lock(&o->lock);
	*alone = atomic_load(&o->readers) == 0;
	may = *alone || atomic_load(&o->live) < CONTENT_WINDOW;
	o->writer = may ? NULL : w;
	pthread_mutex_unlock(&o->lock);
	return may;
}

void content_writer_leaves(struct content *c, struct sleeper *w)
{
	pthread_mutex_lock(&c->open->lock);
	c->open->writer = NULL;
	pthread_mutex_unlock(&c->open->lock);
	mailbox_take_back(w);
}

/* ---- readers -------------------------------------------------------------------------- */

bool reader_open(struct reader *r, struct content *c)
{
	struct content_open *o = c->open;

	*r = (struct reader){.content = content_ref(c)};
	if (!o) {
		r->at = c->first;
		if (r->at)
			atomic_fetch_add(&r->at->refs, 1);
		return true;
	}
	pthread_mutex_lock(&o->lock);
	if (c->sliding) {
		pthread_mutex_unlock(&o->lock);
		content_unref(c);
		r->content = NULL;
		return false;
	}
	atomic_fetch_add(&o->refs, 1);
	atomic_fetch_add(&o->readers, 1);
	r->open = o;
	r->at = c->first;
	if (r->at)
		atomic_fetch_add(&r->at->refs, 1);
	else
		o->unstarted++;
	pthread_mutex_unlock(&o->lock);
	return true;
}

/* A writer that waits for place looks again. */
static void wake_writer(struct content_open *o)
{
	struct sleepers one = TAILQ_HEAD_INITIALIZER(one);

	pthread_mutex_lock(&o->lock);
	if (o->writer && o->writer->place == SLEEPER_IDLE) {
		TAILQ_INSERT_TAIL(&one, o->writer, entry);
		o->writer = NULL;
		mailbox_post_all(&one);
	}
	pthread_mutex_unlock(&o->lock);
}

static void leave_list(struct content_open *o, struct sleeper *w)
{
	pthread_mutex_lock(&o->lock);
	if (w->place == SLEEPER_WAITS) {
		TAILQ_REMOVE(&o->waiting, w, entry);
		w->place = SLEEPER_IDLE;
	}
	pthread_mutex_unlock(&o->lock);
}

static void started(struct content_open *o)
{
	pthread_mutex_lock(&o->lock);
	o->unstarted--;
	pthread_mutex_unlock(&o->lock);
}

void reader_close(struct reader *r, struct sleeper *w)
{
	struct content *c = r->content;
	struct content_open *o = r->open;

	if (!c)
		return;
	if (o)
		leave_list(o, w);
	mailbox_take_back(w);
	segment_unref(r->at, c->used, o);
	if (o) {
		if (!r->at)
			started(o);
		atomic_fetch_sub(&o->readers, 1);
		wake_writer(o);
		open_unref(o, c->used);
	}
	content_unref(c);
	*r = (struct reader){0};
}

/* To the segment behind, or the first. */
static bool step(struct reader *r)
{
	struct content *c = r->content;
	struct segment *next;

	if (r->at) {
		next = atomic_load(&r->at->next);
	} else if (r->open) {
		pthread_mutex_lock(&r->open->lock);
		next = c->first;
		if (next) {
			atomic_fetch_add(&next->refs, 1);
			r->open->unstarted--;
		}
		pthread_mutex_unlock(&r->open->lock);
		r->at = next;
		r->offset = 0;
		if (next)
			wake_writer(r->open);
		return next != NULL;
	} else {
		return false;
	}
	if (!next)
		return false;
	atomic_fetch_add(&next->refs, 1);
	segment_unref(r->at, c->used, r->open);
	r->at = next;
	r->offset = 0;
	if (r->open)
		wake_writer(r->open);
	return true;
}

struct span reader_peek(struct reader *r, size_t most, enum content_state *state)
{
	/* Asked first: what came before the end is seen below. */
	*state = atomic_load(&r->content->state);
	for (;;) {
		uint32_t used = r->at ? atomic_load(&r->at->used) : 0;

		if (used > r->offset) {
			size_t n = used - r->offset;

			return (struct span){r->at->data + r->offset, n < most ? n : most};
		}
		if ((r->at && used < r->at->size) || !step(r))
			return (struct span){NULL, 0};
	}
}

void reader_skip(struct reader *r, uint64_t n)
{
	while (n) {
		uint32_t there = atomic_load(&r->at->used) - r->offset;
		uint32_t part = n < there ? (uint32_t)n : there;

		r->offset += part;
		n -= part;
		if (n && !step(r))
			assert(!"skipped what is not there");
	}
}

bool reader_wait(struct reader *r, struct sleeper *w)
{
	struct content_open *o = r->open;
	enum content_state state;
	bool wait;

	if (!o)
		return false;
	pthread_mutex_lock(&o->lock);
	if (w->place != SLEEPER_IDLE) {
		pthread_mutex_unlock(&o->lock);
		return true;
	}
	TAILQ_INSERT_TAIL(&o->waiting, w, entry);
	w->place = SLEEPER_WAITS;
	atomic_fetch_add(&o->n_waiting, 1);
	pthread_mutex_unlock(&o->lock);
	/* What came in between woke nobody. */
	wait = reader_peek(r, 1, &state).len == 0 && state == CONTENT_OPEN;
	if (wait)
		return true;
	leave_list(o, w);
	mailbox_take_back(w);
	return false;
}
