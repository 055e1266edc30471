/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The sieve: a set of addresses of one family that is built once, asked by every packet and
 * replaced as a whole. It is an array of lines of 64 bytes, and made to be small: what a
 * question costs is the lines that it takes from far away, and small is near.
 *
 * IPv4: which networks of 65536 addresses (/16) hold anything, and there, what.
 *
 *   roots (4 a line)    64 networks: some:64, base:32     a bit of `some` is clear: nothing of
 *                       that network is in it; else its line is base + the bits set below
 *   a network's line    LIST: the up to 28 low halves of addresses that are in it, in ways
 *                       0-6; those left over repeat the first
 *                       or 8 groups of 32 networks of 256 (/24): some:32 | base:30 | how:2
 *                         WHOLE   all of those whose bit is set
 *                         LEAVES  a leaf for each, from number base on
 *                         BITS    a map of bits for each, from number base on
 *   leaves (16 a line)  first:8 | last:8 << 8     the only range of the network, or
 *                       BITS << 30 | n            see the n-th map of bits
 *   maps (2 a line)     a bit for each of 256 addresses
 *
 * Lines, leaves and maps are numbered from the array's start, so there is no header.
 *
 * IPv6: a hash table of prefixes, and which lengths to ask it for. The prefixes must not be
 * nested. Then lengths can be searched by halves (Waldvogel, Varghese, Turner, Plattner 1997)
 * without ever coming back: what is found at a length is a prefix of the set, or a marker
 * left there on the way to longer ones, and nothing shorter can hold the address then.
 *
 *   nodes (2 a line)    the search tree of lengths; node 0 is its root
 *   buckets             11 ways of print:45 << 1 | listed:1, one after the other; 0 = free.
 *                       MORE in the last bit: the bucket ran over into the next line
 *
 * The table holds no prefixes but 45-bit prints of them, keyed by salts of each building, and
 * the place in the table is another hash. That an address is taken for one that it is not has
 * a probability of 2^-42 for each length asked for.
 *
 * The gate has it in maps of SLUICE_SIEVE_CHUNK lines, all of one size so that it needs no
 * call to read them.
 */
#ifndef SLUICE_SIEVE_H
#define SLUICE_SIEVE_H

#include <linux/types.h>

#define SLUICE_SIEVE_CHUNK  16384 /* lines: 1 MB */
#define SLUICE_SIEVE_CHUNKS 1024  /* of all sieves; more: refused */

#define SLUICE_SIEVE_ROOTS  256 /* lines */
#define SLUICE_SIEVE_LISTS  28  /* addresses */
enum {                          /* how a group's networks are told */
       SLUICE_SIEVE_LEAVES,
       SLUICE_SIEVE_BITS,
       SLUICE_SIEVE_WHOLE,
       SLUICE_SIEVE_LIST, /* in the last group: it is no group at all */
};
#define SLUICE_SIEVE_HOW   30 /* shift within a base or a leaf */
#define SLUICE_SIEVE_BASE  ((1U << SLUICE_SIEVE_HOW) - 1)

#define SLUICE_SIEVE_NODES 128 /* 129 lengths, but ::/0 is never together with others */
#define SLUICE_SIEVE_DEPTH 8   /* of the tree of lengths: 255 fit */
#define SLUICE_SIEVE_CHAIN 4   /* lines that a bucket may run over into, with its own */
#define SLUICE_SIEVE_WAYS  11
#define SLUICE_SIEVE_WAY   46 /* bits */
#define SLUICE_SIEVE_MORE  (1ULL << 63)

struct sluice_sieve_root {
	__u64 some;
	__u32 base;
	__u32 pad;
};

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
	__u64 word[8];
	struct sluice_sieve_root root[4];
	__u64 group[8];
	__u16 list[SLUICE_SIEVE_LISTS];
	__u32 leaf[16];
	__u32 bits[16];
	struct sluice_sieve_node node[2];
};

_Static_assert(sizeof(union sluice_sieve_line) == 64, "a cache line");
_Static_assert(SLUICE_SIEVE_WAYS *SLUICE_SIEVE_WAY < 8 * 64 - 1, "MORE is apart");

#endif
