/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The flows of nat (sluice/nat.h says how they are kept): found from both sides, begun, followed
 * through their states, ended by time. What is done to packets is in rewrite.h.
 *
 * A flow gets its place with its first packet, since its answers need one. Against floods: what
 * is only begun gives way to what is new, and an open TCP connection to nothing; a connection is
 * open when the client has acknowledged the backend's SYN, which nobody can who does not get it.
 */
#ifndef BPF_NAT_H
#define BPF_NAT_H

#include "balance.h"
#include "rewrite.h"
#include "too_big.h"

/*
 * Everything here runs in a function that the verifier walks by itself, and so once, not for each
 * kind of packet that may come to it. Such a function takes no pointers but ctx (Linux before
 * 5.13), and knows nothing of the packet; what it works on is handed over in this CPU's scratch.
 */
struct nat_scratch {
	struct packet packet;
	struct sluice_service service;
	__u32 place; /* of the packet's flow */
	/* A place that is being looked for. */
	__u32 port;   /* element of the map nat */
	__u32 source; /* number of its address */
	__u32 least;  /* what a flow there must yield at least */
	__u32 judged; /* of the ways of a port */
	__u32 index;  /* what led to the flow that was there; with yielded */
	__u32 yielded;
	__be16 sport, bport;
};

_Static_assert(sizeof(struct nat_scratch) <= SLUICE_SCRATCH * 8, "nat's scratch");

static __always_inline struct nat_scratch *nat_scratch(const struct packet *p)
{
	return (struct nat_scratch *)p->count->scratch;
}

#define NAT_PROBES 16 /* ports looked at for one that is free, and again for one that yields */

static __always_inline __u32 nat_now(void)
{
	return (__u32)bpf_jiffies64();
}

/* place: port's element * WAYS + way */
static __always_inline struct sluice_nat_flow *nat_at(__u32 place)
{
	__u32 port = place / SLUICE_NAT_WAYS;
	struct sluice_nat_port *b = bpf_map_lookup_elem(&nat, &port);

	return b ? &b->way[place % SLUICE_NAT_WAYS] : NULL;
}

static __always_inline struct sluice_nat_line *nat_line(__u32 line)
{
	return bpf_map_lookup_elem(&nat_index, &line);
}

/* ---- ends ----------------------------------------------------------------------------- */

enum { NAT_KEEPS, NAT_ASSURED, NAT_BEGUN, NAT_OVER, NAT_EMPTY };

/* How readily it gives up its place. */
static __always_inline __u32 nat_yields(const struct sluice_nat_flow *f, __u32 now)
{
	bool udp = f->proto == IPPROTO_UDP;
	__u32 idle = now - f->stamp;

	if (f->state == SLUICE_NAT_FREE)
		return NAT_EMPTY;
	if (idle > sluice_nat_idle_s(udp, f->state) * tick_hz)
		return NAT_OVER;
	if (f->state != SLUICE_NAT_OPEN)
		return NAT_BEGUN;
	return udp && idle > 30 * tick_hz ? NAT_ASSURED : NAT_KEEPS;
}

/* ---- the index ------------------------------------------------------------------------ */

static __always_inline __u64 nat_word(const struct packet *p, __u32 place)
{
	return (p->hash & 0xffffffff00000000ULL) | (place + 1);
}

/* A word of the line for the flow: 1..; 0: there is none. */
static __always_inline __u32 nat_line_take(struct sluice_nat_line *l, __u64 word)
{
	__u32 taken = 0;

	bpf_spin_lock(&l->lock);
	for (__u32 i = 0; i < SLUICE_NAT_LINE; i++) {
		if (!taken && !l->word[i]) {
			l->word[i] = word;
			taken = i + 1;
		}
	}
	bpf_spin_unlock(&l->lock);
	return taken;
}

/* False: both lines that it may be in are full. */
static __noinline int nat_index_add(struct packet *p, struct sluice_nat_flow *f, __u32 place)
{
	if (!p || !f)
		return 0;
	for (int second = 0; second < 2; second++) {
		__u32 line = sluice_conn_bucket(p->hash, second, nat_lines), taken;
		struct sluice_nat_line *l = nat_line(line);

		taken = l ? nat_line_take(l, nat_word(p, place)) : 0;
		if (taken) {
			f->index = line * SLUICE_NAT_LINE + taken - 1;
			return 1;
		}
	}
	return 0;
}

