/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The hash of a flow: the gate picks a ring slot with it, steer picks a worker, and
 * `sluice flow` answers with the very same lines. Every balancer must agree, so the
 * result is part of the ABI: it depends on bytes alone, not on the host's byte order.
 * Cost: ten multiplications.
 */
#ifndef SLUICE_FLOW_HASH_H
#define SLUICE_FLOW_HASH_H

#include "sluice/abi.h"

static inline __attribute__((always_inline)) __u32 sluice_hash_mix(__u32 h, __u32 word_be)
{
	/* Murmur3's block step (public domain, Austin Appleby). */
	__u32 k = __builtin_bswap32(word_be);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	k = word_be;
#endif
	k *= 0xcc9e2d51U;
	k = (k << 15) | (k >> 17);
	k *= 0x1b873593U;
	h ^= k;
	h = (h << 13) | (h >> 19);
	return h * 5 + 0xe6546b64U;
}

static inline __attribute__((always_inline)) __u32 sluice_flow_hash(const struct sluice_flow *f)
{
	__u32 h = f->proto;

	for (int i = 0; i < 4; i++)
		h = sluice_hash_mix(h, f->src.w[i]);
	for (int i = 0; i < 4; i++)
		h = sluice_hash_mix(h, f->dst.w[i]);
	/* Ports as the one word that they are on the wire. */
	union {
		__be16 port[2];
		__u32 word;
	} ports = {.port = {f->sport, f->dport}};
	h = sluice_hash_mix(h, ports.word);
	h ^= h >> 16;
	h *= 0x85ebca6bU;
	h ^= h >> 13;
	h *= 0xc2b2ae35U;
	return h ^ (h >> 16);
}

/* The hash that a service's Maglev slot is chosen by. */
static inline __attribute__((always_inline)) __u32 sluice_service_hash(const struct sluice_flow *f,
								       __u32 hash)
{
	struct sluice_flow part = {.src = f->src};

	if (hash == SLUICE_HASH_5tuple || hash == SLUICE_HASH_quic_cid)
		return sluice_flow_hash(f);
	if (hash == SLUICE_HASH_src_port)
		part.dport = f->dport;
	return sluice_flow_hash(&part);
}

/* Slot 0..size-1 for a hash, without the bias and the division of `%`. */
static inline __attribute__((always_inline)) __u32 sluice_slot(__u32 hash, __u32 size)
{
	return (__u32)(((__u64)hash * size) >> 32);
}

#endif
