/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The responses that are kept, for all threads: by key, and under a key by what Vary names.
 * Locks are per shard and held for a look-up or a list operation, never while bytes move; who
 * found an object holds a reference, and it stays whole although it is replaced or evicted.
 *
 * What is evicted is chosen by S3-FIFO in each shard: new objects go through a small queue, from
 * which only those that were asked for again come into the main one; keys that fell out are
 * remembered for a while, and come back into the main queue at once.
 *
 * A fetch under way is here too (struct fill), so that many who ask for the same wait for one
 * answer of the origin.
 */
#ifndef L7_STORE_H
#define L7_STORE_H

#include "l7/content.h"
#include "l7/fresh.h"
#include "l7/validate.h"

#define STORE_SHARDS   64 /* at most; each has STORE_SHARD of the memory or more */
#define STORE_SHARD    (4ULL << 20)
#define STORE_VARIANTS 64 /* of one key; the oldest goes */
#define STORE_BANS                                                                                 \
	1024              /* that are remembered; when there are more, all that is older than the  \
			     first of them goes */
#define STORE_GHOSTS 4096 /* keys that each shard remembers */

struct entry;
struct store;

/* A response as it is kept: its head is immutable. */
struct object {
	atomic_uint refs;
	atomic_uchar asked; /* how often since it was last looked at for eviction: 0 to 3 */
	bool main, listed;  /* in the main queue; in the store at all: under the shard's lock */
	bool shared;        /* may answer others than who asked first */
	uint16_t status;
	atomic_bool ask; /* never without asking the origin: it was purged softly */
	uint64_t ban;    /* the last ban that it was compared with; under the shard's lock */
	struct store *store;
	struct entry *entry;
	TAILQ_ENTRY(object) variant, queue;
	struct content *content; /* NULL: none */
	struct fresh_verdict verdict;
	uint64_t stored_ms; /* thread time */
	int64_t stored_at;  /* seconds since 1970 */
	int64_t modified;   /* Last-Modified, or Date, or when it came */
	uint64_t size;      /* of the content; CONTENT_UNKNOWN while it is open */
	struct range part;  /* of a 206 */
	uint64_t whole;     /* of a 206: the size of the whole; else 0 */
	uint32_t head_len, vary_len;
	struct {
		uint32_t at, len;
	} etag, last_modified, language; /* in text */
	char text[];                     /* fields as "Name: value\r\n", then vary (cache_key.h) */
};

static inline struct span object_head(const struct object *o)
{
	return (struct span){o->text, o->head_len};
}

#define OBJECT_SPAN(o, part) ((struct span){(o)->text + (o)->part.at, (o)->part.len})

static inline int64_t object_age(const struct object *o, uint64_t now_ms)
{
	return o->verdict.age + (int64_t)((now_ms - o->stored_ms) / 1000);
}

struct object *object_ref(struct object *o);
void object_unref(struct object *o); /* NULL is fine */

enum fill_state {
	FILL_ASKS,     /* the origin has not answered yet */
	FILL_ANSWERED, /* object is there; its content may still come */
	FILL_PASSED,   /* its answer is for one client alone */
	FILL_FAILED,   /* there is no answer; status and reason say why */
};

/* A fetch under way. */
struct fill {
	atomic_uint refs;
	pthread_mutex_t lock;
	enum fill_state state;   /* this and the next three: under the lock */
	struct object *object;   /* a reference */
	struct sleepers waiting; /* for the state to change */
	unsigned status;         /* the origin's, or for FILL_FAILED what to answer */
	int reason;              /* FILL_FAILED: enum access_reason */
	struct object *base;     /* what is validated, or NULL; a reference */
	struct store *store;
	struct entry *entry; /* in whose list it is, or NULL; under the shard's lock */
	uint64_t ban;        /* the last ban before it began */
	bool doomed;         /* not to be kept: its target has changed meanwhile; likewise */
	TAILQ_ENTRY(fill) listed;
};