/* Takes out the word that led to the flow that had this place. */
static __noinline int nat_index_drop(__u32 index, __u32 place)
{
	struct sluice_nat_line *l = nat_line(index / SLUICE_NAT_LINE);
	__u64 way = index % SLUICE_NAT_LINE;

	if (!l)
		return 0;
	asm volatile("" : "+r"(way));
	if (way >= SLUICE_NAT_LINE)
		return 0;
	bpf_spin_lock(&l->lock);
	if ((__u32)l->word[way] == place + 1)
		l->word[way] = 0;
	bpf_spin_unlock(&l->lock);
	return 1;
}

/* ---- finding -------------------------------------------------------------------------- */

static __always_inline bool nat_is_clients(const struct sluice_nat_flow *f,
					   const struct sluice_flow *flow)
{
	return f->state && f->cport == flow->sport && f->vport == flow->dport &&
	       f->proto == flow->proto && addr_same(&f->client, &flow->src) &&
	       addr_same(&f->vip, &flow->dst);
}

static __always_inline bool nat_is_backends(const struct sluice_nat_flow *f,
					    const struct sluice_flow *flow)
{
	return f->state && f->bport == flow->sport && f->proto == flow->proto &&
	       addr_same(&f->backend, &flow->src) && addr_same(&f->source, &flow->dst);
}

static __always_inline __u32 nat_index_find(const struct packet *p)
{
	for (int second = 0; second < 2; second++) {
		struct sluice_nat_line *l =
			nat_line(sluice_conn_bucket(p->hash, second, nat_lines));

		for (__u32 i = 0; l && i < SLUICE_NAT_LINE; i++) {
			__u64 word = l->word[i];

			if (word && word >> 32 == p->hash >> 32)
				return (__u32)word;
		}
	}
	return 0;
}

/* The flow is its backend's as long as that one is in use; sets p->to and p->backend. */
static __always_inline bool nat_backend(struct packet *p, const struct sluice_nat_flow *f)
{
	const struct sluice_backend *to = backend_find(f->id);

	if (!to || to->generation != f->generation || to->mode != SLUICE_MODE_nat)
		return false;
	p->to = to;
	p->backend = f->id;
	return true;
}

/* Sets the place to the flow that the client sends of, if there is one. */
static __noinline int nat_find(struct packet *p)
{
	struct sluice_nat_flow *f;
	__u32 word;

	if (!p)
		return 0;
	p->hash = sluice_conn_hash(&p->flow, conn_seed);
	word = nat_index_find(p);
	f = word ? nat_at(word - 1) : NULL;
	if (!f || !nat_is_clients(f, &p->flow) || !nat_backend(p, f))
		return 0;
	nat_scratch(p)->place = word - 1;
	return 1;
}

/* The same, of what a backend sends to a source. */
static __noinline int nat_find_reply(struct packet *p, __u32 source)
{
	__u32 at = p ? bpf_ntohs(p->flow.dport) - nat_first : nat_ports;
	struct sluice_nat_port *b;

	if (!p || at >= nat_ports || source >= nat_sources)
		return 0;
	at += source * nat_ports;
	b = bpf_map_lookup_elem(&nat, &at);
	for (__u32 i = 0; b && i < SLUICE_NAT_WAYS; i++) {
		if (!nat_is_backends(&b->way[i], &p->flow))
			continue;
		nat_scratch(p)->place = at * SLUICE_NAT_WAYS + i;
		return nat_backend(p, &b->way[i]);
	}
	return 0;
}

/* ---- beginning ------------------------------------------------------------------------ */

#define NAT_RANK 7    /* of judged: what the way yields */
#define NAT_WAY  0x30 /* which it is */
#define NAT_SAME 0x40 /* it has the same backend */

/* Is way i rather to be taken than those before it? The flow with the same backend is, if there
 * is one, since no second may be; else the one that yields most. */
