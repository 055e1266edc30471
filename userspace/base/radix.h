/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of many words begin, or are, a text: a radix tree, built once. A look-up goes along the
 * text, so it costs what the text is long, however many words there are. Pure.
 */
#ifndef BASE_RADIX_H
#define BASE_RADIX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"

#define RADIX_MAX_KEY 255 /* bytes; bounds the depth of the tree */

struct radix_node;

struct radix {
	const struct radix_node *root; /* NULL: no words */
};

struct radix_key {
	struct span word;
	bool prefix;       /* texts that begin with it; else the one that is it */
	const void *value; /* not NULL */
};

/* Sorts keys, no two of which are the same word of the same sort. The tree is the arena's, and
 * points to the words. 0 or -ENOMEM. */
int radix_build(struct radix *r, struct arena *arena, struct radix_key *keys, size_t n);

struct radix_walk {
	const struct radix_node *node;
	struct span rest;
	bool within; /* the node's prefix was given */
};

/* The values of all words that fit a text: the shortest prefix first, the text itself last. */
static inline void radix_begin(struct radix_walk *w, const struct radix *r, struct span text)
{
	*w = (struct radix_walk){.node = r->root, .rest = text};
}
/* The next one, or NULL. */
const void *radix_next(struct radix_walk *w);

#endif
