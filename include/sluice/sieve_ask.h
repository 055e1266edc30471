/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Is an address in a sieve? The gate and userspace ask with the same lines. Whoever includes
 * this defines `sluice_sieve`, what a sieve is to it, before.
 */
#ifndef SLUICE_SIEVE_ASK_H
#define SLUICE_SIEVE_ASK_H

#include "sluice/sieve.h"

#define SLUICE_SIEVE_INLINE static inline __attribute__((always_inline))

/* NULL: there is no such line. */
SLUICE_SIEVE_INLINE const union sluice_sieve_line *sluice_sieve_line(sluice_sieve sieve,
								     __u32 number);

/* An index within a line. It is cut to size here and not before the line was looked up: Linux
 * 5.10 forgets what it knew of a number that was put on the stack meanwhile ("math between
 * map_value pointer and register with unbounded min value"). */
SLUICE_SIEVE_INLINE __u64 sluice_sieve_index(__u64 i, __u64 mask)
{
	__asm__ volatile("" : "+r"(i));
	return i & mask;
}

/* Bits that are set. */
SLUICE_SIEVE_INLINE __u32 sluice_sieve_count(__u64 x)
{
	x -= x >> 1 & 0x5555555555555555ULL;
	x = (x & 0x3333333333333333ULL) + (x >> 2 & 0x3333333333333333ULL);
	return ((x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fULL) * 0x0101010101010101ULL >> 56;
}

/* Is the address among those of a LIST? Four at a time: one is equal if a difference is 0, and
 * then only does subtracting 1 set a top bit that was clear. */
SLUICE_SIEVE_INLINE int sluice_sieve_lists(const union sluice_sieve_line *line, __u32 addr)
{
	const __u64 ones = 0x0001000100010001ULL;
	__u64 wanted = (addr & 0xffff) * ones, found = 0;

	for (int i = 0; i < SLUICE_SIEVE_LISTS / 4; i++) {
		__u64 difference = line->word[i] ^ wanted;

		found |= (difference - ones) & ~difference;
	}
	return (found & (ones << 15)) != 0;
}

SLUICE_SIEVE_INLINE int sluice_sieve_bit(sluice_sieve sieve, __u32 map, __u32 addr)
{
	const union sluice_sieve_line *line = sluice_sieve_line(sieve, map >> 1);
	__u32 word = (map & 1) << 3 | (addr >> 5 & 7);

	/* Verifiers up to Linux 6.1 at least lose the bounds of a 32-bit `or`, so that the word's
	 * number is bounded once more, where the compiler cannot see that it is. */
	__asm__ volatile("" : "+r"(word));
	return line && line->bits[word & 15] >> (addr & 31) & 1;
}

SLUICE_SIEVE_INLINE int sluice_sieve_leaf(sluice_sieve sieve, __u32 number, __u32 addr)
{
	const union sluice_sieve_line *line = sluice_sieve_line(sieve, number >> 4);
	__u32 leaf;

	if (!line)
		return 0;
	leaf = line->leaf[sluice_sieve_index(number, 15)];
	if (leaf >> SLUICE_SIEVE_HOW)
		return sluice_sieve_bit(sieve, leaf & SLUICE_SIEVE_BASE, addr);
	addr &= 255;
	return addr >= (leaf & 255) && addr <= leaf >> 8;
}

/* The address as a number. */
SLUICE_SIEVE_INLINE int sluice_sieve_has4(sluice_sieve sieve, __u32 addr)
{
	const union sluice_sieve_line *line = sluice_sieve_line(sieve, addr >> 24);
	const struct sluice_sieve_root *root;
	__u32 net = addr >> 16 & 63, base;
	__u64 some, group;

	if (!line)
		return 0;
	root = &line->root[sluice_sieve_index(addr >> 22, 3)];
	some = root->some;
	if (!(some >> net & 1))
		return 0;
	line = sluice_sieve_line(sieve,
				 root->base + sluice_sieve_count(some & ((1ULL << net) - 1)));
	if (!line)
		return 0;
	if (line->group[7] >> (32 + SLUICE_SIEVE_HOW) == SLUICE_SIEVE_LIST)
		return sluice_sieve_lists(line, addr);
	group = line->group[sluice_sieve_index(addr >> 13, 7)];
	net = addr >> 8 & 31;
	if (!(group >> net & 1))
		return 0;
	base = (__u32)(group >> 32);
	if (base >> SLUICE_SIEVE_HOW == SLUICE_SIEVE_WHOLE)
		return 1;
	net = (base & SLUICE_SIEVE_BASE) + sluice_sieve_count(group & ((1U << net) - 1));
	if (base >> SLUICE_SIEVE_HOW == SLUICE_SIEVE_BITS)
		return sluice_sieve_bit(sieve, net, addr);
	return sluice_sieve_leaf(sieve, net, addr);
}

struct sluice_sieve_place {
	__u64 print; /* << 1; not 0 */
	__u32 line;
};

/* Where the prefix of that length is, if it is in the table; words of the address as they lie
 * in memory. Two hashes of 64 bits each: the place says nothing about the print. */
SLUICE_SIEVE_INLINE struct sluice_sieve_place sluice_sieve_place(const struct sluice_sieve_node *n,
								 __u64 first, __u64 second)
{
	__u64 a = (first & n->mask[0]) ^ n->salt, b = second & n->mask[1];
	__u64 print = a * 0x9fb21c651e98df25ULL, at = (b ^ n->salt) * 0xc2b2ae3d27d4eb4fULL;

	print = ((print ^ print >> 32) + b) * 0x9e3779b97f4a7c15ULL;
	at = ((at ^ at >> 32) + a) * 0xd6e8feb86659fd93ULL;
	print = (print ^ print >> 32) & ((1ULL << SLUICE_SIEVE_WAY) - 2);
	return (struct sluice_sieve_place){
		.print = print ? print : 2,
		.line = SLUICE_SIEVE_NODES / 2 + (__u32)((at >> 32) * n->buckets >> 32),
	};
}

/* What a way of a bucket holds. */
SLUICE_SIEVE_INLINE __u64 sluice_sieve_way(const union sluice_sieve_line *line, int way)
{
	int bit = way * SLUICE_SIEVE_WAY, word = bit / 64, shift = bit % 64;
	__u64 bits = line->word[word] >> shift;

	if (shift > 64 - SLUICE_SIEVE_WAY)
		bits |= line->word[word + 1] << (64 - shift);
	return bits & ((1ULL << SLUICE_SIEVE_WAY) - 1);
}

/* 1: it is listed; 0: it marks longer ones; -1: it is not there. */
SLUICE_SIEVE_INLINE int sluice_sieve_probe(sluice_sieve sieve,
					   const struct sluice_sieve_place *place)
{
	for (__u32 i = 0; i < SLUICE_SIEVE_CHAIN; i++) {
		const union sluice_sieve_line *line = sluice_sieve_line(sieve, place->line + i);

		if (!line)
			return -1;
		for (int way = 0; way < SLUICE_SIEVE_WAYS; way++) {
			__u64 rest = sluice_sieve_way(line, way) ^ place->print;

			if (rest <= 1)
				return (int)rest;
		}
		if (!(line->word[7] & SLUICE_SIEVE_MORE))
			return -1;
	}
	return -1;
}

SLUICE_SIEVE_INLINE int sluice_sieve_has6(sluice_sieve sieve, __u64 first, __u64 second)
{
	__u32 at = 0;

	for (int i = 0; i < SLUICE_SIEVE_DEPTH; i++) {
		const union sluice_sieve_line *line = sluice_sieve_line(sieve, at >> 1);
		const struct sluice_sieve_node *n;
		struct sluice_sieve_place place;
		int found;

		if (!line)
			return 0;
		n = &line->node[sluice_sieve_index(at, 1)];
		place = sluice_sieve_place(n, first, second);
		found = sluice_sieve_probe(sieve, &place);
		if (found > 0)
			return 1;
		at = found == 0 ? n->longer : n->shorter;
		if (!at)
			return 0;
	}
	return 0;
}

#endif