static __noinline int nat_judge(struct packet *p, const struct sluice_nat_port *b, __u32 i)
{
	const struct sluice_nat_flow *f;
	struct nat_scratch *n;
	__u32 yields;

	if (!p || !b || i >= SLUICE_NAT_WAYS)
		return 0;
	n = nat_scratch(p);
	f = &b->way[i];
	yields = nat_yields(f, nat_now());
	if (yields != NAT_EMPTY && f->bport == n->bport && f->proto == p->flow.proto &&
	    addr_same(&f->backend, &p->to->addr))
		n->judged = NAT_SAME | i << 4 | yields;
	else if (!(n->judged & NAT_SAME) && yields > (n->judged & NAT_RANK))
		n->judged = i << 4 | yields;
	return 0;
}

static __always_inline void nat_enter(const struct packet *p, struct sluice_nat_flow *f,
				      const struct sluice_addr *source, __u32 now)
{
	f->client = p->flow.src;
	f->vip = p->flow.dst;
	f->source = *source;
	f->backend = p->to->addr;
	f->cport = p->flow.sport;
	f->vport = p->flow.dport;
	f->sport = nat_scratch(p)->sport;
	f->bport = nat_scratch(p)->bport;
	f->proto = p->flow.proto;
	f->fins = 0;
	f->stamp = now;
	f->proof = 0;
	f->id = p->backend;
	f->service = p->service;
	f->generation = p->to->generation;
	f->hop.until = 0;
	f->state = SLUICE_NAT_NEW;
}

/* Takes a way of the port, if it is to be had. Nobody else may have taken one since they were
 * judged: two flows could have the same backend then. */
static __noinline int nat_take(struct packet *p, const struct sluice_nat_pool *pool)
{
	struct nat_scratch *n;
	struct sluice_nat_port *b;
	struct sluice_nat_flow *f;
	__u32 turn, way, now = nat_now();

	if (!p || !pool)
		return 0;
	n = nat_scratch(p);
	b = bpf_map_lookup_elem(&nat, &n->port);
	if (!b)
		return 0;
	turn = *(volatile __u32 *)&b->turn;
	n->judged = NAT_KEEPS;
	for (__u32 i = 0; i < SLUICE_NAT_WAYS; i++)
		nat_judge(p, b, i);
	n->yielded = n->judged & NAT_RANK;
	if (n->yielded < n->least)
		return 0;
	way = (n->judged & NAT_WAY) >> 4;
	f = &b->way[way];
	bpf_spin_lock(&b->lock);
	if (b->turn != turn) {
		bpf_spin_unlock(&b->lock);
		return 0;
	}
	b->turn++;
	n->index = f->index;
	f->state = SLUICE_NAT_FREE;
	nat_enter(p, f, &pool->addr[n->source % SLUICE_NAT_SOURCES], now);
	bpf_spin_unlock(&b->lock);
	n->place = n->port * SLUICE_NAT_WAYS + way;
	return 1;
}

/* Candidate i of the flow's: it begins somewhere, and goes on through ports and sources. */
static __noinline int nat_wish(struct packet *p, const struct sluice_nat_pool *pool, __u32 i)
{
	struct nat_scratch *n;
	__u32 sources, at;
	bool v6;

	if (!p || !pool)
		return 0;
	n = nat_scratch(p);
	v6 = p->v6;
	sources = pool->n[v6];
	if (!sources || sources > SLUICE_NAT_SOURCES)
		return 0;
	at = ((__u32)(p->hash >> 20) + i * 2654435769U) % (sources * nat_ports);
	n->source = pool->number[v6][at / nat_ports % SLUICE_NAT_SOURCES];
	at %= nat_ports;
	n->sport = bpf_htons(nat_first + at);
	n->port = n->source * nat_ports + at;
	return 1;
}

/* What packets to the backend add to their checksums; on the way back it is taken off. */
static __always_inline void nat_diffs(struct sluice_nat_flow *f)
{
	__u64 addrs = diff_addr(&f->client, &f->source) + diff_addr(&f->vip, &f->backend);

	f->ip_diff = csum_fold(addrs);
	f->l4_diff = csum_fold(addrs + diff16(f->cport, f->sport) + diff16(f->vport, f->bport));
}

