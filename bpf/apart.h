/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Services whose flows are not told by addresses and ports: the service is looked up first and then
 * the flow, and so they cost others nothing.
 *
 * fragments: a client's packets of one protocol are one flow, without ports. Later fragments have
 * none, and first ones and whole packets must go where they do.
 *
 * hash = quic_cid: what a connection ID says comes before what is known of addresses and ports,
 * which the client may change at any time. They are remembered nevertheless: by them go packets
 * whose ID says nothing, and ICMP errors.
 */
#ifndef BPF_APART_H
#define BPF_APART_H

#include "nat.h"
#include "quic.h"
#include "rate.h"

static __always_inline bool apart_is(const struct sluice_service *s)
{
	return s->fragments || s->server_ids;
}

/* Sets p->to, if the flow is known. That it is set says so to the verifier, too: Linux 5.10 forgets
 * the value of a flag that was put on the stack. */
static __always_inline void apart_find(struct packet *p, const struct sluice_service *s)
{
	bool known;
	__u32 was;

	p->to = NULL;
	if (s->fragments) {
		p->flow.sport = 0;
		p->flow.dport = 0;
	}
	known = s->track != SLUICE_TRACK_never && conn_find(p, SLUICE_CONN_SEED_APART(conn_seed));
	if (known)
		notice(p, SLUICE_N_conn_hit);
	was = p->backend;
	if (s->server_ids && quic_find(p, s) && (!known || p->backend != was))
		conn_insert(p, s);
}

static __always_inline int apart(struct packet *p, const struct sluice_service *s)
{
	int why;

	if (p->first_fragment && !s->fragments)
		return SLUICE_R_fragment;
	apart_find(p, s);
	if ((why = rate_check(p, p->to ? NULL : s)) != NEXT)
		return why;
	if ((why = guard_forward(p)) != NEXT)
		return why;
	if (!p->to && (why = backend_choose(p, s)) != NEXT)
		return why;
	return deliver(p);
}

/* A function that the verifier walks by itself, as nat_serve_or_reply(). */
__noinline int apart_serve(struct xdp_md *ctx)
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
	why = apart(&p, &n->service);
	n->packet.verdict = p.verdict;
	n->packet.backend = p.backend;
	return why;
}

static __always_inline int apart_gate(struct packet *p, const struct sluice_service *s)
{
	struct nat_scratch *n = nat_scratch(p);
	int why;

	p->service = s->id;
	n->packet = *p;
	n->service = *s;
	why = apart_serve(p->ctx);
	p->verdict = n->packet.verdict;
	p->backend = n->packet.backend;
	return why;
}

#endif
