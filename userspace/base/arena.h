/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that lives and dies together: a snapshot of the configuration, one request.
 * Allocation is a pointer bump; there is no free of a part. Aligned to 16 bytes, zeroed.
 * Not safe across threads.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *block; /* newest first */
	size_t block_size;
	size_t used, limit; /* bytes taken from the heap, and the most that may be */
};

/* limit 0 = none. Takes no memory until the first allocation. */
void arena_init(struct arena *a, size_t block_size, size_t limit);
void arena_fini(struct arena *a);
/* Gives back all blocks but the first, which is used again. */
void arena_reset(struct arena *a);
/* NULL with ENOMEM when the heap or the limit ends; count * size is checked. */
void *arena_alloc(struct arena *a, size_t count, size_t size);
char *arena_strdup(struct arena *a, const char *text);

#endif
