/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The named feeds of a running gate. Each is remembered as ranges, in a map of its own pinned
 * beside the gate's as feed_NAME: it lives exactly as long as the lists do, and needs no file.
 * All of them together are what the gate's two sieves hold.
 *
 * Memory of the kernel: 8 bytes for each range of IPv4 and 32 of IPv6, and the sieves
 * (sieve.h); while one is replaced, its old and its new ones.
 * One changer at a time: the caller sees to that.
 */
#ifndef L4_FEEDS_H
#define L4_FEEDS_H

#include <time.h>

#include "l4/feed.h"
#include "l4/gate.h"

#define FEEDS_MAX  64 /* one more is refused */
#define FEEDS_NAME 32 /* with the NUL */

struct feeds_info {
	char name[FEEDS_NAME];
	time_t imported;
	size_t prefixes[2]; /* by family */
	size_t bytes;       /* that remembering it takes */
	bool foreign;       /* another version wrote it: nothing else is known of it */
};

struct feeds {
	struct feeds_info feed[FEEDS_MAX]; /* by name */
	unsigned n;
	size_t sieve_bytes[2]; /* by family; 0: the gate has none */
};

/* Letters, digits, - and _. */
bool feeds_name_valid(const char *name);
bool feeds_known(const char *name);

int feeds_list(const struct gate *g, struct feeds *out, struct err *e);

/* What a feed names, merged; *out must be empty. -ENOENT, without words: there is no such. */
int feeds_read(const char *name, struct feed *out, struct err *e);

/* The feed is what f says from now on, whatever it was; f is merged. A packet sees the old
 * or the new one. After a failure the old one stays. */
int feeds_put(const struct gate *g, const char *name, const struct feed *f, struct err *e);

/* -ENOENT, without words: there is no such. */
int feeds_remove(const struct gate *g, const char *name, struct err *e);

#endif
