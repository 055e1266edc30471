// SPDX-License-Identifier: BSD-2-Clause
#include "l7/buf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct buf_free {
	struct buf_free *next;
};

static const struct {
	uint32_t size;
	unsigned spare; /* at most so many are kept */
} lists[BUF_SIZES] = {{BUF_SIZE, BUF_SPARE},
		      {BUF_HEAD, BUF_SPARE},
		      {BUF_NOTE, BUF_SPARE},
		      {BUF_BULK, BUF_SPARE / 16}};

/* Which free list holds memory of this size: -1 = none. */
static int list_of(uint32_t size)
{
	for (int i = 0; i < BUF_SIZES; i++)
		if (lists[i].size == size)
			return i;
	return -1;
}

static char *memory_take(struct buf_pool *pool, uint32_t size)
{
	int list = list_of(size);
	struct buf_free *f = list >= 0 ? pool->free[list] : NULL;

	if (f) {
		pool->free[list] = f->next;
		pool->n_free[list]--;
	} else {
		f = malloc(size);
	}
	if (f && size > BUF_SIZE)
		pool->large += size;
	return (char *)f;
}

static void memory_give(struct buf_pool *pool, char *data, uint32_t size)
{
	int list = list_of(size);
	struct buf_free *f = (struct buf_free *)data;

	if (size > BUF_SIZE)
		pool->large -= size;
	if (list < 0 || pool->n_free[list] == lists[list].spare) {
		free(data);
		return;
	}
	f->next = pool->free[list];
	pool->free[list] = f;
	pool->n_free[list]++;
}

bool buf_reserve(struct buf_pool *pool, struct buf *b, uint32_t size)
{
	uint32_t len = buf_len(b);
	char *data;

	if (b->size >= size) {
		if (b->start) {
			memmove(b->data, b->data + b->start, len);
			b->start = 0;
			b->end = len;
		}
		return true;
	}
	if (size > BUF_NOTE && size < BUF_SIZE)
		size = size <= BUF_HEAD ? BUF_HEAD : BUF_SIZE;
	data = memory_take(pool, size);
	if (!data)
		return false;
	if (b->data) {
		memcpy(data, b->data + b->start, len);
		memory_give(pool, b->data, b->size);
	}
	*b = (struct buf){.data = data, .size = size, .end = len};
	return true;
}

bool buf_grow(struct buf_pool *pool, struct buf *b, uint32_t size)
{
	if (size <= b->size || size <= BUF_SIZE)
		return buf_reserve(pool, b, size);
	if (size < 2 * b->size)
		size = 2 * b->size;
	return pool->large + size <= pool->large_most && buf_reserve(pool, b, size);
}

bool buf_bulk(struct buf_pool *pool, struct buf *b)
{
	if (b->size >= BUF_BULK)
		return true;
	return buf_reserve(pool, b,
			   pool->large + BUF_BULK <= pool->large_most / 2 ? BUF_BULK : BUF_SIZE);
}

void buf_shrink(struct buf_pool *pool, struct buf *b)
{
	struct buf small = {0};
	uint32_t len = buf_len(b);

	if (b->size <= BUF_NOTE || len > BUF_NOTE || !buf_reserve(pool, &small, BUF_NOTE))
		return;
	memcpy(small.data, b->data + b->start, len);
	small.end = len;
	buf_release(pool, b);
	*b = small;
}

void buf_consume(struct buf *b, uint32_t n)
{
	assert(n <= buf_len(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void buf_release(struct buf_pool *pool, struct buf *b)
{
	if (b->data)
		memory_give(pool, b->data, b->size);
	*b = (struct buf){0};
}

void buf_pool_fini(struct buf_pool *pool)
{
	for (int i = 0; i < BUF_SIZES; i++) {
		while (pool->free[i]) {
			struct buf_free *f = pool->free[i];

			pool->free[i] = f->next;
			free(f);
		}
		pool->n_free[i] = 0;
	}
}
