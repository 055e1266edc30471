/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Health checks by the way that the gate forwards. The checker connects to a backend's own
 * address, by a socket with a mark; on its way out the packet becomes what the gate would have
 * made of a client's, and the answer, which comes from the VIP, is turned back:
 *
 *   out   own:port > backend:vport    becomes   [ outer header ] own:port > VIP:vport
 *   in    VIP:vport > own:port        becomes   backend:vport > own:port
 *
 * An answer from the VIP itself would not get in: the VIP is an address of this host. Where the
 * packet goes does not change, since the tunnel ends at the address that was connected to: so
 * nothing is asked of routes and neighbours here. What has no mark, and what comes from no VIP
 * that is checked, passes untouched.
 *
 * Cost: for a packet that is not a check's, a comparison on its way out; on its way in, a read of
 * its source and a bit of a filter.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>

#include "csum.h"
#include "sluice/probe.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define OUTER_TTL 64

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_PROBES);
	__type(key, __u32);
	__type(value, struct sluice_probe);
} probes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SLUICE_PROBE_FLOWS);
	__type(key, struct sluice_probe_flow);
	__type(value, struct sluice_addr);
} probe_flows SEC(".maps");

__u64 vips[SLUICE_PROBE_BITS / 64]; /* addresses that answers come from, as bits */

struct head {
	struct sluice_addr src, dst;
	__be16 sport, dport;
	__u32 l4;    /* offset */
	__u32 bytes; /* of the IP packet */
	__u8 proto;
	bool v6;
};

static __always_inline void mapped(struct sluice_addr *a, __be32 v4)
{
	a->w[0] = a->w[1] = 0;
	a->w[2] = bpf_htonl(0xffff);
	a->w[3] = v4;
}

/* TCP or UDP, right behind an IP header: what a socket of this host sends, and is sent by hosts
 * on its own network; others are no checks. */
static __always_inline bool head_read(struct __sk_buff *skb, struct head *h)
{
	__be16 ports[2];

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.ihl != 5 ||
		    (ip.frag_off & bpf_htons(0x3fff)))
			return false;
		mapped(&h->src, ip.saddr);
		mapped(&h->dst, ip.daddr);
		h->proto = ip.protocol;
		h->l4 = ETH_HLEN + sizeof(ip);
		h->bytes = bpf_ntohs(ip.tot_len);
		h->v6 = false;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
			return false;
		__builtin_memcpy(&h->src, &ip.saddr, 16);
		__builtin_memcpy(&h->dst, &ip.daddr, 16);
		h->proto = ip.nexthdr;
		h->l4 = ETH_HLEN + sizeof(ip);
		h->bytes = sizeof(ip) + bpf_ntohs(ip.payload_len);
		h->v6 = true;
	} else {
		return false;
	}
	if ((h->proto != IPPROTO_TCP && h->proto != IPPROTO_UDP) ||
	    bpf_skb_load_bytes(skb, h->l4, ports, sizeof(ports)))
		return false;
	h->sport = ports[0];
	h->dport = ports[1];
	return true;
}

/* What an answer is first known by. */
static __always_inline bool source_read(struct __sk_buff *skb, struct sluice_addr *a)
{
	__be32 v4;

	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return bpf_skb_load_bytes(skb, ETH_HLEN + 8, a, sizeof(*a)) == 0;
	if (skb->protocol != bpf_htons(ETH_P_IP) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN + 12, &v4, sizeof(v4)))
		return false;
	mapped(a, v4);
	return true;
}

static __always_inline bool same(const struct sluice_addr *a, const struct sluice_addr *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1] && a->w[2] == b->w[2] && a->w[3] == b->w[3];
}

/* The source (or else the destination) of a packet, with its checksums. */
static __always_inline bool address_set(struct __sk_buff *skb, const struct head *h, bool source,
					const struct sluice_addr *to)
{
	bool udp = h->proto == IPPROTO_UDP;
	__u32 check = h->l4 + (udp ? 6 : 16);
	__u64 flags = BPF_F_PSEUDO_HDR | (udp ? BPF_F_MARK_MANGLED_0 : 0);
	struct sluice_addr from = source ? h->src : h->dst, now = *to;
	__u32 at = ETH_HLEN;

	if (h->v6) {
		__s64 diff = bpf_csum_diff(from.w, 16, now.w, 16, 0);

		at += source ? 8 : 24;
		return bpf_l4_csum_replace(skb, check, 0, (__u64)diff, flags) == 0 &&
		       bpf_skb_store_bytes(skb, at, &now, 16, 0) == 0;
	}
	at += source ? 12 : 16;
	return bpf_l4_csum_replace(skb, check, from.w[3], now.w[3], flags | 4) == 0 &&
	       bpf_l3_csum_replace(skb, ETH_HLEN + 10, from.w[3], now.w[3], 4) == 0 &&
	       bpf_skb_store_bytes(skb, at, &now.w[3], 4, 0) == 0;
}

