// SPDX-License-Identifier: BSD-2-Clause
#include "base/radix.h"

#include <errno.h>
#include <stdlib.h>

/* Its word is that of its parent and then `label`, whose first byte is in the parent's list. */
struct radix_node {
	struct span label;
	const void *prefix, *exact;
	const uint8_t *firsts; /* of the children's labels, sorted */
	struct radix_node *children;
	unsigned n;
};

static int by_word(const void *a, const void *b)
{
	const struct radix_key *x = a, *y = b;
	size_t len = x->word.len < y->word.len ? x->word.len : y->word.len;
	int order = len ? memcmp(x->word.p, y->word.p, len) : 0;

	return order ? order : x->word.len < y->word.len ? -1 : x->word.len > y->word.len;
}

static size_t common(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len, i = 0;

	while (i < len && a.p[i] == b.p[i])
		i++;
	return i;
}

/* Where the keys end that have the same byte at depth as the first one. */
static size_t group_end(const struct radix_key *keys, size_t n, size_t depth)
{
	size_t end = 1;

	while (end < n && keys[end].word.p[depth] == keys[0].word.p[depth])
		end++;
	return end;
}

static bool node_build(struct radix_node *node, struct arena *arena, const struct radix_key *keys,
		       size_t n, size_t depth)
{
	size_t to = common(keys[0].word, keys[n - 1].word);
	uint8_t *firsts;

	if (to > depth)
		node->label = (struct span){keys[0].word.p + depth, to - depth};
	for (; n > 0 && keys[0].word.len == to; keys++, n--)
		*(keys[0].prefix ? &node->prefix : &node->exact) = keys[0].value;
	for (size_t at = 0; at < n; at += group_end(keys + at, n - at, to))
		node->n++;
	node->firsts = firsts = arena_alloc(arena, node->n, 1);
	node->children = arena_alloc(arena, node->n, sizeof(*node->children));
	if (!firsts || !node->children)
		return false;
	for (unsigned i = 0; n > 0; i++) {
		size_t end = group_end(keys, n, to);

		firsts[i] = (uint8_t)keys[0].word.p[to];
		if (!node_build(&node->children[i], arena, keys, end, to))
			return false;
		keys += end;
		n -= end;
	}
	return true;
}

int radix_build(struct radix *r, struct arena *arena, struct radix_key *keys, size_t n)
{
	struct radix_node *root, *below;

	r->root = NULL;
	if (n == 0)
		return 0;
	qsort(keys, n, sizeof(*keys), by_word);
	/* An empty root, above the label that all words may share. */
	root = arena_alloc(arena, 1, sizeof(*root));
	below = arena_alloc(arena, 1, sizeof(*below));
	if (!root || !below || !node_build(below, arena, keys, n, 0))
		return -ENOMEM;
	if (below->label.len == 0) {
		r->root = below;
		return 0;
	}
	root->firsts = (const uint8_t *)below->label.p;
	root->children = below;
	root->n = 1;
	r->root = root;
	return 0;
}

static const struct radix_node *child_of(const struct radix_node *node, uint8_t first)
{
	unsigned low = 0, high = node->n;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (node->firsts[mid] == first)
			return &node->children[mid];
		if (node->firsts[mid] < first)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

const void *radix_next(struct radix_walk *w)
{
	while (w->node) {
		const struct radix_node *node = w->node;

		if (!w->within) {
			w->within = true;
			if (node->prefix)
				return node->prefix;
		}
		w->within = false;
		w->node = NULL;
		if (w->rest.len == 0)
			return node->exact;
		node = child_of(node, (uint8_t)w->rest.p[0]);
		if (!node || w->rest.len < node->label.len ||
		    memcmp(w->rest.p, node->label.p, node->label.len) != 0)
			return NULL;
		w->rest.p += node->label.len;
		w->rest.len -= node->label.len;
		w->node = node;
	}
	return NULL;
}
