// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: who stays (S3-FIFO). Most objects are never asked for again: they leave by the small
 * queue, a tenth of the bytes, without having pushed anybody out of the main one. There an object
 * that was asked for since its last turn gets another turn. Cost: a hit writes one byte at most;
 * lists move only when something is stored.
 */
#include "l7/store_internal.h"

#define SMALL_SHARE 10 /* the small queue has one part of so many */
#define ASKED_TWICE 2

static uint64_t *ghost_of(struct shard *sh, uint64_t hash)
{
	return &sh->ghosts[hash % STORE_GHOSTS];
}

static struct queue *queue_of(struct shard *sh, const struct object *o)
{
	return o->main ? &sh->main : &sh->small;
}

static void queue_add(struct queue *q, struct object *o)
{
	TAILQ_INSERT_HEAD(&q->objects, o, queue);
	q->bytes += object_bytes(o);
}

static void queue_remove(struct queue *q, struct object *o)
{
	TAILQ_REMOVE(&q->objects, o, queue);
	q->bytes -= object_bytes(o);
}

void evict_insert(struct shard *sh, struct object *o)
{
	uint64_t *ghost = ghost_of(sh, o->entry->hash);

	if (*ghost == o->entry->hash) {
		o->main = true;
		*ghost = 0;
	}
	queue_add(queue_of(sh, o), o);
}

void evict_forget(struct shard *sh, struct object *o)
{
	queue_remove(queue_of(sh, o), o);
}

/* From the small queue's end: out, or into the main one. True: it is out. */
static bool small_turn(struct shard *sh, struct object *o)
{
	if (atomic_load(&o->asked) >= ASKED_TWICE) {
		queue_remove(&sh->small, o);
		o->main = true;
		atomic_store(&o->asked, 0);
		queue_add(&sh->main, o);
		return false;
	}
	*ghost_of(sh, o->entry->hash) = o->entry->hash;
	object_unlist(sh, o);
	return true;
}

static bool main_turn(struct shard *sh, struct object *o)
{
	unsigned char asked = atomic_load(&o->asked);

	if (asked) {
		atomic_store(&o->asked, asked - 1);
		queue_remove(&sh->main, o);
		queue_add(&sh->main, o);
		return false;
	}
	object_unlist(sh, o);
	return true;
}

enum evicted evict_turn(struct shard *sh)
{
	struct object *small = TAILQ_LAST(&sh->small.objects, objects),
		      *main = TAILQ_LAST(&sh->main.objects, objects);
	bool large = sh->small.bytes * SMALL_SHARE > sh->small.bytes + sh->main.bytes, out;

	if (!small && !main)
		return EVICT_NONE;
	out = small && (large || !main) ? small_turn(sh, small) : main_turn(sh, main);
	sh->evicted += out;
	return out ? EVICT_ONE : EVICT_LATER;
}