/* Gives the flow a source port and sets the place. 0: none was free. */
static __noinline int nat_begin(struct packet *p)
{
	const __u32 zero = 0;
	const struct sluice_nat_pool *pool = bpf_map_lookup_elem(&nat_pool, &zero);
	struct sluice_nat_flow *f;
	struct nat_scratch *n;
	int taken = 0;

	if (!p || !pool)
		return 0;
	n = nat_scratch(p);
	n->bport = p->to->port ?: p->flow.dport;
	for (__u32 i = 0; !taken && i < 2 * NAT_PROBES; i++) {
		n->least = i < NAT_PROBES ? NAT_OVER : NAT_ASSURED;
		if (!nat_wish(p, pool, i % NAT_PROBES))
			return 0;
		taken = nat_take(p, pool);
	}
	f = taken ? nat_at(n->place) : NULL;
	if (!f)
		return 0;
	if (n->yielded != NAT_EMPTY)
		nat_index_drop(n->index, n->place);
	if (n->yielded < NAT_OVER)
		notice(p, SLUICE_N_conn_evicted);
	nat_diffs(f);
	if (!nat_index_add(p, f, n->place)) {
		f->state = SLUICE_NAT_FREE;
		return 0;
	}
	notice(p, SLUICE_N_conn_new);
	return 1;
}

/* ---- following ------------------------------------------------------------------------ */

#define TCP_FIN 0x01

static __always_inline void nat_fin(struct sluice_nat_flow *f, const struct tcp_start *tcp,
				    __u8 who)
{
	if (tcp->flags & TCP_RST)
		f->state = SLUICE_NAT_CLOSING;
	if (!(tcp->flags & TCP_FIN))
		return;
	f->fins |= who;
	if (f->fins == 3)
		f->state = SLUICE_NAT_CLOSING;
}

/* A stamp is a store into a line that another CPU may read: one in a while will do. */
static __always_inline void nat_stamp(struct sluice_nat_flow *f)
{
	__u32 now = nat_now();

	if (now - f->stamp > 32)
		f->stamp = now;
}

static __noinline int nat_seen_client(struct packet *p, struct sluice_nat_flow *f)
{
	struct tcp_start *tcp;

	if (!p || !f)
		return SLUICE_R_truncated;
	nat_stamp(f);
	if (f->proto != IPPROTO_TCP) {
		if (f->state == SLUICE_NAT_ANSWERED)
			f->state = SLUICE_NAT_OPEN;
		return NEXT;
	}
	tcp = packet_at(p, p->l4, struct tcp_start);
	if (!tcp)
		return SLUICE_R_truncated;
	if (p->syn && f->state != SLUICE_NAT_OPEN) {
		f->state = SLUICE_NAT_NEW; /* the client uses its port anew */
		f->fins = 0;
	}
	if (f->state == SLUICE_NAT_ANSWERED && (tcp->flags & TCP_ACK) && tcp->ack == f->proof)
		f->state = SLUICE_NAT_OPEN;
	nat_fin(f, tcp, 1);
	return NEXT;
}

static __noinline int nat_seen_backend(struct packet *p, struct sluice_nat_flow *f)
{
	struct tcp_start *tcp;

	if (!p || !f)
		return SLUICE_R_truncated;
	nat_stamp(f);
	if (f->proto != IPPROTO_TCP) {
		if (f->state == SLUICE_NAT_NEW)
			f->state = SLUICE_NAT_ANSWERED;
		return NEXT;
	}
	tcp = packet_at(p, p->l4, struct tcp_start);
	if (!tcp)
		return SLUICE_R_truncated;
	if ((tcp->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) &&
	    f->state <= SLUICE_NAT_ANSWERED) {
		f->proof = bpf_htonl(bpf_ntohl(tcp->seq) + 1);
		f->state = SLUICE_NAT_ANSWERED;
	}
	nat_fin(f, tcp, 2);
	return NEXT;
}

/* ---- both ways ------------------------------------------------------------------------ */

/* For a new flow. Sets p->backend and p->to. */
static __noinline int nat_choose(struct packet *p, const struct sluice_service *s)
{
	if (!p || !s)
		return 0;
	return (s->pins && pin_find(p, s)) ||
	       ring_find(p, s, sluice_service_hash(&p->flow, s->hash));
}

