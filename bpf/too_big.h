/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A packet that the way to its backend has no room for: the client is told which size fits
 * (RFC 1191, RFC 8201), in the VIP's name, which is the host that it talks to.
 *
 *   | Eth | tags | IP ........... |       as it came
 *   | Eth | tags | IP | ICMP | IP 128 |   as the answer goes back
 */
#ifndef BPF_TOO_BIG_H
#define BPF_TOO_BIG_H

#include "reply.h"

#define TOO_BIG_QUOTE 128  /* bytes of the packet that are sent back */
#define TOO_BIG_RATE  1000 /* answers per CPU and second; more packets are only dropped */
#define TOO_BIG_BYTES (sizeof(struct too_big) + TOO_BIG_QUOTE)

static __always_inline bool too_big_room(struct packet *p)
{
	struct sluice_counters *c = p->count;
	__u64 now = bpf_ktime_get_ns();

	if (now - c->icmp_start_ns >= 1000000000ULL) {
		c->icmp_start_ns = now;
		c->icmp_sent = 0;
	}
	return c->icmp_sent++ < TOO_BIG_RATE;
}

/* The size that fits; 0 = the sender cannot be helped: it allows routers to cut the packet up,
 * which the gate does not, or it may not send anything smaller. */
static __always_inline __u32 too_big_mtu(struct packet *p)
{
	__u32 outer = outer_bytes(p), mtu = p->hop->mtu;
	struct iphdr *ip;

	/* Before Linux 5.12 it is the packet's own size. */
	if (mtu >= p->ip_bytes + outer)
		mtu = MTU_UNTOLD;
	mtu -= outer;
	if (p->v6)
		return p->ip_bytes > MTU_LEAST6 ? (mtu > MTU_LEAST6 ? mtu : MTU_LEAST6) : 0;
	ip = packet_at(p, p->l3, struct iphdr);
	return ip && (ip->frag_off & bpf_htons(0x4000)) && mtu < p->ip_bytes ? mtu : 0;
}

static __always_inline bool too_big_icmp(struct packet *p, __u32 at, __u32 mtu)
{
	struct too_big *icmp = packet_span(p, at, TOO_BIG_BYTES);
	__s64 sum;

	if (!icmp)
		return false;
	icmp->type = p->v6 ? TOO_BIG_TYPE6 : TOO_BIG_TYPE4;
	icmp->code = p->v6 ? 0 : TOO_BIG_CODE4;
	icmp->check = 0;
	icmp->mtu = bpf_htonl(mtu);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)icmp, TOO_BIG_BYTES, 0);
	if (sum < 0)
		return false;
	icmp->check = (__u16)~csum_fold(
		(__u64)sum + (p->v6 ? csum_pseudo(p, IPPROTO_ICMPV6, TOO_BIG_BYTES) : 0));
	return true;
}

/* Turns the packet into the answer. */
static __noinline int too_big(struct packet *p)
{
	struct macs macs;
	__u32 ip, mtu;

	if (!p)
		return SLUICE_R_too_big;
	ip = p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	mtu = p->quoted ? 0 : too_big_mtu(p);
	if (!mtu || p->ip_bytes < TOO_BIG_QUOTE || !too_big_room(p) || !reply_macs(p, &macs))
		return SLUICE_R_too_big;
	if (bpf_xdp_adjust_tail(p->ctx, (int)(p->l3 + TOO_BIG_QUOTE) - (int)p->bytes) != 0 ||
	    bpf_xdp_adjust_head(p->ctx, -(int)(ip + sizeof(struct too_big))) != 0)
		return SLUICE_R_too_big;
	if (!l2_write(p, &macs, p->l3, p->v6) ||
	    !reply_ip(p, p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, TOO_BIG_BYTES, 0) ||
	    !too_big_icmp(p, p->l3 + ip, mtu))
		return SLUICE_R_too_big;
	p->verdict = XDP_TX;
	return SLUICE_R_too_big_told;
}

/* A packet that did not fit is answered, if that can be. */
static __always_inline int tell(struct packet *p, int why)
{
	return why == SLUICE_R_too_big ? too_big(p) : why;
}

/* Sends to the backend, or says why that cannot be. */
static __always_inline int deliver(struct packet *p)
{
	return tell(p, forward(p));
}

#endif
