/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * ICMP for VIPs: pings are answered, errors go to the backend that owns the flow they quote
 * (RFC 792, RFC 4443). A quote of 8 bytes of the transport header is enough, and only ports
 * are read of it.
 */
#ifndef BPF_ICMP_H
#define BPF_ICMP_H

#include "balance.h"
#include "forward.h"

struct icmp_start {
	__u8 type, code;
	__u16 check;
	__be32 rest;
};

#define ICMP4_ECHO_REPLY  0
#define ICMP4_UNREACHABLE 3
#define ICMP4_ECHO        8
#define ICMP4_TIME        11
#define ICMP4_PARAMETER   12
#define ICMP6_LAST_ERROR  4 /* 1..4 are errors */
#define ICMP6_ECHO        128
#define ICMP6_ECHO_REPLY  129
#define ICMP6_ND_FIRST    133 /* neighbour discovery: the host's own business */
#define ICMP6_ND_LAST     137

static __always_inline bool icmp_is(const struct packet *p)
{
	return p->flow.proto == (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

static __always_inline bool icmp_is_error(const struct packet *p, __u8 type)
{
	if (p->v6)
		return type >= 1 && type <= ICMP6_LAST_ERROR;
	return type == ICMP4_UNREACHABLE || type == ICMP4_TIME || type == ICMP4_PARAMETER;
}

/* Where the quoted transport header begins, and its protocol; the addresses change places,
 * since the quoted packet went to the client. 0: unusable. */
static __always_inline __u32 icmp_quoted_v4(struct packet *p, __u32 at, struct sluice_flow *flow)
{
	struct iphdr *ip = packet_at(p, at, struct iphdr);

	if (!ip || ip->version != 4 || ip->ihl < 5 || (ip->frag_off & bpf_htons(0x1fff)))
		return 0;
	addr_from_v4(&flow->src, ip->daddr);
	addr_from_v4(&flow->dst, ip->saddr);
	flow->proto = ip->protocol;
	return at + ip->ihl * 4;
}

/* Of extension headers, servers send the fragment header; only a first fragment has ports. */
static __always_inline __u32 icmp_quoted_v6(struct packet *p, __u32 at, struct sluice_flow *flow)
{
	struct ipv6hdr *ip = packet_at(p, at, struct ipv6hdr);
	struct ext_header *ext;

	if (!ip || ip->version != 6)
		return 0;
	addr_from_v6(&flow->src, &ip->daddr);
	addr_from_v6(&flow->dst, &ip->saddr);
	flow->proto = ip->nexthdr;
	at += sizeof(*ip);
	if (flow->proto != IPPROTO_FRAGMENT)
		return at;
	ext = packet_at(p, at, struct ext_header);
	if (!ext || (ext->fragment & bpf_htons(0xfff8)))
		return 0;
	flow->proto = ext->next;
	return at + 8;
}

/* The flow that an error quotes, as its client sends it. False when the quote is too short, a
 * later fragment, not of TCP or UDP, or not sent by the VIP that the error came to. */
static __always_inline bool icmp_quoted_flow(struct packet *p, struct sluice_flow *flow)
{
	__u32 at = p->l4 + sizeof(struct icmp_start);
	struct ports *ports;

	at = p->v6 ? icmp_quoted_v6(p, at, flow) : icmp_quoted_v4(p, at, flow);
	if (!at || (flow->proto != IPPROTO_TCP && flow->proto != IPPROTO_UDP))
		return false;
	if (at + 8 > p->l3 + p->ip_bytes || !addr_same(&flow->dst, &p->flow.dst))
		return false;
	ports = packet_at(p, at, struct ports);
	if (!ports)
		return false;
	flow->sport = ports->dest;
	flow->dport = ports->source;
	p->quote = at;
	return true;
}

/* An error that belongs to no flow of a service. Where the host's own sockets listen on the
 * VIP it may be theirs. */
static __always_inline int icmp_unclaimed(const struct packet *p)
{
	if (p->vip_kind & SLUICE_SOURCE)
		return SLUICE_R_no_service;
	return p->vip_kind & SLUICE_L7 ? SLUICE_R_l7 : SLUICE_R_icmp_quote;
}

/* NEXT: from here on the packet is one of the flow that it quotes. */
static __always_inline int icmp_error(struct packet *p)
{
	struct sluice_flow flow = {};
	int why;

	if (!icmp_quoted_flow(p, &flow))
		return icmp_unclaimed(p);
	/* To a source of nat, it may be the host's own. */
	why = p->vip_kind & SLUICE_SOURCE ? NEXT : guard_forward(p);
	if (why != NEXT)
		return why;
	p->flow = flow;
	p->quoted = 1;
	return NEXT;
}

static __always_inline int icmp_echo(struct packet *p)
{
	struct icmp_start *icmp;
	struct ethhdr *eth;
	struct macs macs;
	__u16 old;

	icmp = packet_at(p, p->l4, struct icmp_start);
	eth = packet_at(p, 0, struct ethhdr);
	if (!icmp || !eth)
		return SLUICE_R_truncated;
	__builtin_memcpy(macs.dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(macs.source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth, &macs, sizeof(macs));
	/* The ICMPv6 checksum covers both addresses, which only change places. A message of
	 * nothing but zeros has the checksum 0xffff; for all others that is the same as 0. */
	old = *(__u16 *)icmp;
	icmp->type = p->v6 ? ICMP6_ECHO_REPLY : ICMP4_ECHO_REPLY;
	icmp->check = csum_update(icmp->check, old, *(__u16 *)icmp) ?: 0xffff;
	if (p->v6) {
		struct ipv6hdr *ip = packet_at(p, p->l3, struct ipv6hdr);

		if (!ip)
			return SLUICE_R_truncated;
		__builtin_memcpy(&ip->saddr, &p->flow.dst, 16);
		__builtin_memcpy(&ip->daddr, &p->flow.src, 16);
		ip->hop_limit = OUTER_TTL;
	} else {
		struct iphdr *ip = packet_at(p, p->l3, struct iphdr);
		__u16 *ttl;

		if (!ip)
			return SLUICE_R_truncated;
		ip->saddr = p->flow.dst.w[3];
		ip->daddr = p->flow.src.w[3];
		ttl = (__u16 *)&ip->ttl;
		old = *ttl;
		ip->ttl = OUTER_TTL;
		ip->check = csum_update(ip->check, old, *ttl);
	}
	p->verdict = XDP_TX;
	return SLUICE_R_echo;
}

/* ICMP to an address that may be a VIP. NEXT: an error, which goes the way of its flow. */
static __noinline int icmp_serve(struct packet *p)
{
	struct sluice_service *vip = vip_find(p);
	struct icmp_start *icmp;
	__u8 type;
	int why;

	if (!vip)
		return SLUICE_R_no_service;
	p->vip_kind = vip->kind;
	if (p->vip_kind & SLUICE_SOURCE && p->first_fragment)
		return SLUICE_R_no_service;
	if (p->first_fragment)
		return p->vip_kind & SLUICE_L7 ? SLUICE_R_l7 : SLUICE_R_fragment;
	icmp = packet_at(p, p->l4, struct icmp_start);
	if (!icmp || !l4_has(p, sizeof(*icmp)))
		return SLUICE_R_truncated;
	type = icmp->type;
	if (icmp_is_error(p, type))
		return icmp_error(p);
	if (p->vip_kind & SLUICE_L7)
		return SLUICE_R_l7;
	if (p->vip_kind & SLUICE_SOURCE)
		return SLUICE_R_no_service;
	if (p->v6 && type >= ICMP6_ND_FIRST && type <= ICMP6_ND_LAST)
		return SLUICE_R_no_service;
	if (type != (p->v6 ? ICMP6_ECHO : ICMP4_ECHO))
		return SLUICE_R_icmp_other;
	why = guard_addresses(p);
	return why != NEXT ? why : icmp_echo(p);
}

#endif
