/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The ways to a backend, in all four pairs of families, and out of a tunnel on its host.
 *
 *         | Eth | tags | IP ...                   as the client sent it
 *   ipip  | Eth | tags | outer IP | IP ...        RFC 2003, 2473, 4213
 *   gue   | Eth | tags | outer IP | UDP | IP ...  GUE variant 1
 *   l2    | Eth'| tags | IP ...                   new MAC addresses
 *   nat   | Eth'| tags | IP' ...                  new addresses and ports (nat.h)
 */
#ifndef BPF_FORWARD_H
#define BPF_FORWARD_H

#include <linux/udp.h>
#include <bpf/bpf_core_read.h>

#include "csum.h"
#include "guard.h"
#include "size.h"

#define AF_INET     2
#define AF_INET6    10

#define HOP_JIFFIES 250 /* a quarter of a second to two and a half, by the kernel's HZ */

#define OUTER_TTL   64
#define MTU_UNTOLD  1280 /* where the kernel does not tell it: what fits for sure */
#define ECN_MASK    0x03
#define ECN_CE      0x03
#define ECN_ECT0    0x02

struct macs {
	__u8 dest[ETH_ALEN], source[ETH_ALEN];
};

/* Ethernet header at the packet's start, with the tags that came if l2_len has room for
 * them. The caller has made the packet at least that long. */
static __always_inline bool l2_write(struct packet *p, const struct macs *macs, __u32 l2_len,
				     bool v6)
{
	const __u32 one = sizeof(struct ethhdr), two = one + sizeof(struct vlan_tag);
	__be16 proto = v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	struct ethhdr *eth = packet_at(p, 0, struct ethhdr);
	struct vlan_tag *tag;

	if (!eth)
		return false;
	__builtin_memcpy(eth->h_dest, macs->dest, ETH_ALEN);
	__builtin_memcpy(eth->h_source, macs->source, ETH_ALEN);
	eth->h_proto = l2_len > one ? p->tags[0] : proto;
	if (l2_len > one) {
		tag = packet_at(p, one, struct vlan_tag);
		if (!tag)
			return false;
		tag->tci = p->tags[1];
		tag->proto = l2_len > two ? p->tags[2] : proto;
	}
	if (l2_len > two) {
		tag = packet_at(p, two, struct vlan_tag);
		if (!tag)
			return false;
		tag->tci = p->tags[3];
		tag->proto = proto;
	}
	return true;
}

/* ---- the way -------------------------------------------------------------------------- */

static __always_inline bool to_v6(const struct packet *p)
{
	return !addr_mapped(&p->to->addr);
}

/* What goes in front of the packet. */
static __always_inline __u32 outer_bytes(const struct packet *p)
{
	__u32 ip = to_v6(p) ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);

	if (p->to->mode >= SLUICE_MODE_l2)
		return 0;
	return p->to->mode == SLUICE_MODE_gue ? ip + sizeof(struct udphdr) : ip;
}

static __always_inline int route_reason(long rc, const struct bpf_fib_lookup *fib)
{
	const __u16 *mac = (const __u16 *)fib->dmac;

	switch (rc) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		/* Linux before 6.3 succeeds with a neighbour that is still being asked for. */
		return mac[0] | mac[1] | mac[2] ? NEXT : SLUICE_R_no_neighbor;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return SLUICE_R_no_neighbor;
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		return SLUICE_R_too_big;
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		return SLUICE_R_no_forwarding;
	default:
		return SLUICE_R_no_route;
	}
}

/* The lookup replaces the destination by the next hop: the same, if there is no router. */
static __always_inline __u8 on_link(const struct sluice_addr *dest,
				    const struct bpf_fib_lookup *fib)
{
	if (addr_mapped(dest))
		return fib->family == AF_INET && fib->ipv4_dst == dest->w[3];
	return fib->family == AF_INET6 && fib->ipv6_dst[0] == dest->w[0] &&
	       fib->ipv6_dst[1] == dest->w[1] && fib->ipv6_dst[2] == dest->w[2] &&
	       fib->ipv6_dst[3] == dest->w[3];
}

/* Asks the host's own routes and neighbours, and remembers what they say. Linux 5.12 and later
 * write the MTU to hop->mtu, also when the packet is too big. */
