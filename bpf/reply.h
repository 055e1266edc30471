/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the gate answers itself, in the name of the address that was asked: headers of a packet that
 * goes back to where it came from.
 */
#ifndef BPF_REPLY_H
#define BPF_REPLY_H

#include "forward.h"

static __always_inline bool reply_macs(struct packet *p, struct macs *macs)
{
	struct macs *came = packet_at(p, 0, struct macs);

	if (!came)
		return false;
	__builtin_memcpy(macs->dest, came->source, ETH_ALEN);
	__builtin_memcpy(macs->source, came->dest, ETH_ALEN);
	return true;
}

/* RFC 9293 section 3.1, RFC 8200 section 8.1: both addresses, the length, the protocol. What a
 * v4-mapped address has beside IPv4's own is 0xffff, which changes no such sum. */
static __always_inline __u64 csum_pseudo(const struct packet *p, __u8 proto, __u32 bytes)
{
	__u64 sum = bpf_htonl(bytes) + (__u64)bpf_htonl(proto);

	for (int i = 0; i < 4; i++)
		sum += (__u64)p->flow.src.w[i] + p->flow.dst.w[i];
	return sum;
}

/* An IP header at p->l3, to whom the packet came from, for so many bytes behind it. */
static __always_inline bool reply_ip(struct packet *p, __u8 proto, __u32 bytes, __u16 frag_off)
{
	if (p->v6) {
		struct ipv6hdr *ip = packet_at(p, p->l3, struct ipv6hdr);

		if (!ip)
			return false;
		*(__be32 *)ip = bpf_htonl(6U << 28);
		ip->payload_len = bpf_htons(bytes);
		ip->nexthdr = proto;
		ip->hop_limit = OUTER_TTL;
		__builtin_memcpy(&ip->saddr, &p->flow.dst, 16);
		__builtin_memcpy(&ip->daddr, &p->flow.src, 16);
	} else {
		struct iphdr *ip = packet_at(p, p->l3, struct iphdr);
		struct iphdr header = {
			.version = 4,
			.ihl = sizeof(*ip) / 4,
			.tot_len = bpf_htons(sizeof(*ip) + bytes),
			.frag_off = bpf_htons(frag_off),
			.ttl = OUTER_TTL,
			.protocol = proto,
			.saddr = p->flow.dst.w[3],
			.daddr = p->flow.src.w[3],
		};

		if (!ip)
			return false;
		header.check = csum_outer(&header);
		*ip = header;
	}
	return true;
}

#endif
