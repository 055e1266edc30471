/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Limits of sources. Each source of a service has a bucket, which is full at first; a packet takes
 * a drop of it, which comes back after 1 s / rate. Nobody refills buckets: the time at which one is
 * full again tells what is in it (GCRA, ITU-T I.371). So a bucket whose time is over is as good as
 * none, and its place the first to be given to another.
 *
 * The table is of cache lines of four ways; a source has two lines that it may be in, and is known
 * by a keyed 64-bit fingerprint of itself, its service and what is counted. Without locks: two CPUs
 * at once may let a packet too many through.
 */
#ifndef SLUICE_RATE_H
#define SLUICE_RATE_H

#include "sluice/conn.h"

#define SLUICE_RATE_NS_MASK ((1ULL << 60) - 1) /* of full_ns: 36 years */

/* The halves of an address, cut to its prefix. */
static inline __attribute__((always_inline)) __u64 sluice_rate_who(__u64 first, __u64 second,
								   __u32 service, __u32 v6,
								   __u32 kind, __u64 seed)
{
	__u64 h = sluice_conn_mix(seed, first);

	h = sluice_conn_mix(h, second);
	h = sluice_conn_mix(h, (__u64)service << 32 | v6 << 1 | kind);
	h = sluice_conn_mix(h, seed >> 32);
	return h ? h : 1;
}

/* How much is out of the bucket, as the time until it is back. */
static inline __attribute__((always_inline)) __u64 sluice_rate_taken(__u64 full_ns, __u64 now_ns)
{
	return full_ns > now_ns ? full_ns - now_ns : 0;
}

/* Is there no drop left? A full bucket has one, however small it is. */
static inline __attribute__((always_inline)) int sluice_rate_over(__u64 taken_ns, __u64 gap_ns,
								  __u64 burst_ns)
{
	return taken_ns && taken_ns + gap_ns > burst_ns;
}

static inline __attribute__((always_inline)) __u64
sluice_limit_burst_ns(const struct sluice_limit *l)
{
	return l->burst_ms * 1000000ULL;
}

/* Lines of a table that is made for so many sources: half of the ways stay free then. */
static inline __u32 sluice_rate_lines(__u32 sources)
{
	return sluice_conn_buckets(sources);
}

#endif