/* The flow of a packet of a client, which may be its first. */
static __noinline int nat_client(struct packet *p, const struct sluice_service *s)
{
	int why;

	if (!p || !s)
		return SLUICE_R_no_service;
	if ((why = guard_forward(p)) != NEXT)
		return why;
	if (nat_find(p)) {
		notice(p, SLUICE_N_conn_hit);
		return NEXT;
	}
	notice(p, SLUICE_N_conn_miss);
	if (p->quoted)
		return SLUICE_R_icmp_quote;
	if (p->flow.proto == IPPROTO_TCP && !p->syn)
		return SLUICE_R_nat_unknown;
	if (!nat_choose(p, s))
		return SLUICE_R_no_backend;
	return nat_begin(p) ? NEXT : SLUICE_R_nat_full;
}

/* The flow of a packet to a source address: a backend's answer, or something of the host's own. */
static __noinline int nat_answer(struct packet *p, __u32 source)
{
	if (!p || !nat_find_reply(p, source))
		return SLUICE_R_no_service;
	return guard_forward(p);
}

static __noinline int nat_to_backend(struct packet *p)
{
	struct sluice_nat_flow *f;
	int why;

	if (!p || !(f = nat_at(nat_scratch(p)->place)))
		return SLUICE_R_nat_full;
	if (!p->quoted && (why = nat_seen_client(p, f)) != NEXT)
		return why;
	if ((why = route_backend(p)) != NEXT)
		return why;
	if (p->syn | p->quoted)
		size_mend(p, hop_mtu(p->hop));
	if (!rewrite(p, f, true) || !route_take(p, 0, p->v6))
		return SLUICE_R_truncated;
	return p->quoted ? SLUICE_R_icmp_forward : SLUICE_R_forward;
}

/* A SYN-ACK tells how much the client may send at once, on to the backend. */
static __noinline int nat_size_back(struct packet *p, struct sluice_nat_flow *f)
{
	struct tcp_start *tcp = p ? packet_at(p, p->l4, struct tcp_start) : NULL;
	__u32 mtu, there;

	if (!tcp || !f)
		return 0;
	if (!p->quoted && (f->proto != IPPROTO_TCP || !(tcp->flags & TCP_SYN)))
		return 0;
	mtu = hop_mtu(&f->hop);
	if (!p->quoted && route_backend(p) == NEXT && (there = hop_mtu(p->hop)) < mtu)
		mtu = there;
	p->hop = &f->hop;
	size_mend(p, mtu);
	return 0;
}

static __noinline int nat_to_client(struct packet *p)
{
	struct sluice_nat_flow *f;
	int why;

	if (!p || !(f = nat_at(nat_scratch(p)->place)))
		return SLUICE_R_no_service;
	if (!p->quoted && (why = nat_seen_backend(p, f)) != NEXT)
		return why;
	if ((why = route_find(p, &f->hop, &f->vip, &f->client, 0)) != NEXT)
		return why;
	if (p->to->mss || p->quoted)
		nat_size_back(p, f);
	if (!rewrite(p, f, false) || !route_take(p, 0, p->v6))
		return SLUICE_R_truncated;
	return p->quoted ? SLUICE_R_icmp_forward : SLUICE_R_nat_reply;
}

__noinline int nat_serve_or_reply(struct xdp_md *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct sluice_counters *count = bpf_map_lookup_elem(&counters, &cpu);
	struct nat_scratch *n;
	struct packet p;
	int why;

	if (!count)
		return SLUICE_R_no_service;
	n = (struct nat_scratch *)count->scratch;
	p = n->packet;
	p.ctx = ctx;
	p.count = count;
	if (n->service.kind == SLUICE_SOURCE) {
		why = nat_answer(&p, n->service.ring_size);
		if (why == NEXT)
			why = nat_to_client(&p);
	} else {
		why = nat_client(&p, &n->service);
		if (why == NEXT)
			why = nat_to_backend(&p);
	}
	why = tell(&p, why);
	n->packet.verdict = p.verdict;
	n->packet.backend = p.backend;
	return why;
}

/* Packets of a service whose backends are reached by nat, and packets to an address that nat
 * sends from. */
static __always_inline int nat_gate(struct packet *p, const struct sluice_service *s)
{
	struct nat_scratch *n = nat_scratch(p);
	int why;

	n->packet = *p;
	n->service = *s;
	why = nat_serve_or_reply(p->ctx);
	p->verdict = n->packet.verdict;
	p->backend = n->packet.backend;
	return why;
}

#endif
