// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: purging what many keys share. A ban is noted, which takes no time however many objects
 * it means; each object is compared with those it has not seen when it is next looked up, so
 * that nothing that was banned is ever served. What is not looked up again leaves by eviction.
 */
#include <errno.h>
#include <stdlib.h>

#include "l7/cache_key.h"
#include "l7/cc.h"
#include "l7/store_internal.h"

static bool starts(struct span text, struct span with)
{
	return text.len >= with.len && memcmp(text.p, with.p, with.len) == 0;
}

/* A word of a list, with blanks or commas between. */
static bool has_word(struct span list, struct span word)
{
	while (list.len) {
		size_t n = 0;

		while (n < list.len && list.p[n] != ' ' && list.p[n] != ',' && list.p[n] != '\t')
			n++;
		if (span_equal((struct span){list.p, n}, word))
			return true;
		n += n < list.len;
		list.p += n;
		list.len -= n;
	}
	return false;
}

static bool tagged(const struct object *o, struct span tag)
{
	struct span rest = object_head(o);

	while (rest.len) {
		const char *end = memchr(rest.p, '\n', rest.len),
			   *colon = memchr(rest.p, ':', rest.len);
		struct span name, value;

		if (!end || !colon)
			return false;
		name = (struct span){rest.p, (size_t)(colon - rest.p)};
		value = (struct span){colon + 1, (size_t)(end - colon) - 2};
		if ((span_equal_nocase(name, SPAN("cache-tag")) ||
		     span_equal_nocase(name, SPAN("surrogate-key"))) &&
		    has_word(value, tag))
			return true;
		rest.len -= (size_t)(end + 1 - rest.p);
		rest.p = end + 1;
	}
	return false;
}

/* prefix: scheme, host and the beginning of a path, as in a key; host: a key's second word. */
static bool ban_means(const struct ban *b, const struct object *o)
{
	struct span key = {o->entry->key, o->entry->key_len}, text = {b->text, b->len};
	size_t scheme;

	switch (b->kind) {
	case STORE_BAN_PREFIX:
		return starts(key, text);
	case STORE_BAN_HOST:
		scheme = strlen(key.p) + 1;
		return span_equal_nocase((struct span){key.p + scheme, strlen(key.p + scheme)},
					 text);
	case STORE_BAN_TAG:
		return tagged(o, text);
	default:
		return true;
	}
}

bool ban_hits(struct store *s, struct object *o)
{
	uint64_t last = atomic_load(&s->ban_last);
	bool hit;

	if (o->ban == last)
		return false;
	pthread_mutex_lock(&s->ban_lock);
	/* Older than all that is remembered: nobody knows what it missed. */
	hit = last - o->ban > STORE_BANS;
	for (uint64_t n = o->ban + 1; !hit && n <= last; n++) {
		const struct ban *b = &s->bans[n % STORE_BANS];

		if (!ban_means(b, o))
			continue;
		if (b->soft)
			atomic_store(&o->ask, true);
		else
			hit = true;
	}
	pthread_mutex_unlock(&s->ban_lock);
	o->ban = last;
	return hit;
}

int store_ban(struct store *s, enum store_ban_kind kind, struct span text, bool soft)
{
	char *copy = malloc(text.len + 1);
	struct ban *b;
	uint64_t n;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text.p, text.len);
	pthread_mutex_lock(&s->ban_lock);
	n = atomic_load(&s->ban_last) + 1;
	b = &s->bans[n % STORE_BANS];
	free(b->text);
	*b = (struct ban){.kind = kind, .soft = soft, .text = copy, .len = text.len};
	atomic_store(&s->ban_last, n);
	pthread_mutex_unlock(&s->ban_lock);
	return 0;
}
