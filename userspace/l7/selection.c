// SPDX-License-Identifier: BSD-2-Clause
#include "l7/selection.h"

#include <stdlib.h>
#include <sys/random.h>

#include "l7/content.h"

static bool parts_keep(struct selection *s, const struct range *ranges, unsigned n)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char random[CACHE_BOUNDARY / 2];

	s->n = n;
	s->one = ranges[0];
	if (n == 1)
		return true;
	s->parts = malloc(n * sizeof(*ranges));
	if (!s->parts || getrandom(random, sizeof(random), 0) != sizeof(random))
		return false;
	memcpy(s->parts, ranges, n * sizeof(*ranges));
	for (unsigned i = 0; i < CACHE_BOUNDARY; i++)
		s->boundary[i] = digits[(i % 2 ? random[i / 2] : random[i / 2] >> 4) & 15];
	return true;
}

/* The parts that are asked for. */
static bool parts_choose(struct selection *s, const struct http1_head *request,
			 const struct validators *v, uint64_t size)
{
	const struct http1_field *range = http1_find(request, HTTP1_F_RANGE);
	struct range ranges[RANGE_MOST];
	unsigned n;

	if (!range || request->method != HTTP1_M_GET || size == CONTENT_UNKNOWN ||
	    !validate_range_counts(request, v))
		return true;
	switch (range_parse(range->value, size, ranges, &n)) {
	case RANGE_NONE:
		s->kind = CACHE_UNSATISFIED;
		return true;
	case RANGE_SOME:
		s->kind = n == 1 ? CACHE_PART : CACHE_PARTS;
		return parts_keep(s, ranges, n);
	default:
		return true;
	}
}

bool selection_choose(struct selection *s, const struct http1_head *request,
		      const struct validators *v, uint64_t size, int64_t now)
{
	*s = (struct selection){.kind = CACHE_WHOLE};
	if (!validate_unmodified(request, v, now))
		return parts_choose(s, request, v, size);
	s->kind = CACHE_UNMODIFIED;
	return true;
}

void selection_fini(struct selection *s)
{
	free(s->parts);
	*s = (struct selection){.kind = CACHE_WHOLE};
}

struct range selection_range(const struct selection *s)
{
	return s->parts ? s->parts[s->at] : s->one;
}

size_t selection_part(const struct selection *s, char *out, size_t room, struct span kept,
		      uint64_t size)
{
	if (s->at == s->n)
		return cache_head_parts_end(out, room, s->boundary);
	return cache_head_part(out, room, kept, s->boundary, s->parts[s->at], size, s->at == 0);
}

uint64_t selection_length(const struct selection *s, struct span kept, uint64_t size)
{
	struct selection each = *s;
	char text[SELECTION_PART];
	uint64_t length = 0;

	for (each.at = 0; each.at < each.n; each.at++) {
		struct range r = selection_range(&each);

		length += selection_part(&each, text, sizeof(text), kept, size) + r.last - r.first +
			  1;
	}
	return length + selection_part(&each, text, sizeof(text), kept, size);
}
