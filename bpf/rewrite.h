/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A packet of a nat flow gets its other addresses and ports, and checksums to match; so does
 * what an ICMP error quotes of one.
 *
 *   to the backend   client:cport > VIP:vport        becomes   source:sport > backend:bport
 *   to the client    backend:bport > source:sport    becomes   VIP:vport > client:cport
 *
 * Checksums are mended by the difference (RFC 1624), which is the same for every packet of a
 * flow: a wrong one stays wrong, so that who receives it still sees that.
 */
#ifndef BPF_REWRITE_H
#define BPF_REWRITE_H

#include "forward.h"

/* The packet's new addresses and ports; a packet that is quoted has them in the other order. */
#define NEW_SRC(f, to_backend)   ((to_backend) ? &(f)->source : &(f)->vip)
#define NEW_DST(f, to_backend)   ((to_backend) ? &(f)->backend : &(f)->client)
#define NEW_SPORT(f, to_backend) ((to_backend) ? (f)->sport : (f)->vport)
#define NEW_DPORT(f, to_backend) ((to_backend) ? (f)->bport : (f)->cport)

static __always_inline __u16 diff_of(__u16 diff, bool to_backend)
{
	return to_backend ? diff : (__u16)~diff;
}

/* ---- the packet ----------------------------------------------------------------------- */

/* Addresses and TTL of the packet's own header. Of an ICMPv6 error, whose addresses are none of
 * the flow's, the message's checksum covers them. */
static __always_inline bool rewrite_v6(struct packet *p, const struct sluice_nat_flow *f,
				       bool to_backend)
{
	struct ipv6hdr *ip = packet_at(p, p->l3, struct ipv6hdr);
	__u16 *check;
	__u64 diff;

	if (!ip)
		return false;
	diff = diff_addr((struct sluice_addr *)&ip->saddr, NEW_SRC(f, to_backend));
	diff += diff_addr((struct sluice_addr *)&ip->daddr, NEW_DST(f, to_backend));
	__builtin_memcpy(&ip->saddr, NEW_SRC(f, to_backend), 16);
	__builtin_memcpy(&ip->daddr, NEW_DST(f, to_backend), 16);
	if (!p->quoted)
		return true;
	check = packet_at(p, p->l4 + 2, __u16);
	if (!check)
		return false;
	*check = csum_add(*check, diff);
	return true;
}

static __always_inline bool rewrite_v4(struct packet *p, const struct sluice_nat_flow *f,
				       bool to_backend)
{
	struct iphdr *ip = packet_at(p, p->l3, struct iphdr);
	__be32 src = NEW_SRC(f, to_backend)->w[3], dst = NEW_DST(f, to_backend)->w[3];

	if (!ip)
		return false;
	ip->check = csum_add(ip->check, (__u64)(__u32)~ip->saddr + src + (__u32)~ip->daddr + dst);
	ip->saddr = src;
	ip->daddr = dst;
	return true;
}

static __noinline int rewrite_ip(struct packet *p, const struct sluice_nat_flow *f, bool to_backend)
{
	if (!p || !f)
		return 0;
	return (p->v6 ? rewrite_v6(p, f, to_backend) : rewrite_v4(p, f, to_backend)) &&
	       ttl_decrement(p);
}

static __noinline int rewrite_l4(struct packet *p, const struct sluice_nat_flow *f, bool to_backend)
{
	struct ports *ports;
	__u16 *check, diff;
	bool udp;

	if (!p || !f)
		return 0;
	udp = p->flow.proto == IPPROTO_UDP;
	ports = packet_at(p, p->l4, struct ports);
	check = packet_at(p, p->l4 + (udp ? 6 : 16), __u16);
	if (!ports || !check)
		return 0;
	ports->source = NEW_SPORT(f, to_backend);
	ports->dest = NEW_DPORT(f, to_backend);
	diff = diff_of(f->l4_diff, to_backend);
	*check = udp ? csum_add_udp(*check, diff) : csum_add(*check, diff);
	return 1;
}

/* ---- what an ICMP error quotes: a packet that went the other way ---------------------- */

/* A checksum inside the quote; the message's own covers it: by how much that changes. */
static __always_inline __u64 quoted_check(__u16 *check, __u16 diff, bool udp)
{
	__u16 old = *check;

	*check = udp ? csum_add_udp(old, diff) : csum_add(old, diff);
	return diff16(old, *check);
}

/* The ports of the quote, and its checksum if the quote goes so far; icmp_quoted_flow() has
 * seen that there are eight bytes. */
static __always_inline bool quoted_l4(struct packet *p, const struct sluice_nat_flow *f,
				      bool to_backend, __u64 *message)
{
	bool udp = p->flow.proto == IPPROTO_UDP;
	__u32 where = p->quote + (udp ? 6 : 16);
	struct ports *ports = packet_at(p, p->quote, struct ports);
	__u16 *check = packet_at(p, where, __u16);

	if (!ports)
		return false;
	ports->source = NEW_DPORT(f, to_backend);
	ports->dest = NEW_SPORT(f, to_backend);
	if (check && where + 2 <= p->l3 + p->ip_bytes)
		*message += quoted_check(check, diff_of(f->l4_diff, to_backend), udp);
	return true;
}

static __always_inline bool quoted_ip(struct packet *p, const struct sluice_nat_flow *f,
				      bool to_backend, __u64 *message)
{
	__u32 at = p->l4 + 8;

	if (p->v6) {
		struct ipv6hdr *ip = packet_at(p, at, struct ipv6hdr);

		if (!ip)
			return false;
		__builtin_memcpy(&ip->saddr, NEW_DST(f, to_backend), 16);
		__builtin_memcpy(&ip->daddr, NEW_SRC(f, to_backend), 16);
	} else {
		struct iphdr *ip = packet_at(p, at, struct iphdr);

		if (!ip)
			return false;
		ip->saddr = NEW_DST(f, to_backend)->w[3];
		ip->daddr = NEW_SRC(f, to_backend)->w[3];
		*message += quoted_check(&ip->check, diff_of(f->ip_diff, to_backend), false);
	}
	return true;
}

/* What the quote changes by is what the flow's packets do: the same four addresses and ports, in
 * the other order. */
static __noinline int rewrite_quote(struct packet *p, const struct sluice_nat_flow *f,
				    bool to_backend)
{
	__u64 message;
	__u16 *check;

	if (!p || !f)
		return 0;
	message = diff_of(f->l4_diff, to_backend);
	if (!quoted_ip(p, f, to_backend, &message) || !quoted_l4(p, f, to_backend, &message))
		return 0;
	check = packet_at(p, p->l4 + 2, __u16);
	if (!check)
		return 0;
	*check = csum_add(*check, message);
	return 1;
}

/* 0: the packet ends before; it may be changed then, and must be dropped. */
static __always_inline int rewrite(struct packet *p, const struct sluice_nat_flow *f,
				   bool to_backend)
{
	if (!rewrite_ip(p, f, to_backend))
		return 0;
	return p->quoted ? rewrite_quote(p, f, to_backend) : rewrite_l4(p, f, to_backend);
}

#endif
