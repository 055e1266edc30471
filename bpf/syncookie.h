/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * SYNs of an l7 service that the gate answers in place of the host's TCP stack, with a cookie for a
 * sequence number (RFC 4987 section 3.6): nothing is kept of them, so no flood of them fills the
 * listener's queue. The cookie is the kernel's own. Whoever sends it back is known to be there, and
 * the stack makes a connection of that packet by itself.
 *
 *   | Eth | tags | IP | TCP SYN, options | data      as it came
 *   | Eth | tags | IP | TCP SYN ACK, options         as the answer goes back
 *
 * The kernel is asked with the listener at hand (bpf_tcp_gen_syncookie), and not for the bare
 * cookie (bpf_tcp_raw_gen_syncookie_*): the stack takes cookies only of listeners that are on
 * record as having sent some lately, and that is what the first of the two does. It makes none
 * unless net.ipv4.tcp_syncookies is 2. It also knows about packets of connections that are there,
 * which a SYN may be, too.
 *
 * What the client's SYN offers would be forgotten, but for its MSS. A timestamp that the client
 * sends back holds the rest, as the kernel's own cookies have it; it understands that of the gate
 * only if it adds no secret offset to its timestamps, net.ipv4.tcp_timestamps = 2. Otherwise the
 * answer offers an MSS and nothing else.
 *
 * Cost: none for other services; a test of this CPU's memory for packets other than SYNs, unless
 * there is a flood: then a socket look-up for each.
 */
#ifndef BPF_SYNCOOKIE_H
#define BPF_SYNCOOKIE_H

#include <linux/tcp.h>

#include "balance.h"
#include "reply.h"

#define SYN_WINDOW_NS  1000000000ULL  /* in which SYNs are counted */
#define SYN_CALM_NS    10000000000ULL /* a flood is over when there were fewer for so long */
#define COOKIE_WINDOW  29200          /* bytes that may follow the handshake, before it is known */
#define COOKIE_TCP_MAX 60
#define ETH_LEAST      60 /* bytes of a frame, as some drivers have it */

/* What its low bits are, by the kernel's cookie_timestamp_decode(). */
#define STAMP_BITS       6
#define STAMP_SCALE      0x0f /* shift of the client's windows; all ones: they are not scaled */
#define STAMP_SACK       0x10

#define TCPOPT_NOP       1
#define TCPOPT_MSS       2
#define TCPOPT_SCALE     3
#define TCPOPT_SACK      4
#define TCPOPT_TIMESTAMP 8

/* The answer: its TCP header, and options, of which only the MSS is there without a timestamp. */
struct cookie_answer {
	struct ports ports;
	__be32 seq, ack;
	__u8 offset, flags;
	__be16 window;
	__u16 check;
	__be16 urgent;
	__u8 mss_kind, mss_size;
	__be16 mss;
	__u8 sack_kind, sack_size; /* or two NOPs */
	__u8 stamp_kind, stamp_size;
	__be32 stamp, echo;
	__u8 nop, scale_kind, scale_size, scale; /* or four NOPs */
};

#define COOKIE_ANSWER_SHORT offsetof(struct cookie_answer, sack_kind)

_Static_assert(sizeof(struct cookie_answer) == 40 && COOKIE_ANSWER_SHORT == 24, "options");

struct cookie_scratch {
	struct packet packet;
	__u8 ip[sizeof(struct ipv6hdr)]; /* as far as cookies depend on it */
	union {
		__u8 tcp[64];
		__be32 tcp_words[16];
	};
	/* What the SYN offers. In memory and not in registers, of which the verifier would walk
	 * each combination apart. */
	__u32 at;     /* the option that is looked at */
	__be32 stamp; /* its timestamp */
	__u8 stamped, scaled, sack;
	__u8 scale;
	struct cookie_answer answer;
};

_Static_assert(sizeof(struct cookie_scratch) <= SLUICE_SCRATCH * 8, "scratch");

