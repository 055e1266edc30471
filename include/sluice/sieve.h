/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The sieve: a set of addresses of one family that is built once, asked by every packet and
 * replaced as a whole. It is an array of lines of 64 bytes, so that what a question costs can
 * be counted in cache lines: one for most addresses that are not in it, two or three for one
 * that is, however many prefixes it was made of.
 *
 * IPv4: which of the 2^24 networks of 256 addresses hold anything, and there, what.
 *
 *   line a.b (65536)    8 groups of 32 networks:  some:32 | base:32 << 32
 *                       a bit of `some` is clear: nothing of that network is in it
 *                       base has WHOLE: all of each network whose bit is set
 *                       else: `base` is the leaf of the first of them, the others follow
 *   leaves (16 a line)  first:8 | last:8 << 8     the only range of the network, or
 *                       BITS | n                  see the n-th map of bits
 *   bits (2 a line)     one for each address of the network
 *
 * Leaves and maps are numbered from the array's start, so there is no header.
 *
 * IPv6: a hash table of prefixes, and which lengths to ask it for. The prefixes must not be
 * nested. Then lengths can be searched by halves (Waldvogel, Varghese, Turner, Plattner 1997)
 * without ever coming back: what is found at a length is a prefix of the set, or a marker
 * left there on the way to longer ones, and nothing shorter can hold the address then.
 *
 *   nodes (2 a line)    the search tree of lengths; node 0 is its root
 *   buckets (8 ways)    print:61 | more:1 | kind:2; 0 = free. `more`, in way 0: the bucket ran
 *                       over into the next line
 *
 * The table holds no prefixes but 61-bit prints of them, keyed by salts of each building; the
 * place in the table is another hash. An address is taken for one that it is not with a
 * probability of 2^-58 for each length asked for.
 */
#ifndef SLUICE_SIEVE_H
#define SLUICE_SIEVE_H

#include <linux/types.h>

#define SLUICE_SIEVE_ROOTS 65536 /* lines of networks of a sieve of IPv4 */
#define SLUICE_SIEVE_NODES 128   /* 129 lengths, but ::/0 is never together with others */
#define SLUICE_SIEVE_DEPTH 8     /* of the tree of lengths: 255 fit */
#define SLUICE_SIEVE_CHAIN 8     /* lines that a bucket may run over into, with its own */
#define SLUICE_SIEVE_WAYS  8
#define SLUICE_SIEVE_WHOLE (1U << 31)
#define SLUICE_SIEVE_BITS  (1U << 31)

enum { /* kind of an entry */
       SLUICE_SIEVE_MARKER = 1,
       SLUICE_SIEVE_LISTED = 2,
       SLUICE_SIEVE_MORE = 4, /* not a kind: the flag beside it */
};
#define SLUICE_SIEVE_PRINT (~7ULL)

/* One length. 0 as a child: none, since the root is nobody's. */
struct sluice_sieve_node {
	__u64 mask[2]; /* as the address lies in memory */
	__u64 salt;
	__u32 buckets;
	__u8 shorter, longer;
	__u8 prefixlen;
	__u8 pad;
};

union sluice_sieve_line {
	__u64 group[8];
	__u32 leaf[16];
	__u32 bits[16];
	struct sluice_sieve_node node[2];
	__u64 way[SLUICE_SIEVE_WAYS];
};

_Static_assert(sizeof(union sluice_sieve_line) == 64, "a cache line");

#endif
