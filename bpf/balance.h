/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which service a flow is for, and which backend it goes to: the connection table first,
 * then the service's Maglev table. Nothing here touches the packet.
 */
#ifndef BPF_BALANCE_H
#define BPF_BALANCE_H

#include "sluice/flow_hash.h"

#include "parse.h"

/* Exact port, then the entry for every port. */
static __always_inline struct sluice_service *service_find(const struct sluice_flow *flow)
{
	struct sluice_vip key = {.addr = flow->dst, .port = flow->dport, .proto = flow->proto};
	struct sluice_service *s = bpf_map_lookup_elem(&vips, &key);

	if (s)
		return s;
	key.port = 0;
	return bpf_map_lookup_elem(&vips, &key);
}

/* The VIP's own entry: is this address ours, and for which kinds. */
static __always_inline struct sluice_service *vip_find(const struct packet *p)
{
	struct sluice_vip key = {
		.addr = p->flow.dst,
		.proto = p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
	};

	return bpf_map_lookup_elem(&vips, &key);
}

/* NULL when no backend has this id (any more). 0 is nobody's. */
static __always_inline const struct sluice_backend *backend_find(__u32 id)
{
	struct sluice_backend *b = bpf_map_lookup_elem(&backends, &id);

	return b && b->in_use ? b : NULL;
}

/* At most conn_rate entries in a second on this CPU, so that a flood cannot push the flows
 * of real clients out of the table. */
static __always_inline bool conn_room(struct packet *p)
{
	struct sluice_counters *c = p->count;
	__u64 now = bpf_ktime_get_ns();

	if (now - c->window_start_ns >= 1000000000ULL) {
		c->window_start_ns = now;
		c->window_entries = 0;
	}
	if (c->window_entries >= conn_rate)
		return false;
	c->window_entries++;
	return true;
}

/*
 * A flow enters the table on evidence that its client is there: a TCP packet that is more
 * than an opening SYN, or any UDP. Until then the Maglev table gives the same answer. RST
 * and quotes in ICMP errors make no entry. Neither RST nor FIN removes one: both can be
 * forged, and an entry left over costs only its place, which the LRU takes back.
 */
static __always_inline void conn_insert(struct packet *p)
{
	struct sluice_conn conn = {.backend = p->backend, .generation = p->to->generation};

	if (p->syn || p->rst || p->quoted)
		return;
	if (!conn_room(p) || bpf_map_update_elem(&conns, &p->flow, &conn, BPF_ANY) != 0) {
		notice(p, SLUICE_N_conn_skipped);
		return;
	}
	notice(p, SLUICE_N_conn_new);
}

/* The backend that the flow was given, if it is still the same one. */
static __always_inline bool conn_find(struct packet *p)
{
	struct sluice_conn *conn = bpf_map_lookup_elem(&conns, &p->flow);
	const struct sluice_backend *to;

	if (!conn) {
		notice(p, SLUICE_N_conn_miss);
		return false;
	}
	to = backend_find(conn->backend);
	if (!to || to->generation != conn->generation) {
		notice(p, SLUICE_N_conn_stale);
		return false;
	}
	notice(p, SLUICE_N_conn_hit);
	p->to = to;
	p->backend = conn->backend;
	return true;
}

/* The backend that the flow's hash gives it. */
static __always_inline bool ring_find(struct packet *p, const struct sluice_service *s)
{
	__u32 id = s->id, slot = sluice_slot(sluice_flow_hash(&p->flow), s->ring_size), *backend;
	void *ring = bpf_map_lookup_elem(&rings, &id);

	if (!ring)
		return false;
	backend = bpf_map_lookup_elem(ring, &slot);
	if (!backend)
		return false;
	p->backend = *backend;
	p->to = backend_find(p->backend);
	return p->to;
}

/* Sets p->backend and p->to. */
static __always_inline int backend_choose(struct packet *p, const struct sluice_service *s)
{
	if (conn_find(p))
		return NEXT;
	if (!ring_find(p, s))
		return SLUICE_R_no_backend;
	conn_insert(p);
	return NEXT;
}

#endif
