// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The packet generator of `scripts/bench l4`. Runs on frames that the kernel makes for
 * BPF_PROG_RUN with BPF_F_TEST_XDP_LIVE_FRAMES and sends them (XDP_TX) into a veth. Frames
 * are used again with whatever the receiver did to them, so each gets all headers anew.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "gen.h"

struct gen_plan plan; /* written once by gen.c */

/* Coprime to 10^n, so that i * STEP mod flows meets every flow once in a round. */
#define STEP     7919

#define V4_SRC   (GEN_ETH + 12)
#define V6_SRC   (GEN_ETH + 8)
#define V4_PORTS (GEN_ETH + 20)
#define V6_PORTS (GEN_ETH + 40)

static __always_inline void put32(__u8 *p, __u32 v)
{
	v = bpf_htonl(v);
	__builtin_memcpy(p, &v, 4);
}

static __always_inline __u32 get32(const __u8 *p)
{
	__u32 v;

	__builtin_memcpy(&v, p, 4);
	return bpf_ntohl(v);
}

static __always_inline void checksum_v4(__u8 *ip)
{
	__u32 sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += i == 10 ? 0 : (__u32)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[10] = sum >> 8;
	ip[11] = sum;
}

/*
 * A million flows from one address need more than the source ports: the rest is in dport.
 * Source addresses are scattered, as those of a botnet are: multiplying by an odd number meets
 * each of 2^24 (IPv4, within 10/8), 2^32 (IPv4, anywhere) or 2^32 (IPv6, bytes 2..5) once. l4.py
 * does the same.
 */
#define SCATTER 0x9e3779b1U

static __always_inline void vary(__u8 *src, __u8 *ports, __u32 flow)
{
	__u32 at = flow * SCATTER;

	if (!plan.by_addr) {
		put32(ports, get32(ports) + (flow << 16) + (flow >> 16));
		return;
	}
	if (plan.v6)
		put32(src + 2, get32(src + 2) + at);
	else
		put32(src, get32(src) + (plan.by_addr == GEN_ANYWHERE ? at : at & 0xffffff));
	put32(ports, get32(ports) + ((flow * 31 & 0x7fff) << 16));
}

SEC("xdp")
int gen(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 flow = plan.first++ * STEP % plan.flows;

	if (plan.v6) {
		if ((void *)(data + GEN_MAX) > end)
			return XDP_DROP;
		__builtin_memcpy(data, plan.head, GEN_MAX);
		vary(data + V6_SRC, data + V6_PORTS, flow);
		return XDP_TX;
	}
	if ((void *)(data + GEN_MAX - 20) > end)
		return XDP_DROP;
	__builtin_memcpy(data, plan.head, GEN_MAX - 20);
	vary(data + V4_SRC, data + V4_PORTS, flow);
	checksum_v4(data + GEN_ETH);
	return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