static __noinline int route_ask(struct xdp_md *ctx, const struct sluice_addr *source,
				const struct sluice_addr *dest, struct sluice_hop *hop, __u32 bytes)
{
	struct bpf_fib_lookup fib = {};
	int why;

	if (!ctx || !source || !dest || !hop)
		return SLUICE_R_no_route;
	fib.ifindex = ctx->ingress_ifindex;
	fib.tot_len = bytes;
	if (addr_mapped(dest)) {
		fib.family = AF_INET;
		fib.ipv4_src = source->w[3];
		fib.ipv4_dst = dest->w[3];
	} else {
		fib.family = AF_INET6;
		__builtin_memcpy(fib.ipv6_src, source, 16);
		__builtin_memcpy(fib.ipv6_dst, dest, 16);
	}
	why = route_reason(bpf_fib_lookup(ctx, &fib, sizeof(fib), 0), &fib);
	hop->until = 0;
	hop->mtu = fib.tot_len;
	if (why != NEXT)
		return why;
	hop->until = bpf_jiffies64() + HOP_JIFFIES;
	hop->in = ctx->ingress_ifindex;
	hop->out = fib.ifindex;
	hop->on_link = on_link(dest, &fib);
	__builtin_memcpy(hop->dest, fib.dmac, ETH_ALEN);
	__builtin_memcpy(hop->source, fib.smac, ETH_ALEN);
	return NEXT;
}

/*
 * Sets p->hop to the way to dest, for a packet that grows by so many bytes. The answer is kept,
 * and asked for again after a moment, so that a route or a MAC address that changes is followed
 * without any process alive.
 */
static __always_inline int route_find(struct packet *p, struct sluice_hop *hop,
				      const struct sluice_addr *source,
				      const struct sluice_addr *dest, __u32 more)
{
	__u32 bytes = p->ip_bytes + more;
	int why;

	p->hop = hop;
	if (hop->until > bpf_jiffies64() && hop->generation == p->to->generation &&
	    hop->in == p->ctx->ingress_ifindex && bytes <= hop->mtu)
		return NEXT;
	if (bytes > 0xffff) {
		hop->mtu = 0xffff;
		return SLUICE_R_too_big;
	}
	why = route_ask(p->ctx, source, dest, hop, bytes);
	hop->generation = p->to->generation;
	return why;
}

/* To p->to; this CPU remembers the way. */
static __always_inline int route_backend(struct packet *p)
{
	struct sluice_hop *hop = &p->count->hops[p->backend & (SLUICE_MAX_BACKENDS - 1)];
	int why = route_find(p, hop, &p->to->src, &p->to->addr, outer_bytes(p));

	if (why == NEXT && p->to->mode == SLUICE_MODE_l2 && !hop->on_link)
		return SLUICE_R_not_on_link;
	return why;
}

/* Makes the packet leave by p->hop, with room for an outer header behind the Ethernet header,
 * whose offset is returned; 0: there was no room. */
static __always_inline __u32 route_take(struct packet *p, __u32 outer, bool frame_v6)
{
	const struct sluice_hop *hop = p->hop;
	__u32 l2_len = p->l3;
	struct macs macs;

	/* Tags belong to the wire that the packet came by. */
	if (hop->out != hop->in)
		l2_len = sizeof(struct ethhdr);
	if (l2_len + outer != p->l3 &&
	    bpf_xdp_adjust_head(p->ctx, (int)p->l3 - (int)(l2_len + outer)) != 0)
		return 0;
	__builtin_memcpy(&macs, hop->dest, sizeof(macs));
	if (!l2_write(p, &macs, l2_len, frame_v6))
		return 0;
	p->verdict = XDP_TX;
	if (hop->out != hop->in)
		p->verdict = bpf_redirect(hop->out, 0);
	return l2_len;
}

/* Linux 5.12 and later: before, the way's MTU is not known from struct bpf_fib_lookup. */
struct bpf_fib_lookup___told {
	__u16 mtu_result;
} __attribute__((preserve_access_index));

/* What packets to the hop may have. */
static __always_inline __u32 hop_mtu(const struct sluice_hop *hop)
{
	return bpf_core_field_exists(((struct bpf_fib_lookup___told *)0)->mtu_result) ? hop->mtu
										      : MTU_UNTOLD;
}

/* What segments of the packet's connection may hold, where the way takes packets of mtu bytes. */
static __always_inline __u32 mss_most(const struct packet *p, __u32 mtu)
{
	__u32 headers = p->v6 ? sizeof(struct ipv6hdr) + 20 : sizeof(struct iphdr) + 20;
	__u32 least = p->v6 ? MSS_LEAST6 : MSS_LEAST4, most = p->to->mss;

	headers += outer_bytes(p);
	if (most == SLUICE_MSS_AUTO)
		most = mtu > headers ? mtu - headers : 0;
	return most > least ? most : least;
}

/* Of a packet that says something about it: one that opens a connection of p->to, or an ICMP error
 * of one. */
static __always_inline void size_mend(const struct packet *p, __u32 mtu)
{
	if (p->quoted)
		mtu_raise(p->ctx, p->l4, p->v6);
	else if (p->to->mss)
		mss_lower(p->ctx, p->l4, p->l3 + p->ip_bytes, mss_most(p, mtu));
}

