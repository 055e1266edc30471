// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: putting parts (206) together that are of the same thing by their strong tags (RFC 9111
 * section 3.4). Excludes: asking the origin for what lies between them. Cost: what was kept is
 * copied once for each part that comes to it, so larger ones than COMBINED_MOST stay apart.
 */
#include "l7/caching.h"

#define COMBINED_MOST (8ULL << 20)

/* n bytes of `from`, behind the first `skip`. */
static bool content_copy(struct thread *t, struct content *to, struct content *from, uint64_t skip,
			 uint64_t n)
{
	struct sleeper nobody = {.mailbox = &t->mailbox};
	enum content_state state;
	struct reader r;

	if (n == 0)
		return true;
	if (!from || !reader_open(&r, from))
		return false;
	while (n) {
		struct span bytes = reader_peek(&r, skip ? skip : n, &state);

		if (bytes.len == 0 || (!skip && !content_add(to, bytes)))
			break;
		reader_skip(&r, bytes.len);
		if (skip)
			skip -= bytes.len;
		else
			n -= bytes.len;
	}
	reader_close(&r, &nobody);
	return n == 0;
}

/* The bytes of both, which touch; NULL when memory is exhausted. */
static struct content *content_join(struct thread *t, struct store *s, const struct object *a,
				    const struct object *b, struct range all)
{
	const struct object *front = a->part.first <= b->part.first ? a : b,
			    *back = front == a ? b : a;
	struct content *to = content_new(all.last - all.first + 1, store_used(s)), *whole = NULL;
	uint64_t have = front->part.last - front->part.first + 1, seen = 0, more = 0;

	if (!to)
		return NULL;
	if (back->part.last > front->part.last) {
		more = back->part.last - front->part.last;
		seen = front->part.last + 1 - back->part.first;
	}
	if (content_copy(t, to, front->content, 0, have) &&
	    content_copy(t, to, back->content, seen, more)) {
		content_end(to, CONTENT_WHOLE);
		whole = content_settle(to);
	} else {
		content_end(to, CONTENT_BROKEN);
	}
	content_unref(to);
	return whole;
}

/* The fields of the newer one and those that only the other has; where it belongs is said anew. */
static bool head_join(struct thread *t, const struct object *o, const struct object *old)
{
	struct http1_head *h = &t->merged_head;
	unsigned n = 0;

	if (!cache_head_parse(&t->scratch_head, object_head(old), old->status) ||
	    !cache_head_parse(&t->head, object_head(o), o->status) ||
	    !cache_head_merge(h, &t->scratch_head, &t->head))
		return false;
	for (unsigned i = 0; i < h->n_fields; i++)
		if (h->fields[i].id != HTTP1_F_CONTENT_RANGE)
			h->fields[n++] = h->fields[i];
	h->n_fields = n;
	return true;
}

static struct object *joined(struct thread *t, struct store *s, const struct object *o,
			     const struct object *old)
{
	struct fresh_response said;
	struct caching_answer a = {
		.head = &t->merged_head,
		.said = &said,
		.verdict = o->verdict,
		.vary = {o->text + o->head_len, o->vary_len},
		.shared = true,
		.again = true,
		.part = {o->part.first < old->part.first ? o->part.first : old->part.first,
			 o->part.last > old->part.last ? o->part.last : old->part.last},
		.whole = o->whole,
		.now = o->stored_at,
	};
	struct object *both;

	a.size = a.part.last - a.part.first + 1;
	if (a.size > COMBINED_MOST || a.size > store_max_object(s) || !store_room(s, a.size) ||
	    !head_join(t, o, old))
		return NULL;
	if (a.size == o->whole) {
		t->merged_head.status = 200;
		a.whole = 0;
	}
	a.content = content_join(t, s, o, old, a.part);
	if (!a.content)
		return NULL;
	fresh_read(&said, &t->merged_head, o->stored_at);
	both = caching_object(t, s, &a);
	if (both)
		both->stored_ms = o->stored_ms;
	return both;
}

struct object *caching_combined(struct thread *t, struct store *s, struct store_key key,
				struct object *o)
{
	/* One on each side; each that is found makes it larger. */
	for (unsigned i = 0; i < 2 && o->whole; i++) {
		struct object *old = store_beside(s, key, o), *both;

		both = old ? joined(t, s, o, old) : NULL;
		object_unref(old);
		if (!both)
			break;
		object_unref(o);
		o = both;
	}
	return o;
}
