// SPDX-License-Identifier: BSD-2-Clause
#include "base/arena.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN ((size_t)16)

struct arena_block {
	struct arena_block *older;
	size_t size, used; /* of data */
	_Alignas(16) char data[];
};

void arena_init(struct arena *a, size_t block_size, size_t limit)
{
	*a = (struct arena){.block_size = block_size, .limit = limit};
}

void arena_fini(struct arena *a)
{
	while (a->block) {
		struct arena_block *older = a->block->older;

		free(a->block);
		a->block = older;
	}
	a->used = 0;
}

void arena_reset(struct arena *a)
{
	if (!a->block)
		return;
	while (a->block->older) {
		struct arena_block *older = a->block->older;

		a->used -= sizeof(*a->block) + a->block->size;
		free(a->block);
		a->block = older;
	}
	memset(a->block->data, 0, a->block->used);
	a->block->used = 0;
}

static struct arena_block *block_new(struct arena *a, size_t need)
{
	size_t size = need > a->block_size ? need : a->block_size;
	struct arena_block *b;

	if (size > SIZE_MAX - sizeof(*b) ||
	    (a->limit && (a->used > a->limit || sizeof(*b) + size > a->limit - a->used))) {
		errno = ENOMEM;
		return NULL;
	}
	b = calloc(1, sizeof(*b) + size);
	if (!b)
		return NULL;
	b->size = size;
	b->older = a->block;
	a->block = b;
	a->used += sizeof(*b) + size;
	return b;
}

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
	struct arena_block *b = a->block;
	size_t need;
	void *p;

	if (__builtin_mul_overflow(count, size, &need) || need > SIZE_MAX - ALIGN) {
		errno = ENOMEM;
		return NULL;
	}
	/* Each allocation has an address of its own, also one of no bytes. */
	need = need ? (need + ALIGN - 1) & ~(ALIGN - 1) : ALIGN;
	if (!b || need > b->size - b->used) {
		b = block_new(a, need);
		if (!b)
			return NULL;
	}
	p = b->data + b->used;
	b->used += need;
	return p;
}

char *arena_strdup(struct arena *a, const char *text)
{
	size_t len = strlen(text) + 1;
	char *copy = arena_alloc(a, len, 1);

	if (copy)
		memcpy(copy, text, len);
	return copy;
}
