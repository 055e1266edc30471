// SPDX-License-Identifier: BSD-2-Clause
#include "l7/store_internal.h"

/* a has bytes that b has not. */
static bool beside(const struct object *a, const struct object *b)
{
	return (a->part.first < b->part.first || a->part.last > b->part.last) &&
	       a->whole == b->whole && a->vary_len == b->vary_len &&
	       memcmp(a->text + a->head_len, b->text + b->head_len, b->vary_len) == 0 &&
	       validate_same_strong(OBJECT_SPAN(a, etag), OBJECT_SPAN(b, etag)) &&
	       a->part.first <= b->part.last + 1 && b->part.first <= a->part.last + 1;
}

struct object *store_beside(struct store *s, struct store_key key, const struct object *o)
{
	struct shard *sh = shard_of(s, key.hash);
	struct object *a, *found = NULL;
	struct entry *e;

	pthread_mutex_lock(&sh->lock);
	e = entry_find(sh, key);
	for (a = e ? TAILQ_FIRST(&e->variants) : NULL; a && !found; a = TAILQ_NEXT(a, variant))
		if (a->whole && !ban_hits(s, a) && !atomic_load(&a->ask) && beside(a, o))
			found = object_ref(a);
	pthread_mutex_unlock(&sh->lock);
	return found;
}