/* ---- out ------------------------------------------------------------------------------- */

static __always_inline bool outer_v4(struct __sk_buff *skb, const struct head *h,
				     const struct sluice_probe *p, __u32 more, __u8 proto)
{
	struct iphdr outer = {
		.version = 4,
		.ihl = sizeof(outer) / 4,
		.tot_len = bpf_htons(h->bytes + more),
		.frag_off = bpf_htons(0x4000),
		.ttl = OUTER_TTL,
		.protocol = proto,
		.saddr = p->src.w[3],
		.daddr = p->backend.w[3],
	};

	outer.check = csum_outer(&outer);
	return bpf_skb_store_bytes(skb, ETH_HLEN, &outer, sizeof(outer), 0) == 0;
}

static __always_inline bool outer_v6(struct __sk_buff *skb, const struct head *h,
				     const struct sluice_probe *p, __u32 more, __u8 proto)
{
	struct ipv6hdr outer = {
		.version = 6,
		.payload_len = bpf_htons(h->bytes + more - sizeof(outer)),
		.nexthdr = proto,
		.hop_limit = OUTER_TTL,
	};

	__builtin_memcpy(&outer.saddr, &p->src, 16);
	__builtin_memcpy(&outer.daddr, &p->backend, 16);
	return bpf_skb_store_bytes(skb, ETH_HLEN, &outer, sizeof(outer), 0) == 0;
}

/* As forward.h has it for clients' packets. */
static __always_inline bool wrap(struct __sk_buff *skb, const struct head *h,
				 const struct sluice_probe *p)
{
	bool gue = p->mode == SLUICE_MODE_gue;
	__u32 ip = h->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	__u32 more = ip + (gue ? sizeof(struct udphdr) : 0);
	__u64 flags = h->v6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
	__u8 proto = gue ? IPPROTO_UDP : h->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
	struct udphdr udp = {
		.source = bpf_htons(0xc000 | (bpf_ntohs(h->sport) & 0x3fff)),
		.dest = bpf_htons(SLUICE_GUE_PORT),
		.len = bpf_htons(h->bytes + sizeof(udp)),
	};

	if (gue)
		flags |= BPF_F_ADJ_ROOM_ENCAP_L4_UDP;
	if (bpf_skb_adjust_room(skb, (__s32)more, BPF_ADJ_ROOM_MAC, flags))
		return false;
	if (gue && bpf_skb_store_bytes(skb, ETH_HLEN + ip, &udp, sizeof(udp), 0))
		return false;
	return h->v6 ? outer_v6(skb, h, p, more, proto) : outer_v4(skb, h, p, more, proto);
}

SEC("tc")
int probe_out(struct __sk_buff *skb)
{
	__u32 at = skb->mark & ~SLUICE_PROBE_MASK;
	struct sluice_probe_flow flow = {};
	const struct sluice_probe *p;
	struct head h;

	if ((skb->mark & SLUICE_PROBE_MASK) != SLUICE_PROBE_MARK)
		return TC_ACT_UNSPEC;
	p = bpf_map_lookup_elem(&probes, &at);
	if (!p || !head_read(skb, &h) || !same(&h.dst, &p->backend))
		return TC_ACT_UNSPEC;
	flow.vip = p->vip;
	flow.own = h.src;
	flow.vport = h.dport;
	flow.port = h.sport;
	flow.proto = h.proto;
	/* Half a way would check something else: rather none, which is noticed. */
	if (bpf_map_update_elem(&probe_flows, &flow, &p->backend, BPF_ANY) ||
	    !address_set(skb, &h, false, &p->vip))
		return TC_ACT_SHOT;
	if (p->mode != SLUICE_MODE_l2 && !wrap(skb, &h, p))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

/* ---- in -------------------------------------------------------------------------------- */

SEC("tc")
int probe_in(struct __sk_buff *skb)
{
	struct sluice_probe_flow flow = {};
	const struct sluice_addr *backend;
	struct sluice_addr source;
	struct head h;
	__u32 bit;

	if (!source_read(skb, &source))
		return TC_ACT_UNSPEC;
	bit = sluice_probe_bit(&source) & (SLUICE_PROBE_BITS - 1);
	if (!(vips[bit / 64] & 1ULL << bit % 64) || !head_read(skb, &h))
		return TC_ACT_UNSPEC;
	flow.vip = h.src;
	flow.own = h.dst;
	flow.vport = h.sport;
	flow.port = h.dport;
	flow.proto = h.proto;
	backend = bpf_map_lookup_elem(&probe_flows, &flow);
	if (backend && !address_set(skb, &h, true, backend))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}
