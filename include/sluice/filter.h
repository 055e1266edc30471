/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Filters over addresses and ports: a clear bit says for sure that there is no such VIP, and
 * spares the packet a map lookup; a set one says nothing. They live in each CPU's element of
 * `counters`, which every packet looks up anyway.
 */
#ifndef SLUICE_FILTER_H
#define SLUICE_FILTER_H

#include "sluice/abi.h"

/* Port 0: of the address alone, or of every port. */
static inline __attribute__((always_inline)) __u32 sluice_filter_bit(const struct sluice_addr *a,
								     __u32 port_be)
{
	__u32 h = a->w[0] * 0x85ebca6bU + a->w[1];

	h = (h ^ (h >> 15)) * 0xc2b2ae35U + a->w[2];
	h = (h ^ (h >> 13)) * 0x9e3779b1U + a->w[3];
	h = (h ^ (h >> 15)) * 0x85ebca6bU + port_be;
	h = (h ^ (h >> 13)) * 0xc2b2ae35U;
	return h >> 18; /* 64 * SLUICE_FILTER_WORDS bits */
}

static inline __attribute__((always_inline)) int sluice_filter_has(const __u64 *filter, __u32 bit)
{
	return filter[(bit >> 6) & (SLUICE_FILTER_WORDS - 1)] >> (bit & 63) & 1;
}

_Static_assert(SLUICE_FILTER_WORDS == 1 << (14 - 6), "bits of the hash");

#endif
