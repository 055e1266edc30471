/* SPDX-License-Identifier: BSD-2-Clause */
/* Cut points that follow from the input: the same for the same bytes, so that a crash can be
 * had again, and the input itself stays what a client would send. */
#ifndef FUZZ_CUTS_H
#define FUZZ_CUTS_H

#include <stddef.h>
#include <stdint.h>

struct cuts {
	uint64_t state;
};

static inline void cuts_init(struct cuts *c, const unsigned char *data, size_t len)
{
	c->state = 0xcbf29ce484222325; /* FNV-1a */
	for (size_t i = 0; i < len; i++)
		c->state = (c->state ^ data[i]) * 0x100000001b3;
	c->state |= 1;
}

/* 0..below-1. */
static inline size_t cuts_number(struct cuts *c, size_t below)
{
	c->state ^= c->state >> 12; /* xorshift64* */
	c->state ^= c->state << 25;
	c->state ^= c->state >> 27;
	return (size_t)((c->state * 0x2545f4914f6cdd1d >> 33) % below);
}

/* How many of the `left` bytes (not 0) come next: often one, at times all. */
static inline size_t cuts_next(struct cuts *c, size_t left)
{
	switch (cuts_number(c, 4)) {
	case 0:
		return 1;
	case 1:
		return 1 + cuts_number(c, left);
	default:
		return 1 + cuts_number(c, left < 16 ? left : 16);
	}
}

#endif
