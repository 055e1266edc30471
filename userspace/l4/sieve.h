/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sieve (sluice/sieve.h) made of a feed, in memory; asked by the gate's own lines. Pure.
 *
 * Size: IPv4 64 bytes for each network of 65536 addresses that holds any; where those are more
 * than 28, 4 bytes for each network of 256 that is neither in it nor out of it as a whole, 32
 * more if it holds several ranges. IPv6 8 bytes a prefix, and as much for each marker.
 */
#ifndef L4_SIEVE_H
#define L4_SIEVE_H

#include "l4/feed.h"
#include "sluice/sieve.h"

struct sieve {
	union sluice_sieve_line *lines; /* owned */
	size_t n;                       /* 0: nothing is in it */
	bool v6;
};

/* The feed must be merged. 0 or -errno; then *out is empty. */
int sieve_build(struct sieve *out, const struct feed *f, bool v6, struct err *e);

bool sieve_has(const struct sieve *s, const struct sluice_addr *addr);

void sieve_fini(struct sieve *s);

#endif
