/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the store share; private to store*.c. */
#ifndef L7_STORE_INTERNAL_H
#define L7_STORE_INTERNAL_H

#include "l7/store.h"

#define STORE_PASSES_KEPT                                                                          \
	256 /* keys of a shard whose answers are for one client; a new one takes                   \
	       the place of whichever has its slot */

TAILQ_HEAD(objects, object);
TAILQ_HEAD(fills, fill);

struct entry {
	struct entry *next;      /* in its bucket */
	struct objects variants; /* the newest first */
	struct fills fills;
	uint64_t hash;
	uint32_t n_variants, key_len;
	char key[];
};

struct queue {
	struct objects objects; /* the newest first */
	uint64_t bytes;
};

struct shard {
	pthread_mutex_t lock;
	struct entry **buckets;
	uint32_t mask, n_entries, n_objects;
	struct queue small, main;
	uint64_t ghosts[STORE_GHOSTS];
	struct {
		uint64_t hash, until_ms;
	} passes[STORE_PASSES_KEPT];
	uint64_t evicted, inserted, purged;
};

struct ban {
	enum store_ban_kind kind;
	bool soft;
	char *text;
	size_t len;
};

struct store {
	struct store_conf conf;
	atomic_ullong used;
	atomic_uint turn; /* the shard that is next to give something up */
	atomic_ullong counts[STORE_COUNTERS];
	atomic_ullong refused[FRESH_REASON_COUNT];
	pthread_mutex_t ban_lock;
	atomic_ullong ban_last; /* number of the newest; the first is 1 */
	struct ban bans[STORE_BANS];
	unsigned n_shards; /* a power of two */
	struct shard shards[];
};

static inline struct shard *shard_of(struct store *s, uint64_t hash)
{
	return &s->shards[(hash >> 48) & (s->n_shards - 1)];
}

/* What it takes of the memory. */
uint64_t object_bytes(const struct object *o);

/* ---- under the shard's lock ----------------------------------------------------------- */

struct entry *entry_find(struct shard *sh, struct store_key key);
/* Takes o out of the store. Its entry goes with the last one. */
void object_unlist(struct shard *sh, struct object *o);
/* Into the queue that suits its key. */
void evict_insert(struct shard *sh, struct object *o);
void evict_forget(struct shard *sh, struct object *o);
enum evicted { EVICT_NONE, EVICT_LATER, EVICT_ONE };
/* Looks at whose turn it is: it goes, or gets another turn. NONE: there is no object. */
enum evicted evict_turn(struct shard *sh);
/* Compares o with the bans since it was last compared. True: it must go. */
bool ban_hits(struct store *s, struct object *o);

#endif