static __always_inline struct cookie_scratch *cookie_scratch(struct sluice_counters *count)
{
	return (struct cookie_scratch *)count->scratch;
}

static __always_inline struct sluice_counters *cookie_counters(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&counters, &cpu);
}

/* ---- is there a flood? ---------------------------------------------------------------- */

/* Counts a SYN. */
static __always_inline void syn_count(struct sluice_syns *w, __u32 rate, __u64 now)
{
	if (now - w->start_ns >= SYN_WINDOW_NS) {
		w->start_ns = now;
		w->seen = 0;
	}
	if (++w->seen > rate)
		w->until_ns = now + SYN_CALM_NS;
}

static __always_inline bool syn_flood(struct sluice_syns *w, __u64 now)
{
	if (w->until_ns > now)
		return true;
	w->until_ns = 0;
	return false;
}

/* ---- what came ------------------------------------------------------------------------ */

/* So many bytes of the TCP header into the scratch. Global, as are the others here: the verifier
 * walks each once, and not for each length. */
__noinline int cookie_fetch(struct xdp_md *ctx, __u32 at, __u32 bytes)
{
	struct sluice_counters *count = cookie_counters();
	struct packet p = {.ctx = ctx};
	__be32 *from;

	for (__u32 i = 0; count && i < COOKIE_TCP_MAX / 4; i++) {
		if (i * 4 >= bytes)
			return 1;
		from = packet_at(&p, at + i * 4, __be32);
		if (!from)
			return 0;
		cookie_scratch(count)->tcp_words[i] = *from;
	}
	return count != NULL;
}

static __always_inline __u8 cookie_byte(const struct cookie_scratch *c, __u32 at)
{
	at &= sizeof(c->tcp) - 1;
	asm volatile("" : "+r"(at)); /* one register for the mask and the use */
	return c->tcp[at];
}

static __always_inline void cookie_option(struct cookie_scratch *c, __u32 at, __u8 kind, __u8 size)
{
	if (kind == TCPOPT_SCALE && size == 3) {
		c->scaled = 1;
		c->scale = cookie_byte(c, at + 2);
	} else if (kind == TCPOPT_SACK && size == 2) {
		c->sack = 1;
	} else if (kind == TCPOPT_TIMESTAMP && size == 10) {
		c->stamped = 1;
		c->stamp = (__u32)cookie_byte(c, at + 2) | (__u32)cookie_byte(c, at + 3) << 8 |
			   (__u32)cookie_byte(c, at + 4) << 16 |
			   (__u32)cookie_byte(c, at + 5) << 24;
	}
}

/* Reads the options of the TCP header in the scratch (RFC 9293 section 3.2, RFC 7323, RFC 2018). An
 * option that goes beyond the header ends them, as does one that makes no sense. */
__noinline int cookie_options(__u32 bytes)
{
	struct sluice_counters *count = cookie_counters();
	volatile struct cookie_scratch *c;

	if (!count)
		return 0;
	c = cookie_scratch(count);
	c->at = sizeof(struct tcphdr);
	for (int i = 0; i < COOKIE_TCP_MAX - (int)sizeof(struct tcphdr); i++) {
		__u32 at = c->at;
		__u8 kind, size;

		if (at >= bytes)
			break;
		kind = cookie_byte((struct cookie_scratch *)c, at);
		if (kind == 0)
			break;
		if (kind == TCPOPT_NOP) {
			c->at = at + 1;
			continue;
		}
		size = cookie_byte((struct cookie_scratch *)c, at + 1);
		if (size < 2 || at + size > bytes)
			break;
		cookie_option((struct cookie_scratch *)c, at, kind, size);
		c->at = at + size;
	}
	return 1;
}

