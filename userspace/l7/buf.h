/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffers, from a pool of one thread: taken when bytes arrive, given back when they are
 * gone, so that an idle connection owns none. A buffer is one run of bytes between start
 * and end; what is read goes into BUF_SIZE, what waits takes no more than it needs, and a larger
 * one is made for a head that needs it. The one that was given back last is taken first: its
 * bytes are in the CPU's cache still.
 */
#ifndef L7_BUF_H
#define L7_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUF_SIZE  16384
#define BUF_BULK  262144 /* for what is read of a long body */
#define BUF_HEAD  4096   /* for a request's head, which waits until there is an answer */
#define BUF_NOTE  1024   /* likewise, and for its line in the access log */
#define BUF_SIZES 4
#define BUF_SPARE 256 /* free buffers of each size that a thread keeps; more go to the heap */

struct buf {
	char *data; /* NULL = owns no memory */
	uint32_t size;
	uint32_t start, end;
};

struct buf_pool {
	struct buf_free *free[BUF_SIZES]; /* BUF_SIZE, BUF_HEAD, BUF_NOTE, BUF_BULK */
	unsigned n_free[BUF_SIZES];
	uint64_t large;      /* bytes of buffers beyond BUF_SIZE that are in use */
	uint64_t large_most; /* of them, for bodies that wait for a slow side; see buf_grow */
};

static inline uint32_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

static inline char *buf_at(const struct buf *b)
{
	return b->data + b->start;
}

static inline uint32_t buf_room(const struct buf *b)
{
	return b->size - b->end;
}

/* Makes b own memory of at least size bytes in all, keeping its bytes, moved to the front.
 * False when the heap is exhausted; b is as it was. */
bool buf_reserve(struct buf_pool *pool, struct buf *b, uint32_t size);

/* The same for a body that waits, in steps that double; false also when such bodies have taken
 * what they may. */
bool buf_grow(struct buf_pool *pool, struct buf *b, uint32_t size);

/* Memory of BUF_BULK for an empty b, or of BUF_SIZE when bodies that wait need the rest of what
 * they may take. */
bool buf_bulk(struct buf_pool *pool, struct buf *b);

/* Few bytes that will wait for long move to a small buffer, if they fit one. */
void buf_shrink(struct buf_pool *pool, struct buf *b);

/* Takes n bytes off the front; an empty buffer starts over, and keeps its memory. */
void buf_consume(struct buf *b, uint32_t n);

/* Gives the memory back; fine when there is none. */
void buf_release(struct buf_pool *pool, struct buf *b);

void buf_pool_fini(struct buf_pool *pool);

#endif