/* ---- to a backend --------------------------------------------------------------------- */

/* guard_forward() has seen that there is one to take. */
static __always_inline bool ttl_decrement(struct packet *p)
{
	__u8 ttl = p->ttl - 1;

	if (p->v6) {
		struct ipv6hdr *ip = packet_at(p, p->l3, struct ipv6hdr);

		if (!ip)
			return false;
		ip->hop_limit = ttl;
	} else {
		struct iphdr *ip = packet_at(p, p->l3, struct iphdr);

		if (!ip)
			return false;
		/* TTL and protocol share a word of the header. */
		ip->check = csum_update(ip->check, bpf_htons(p->ttl << 8 | ip->protocol),
					bpf_htons(ttl << 8 | ip->protocol));
		ip->ttl = ttl;
	}
	return true;
}

static __always_inline __u8 outer_proto(const struct packet *p)
{
	if (p->to->mode == SLUICE_MODE_gue)
		return IPPROTO_UDP;
	return p->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
}

/* ECN of the outer header (RFC 6040, section 4.1, normal mode): copied, with DSCP. */
static __always_inline bool outer_v4(struct packet *p, __u32 l3)
{
	struct iphdr *ip = packet_at(p, l3, struct iphdr);
	struct iphdr outer = {
		.version = 4,
		.ihl = sizeof(*ip) / 4,
		.tos = p->tos,
		.tot_len = bpf_htons(p->ip_bytes + outer_bytes(p)),
		.frag_off = bpf_htons(0x4000), /* DF: a tunnel must not be cut up silently */
		.ttl = OUTER_TTL,
		.protocol = outer_proto(p),
		.saddr = p->to->src.w[3],
		.daddr = p->to->addr.w[3],
	};

	if (!ip)
		return false;
	outer.check = csum_outer(&outer);
	*ip = outer;
	return true;
}

/* The flow label carries the flow's hash, so that routers and NICs spread the tunnel's flows
 * (RFC 6438). */
static __always_inline bool outer_v6(struct packet *p, __u32 l3)
{
	struct ipv6hdr *ip = packet_at(p, l3, struct ipv6hdr);
	__u32 label = sluice_flow_hash(&p->flow) & 0xfffff;

	if (!ip)
		return false;
	*(__be32 *)ip = bpf_htonl((6U << 28) | ((__u32)p->tos << 20) | label);
	ip->payload_len = bpf_htons(p->ip_bytes + outer_bytes(p) - sizeof(*ip));
	ip->nexthdr = outer_proto(p);
	ip->hop_limit = OUTER_TTL;
	__builtin_memcpy(&ip->saddr, &p->to->src, 16);
	__builtin_memcpy(&ip->daddr, &p->to->addr, 16);
	return true;
}

/* GUE variant 1 (draft-ietf-intarea-gue-09, section 4): no header of its own, the IP version
 * tells. The source port is the flow's hash, the checksum is left out (RFC 768; for IPv6 tunnels
 * RFC 6935: the inner packet has its own). */
static __always_inline bool outer_udp(struct packet *p, __u32 at)
{
	struct udphdr *udp = packet_at(p, at, struct udphdr);

	if (!udp)
		return false;
	udp->source = bpf_htons(0xc000 | (sluice_flow_hash(&p->flow) & 0x3fff));
	udp->dest = bpf_htons(SLUICE_GUE_PORT);
	udp->len = bpf_htons(p->ip_bytes + sizeof(*udp));
	udp->check = 0;
	return true;
}

static __always_inline bool outer_write(struct packet *p, __u32 l3)
{
	bool v6 = to_v6(p);

	if (p->to->mode == SLUICE_MODE_l2)
		return true;
	if (!(v6 ? outer_v6(p, l3) : outer_v4(p, l3)))
		return false;
	if (p->to->mode != SLUICE_MODE_gue)
		return true;
	return outer_udp(p, l3 + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)));
}

/* Sends to p->to. The route comes first: a packet that cannot be sent is dropped as it was. */
static __always_inline int forward(struct packet *p)
{
	bool frame_v6 = p->to->mode == SLUICE_MODE_l2 ? p->v6 : to_v6(p);
	__u32 l2_len;
	int why = route_backend(p);

	if (why != NEXT)
		return why;
	if (!ttl_decrement(p))
		return SLUICE_R_truncated;
	if (p->syn | p->quoted)
		size_mend(p, hop_mtu(p->hop));
	l2_len = route_take(p, outer_bytes(p), frame_v6);
	if (!l2_len || !outer_write(p, l2_len))
		return SLUICE_R_no_headroom;
	return p->quoted ? SLUICE_R_icmp_forward : SLUICE_R_forward;
}

