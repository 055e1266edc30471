/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What packets say about how long others may be, kept within reason.
 *
 * A TCP peer names the longest segment that it takes when it opens a connection. That is lowered to
 * what the service says, so that segments fit the way from the start and nobody has to be told
 * later that they do not. It is never raised, and never lowered below what every host takes that
 * names nothing (RFC 9293 section 3.7.1), so a SYN that names nothing is left alone.
 *
 * An ICMP error names the longest packet that fits. Anybody can forge one; no path that IP is meant
 * for is narrower than MTU_LEAST4 or 6, and so a smaller size is raised to that.
 */
#ifndef BPF_SIZE_H
#define BPF_SIZE_H

#include "csum.h"
#include "mask.h"
#include "parse.h"

#define MSS_OPTIONS 37   /* looked at: 36 of one byte come before one of four at most */
#define MTU_LEAST4  576  /* RFC 791: what every host takes */
#define MTU_LEAST6  1280 /* RFC 8200 section 5 */
#define MSS_LEAST4  (MTU_LEAST4 - 40)
#define MSS_LEAST6  (MTU_LEAST6 - 60)

/* RFC 9293 section 3.2: kind, length with both of these, value. */
struct tcp_option {
	__u8 kind, len, value[2];
};

#define TCP_OPTION_NOP 1      /* a kind without a length, as is 0, the end */
#define MSS_START      0x0204 /* kind and length */

/* Where the option is that counts, the last one, or 0. */
static __always_inline __u64 mss_find(const struct packet *p, __u64 at, __u64 end)
{
	__u64 found = 0;

	for (int i = 0; i < MSS_OPTIONS; i++) {
		const struct tcp_option *o = packet_at(p, at, struct tcp_option);
		__u64 kind, len, nop, over;

		if (!o || at + sizeof(*o) > end)
			break;
		kind = o->kind;
		len = o->len;
		nop = mask_zero(kind ^ TCP_OPTION_NOP);
		over = mask_zero(kind) | (mask_less(len, 2) & ~nop);
		found = mask_pick(mask_zero((kind << 8 | len) ^ MSS_START), at, found);
		at += mask_pick(nop, 1, len) | (over & PACKET_MAX_OFFSET * 2);
	}
	return found;
}

/* Of the TCP header at that offset, in a packet that ends there. Global, so that the verifier walks
 * it once. */
__noinline int mss_lower(struct xdp_md *ctx, __u32 tcp, __u32 end, __u32 most)
{
	const struct packet p = {.ctx = ctx};
	const struct tcp_start *head = packet_at(&p, tcp, struct tcp_start);
	__u16 *check = packet_at(&p, tcp + 16, __u16), old, new = bpf_htons(most);
	struct tcp_option *o;
	__u64 at;

	if (!head || !check)
		return 0;
	if (end > tcp + (head->offset >> 4) * 4)
		end = tcp + (head->offset >> 4) * 4;
	at = mss_find(&p, tcp + 20, end);
	o = at ? packet_at(&p, at, struct tcp_option) : NULL;
	if (!o || (__u32)(o->value[0] << 8 | o->value[1]) <= most)
		return 0;
	old = bpf_htons(o->value[0] << 8 | o->value[1]);
	o->value[0] = most >> 8;
	o->value[1] = (__u8)most;
	/* In the words that the checksum adds up, an option at an odd place stands the other way
	 * round. */
	if ((at - tcp) & 1) {
		old = __builtin_bswap16(old);
		new = __builtin_bswap16(new);
	}
	*check = csum_add(*check, diff16(old, new));
	return 0;
}

/* RFC 792, RFC 1191; RFC 4443 section 3.2. */
struct too_big {
	__u8 type, code;
	__u16 check;
	__be32 mtu; /* of IPv4, the lower half */
};

#define TOO_BIG_TYPE4 3
#define TOO_BIG_CODE4 4
#define TOO_BIG_TYPE6 2

/* Of the ICMP message at that offset. A size of 0 says that a router does not tell (RFC 1191
 * section 5), which is for the host to deal with. Global likewise. */
__noinline int mtu_raise(struct xdp_md *ctx, __u32 at, __u32 v6)
{
	const struct packet p = {.ctx = ctx};
	struct too_big *icmp = packet_at(&p, at, struct too_big);
	__be32 old, new = bpf_htonl(v6 ? MTU_LEAST6 : MTU_LEAST4);
	__u32 mtu;

	if (!icmp || icmp->type != (v6 ? TOO_BIG_TYPE6 : TOO_BIG_TYPE4) ||
	    (!v6 && icmp->code != TOO_BIG_CODE4))
		return 0;
	old = icmp->mtu;
	if (!v6)
		new |= old &bpf_htonl(0xffff0000);
	mtu = bpf_ntohl(old) & (v6 ? 0xffffffff : 0xffff);
	if (mtu == 0 || mtu >= (v6 ? MTU_LEAST6 : MTU_LEAST4))
		return 0;
	icmp->mtu = new;
	icmp->check = csum_add(icmp->check, (__u64)(__u32)~old + new);
	return 0;
}

#endif
