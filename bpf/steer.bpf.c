/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Steering: the kernel asks this program for the listening socket of each new TCP
 * connection that comes into the network namespace. A connection to an l7 VIP:port gets one
 * of the daemon's sockets, chosen by the hash of its flow; everything else, and a VIP whose
 * daemon is gone, is left to the ordinary lookup. Nothing is ever dropped here.
 *
 * Cost: per new connection, not per packet of it; for foreign ones, two hash lookups.
 */
#include <stdbool.h>

#include "maps.h"

#include <bpf/bpf_endian.h>

#include "sluice/flow_hash.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_INET     2
#define IPPROTO_TCP 6
#define TRIES       4 /* slots looked at; an empty one is a socket closed a moment ago */

/* The verifier wants each word of the context read at a fixed offset, and clang likes to
 * choose between two offsets: all are read (those of the other family are zero), in order. */
#define WORD(member) (*(const volatile __u32 *)&ctx->member)

static __always_inline void flow_read(const struct bpf_sk_lookup *ctx, struct sluice_flow *f)
{
	__u32 remote4 = WORD(remote_ip4), local4 = WORD(local_ip4);

#pragma unroll
	for (int i = 0; i < 4; i++) {
		f->src.w[i] = WORD(remote_ip6[i]);
		f->dst.w[i] = WORD(local_ip6[i]);
	}
	if (ctx->family == AF_INET) {
		f->src.w[2] = f->dst.w[2] = bpf_htonl(0xffff);
		f->src.w[3] = remote4;
		f->dst.w[3] = local4;
	}
	f->sport = ctx->remote_port;
	f->dport = bpf_htons((__u16)ctx->local_port);
	f->proto = IPPROTO_TCP;
}

/* As the gate finds it: the port's own entry wins over "every port". */
static __always_inline bool daemon_serves(const struct sluice_flow *f)
{
	struct sluice_vip key = {.addr = f->dst, .port = f->dport, .proto = f->proto};
	const struct sluice_service *s = bpf_map_lookup_elem(&vips, &key);

	if (!s) {
		key.port = 0;
		s = bpf_map_lookup_elem(&vips, &key);
	}
	return s && s->kind == SLUICE_L7;
}

/* A socket that was closed a moment ago can still be there and is refused: the next one. */
static __always_inline bool assign(struct bpf_sk_lookup *ctx, __u32 slot)
{
	struct bpf_sock *sk = bpf_map_lookup_elem(&workers, &slot);
	long rc;

	if (!sk)
		return false;
	/* The slot is the choice: no second one within a reuseport group. */
	rc = bpf_sk_assign(ctx, sk, BPF_SK_LOOKUP_F_NO_REUSEPORT);
	bpf_sk_release(sk);
	return rc == 0;
}

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *ctx)
{
	struct sluice_flow flow = {};
	const struct sluice_meta *m;
	__u32 zero = 0, slot;

	if (ctx->protocol != IPPROTO_TCP)
		return SK_PASS;
	flow_read(ctx, &flow);
	if (!daemon_serves(&flow))
		return SK_PASS;
	m = bpf_map_lookup_elem(&meta, &zero);
	if (!m || m->workers == 0)
		return SK_PASS;
	slot = sluice_slot(sluice_flow_hash(&flow), m->workers);
#pragma unroll
	for (int i = 0; i < TRIES; i++) {
		if (assign(ctx, slot))
			break;
		slot = slot + 1 < m->workers ? slot + 1 : 0;
	}
	return SK_PASS;
}