/* ---- from a balancer ------------------------------------------------------------------ */

/* Is there a whole inner packet of the family that the outer header promised? */
static __always_inline bool inner_whole(struct packet *p, bool v6)
{
	__u32 room = p->l3 + p->ip_bytes; /* end of the outer packet */

	if (v6) {
		struct ipv6hdr *ip = packet_at(p, p->l4, struct ipv6hdr);

		return ip && ip->version == 6 &&
		       p->l4 + sizeof(*ip) + bpf_ntohs(ip->payload_len) <= room;
	}
	struct iphdr *ip = packet_at(p, p->l4, struct iphdr);

	return ip && ip->version == 4 && ip->ihl >= 5 && bpf_ntohs(ip->tot_len) >= ip->ihl * 4 &&
	       p->l4 + bpf_ntohs(ip->tot_len) <= room;
}

/* Takes the outer header off and leaves p at the inner packet's addresses. */
static __always_inline int unwrap(struct packet *p, bool v6)
{
	struct macs macs, *old = packet_at(p, 0, struct macs);

	if (!old)
		return SLUICE_R_decap_bad;
	macs = *old;
	if (bpf_xdp_adjust_head(p->ctx, (int)(p->l4 - p->l3)) != 0)
		return SLUICE_R_decap_bad;
	if (!l2_write(p, &macs, p->l3, v6))
		return SLUICE_R_decap_bad;
	p->v6 = v6;
	return parse_addresses(p);
}

/* A congestion mark that the tunnel's path set goes on to the inner packet (RFC 6040,
 * section 4.2): an inner packet that is not ECN-capable is dropped there, which is for the
 * sender to notice; capable ones are marked. */
static __always_inline int ecn_leave(struct packet *p, __u8 outer_tos)
{
	if ((outer_tos & ECN_MASK) != ECN_CE)
		return NEXT;
	if (p->v6) {
		struct ipv6hdr *ip = packet_at(p, p->l3, struct ipv6hdr);

		if (!ip || !(ip->flow_lbl[0] & (ECN_MASK << 4)))
			return SLUICE_R_decap_bad;
		ip->flow_lbl[0] |= ECN_CE << 4;
	} else {
		struct iphdr *ip = packet_at(p, p->l3, struct iphdr);
		__u16 old;

		if (!ip || !(ip->tos & ECN_MASK))
			return SLUICE_R_decap_bad;
		old = *(__u16 *)ip;
		ip->tos |= ECN_CE;
		ip->check = csum_update(ip->check, old, *(__u16 *)ip);
	}
	return NEXT;
}

/* A datagram to the port of GUE: of a balancer, or somebody's who happens to use it. */
static __always_inline bool gue_is(struct packet *p)
{
	struct udphdr *udp = packet_at(p, p->l4, struct udphdr);

	return udp && l4_has(p, sizeof(*udp)) && udp->dest == bpf_htons(SLUICE_GUE_PORT);
}

static __always_inline bool gue_v6(struct packet *p)
{
	__u8 *first = packet_at(p, p->l4, __u8);

	return first && *first >> 4 == 6;
}

/*
 * The backend's side: a tunnel packet from a configured balancer is unwrapped and goes on to
 * the host's stack, where the VIP is on lo. Its inner source meets the lists as well.
 */
static __noinline int decap_tunnel(struct packet *p)
{
	bool v6 = p->flow.proto == IPPROTO_IPV6, gue = p->flow.proto == IPPROTO_UDP;
	int why;

	if (gue && !gue_is(p))
		return NEXT;
	/* On the wire, a v4-mapped source is not the IPv4 balancer that it looks like. */
	if ((p->v6 && addr_mapped(&p->flow.src)) || !bpf_map_lookup_elem(&decap_from, &p->flow.src))
		return gue ? NEXT : SLUICE_R_tunnel_foreign;
	if (gue) {
		p->l4 += sizeof(struct udphdr);
		v6 = gue_v6(p);
	}
	if (p->first_fragment || !inner_whole(p, v6))
		return SLUICE_R_decap_bad;
	why = unwrap(p, v6);
	if (why != NEXT)
		return why;
	why = guard_lists(p);
	if (why != NEXT)
		return why;
	why = ecn_leave(p, p->tos);
	return why != NEXT ? why : SLUICE_R_decap;
}

/* TCP is spared the call. */
static __always_inline int decap(struct packet *p)
{
	__u8 proto = p->flow.proto;

	if (proto != IPPROTO_IPIP && proto != IPPROTO_IPV6 && proto != IPPROTO_UDP)
		return NEXT;
	return decap_tunnel(p);
}

#endif