void fill_unref(struct fill *f); /* NULL is fine */

struct store_conf {
	uint64_t memory;     /* bytes, all in all */
	uint64_t max_object; /* bytes of content */
	uint64_t seed;
};

struct store_stats {
	uint64_t hits, stale_hits, misses, passes, validations, collapsed, inserted, evicted,
		purged;
	uint64_t refused[FRESH_REASON_COUNT]; /* responses that were not kept, by reason */
	uint64_t used, objects;               /* now */
};

/* NULL when memory is exhausted. */
struct store *store_new(const struct store_conf *conf);
/* No thread uses it any more. NULL is fine. */
void store_free(struct store *s);

atomic_ullong *store_used(struct store *s);
uint64_t store_max_object(const struct store *s);
enum store_counter {
	STORE_HITS,
	STORE_STALE_HITS,
	STORE_MISSES,
	STORE_PASSES,
	STORE_VALIDATIONS,
	STORE_COLLAPSED,
	STORE_COUNTERS,
};
void store_count(struct store *s, enum store_counter what);
void store_refused(struct store *s, enum fresh_reason why);
void store_stats(struct store *s, struct store_stats *out);

struct store_key {
	struct span text;
	uint64_t hash;
};
struct store_key store_key(const struct store *s, struct span text);

/* The newest object that this request selects, with a reference, or NULL. part: a 206 is welcome,
 * when it holds what the request's Range wants; else only whole ones are. */
struct object *store_find(struct store *s, struct store_key key, const struct http1_head *request,
			  bool part);

/* The fetch under way for this key, with a reference, or a new one, which *lead tells: then the
 * caller must ask the origin, and bring the fill to an end. alone: never one that others know.
 * base: what is to be validated, or NULL. NULL when memory is exhausted. */
struct fill *store_fill(struct store *s, struct store_key key, struct object *base, bool alone,
			bool *lead);
/* Requests for this key wait for nobody until then: answers to it are not for many. */
void store_pass_until(struct store *s, struct store_key key, uint64_t ms);
bool store_passes(struct store *s, struct store_key key, uint64_t now_ms);

/* The fill has come to another state; who waits is woken. object: a reference, taken over;
 * status: what the origin answered with. */
void fill_answered(struct fill *f, struct object *object, unsigned status);
void fill_passed(struct fill *f);
void fill_failed(struct fill *f, unsigned status, int reason);
/* Nobody new can wait for it. */
void fill_unlist(struct fill *f, struct store_key key);
/* w is woken when the state changes. The state now. */
enum fill_state fill_wait(struct fill *f, struct sleeper *w);
void fill_leave(struct fill *f, struct sleeper *w);

/* Room for bytes more; false when there is none to be made. */
bool store_room(struct store *s, uint64_t bytes);
/* Puts o under the key, in the place of others that the same requests select, if the fill, which
 * is its origin, still may. */
bool store_put(struct store *s, struct store_key key, struct object *o, struct fill *f);

/* A part that has bytes before or behind those of the part o, without a gap, of the same variant
 * and by its strong tag of the same thing (RFC 9111 section 3.4); with a reference, or NULL. */
struct object *store_beside(struct store *s, struct store_key key, const struct object *o);

/* Puts o, which is old with other fields, in the place of old, if that is still there: what was
 * purged meanwhile does not come back. */
bool store_replace(struct store *s, struct store_key key, struct object *old, struct object *o);

/* Everything under the key is used only after asking the origin. True when there was something. */
bool store_age(struct store *s, struct store_key key);
/* Everything under the key goes. True when there was something. */
bool store_remove(struct store *s, struct store_key key);

enum store_ban_kind { STORE_BAN_PREFIX, STORE_BAN_HOST, STORE_BAN_TAG, STORE_BAN_ALL };
/* Everything that is there now, and of which this is true, is not used again; soft: not without
 * asking the origin. 0 or -ENOMEM. */
int store_ban(struct store *s, enum store_ban_kind kind, struct span text, bool soft);

#endif
