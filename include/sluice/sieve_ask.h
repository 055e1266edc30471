/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Is an address in a sieve? The gate and userspace ask with the same lines. */
#ifndef SLUICE_SIEVE_ASK_H
#define SLUICE_SIEVE_ASK_H

#include "sluice/sieve.h"

/* Whoever includes this says how a line is read. NULL: there is none. */
static inline __attribute__((always_inline)) const union sluice_sieve_line *
sluice_sieve_line(void *sieve, __u32 number);

static inline __attribute__((always_inline)) __u32 sluice_sieve_count(__u32 x)
{
	x -= x >> 1 & 0x55555555;
	x = (x & 0x33333333) + (x >> 2 & 0x33333333);
	return ((x + (x >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24;
}

static inline __attribute__((always_inline)) int sluice_sieve_bit(void *sieve, __u32 map,
								  __u32 addr)
{
	const union sluice_sieve_line *line = sluice_sieve_line(sieve, map >> 1);
	__u32 word = (map & 1) << 3 | (addr >> 5 & 7);

	/* Verifiers up to Linux 6.1 at least lose the bounds of a 32-bit `or`, so that the word's
	 * number is bounded once more, where the compiler cannot see that it is. */
	__asm__ volatile("" : "+r"(word));
	return line && line->bits[word & 15] >> (addr & 31) & 1;
}

/* The address as a number. */
static inline __attribute__((always_inline)) int sluice_sieve_has4(void *sieve, __u32 addr)
{
	const union sluice_sieve_line *line = sluice_sieve_line(sieve, addr >> 16);
	__u32 some, base, net = addr >> 8 & 31, leaf;
	__u64 group;

	if (!line)
		return 0;
	group = line->group[addr >> 13 & 7];
	some = (__u32)group;
	base = (__u32)(group >> 32);
	if (!(some >> net & 1))
		return 0;
	if (base & SLUICE_SIEVE_WHOLE)
		return 1;
	base += sluice_sieve_count(some & ((1U << net) - 1));
	line = sluice_sieve_line(sieve, base >> 4);
	if (!line)
		return 0;
	leaf = line->leaf[base & 15];
	if (leaf & SLUICE_SIEVE_BITS)
		return sluice_sieve_bit(sieve, leaf & ~SLUICE_SIEVE_BITS, addr);
	addr &= 255;
	return addr >= (leaf & 255) && addr <= leaf >> 8;
}

struct sluice_sieve_place {
	__u64 print;
	__u32 line;
};

/* Where the prefix of that length is, if it is in the table; words of the address as they lie
 * in memory. Two hashes of 64 bits each: the place says nothing about the print. */
static inline __attribute__((always_inline)) struct sluice_sieve_place
sluice_sieve_place(const struct sluice_sieve_node *n, __u64 first, __u64 second)
{
	__u64 a = (first & n->mask[0]) ^ n->salt, b = second & n->mask[1];
	__u64 print = a * 0x9fb21c651e98df25ULL, at = (b ^ n->salt) * 0xc2b2ae3d27d4eb4fULL;

	print = ((print ^ print >> 32) + b) * 0x9e3779b97f4a7c15ULL;
	at = ((at ^ at >> 32) + a) * 0xd6e8feb86659fd93ULL;
	return (struct sluice_sieve_place){
		.print = (print ^ print >> 32) & SLUICE_SIEVE_PRINT,
		.line = SLUICE_SIEVE_NODES / 2 + (__u32)((at >> 32) * n->buckets >> 32),
	};
}

/* The entry's kind, 0 for none. */
static inline __attribute__((always_inline)) __u32
sluice_sieve_probe(void *sieve, const struct sluice_sieve_place *place)
{
	for (__u32 i = 0; i < SLUICE_SIEVE_CHAIN; i++) {
		const union sluice_sieve_line *line = sluice_sieve_line(sieve, place->line + i);

		if (!line)
			return 0;
		for (int way = 0; way < SLUICE_SIEVE_WAYS; way++) {
			__u64 rest = line->way[way] ^ place->print;

			if (rest <= ~SLUICE_SIEVE_PRINT)
				return (__u32)rest & ~(__u32)SLUICE_SIEVE_MORE;
		}
		if (!(line->way[0] & SLUICE_SIEVE_MORE))
			return 0;
	}
	return 0;
}

static inline __attribute__((always_inline)) int sluice_sieve_has6(void *sieve, __u64 first,
								   __u64 second)
{
	__u32 at = 0;

	for (int i = 0; i < SLUICE_SIEVE_DEPTH; i++) {
		const union sluice_sieve_line *line = sluice_sieve_line(sieve, at >> 1);
		const struct sluice_sieve_node *n;
		struct sluice_sieve_place place;
		__u32 kind;

		if (!line)
			return 0;
		n = &line->node[at & 1];
		place = sluice_sieve_place(n, first, second);
		kind = sluice_sieve_probe(sieve, &place);
		if (kind & SLUICE_SIEVE_LISTED)
			return 1;
		at = kind & SLUICE_SIEVE_MARKER ? n->longer : n->shorter;
		if (!at)
			return 0;
	}
	return 0;
}

#endif
