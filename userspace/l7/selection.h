/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which part of something an answer has: all of it, one range, several, or none, because the
 * client has it already or asks for what is not there (RFC 9110 sections 13 and 14). The same for
 * what a cache keeps and for files. Memory: several ranges are on the heap.
 */
#ifndef L7_SELECTION_H
#define L7_SELECTION_H

#include "l7/cache_head.h"

#define SELECTION_PART 1024 /* bytes of what stands around a part at most */

struct selection {
	enum cache_answer_kind kind;
	struct range one, *parts; /* parts: more than one, on the heap */
	unsigned n, at;           /* at: the part that is being sent; n = behind the last one */
	char boundary[CACHE_BOUNDARY + 1];
};

/* For a request of something of size bytes, or CONTENT_UNKNOWN of them. False: memory is
 * exhausted. */
bool selection_choose(struct selection *s, const struct http1_head *request,
		      const struct validators *v, uint64_t size, int64_t now);
void selection_fini(struct selection *s);

/* The bytes that are to be sent now; not of CACHE_WHOLE. */
struct range selection_range(const struct selection *s);
/* What stands in front of the part at which it is, or behind the last one. kept: fields of the
 * whole, of which Content-Type goes with each part. Length, or 0 when it does not fit. */
size_t selection_part(const struct selection *s, char *out, size_t room, struct span kept,
		      uint64_t size);
/* All parts, with what stands around them. */
uint64_t selection_length(const struct selection *s, struct span kept, uint64_t size);

/* Has the answer a body, but for HEAD? */
static inline bool selection_has_content(const struct selection *s)
{
	return s->kind != CACHE_UNMODIFIED && s->kind != CACHE_UNSATISFIED;
}

/* whole: of the answer that has all. */
static inline unsigned selection_status(const struct selection *s, unsigned whole)
{
	return s->kind == CACHE_WHOLE         ? whole
	       : s->kind == CACHE_UNMODIFIED  ? 304
	       : s->kind == CACHE_UNSATISFIED ? 416
					      : 206;
}

#endif
