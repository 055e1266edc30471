/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which service a flow is for, and which backend it goes to: the connection table first,
 * then the service's Maglev table. Nothing here touches the packet.
 */
#ifndef BPF_BALANCE_H
#define BPF_BALANCE_H

#include "sluice/conn.h"
#include "sluice/filter.h"
#include "sluice/flow_hash.h"

#include "parse.h"

/* False: for sure not a VIP. */
static __always_inline bool vip_likely(const struct packet *p)
{
	return sluice_filter_has(p->count->filter_vips, sluice_filter_bit(&p->flow.dst, 0));
}

/* False: for sure not an l4 service's. */
static __always_inline bool l4_likely(const struct packet *p)
{
	const __u64 *filter = p->count->filter_l4;

	return sluice_filter_has(filter, sluice_filter_bit(&p->flow.dst, p->flow.dport)) ||
	       sluice_filter_has(filter, sluice_filter_bit(&p->flow.dst, 0));
}

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

	return b && b->service ? b : NULL;
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

/* Coarse time: changes every half second to five seconds, by the kernel's HZ. */
static __always_inline __u16 conn_stamp(void)
{
	return (__u16)(bpf_jiffies64() >> 9);
}

static __always_inline struct sluice_conns *conn_bucket(const struct packet *p, int second)
{
	__u32 index = sluice_conn_bucket(p->hash, second, conn_buckets);

	return bpf_map_lookup_elem(&conns, &index);
}

/* Which way of a bucket an entry takes: the flow's own, an empty one, or the one that was used
 * longest ago; rank tells which kind it is. */
struct conn_place {
	__u32 second, way, rank;
	__u16 age;
};
enum { PLACE_NONE, PLACE_OLDEST, PLACE_EMPTY, PLACE_OWN };

static __always_inline void conn_rank(const struct packet *p, const struct sluice_conns *b,
				      int second, struct conn_place *best)
{
	__u16 now = conn_stamp();

	for (__u32 i = 0; i < SLUICE_CONN_WAYS; i++) {
		__u64 word = b->way[i].word;
		__u32 rank = PLACE_OLDEST;
		__u16 age = now - (__u16)word;

		if (!word)
			rank = PLACE_EMPTY;
		else if (sluice_conn_of(b->way[i].check, word) == p->hash)
			rank = PLACE_OWN;
		if (rank > best->rank ||
		    (rank == PLACE_OLDEST && best->rank == rank && age > best->age))
			*best = (struct conn_place){second, i, rank, age};
	}
}

static __noinline int conn_write(struct packet *p)
{
	__u64 word = sluice_conn_word(p->backend, p->to->generation, conn_stamp());
	struct conn_place best = {};
	struct sluice_conn_keys *keys;
	struct sluice_conns *b;
	__u32 index;

	for (int second = 0; second < 2; second++) {
		b = conn_bucket(p, second);
		if (b)
			conn_rank(p, b, second, &best);
	}
	index = sluice_conn_bucket(p->hash, best.second, conn_buckets);
	b = bpf_map_lookup_elem(&conns, &index);
	keys = bpf_map_lookup_elem(&conn_keys, &index);
	if (!b || !keys)
		return 0;
	if (best.rank == PLACE_OLDEST)
		notice(p, SLUICE_N_conn_evicted);
	best.way &= SLUICE_CONN_WAYS - 1;
	keys->way[best.way] = p->flow;
	b->way[best.way].check = p->hash ^ sluice_conn_fold(word);
	b->way[best.way].word = word;
	return 1;
}

/*
 * A flow enters the table on evidence that its client is there: a TCP packet that is more
 * than an opening SYN, or any UDP. Until then the Maglev table gives the same answer. RST
 * and quotes in ICMP errors make no entry. Neither RST nor FIN removes one: both can be
 * forged, and an entry left over costs only its place, which goes to the next who needs it.
 */
static __always_inline void conn_insert(struct packet *p)
{
	if (p->syn || p->rst || p->quoted || !p->hash)
		return;
	if (!conn_room(p) || !conn_write(p)) {
		notice(p, SLUICE_N_conn_skipped);
		return;
	}
	notice(p, SLUICE_N_conn_new);
}

/* Is it there, and its backend still the same one? Sets p->backend and p->to. */
static __always_inline bool conn_take(struct packet *p, struct sluice_conn *conn, __u64 word)
{
	const struct sluice_backend *to = backend_find(sluice_conn_backend(word));
	__u16 now = conn_stamp();

	if (!to || to->generation != sluice_conn_generation(word)) {
		p->conn_stale = 1;
		return false;
	}
	if ((__u16)word != now)
		conn->word = (word & ~SLUICE_CONN_STAMP) | now;
	p->to = to;
	p->backend = sluice_conn_backend(word);
	p->service = to->service;
	return true;
}

/* The backend that the flow was given. */
static __always_inline bool conn_find(struct packet *p)
{
	p->hash = sluice_conn_hash(&p->flow, conn_seed);
	for (int second = 0; second < 2; second++) {
		struct sluice_conns *b = conn_bucket(p, second);

		if (!b)
			return false;
		for (int i = 0; i < SLUICE_CONN_WAYS; i++) {
			__u64 word = b->way[i].word;

			if (word && sluice_conn_of(b->way[i].check, word) == p->hash)
				return conn_take(p, &b->way[i], word);
		}
	}
	return false;
}

/* The backend that the flow's hash gives it. */
static __always_inline bool ring_find(struct packet *p, const struct sluice_service *s)
{
	__u32 id = s->id, slot = slot, *backend;
	void *ring = bpf_map_lookup_elem(&rings, &id);

	if (!ring)
		return false;
	slot = sluice_slot(sluice_service_hash(&p->flow, s->hash), s->ring_size);
	backend = bpf_map_lookup_elem(ring, &slot);
	if (!backend)
		return false;
	p->backend = *backend;
	p->to = backend_find(p->backend);
	return p->to;
}

/* For a flow that is not in the connection table. Sets p->backend and p->to. */
static __always_inline int backend_choose(struct packet *p, const struct sluice_service *s)
{
	notice(p, p->conn_stale ? SLUICE_N_conn_stale : SLUICE_N_conn_miss);
	if (!ring_find(p, s))
		return SLUICE_R_no_backend;
	conn_insert(p);
	return NEXT;
}

#endif
