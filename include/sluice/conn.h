/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The connection table: which backend a flow was given. A bucket is one cache line of four
 * ways, a flow has three buckets that it may be in, and an entry holds no flow but a keyed
 * 64-bit fingerprint of one: so a lookup reads one line, or two in a table of very many flows,
 * three on a miss, and writes nothing.
 *
 *   check  fingerprint ^ fold(word)      an entry torn by two writers at once fits nobody
 *   word   generation:32 | closing:1 | udp:1 | opening:1 | backend:13 | stamp:16
 *
 * An empty way is 0, 0. What the fold covers leaves out the stamp, opening and closing, so that
 * they can be renewed by one store. Who the flows are is in the map conn_keys at the same place,
 * for people: the gate writes it with an entry and never reads it.
 */
#ifndef SLUICE_CONN_H
#define SLUICE_CONN_H

#include "sluice/abi.h"

#define SLUICE_CONN_STAMP   0xffffULL
#define SLUICE_CONN_OPENING (1ULL << 29) /* its client sent a SYN and nothing since */
#define SLUICE_CONN_UDP     (1ULL << 30)
#define SLUICE_CONN_CLOSING (1ULL << 31) /* its client sent FIN or RST, and no SYN since */
#define SLUICE_CONN_LOOSE   (SLUICE_CONN_STAMP | SLUICE_CONN_OPENING | SLUICE_CONN_CLOSING)

/* A flow that is closing or opening and was silent for so long has ended. */
#define SLUICE_CONN_LINGER_MS 10000

/* Stamps so close behind are ahead of now: of another CPU, which saw the tick first. */
#define SLUICE_CONN_AHEAD 0x10

static inline __attribute__((always_inline)) __u64 sluice_conn_mix(__u64 h, __u64 word)
{
	h = (h ^ word) * 0x9fb21c651e98df25ULL; /* Pelle Evensen's constant for this step */
	return h ^ (h >> 32);
}

/* For flows that are looked for only once their service is known (bpf/apart.h): no other packet
 * finds them. */
#define SLUICE_CONN_SEED_APART(seed) (~(seed))

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
	return (__u32)(word >> 16) & 0x1fff;
}

static inline __attribute__((always_inline)) __u32 sluice_conn_generation(__u64 word)
{
	return (__u32)(word >> 32);
}

static inline __attribute__((always_inline)) __u64 sluice_conn_fold(__u64 word)
{
	return (word & ~SLUICE_CONN_LOOSE) * 0x9e3779b97f4a7c15ULL;
}

/* The fingerprint of the flow that an entry is of; word is not 0. */
static inline __attribute__((always_inline)) __u64 sluice_conn_of(__u64 check, __u64 word)
{
	return check ^ sluice_conn_fold(word);
}

/* In steps, one too many. Stamps of a moment ahead of now (another CPU may see the tick first)
 * are young, not old; after 65520 steps the clock begins anew. */
static inline __attribute__((always_inline)) __u32 sluice_conn_age(__u64 word, __u16 now)
{
	return (__u16)(now - (__u16)word + SLUICE_CONN_AHEAD);
}

/* For how long at least an entry was not used. A stamp tells that to a step, so it may have been
 * two steps longer. */
static inline __attribute__((always_inline)) __u32 sluice_conn_idle_ms(__u64 word, __u16 now,
								       __u32 step_ms)
{
	__u32 age = sluice_conn_age(word, now);

	return age > SLUICE_CONN_AHEAD + 1 ? (age - SLUICE_CONN_AHEAD - 1) * step_ms : 0;
}

/* A UDP flow that was silent for longer than its service allows. */
static inline __attribute__((always_inline)) int sluice_conn_expired(__u64 word, __u32 idle_ms,
								     __u32 udp_timeout_ms)
{
	return (word & SLUICE_CONN_UDP) && udp_timeout_ms && idle_ms >= udp_timeout_ms;
}

/* A TCP flow that was closed or never opened, by all that a balancer sees of it. */
static inline __attribute__((always_inline)) int sluice_conn_closed(__u64 word, __u32 idle_ms)
{
	return (word & (SLUICE_CONN_CLOSING | SLUICE_CONN_OPENING)) &&
	       idle_ms >= SLUICE_CONN_LINGER_MS;
}

/*
 * The places of a flow, in the order in which they are looked at and taken: a bucket among the
 * first SLUICE_CONN_NEAR of the table, and two anywhere in it. While flows are few, all are near:
 * on so few pages that the processor remembers where each is, which costs more than reading it
 * when the whole of a large table is in use.
 */
#define SLUICE_CONN_PLACES 3
#define SLUICE_CONN_NEAR   8192 /* buckets: half a megabyte; a power of two */

static inline __attribute__((always_inline)) __u32 sluice_conn_place(__u64 hash, __u32 nth,
								     __u32 buckets)
{
	__u32 near = buckets < SLUICE_CONN_NEAR ? buckets : SLUICE_CONN_NEAR;

	if (nth == 0)
		return (__u32)(hash >> 16) & (near - 1);
	return sluice_conn_bucket(hash, nth == 2, buckets);
}

/* Buckets of a table that is made for so many flows: half of the ways stay free then, so that
 * next to no flow finds all of its places taken. */
static inline __u32 sluice_conn_buckets(__u32 flows)
{
	__u32 buckets = 16;

	while (buckets < flows / 2 && buckets < 1U << 27)
		buckets *= 2;
	return buckets;
}

#endif
