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

#include "mask.h"
#include "parse.h"

/* False: for sure not a VIP. */
static __always_inline bool vip_likely(const struct packet *p)
{
	return sluice_filter_has(p->count->filter_vips, sluice_filter_bit(&p->flow.dst, 0));
}

/* False: for sure of no service whose flows are in the connection table. */
static __always_inline bool tracked_likely(const struct packet *p)
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

/* The service that takes fragments of the packet's protocol, which name no port. */
static __always_inline struct sluice_service *fragments_find(const struct packet *p)
{
	struct sluice_vip key = {
		.addr = p->flow.dst,
		.port = bpf_htons(p->flow.proto),
		.proto = SLUICE_FRAGMENT,
	};

	return p->portless == SLUICE_R_fragment ? bpf_map_lookup_elem(&vips, &key) : NULL;
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
		c->window_was_full =
			now - c->window_start_ns < 2000000000ULL && c->window_entries >= conn_rate;
		c->window_start_ns = now;
		c->window_entries = 0;
	}
	if (c->window_entries >= conn_rate)
		return false;
	c->window_entries++;
	return true;
}

/* Were flows left out in the last moment? */
static __always_inline bool conn_flooded(const struct packet *p)
{
	const struct sluice_counters *c = p->count;

	if (bpf_ktime_get_ns() - c->window_start_ns >= 2000000000ULL)
		return !conn_rate;
	return c->window_was_full || c->window_entries >= conn_rate;
}

/* Coarse time: changes every half second to five seconds, by the kernel's HZ. */
static __always_inline __u16 conn_stamp(void)
{
	return (__u16)(bpf_jiffies64() >> 9);
}

static __always_inline struct sluice_conns *conn_bucket(const struct packet *p, __u32 nth)
{
	__u32 index = sluice_conn_place(p->hash, nth, conn_buckets);

	return bpf_map_lookup_elem(&conns, &index);
}

/*
 * Which way of its buckets a flow takes: its own, an empty one, that of a flow which has ended,
 * or the one that was used longest ago. Each way has a score, whose low bits say where it is,
 * the first bucket highest; the highest wins. No branch depends on a score, or the verifier
 * would walk each course of the comparisons apart.
 */
#define PLACE_BITS   4
#define PLACE_LAST   15
#define PLACE_CLOSED (1ULL << 17) /* the age is below */
#define PLACE_EMPTY  (1ULL << 18)
#define PLACE_OWN    (1ULL << 19)

static __always_inline __u64 conn_score(__u64 hash, const struct sluice_conn *c, __u16 now)
{
	__u64 word = c->word, age = sluice_conn_age(word, now);
	__u64 long_ago = SLUICE_CONN_LINGER_MS + SLUICE_CONN_AHEAD * conn_step_ms;
	__u64 closed = mask_less(long_ago, age * conn_step_ms) & mask_top(word << 32 | word << 34);

	_Static_assert(SLUICE_CONN_CLOSING << 32 == 1ULL << 63 &&
			       SLUICE_CONN_OPENING << 34 == 1ULL << 63,
		       "the top bit");
	return age | (closed & PLACE_CLOSED) | (mask_zero(word) & PLACE_EMPTY) |
	       (mask_zero(sluice_conn_of(c->check, word) ^ hash) & PLACE_OWN);
}

/* A global function, which the verifier walks once and not for each way that leads here; so it
 * takes numbers alone (Linux before 5.12), and returns one: bucket, way, evicted; < 0: none. */
__noinline int conn_place(__u64 hash, __u64 word)
{
	__u64 best = 0;
	struct sluice_conns *b;
	__u32 index, way;

	for (__u32 nth = 0; nth < SLUICE_CONN_PLACES; nth++) {
		index = sluice_conn_place(hash, nth, conn_buckets);
		b = bpf_map_lookup_elem(&conns, &index);
		for (__u32 i = 0; b && i < SLUICE_CONN_WAYS; i++) {
			__u64 score = conn_score(hash, &b->way[i], (__u16)word) << PLACE_BITS;

			score |= PLACE_LAST - (nth * SLUICE_CONN_WAYS + i);
			best ^= (best ^ score) & mask_less(best, score);
		}
	}
	way = PLACE_LAST - (best & PLACE_LAST);
	index = sluice_conn_place(hash, way / SLUICE_CONN_WAYS, conn_buckets);
	b = bpf_map_lookup_elem(&conns, &index);
	if (!b)
		return -1;
	way &= SLUICE_CONN_WAYS - 1;
	asm volatile("" : "+r"(way)); /* one register for the mask and both uses */
	b->way[way].check = hash ^ sluice_conn_fold(word);
	b->way[way].word = word;
	return index << 3 | way << 1 | (best < PLACE_CLOSED << PLACE_BITS);
}

