/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Internet checksums (RFC 1071), whole and mended by what changed (RFC 1624, equation 3). A
 * difference is the sum of ~old + new over the 16-bit words that change, where a 32-bit word is
 * as good as its halves; zero stays representable.
 */
#ifndef BPF_CSUM_H
#define BPF_CSUM_H

#include <linux/ip.h>
#include <bpf/bpf_endian.h>

#include "sluice/abi.h"

/* Until no carry is left. */
static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

static __always_inline __u64 diff16(__u16 old, __u16 new)
{
	return (__u64)(__u16)~old + new;
}

static __always_inline __u64 diff_addr(const struct sluice_addr *old, const struct sluice_addr *new)
{
	__u64 sum = 0;

	for (int i = 0; i < 4; i++)
		sum += (__u64)(__u32)~old->w[i] + new->w[i];
	return sum;
}

static __always_inline __u16 csum_add(__u16 csum, __u64 diff)
{
	return (__u16)~csum_fold((__u64)(__u16)~csum + diff);
}

/* UDP: 0 says that there is none, which stays so; a sum that happens to be 0 is sent as ~0. */
static __always_inline __u16 csum_add_udp(__u16 csum, __u64 diff)
{
	if (!csum)
		return 0;
	return csum_add(csum, diff) ?: 0xffff;
}

static __always_inline __u16 csum_update(__u16 csum, __u16 old, __u16 new)
{
	return csum_add(csum, diff16(old, new));
}

/* Of an IPv4 header without options, from what is about to be written: reading it back would
 * wait for a line of headroom that is not in the cache yet, most of a packet's time. */
static __always_inline __u16 csum_outer(const struct iphdr *ip)
{
	__u64 sum = bpf_htons(0x4500 | ip->tos);

	sum += ip->tot_len;
	sum += ip->frag_off;
	sum += bpf_htons(ip->ttl << 8 | ip->protocol);
	sum += ip->saddr;
	sum += ip->daddr;
	return (__u16)~csum_fold(sum);
}

#endif
