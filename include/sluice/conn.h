/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The connection table: which backend a flow was given. A bucket is one cache line of four
 * ways, a flow has two buckets that it may be in, and an entry holds no flow but a keyed
 * 64-bit fingerprint of one: so a lookup reads one line, two on a miss, and writes nothing.
 *
 *   check  fingerprint ^ fold(word)      an entry torn by two writers at once fits nobody
 *   word   generation:32 | backend:16 | stamp:16      0 = empty
 *
 * What the fold covers leaves the stamp out, so that it can be renewed by one store. Who the
 * flows are is in the map conn_keys at the same place, for people: the gate writes it with
 * an entry and never reads it.
 */
#ifndef SLUICE_CONN_H
#define SLUICE_CONN_H

#include "sluice/abi.h"

#define SLUICE_CONN_STAMP 0xffffULL

static inline __attribute__((always_inline)) __u64 sluice_conn_mix(__u64 h, __u64 word)
{
	h = (h ^ word) * 0x9fb21c651e98df25ULL; /* Pelle Evensen's constant for this step */
	return h ^ (h >> 32);
}

/* Never 0. The seed is this host's secret, so that nobody can aim at an entry. */
static inline __attribute__((always_inline)) __u64 sluice_conn_hash(const struct sluice_flow *f,
								    __u64 seed)
{
	__u64 h = seed;

	h = sluice_conn_mix(h, (__u64)f->src.w[0] << 32 | f->src.w[1]);
	h = sluice_conn_mix(h, (__u64)f->src.w[2] << 32 | f->src.w[3]);
	h = sluice_conn_mix(h, (__u64)f->dst.w[0] << 32 | f->dst.w[1]);
	h = sluice_conn_mix(h, (__u64)f->dst.w[2] << 32 | f->dst.w[3]);
	h = sluice_conn_mix(h, (__u64)f->proto << 32 | (__u32)f->sport << 16 | f->dport);
	h = sluice_conn_mix(h, seed >> 32);
	return h ? h : 1;
}

/* The first bucket and the second; buckets is a power of two. */
static inline __attribute__((always_inline)) __u32 sluice_conn_bucket(__u64 hash, int second,
								      __u32 buckets)
{
	return (__u32)(second ? hash >> 32 : hash) & (buckets - 1);
}

static inline __attribute__((always_inline)) __u64 sluice_conn_word(__u32 backend, __u32 generation,
								    __u16 stamp)
{
	return (__u64)generation << 32 | (__u64)backend << 16 | stamp;
}

static inline __attribute__((always_inline)) __u32 sluice_conn_backend(__u64 word)
{
	return (__u32)(word >> 16) & 0xffff;
}

static inline __attribute__((always_inline)) __u32 sluice_conn_generation(__u64 word)
{
	return (__u32)(word >> 32);
}

static inline __attribute__((always_inline)) __u64 sluice_conn_fold(__u64 word)
{
	return (word & ~SLUICE_CONN_STAMP) * 0x9e3779b97f4a7c15ULL;
}

/* The fingerprint of the flow that an entry is of; word is not 0. */
static inline __attribute__((always_inline)) __u64 sluice_conn_of(__u64 check, __u64 word)
{
	return check ^ sluice_conn_fold(word);
}

/* Buckets of a table that is made for so many flows: half of the ways stay free then, so that
 * next to no flow finds all eight of its places taken. */
static inline __u32 sluice_conn_buckets(__u32 flows)
{
	__u32 buckets = 16;

	while (buckets < flows / 2 && buckets < 1U << 30)
		buckets *= 2;
	return buckets;
}

#endif