static __always_inline __u64 conn_word(const struct packet *p)
{
	__u64 word = sluice_conn_word(p->backend, p->to->generation, conn_stamp());

	if (p->flow.proto == IPPROTO_UDP)
		word |= SLUICE_CONN_UDP;
	if (p->syn)
		word |= SLUICE_CONN_OPENING;
	return p->closing ? word | SLUICE_CONN_CLOSING : word;
}

static __always_inline bool conn_write(struct packet *p)
{
	int place = conn_place(p->hash, conn_word(p));
	__u32 index = (__u32)place >> 3, way = (__u32)place >> 1;
	struct sluice_conn_keys *keys;

	if (place < 0)
		return false;
	if (place & 1)
		notice(p, SLUICE_N_conn_evicted);
	keys = bpf_map_lookup_elem(&conn_keys, &index);
	if (!keys)
		return false;
	way &= SLUICE_CONN_WAYS - 1;
	asm volatile("" : "+r"(way));
	keys->way[way] = p->flow;
	return true;
}

/*
 * A flow enters the table on evidence that its client is there: a TCP packet that is more
 * than an opening SYN, or any UDP. Until then the Maglev table gives the same answer. A SYN
 * enters where it would not: the table was changed (below), or the service says `always`.
 * RST and quotes in ICMP errors make no entry. Neither RST nor FIN removes one: both can be
 * forged. They mark it as closing, which changes nothing for the flow. Once an entry that is
 * closing, or of a SYN alone, is silent, its place is the first to go to another who needs it.
 */
static __always_inline void conn_insert(struct packet *p, const struct sluice_service *s)
{
	if (p->rst || p->quoted || !p->hash || s->track == SLUICE_TRACK_never)
		return;
	if (p->syn && s->track != SLUICE_TRACK_always && !p->moved)
		return;
	if (!conn_room(p) || !conn_write(p)) {
		notice(p, SLUICE_N_conn_skipped);
		return;
	}
	notice(p, SLUICE_N_conn_new);
}

/* The entry as this packet leaves it: used just now; no more opening unless it is a SYN; closing,
 * or opened again by a SYN. */
static __always_inline __u64 conn_renewed(const struct packet *p, __u64 word)
{
	word = (word & ~SLUICE_CONN_STAMP) | conn_stamp();
	word &= ~((__u64)!p->syn << 29);
	word |= (__u64)p->closing << 31;
	return word & ~((__u64)p->syn << 31);
}

/* Is it there, and its backend still the same one? Sets p->backend and p->to. An entry that was
 * used in this step of time is not written, nor can it have expired. */
static __always_inline bool conn_take(struct packet *p, struct sluice_conn *conn, __u64 word)
{
	const struct sluice_backend *to = backend_find(sluice_conn_backend(word));
	__u64 renewed = conn_renewed(p, word);

	if (!to || to->generation != sluice_conn_generation(word)) {
		p->conn_stale = 1;
		return false;
	}
	/* An ICMP error is of somebody on the way: it says nothing of whether the client is there.
	 */
	if (renewed != word && !p->quoted) {
		__u32 idle_ms = sluice_conn_idle_ms(word, (__u16)renewed, conn_step_ms);

		if (sluice_conn_expired(word, idle_ms, to->udp_timeout_ms)) {
			p->conn_expired = 1;
			return false;
		}
		conn->word = renewed;
	}
	p->to = to;
	p->backend = sluice_conn_backend(word);
	p->service = to->service;
	return true;
}