/* The header of IP that cookies depend on: version and addresses. */
static __always_inline __u32 cookie_ip(const struct packet *p, struct cookie_scratch *c)
{
	if (p->v6) {
		struct ipv6hdr *ip = (struct ipv6hdr *)c->ip;

		__builtin_memset(ip, 0, 8);
		ip->version = 6;
		__builtin_memcpy(&ip->saddr, &p->flow.src, 16);
		__builtin_memcpy(&ip->daddr, &p->flow.dst, 16);
		return sizeof(*ip);
	} else {
		struct iphdr *ip = (struct iphdr *)c->ip;

		__builtin_memset(ip, 0, sizeof(*ip));
		ip->version = 4;
		ip->ihl = sizeof(*ip) / 4;
		ip->saddr = p->flow.src.w[3];
		ip->daddr = p->flow.dst.w[3];
		return sizeof(*ip);
	}
}

/* ---- the kernel ----------------------------------------------------------------------- */

/* The socket that the packet is for, which is to be released. */
static __always_inline struct bpf_sock *cookie_socket(struct packet *p)
{
	struct bpf_sock_tuple t = {};

	if (p->v6) {
		__builtin_memcpy(t.ipv6.saddr, &p->flow.src, 16);
		__builtin_memcpy(t.ipv6.daddr, &p->flow.dst, 16);
		t.ipv6.sport = p->flow.sport;
		t.ipv6.dport = p->flow.dport;
		return bpf_skc_lookup_tcp(p->ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	t.ipv4.saddr = p->flow.src.w[3];
	t.ipv4.daddr = p->flow.dst.w[3];
	t.ipv4.sport = p->flow.sport;
	t.ipv4.dport = p->flow.dport;
	return bpf_skc_lookup_tcp(p->ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
}

/* The length is looked at right before its use: Linux 5.10 forgets what it knew of a value that was
 * on the stack meanwhile. */
static __always_inline __s64 cookie_ask(struct bpf_sock *sk, struct cookie_scratch *c,
					__u32 ip_bytes, __u64 bytes)
{
	struct tcphdr *tcp = (struct tcphdr *)c->tcp;

	asm volatile("" : "+r"(bytes), "+r"(tcp), "+r"(ip_bytes));
	if (bytes < sizeof(*tcp) || bytes > COOKIE_TCP_MAX)
		return -1;
	return bpf_tcp_gen_syncookie(sk, c->ip, ip_bytes, tcp, bytes);
}

/* For the SYN in the scratch: the cookie, and the client's MSS above it, which is of no use here.
 * < 0: there is none, since no listener waits for it, or by the kernel's own judgement. */
static __always_inline __s64 cookie_make(struct packet *p, struct cookie_scratch *c, __u64 bytes)
{
	__u32 ip_bytes = cookie_ip(p, c);
	struct bpf_sock *sk = cookie_socket(p);
	__s64 cookie = -1;

	if (!sk)
		return -1;
	if (sk->state == BPF_TCP_LISTEN)
		cookie = cookie_ask(sk, c, ip_bytes, bytes);
	bpf_sk_release(sk);
	return cookie;
}

enum { COOKIE_OTHERS, COOKIE_GOOD, COOKIE_BAD }; /* OTHERS: the packet is not the listener's */

static __always_inline int cookie_judge(struct packet *p, struct cookie_scratch *c)
{
	__u32 ip_bytes = cookie_ip(p, c);
	struct bpf_sock *sk = cookie_socket(p);
	int judged = COOKIE_OTHERS;

	if (!sk)
		return judged;
	if (sk->state == BPF_TCP_LISTEN)
		judged = bpf_tcp_check_syncookie(sk, c->ip, ip_bytes, (struct tcphdr *)c->tcp,
						 sizeof(struct tcphdr)) == 0
				 ? COOKIE_GOOD
				 : COOKIE_BAD;
	bpf_sk_release(sk);
	return judged;
}

/* ---- the answer ----------------------------------------------------------------------- */

/* The kernel's clock for timestamps (a millisecond), with what the client offered in its low bits,
 * and never ahead of it: the connection's own timestamps go on from here. */
static __always_inline __be32 cookie_stamp(const struct cookie_scratch *c,
					   const struct sluice_cookies *own)
{
	__u64 now = bpf_ktime_get_ns() / 1000000, stamp = now >> STAMP_BITS << STAMP_BITS;

	if (c->scaled && own->scale)
		stamp |= c->scale > 14 ? 14 : c->scale;
	else
		stamp |= STAMP_SCALE;
	if (c->sack && own->sack)
		stamp |= STAMP_SACK;
	if (stamp > now)
		stamp -= 1 << STAMP_BITS;
	return bpf_htonl((__u32)stamp);
}

static __always_inline void cookie_fill(struct cookie_answer *a, const struct cookie_scratch *c,
					const struct sluice_cookies *own, __u32 cookie, bool v6)
{
	const struct tcp_start *syn = (const struct tcp_start *)c->tcp;
	bool stamped = own->timestamp && c->stamped;

	__builtin_memset(a, 0, sizeof(*a));
	a->ports.source = syn->ports.dest;
	a->ports.dest = syn->ports.source;
	a->seq = bpf_htonl(cookie);
	a->ack = bpf_htonl(bpf_ntohl(syn->seq) + 1);
	a->offset = (stamped ? sizeof(*a) : COOKIE_ANSWER_SHORT) / 4 << 4;
	a->flags = TCP_SYN | TCP_ACK;
	a->window = bpf_htons(COOKIE_WINDOW);
	a->mss_kind = TCPOPT_MSS;
	a->mss_size = 4;
	a->mss = bpf_htons(own->mss[v6]);
	if (!stamped)
		return;
	a->sack_kind = c->sack && own->sack ? TCPOPT_SACK : TCPOPT_NOP;
	a->sack_size = c->sack && own->sack ? 2 : TCPOPT_NOP;
	a->stamp_kind = TCPOPT_TIMESTAMP;
	a->stamp_size = 10;
	a->stamp = cookie_stamp(c, own);
	a->echo = c->stamp;
	a->nop = TCPOPT_NOP;
	a->scale_kind = c->scaled && own->scale ? TCPOPT_SCALE : TCPOPT_NOP;
	a->scale_size = c->scaled && own->scale ? 3 : TCPOPT_NOP;
	a->scale = c->scaled && own->scale ? own->scale - 1 : TCPOPT_NOP;
}

static __always_inline __u16 cookie_csum(const struct packet *p, const struct cookie_answer *a,
					 __u32 bytes)
{
	const __be32 *word = (const __be32 *)a;
	__u64 sum = csum_pseudo(p, IPPROTO_TCP, bytes);

	for (__u32 i = 0; i < sizeof(*a) / 4; i++)
		sum += word[i];
	return (__u16)~csum_fold(sum);
}

/* The frame becomes the answer. A function of its own, so that values which the verifier must know
 * are not put on the stack for want of registers: Linux 5.10 forgets them there. */
static __noinline int cookie_write(struct packet *p, struct cookie_answer *a)
{
	__u32 bytes, at, frame, least;
	struct macs macs;
	void *to;

	if (!p || !a)
		return 0;
	bytes = (a->offset >> 4) * 4;
	at = p->l3 + (p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	frame = at + bytes;
	least = p->bytes < ETH_LEAST ? p->bytes : ETH_LEAST;
	if (frame < least)
		frame = least;
	if (frame != p->bytes && bpf_xdp_adjust_tail(p->ctx, (int)frame - (int)p->bytes) != 0)
		return 0;
	a->check = cookie_csum(p, a, bytes);
	if (!reply_macs(p, &macs) || !l2_write(p, &macs, p->l3, p->v6) ||
	    !reply_ip(p, IPPROTO_TCP, bytes, 0x4000))
		return 0;
	to = packet_span(p, at, COOKIE_ANSWER_SHORT);
	if (!to)
		return 0;
	__builtin_memcpy(to, a, COOKIE_ANSWER_SHORT);
	if (bytes == COOKIE_ANSWER_SHORT)
		return 1;
	to = packet_span(p, at, sizeof(*a));
	if (!to)
		return 0;
	__builtin_memcpy(to, a, sizeof(*a));
	return 1;
}

/* A SYN. */
static __always_inline int cookie_answer(struct packet *p, struct cookie_scratch *c, __u32 bytes)
{
	const struct sluice_cookies *own;
	__u32 zero = 0;
	__s64 cookie;
	int why = guard_addresses(p);

	if (why != NEXT)
		return why;
	own = bpf_map_lookup_elem(&cookies, &zero);
	if (!own || !own->mss[p->v6 != 0])
		return SLUICE_R_l7;
	c->stamped = c->scaled = c->sack = 0;
	if (!cookie_fetch(p->ctx, p->l4, bytes) || !cookie_options(bytes))
		return SLUICE_R_l7;
	cookie = cookie_make(p, c, bytes);
	if (cookie < 0) {
		notice(p, SLUICE_N_syncookie_refused);
		return SLUICE_R_l7;
	}
	cookie_fill(&c->answer, c, own, (__u32)cookie, p->v6);
	if (!cookie_write(p, &c->answer))
		return SLUICE_R_l7;
	p->verdict = XDP_TX;
	return SLUICE_R_syncookie;
}

/* Any other packet, amid a flood: of a connection, or of nobody. */
static __always_inline int cookie_check(struct packet *p, struct cookie_scratch *c, __u8 flags)
{
	if ((flags & (TCP_ACK | TCP_RST | TCP_SYN)) != TCP_ACK)
		return SLUICE_R_l7;
	if (!cookie_fetch(p->ctx, p->l4, sizeof(struct tcphdr)))
		return SLUICE_R_l7;
	switch (cookie_judge(p, c)) {
	case COOKIE_GOOD:
		notice(p, SLUICE_N_syncookie_good);
		return SLUICE_R_l7;
	case COOKIE_BAD:
		return SLUICE_R_syncookie_bad;
	default:
		return SLUICE_R_l7;
	}
}

/* The packet is in the scratch. Without syncookies the verifier has nothing to look at here. */
__noinline int cookie_serve(struct xdp_md *ctx)
{
	struct sluice_counters *count = cookie_counters();
	struct cookie_scratch *c;
	struct tcp_start *tcp;
	struct packet p;
	int why;

	if (!syncookies || !count)
		return SLUICE_R_l7;
	c = cookie_scratch(count);
	p = c->packet;
	p.ctx = ctx;
	p.count = count;
	tcp = packet_at(&p, p.l4, struct tcp_start);
	if (!tcp)
		return SLUICE_R_l7;
	if (p.syn)
		why = cookie_answer(&p, c, (tcp->offset >> 4) * 4);
	else
		why = cookie_check(&p, c, tcp->flags);
	c->packet.verdict = p.verdict;
	return why;
}

/* Does the gate do anything with the packet? Its SYNs are counted here. */
static __always_inline bool cookie_due(struct packet *p, const struct sluice_service *s)
{
	struct sluice_syns *w = &p->count->syns[s->id & (SLUICE_MAX_SERVICES - 1)];
	__u64 now;

	if (!p->syn && !w->until_ns)
		return false;
	now = bpf_ktime_get_ns();
	if (p->syn)
		syn_count(w, s->syn_rate, now);
	return syn_flood(w, now) || (p->syn && s->syncookie == SLUICE_SYNCOOKIE_always);
}

/* A packet of an l7 service. */
static __always_inline int l7_serve(struct packet *p, const struct sluice_service *s)
{
	struct cookie_scratch *c = cookie_scratch(p->count);
	int why;

	if (!syncookies || !s->syncookie || p->flow.proto != IPPROTO_TCP)
		return SLUICE_R_l7;
	if (p->first_fragment || p->quoted || !cookie_due(p, s))
		return SLUICE_R_l7;
	c->packet = *p;
	why = cookie_serve(p->ctx);
	p->verdict = c->packet.verdict;
	return why;
}

#endif
