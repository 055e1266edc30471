// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The gate: what the NIC's driver runs for each frame that comes in. The corridor below is
 * the specification; each stage is a file. A stage returns NEXT or the reason to stop for,
 * and every reason leaves through leave() (stats.h), which counts it.
 *
 * Cost for a packet of an established l4 flow: three map lookups, of the flow, its backend and
 * this CPU's counters, array maps which the kernel inlines; one more of the block list, while there
 * is anything on it. While an l4 service has a limit, one more, and two lines of the table of
 * sources if it is that flow's.
 */
#include "apart.h"
#include "icmp.h"
#include "nat.h"
#include "rate.h"
#include "syncookie.h"
#include "too_big.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* No port can be read of a later fragment, or behind too many extension headers. If no service
 * takes such, only the VIP's own entry can be asked: is it for us, and could it be for the host's
 * own sockets? */
static __always_inline int serve_portless(struct packet *p)
{
	struct sluice_service *vip = fragments_find(p);

	if (vip)
		return apart_gate(p, vip);
	vip = vip_find(p);
	if (!vip)
		return SLUICE_R_no_service;
	if (vip->kind & SLUICE_SOURCE)
		return SLUICE_R_no_service;
	return vip->kind & SLUICE_L7 ? SLUICE_R_l7 : p->portless;
}

/* Not a flow that the connection table knows: which service is it for? */
static __always_inline int serve_new(struct packet *p, struct sluice_service **service)
{
	struct sluice_service *s = service_find(&p->flow);

	if (!s)
		return p->quoted ? icmp_unclaimed(p) : SLUICE_R_no_service;
	p->service = s->id;
	*service = s;
	return NEXT;
}

/* Does the packet of a service go on to a backend? */
static __always_inline int serve_here(struct packet *p, const struct sluice_service *s)
{
	if (s->kind & SLUICE_L7)
		return l7_serve(p, s);
	if (p->first_fragment)
		return s->kind == SLUICE_SOURCE ? SLUICE_R_no_service : SLUICE_R_fragment;
	return NEXT;
}

/* One way out for known flows and new ones: the verifier walks it once. */
static __always_inline int serve(struct packet *p)
{
	struct sluice_service *s = NULL;
	bool known;
	int why;

	if (!vip_likely(p))
		return SLUICE_R_no_service;
	known = !p->first_fragment && tracked_likely(p) && conn_find(p, conn_seed);
	if (known)
		notice(p, SLUICE_N_conn_hit);
	else if ((why = serve_new(p, &s)) != NEXT)
		return why;
	if (s && apart_is(s))
		return apart_gate(p, s);
	if ((why = rate_check(p, s)) != NEXT)
		return why;
	if (s && (why = serve_here(p, s)) != NEXT)
		return why;
	if (nat_sources && s && s->kind & (SLUICE_NAT | SLUICE_SOURCE))
		return nat_gate(p, s);
	if ((why = guard_forward(p)) != NEXT)
		return why;
	if (s && (why = backend_choose(p, s)) != NEXT)
		return why;
	return deliver(p);
}

static __always_inline int corridor(struct packet *p)
{
	int why;

	if ((why = parse_l2(p)) != NEXT)
		return why;
	if ((why = parse_addresses(p)) != NEXT)
		return why;
	if ((why = guard_lists(p)) != NEXT)
		return why;
	if ((why = parse_l3(p)) != NEXT)
		return why;
	if (p->portless)
		return serve_portless(p);
	if ((why = decap(p)) != NEXT)
		return why;
	if ((why = icmp_is(p) ? icmp_serve(p) : parse_l4(p)) != NEXT)
		return why;
	return serve(p);
}

SEC("xdp")
int gate(struct xdp_md *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct packet p = {
		.ctx = ctx,
		.count = bpf_map_lookup_elem(&counters, &cpu),
		.bytes = ctx->data_end - ctx->data,
		.verdict = XDP_DROP,
	};

	if (!p.count)
		return XDP_PASS;
	return leave(&p, corridor(&p));
}
