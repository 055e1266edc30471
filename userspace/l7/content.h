/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bytes of a stored response, in segments: written once by one thread, and read where they
 * are by any number in any thread, also while the end is still to come. Nobody copies them on
 * the way out, and readers take no lock while there is something to read.
 *
 * A segment lives as long as somebody may come to it: the content (while it is whole, from its
 * beginning), the segment in front of it, or a reader that stands in it. When a content is let
 * go (content_slide), because it is too large to be kept, only the part between the slowest
 * reader and the writer stays, and the writer waits when that is CONTENT_WINDOW.
 *
 * Every byte of memory is counted in *used, from when it is taken to when it is given back.
 */
#ifndef L7_CONTENT_H
#define L7_CONTENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "l7/mailbox.h"

#define CONTENT_SEGMENT (256U << 10) /* bytes of a segment at most */
#define CONTENT_FIRST   4096U        /* of the first one, when the size is not known */
#define CONTENT_WINDOW  (1U << 20)
#define CONTENT_UNKNOWN UINT64_MAX

struct segment {
	atomic_uint refs;
	uint32_t size;
	atomic_uint used;
	_Atomic(struct segment *) next;
	char data[];
};

enum content_state {
	CONTENT_OPEN, /* there is more to come */
	CONTENT_WHOLE,
	CONTENT_BROKEN, /* no more will come, and it is not all */
};

struct content {
	atomic_uint refs;
	_Atomic(unsigned char) state; /* enum content_state */
	bool sliding;                 /* its beginning is gone; under the lock */
	struct segment *first;        /* under the lock, until it is whole */
	struct segment *last;         /* the writer's */
	uint64_t size;                /* in all, or CONTENT_UNKNOWN while it is open */
	uint64_t added;               /* so far; the writer's */
	atomic_ullong *used;          /* where memory is counted */
	struct content_open *open;    /* what only one that is written needs; else NULL */
};

/* Lives as long as the writer and the readers that came before the end. */
struct content_open {
	atomic_uint refs;
	pthread_mutex_t lock;
	struct sleepers waiting;
	atomic_uint n_waiting;
	struct sleeper *writer; /* waits for readers */
	unsigned unstarted;     /* readers that are in front of the first segment */
	atomic_ullong live;     /* bytes in segments */
	atomic_uint readers;
};

/* NULL when memory is exhausted. size: CONTENT_UNKNOWN, or how much is to come. */
struct content *content_new(uint64_t size, atomic_ullong *used);
struct content *content_ref(struct content *c);
void content_unref(struct content *c); /* NULL is fine */

/* ---- the writer ----------------------------------------------------------------------- */

/* Adds bytes; false when memory is exhausted. */
bool content_add(struct content *c, struct span bytes);
/* No more will come. */
void content_end(struct content *c, enum content_state state);
/* A content of the same segments that is whole from its beginning, for keeping. NULL when memory
 * is exhausted. */
struct content *content_settle(const struct content *c);
/* The beginning is not kept any longer. False: not yet, since somebody stands in front of it; w is
 * woken to try again. */
bool content_slide(struct content *c, struct sleeper *w);
/* After content_slide: may the writer go on? If not, it is woken when it may, or when the last
 * reader went away, which *alone tells. */
bool content_may_add(struct content *c, struct sleeper *w, bool *alone);
/* The writer is gone, or waits no longer. */
void content_writer_leaves(struct content *c, struct sleeper *w);

/* ---- readers -------------------------------------------------------------------------- */

struct reader {
	struct content *content; /* a reference; NULL: reads nothing */
	struct content_open *open;
	struct segment *at; /* a reference; NULL: before the first */
	uint32_t offset;    /* in it */
};

/* From the beginning; false when that is gone. */
bool reader_open(struct reader *r, struct content *c);
void reader_close(struct reader *r, struct sleeper *w);
/* The next bytes, at most `most`, which stay where they are until reader_skip passes them. Empty
 * when there are none now: *state tells whether to wait. */
struct span reader_peek(struct reader *r, size_t most, enum content_state *state);
/* Passes n bytes, which are there. */
void reader_skip(struct reader *r, uint64_t n);
/* w is woken when there is more, or the end. False: there is already. */
bool reader_wait(struct reader *r, struct sleeper *w);

#endif