/* The backend that the flow was given. */
static __always_inline bool conn_find(struct packet *p, __u64 seed)
{
	p->hash = sluice_conn_hash(&p->flow, seed);
	for (__u32 nth = 0; nth < SLUICE_CONN_PLACES; nth++) {
		struct sluice_conns *b = conn_bucket(p, nth);

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
static __always_inline bool ring_find(struct packet *p, const struct sluice_service *s, __u32 hash)
{
	__u32 id = s->id, slot, *backend;
	void *ring = bpf_map_lookup_elem(&rings, &id);

	if (!ring)
		return false;
	slot = sluice_slot(hash, s->ring_size);
	backend = bpf_map_lookup_elem(ring, &slot);
	if (!backend)
		return false;
	p->backend = *backend;
	p->to = backend_find(p->backend);
	return p->to;
}

/* ---- the table before the last change ------------------------------------------------- */

/*
 * A TCP packet without an entry, in the middle of a flow, soon after the table was changed. The
 * flow may be older than the change, and come from a balancer that is gone, or have lost its
 * entry: then the table before has its backend. Or it is younger: then the new one has. Where
 * both agree it does not matter. Where they differ, the younger flows of this balancer can be
 * told, because their SYNs are entered (`moved`): so what is left is taken for an older one.
 * Younger flows of another balancer, which change over within the time, are taken wrongly; they
 * are fewer than the older ones that change over.
 *
 * Only a backend that is still there counts; one that drains does. While the table of connections
 * takes no more in, SYNs are not entered, so that the new table is asked alone. A flow that had
 * an entry of a backend which is gone now has no use for another table, nor has one of UDP: its
 * first datagram looks like any other.
 */
static __always_inline bool before_matters(const struct packet *p, const struct sluice_service *s)
{
	return p->flow.proto == IPPROTO_TCP && p->hash && !p->conn_stale &&
	       s->track != SLUICE_TRACK_never;
}

/* The slot that the flow had, or 0. Global, so that the verifier walks it once. */
__noinline int before_slot(__u32 service, __u32 hash)
{
	const struct sluice_change *change = bpf_map_lookup_elem(&changes, &service);
	__u32 slot, *was;
	void *ring;

	if (!change || !change->until_ns || change->until_ns <= bpf_ktime_get_boot_ns())
		return 0;
	slot = sluice_slot(hash, change->slots);
	ring = bpf_map_lookup_elem(&rings_before, &service);
	if (!ring)
		return 0;
	was = bpf_map_lookup_elem(ring, &slot);
	return was ? (int)*was : 0;
}

/* True: set p->backend and p->to to what they were. */
static __always_inline bool before_find(struct packet *p, const struct sluice_service *s,
					__u32 hash)
{
	__u32 was = (__u32)before_slot(s->id, hash), id = SLUICE_BEFORE_ID(was);
	const struct sluice_backend *to;

	if (!id || id == p->backend)
		return false;
	to = backend_find(id);
	if (!to || (to->generation & 0xffff) != SLUICE_BEFORE_GENERATION(was))
		return false;
	p->moved = p->syn;
	if (p->syn || conn_flooded(p))
		return false;
	p->backend = id;
	p->to = to;
	notice(p, SLUICE_N_conn_previous);
	return true;
}

/* ---- a flow that is not known --------------------------------------------------------- */

/* Why it is not. */
static __always_inline void notice_new(struct packet *p, const struct sluice_service *s)
{
	if (s->track == SLUICE_TRACK_never)
		notice(p, SLUICE_N_conn_untracked);
	else if (p->conn_stale)
		notice(p, SLUICE_N_conn_stale);
	else if (p->conn_expired)
		notice(p, SLUICE_N_conn_expired);
	else
		notice(p, SLUICE_N_conn_miss);
}

/* The backend that the source is pinned to. One that drains, or is gone, leaves its sources to the
 * table. */
static __always_inline bool pin_find(struct packet *p, const struct sluice_service *s)
{
	struct sluice_pin_key key = {
		.prefixlen = SLUICE_PIN_PREFIX(128, true),
		.service = s->id,
		.v6 = p->v6,
		.addr = p->flow.src,
	};
	const struct sluice_pin *pin = bpf_map_lookup_elem(&pins, &key);
	const struct sluice_backend *to;

	if (!pin)
		return false;
	to = backend_find(pin->backend);
	if (!to || to->generation != pin->generation || to->drains) {
		notice(p, SLUICE_N_pin_unused);
		return false;
	}
	p->backend = pin->backend;
	p->to = to;
	notice(p, SLUICE_N_pinned);
	return true;
}

static __always_inline bool table_find(struct packet *p, const struct sluice_service *s)
{
	__u32 hash = sluice_service_hash(&p->flow, s->hash);
	bool found = ring_find(p, s, hash);

	return (before_matters(p, s) && before_find(p, s, hash)) || found;
}

/* For a flow that is not in the connection table. Sets p->backend and p->to. */
static __always_inline int backend_choose(struct packet *p, const struct sluice_service *s)
{
	notice_new(p, s);
	if (!(s->pins && pin_find(p, s)) && !table_find(p, s))
		return SLUICE_R_no_backend;
	conn_insert(p, s);
	return NEXT;
}

#endif
