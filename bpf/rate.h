/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How much a source may send to a service that has a limit. A service without one costs a test of
 * its entry, and packets of known flows nothing at all while no l4 service has one (rates_on).
 *
 * Sources can be forged, so nothing here remembers them for long: a flood of them fills the table
 * with buckets that are nearly full, and each takes the place of another such one. Those of sources
 * that are over their limit are nearly empty, and stay.
 */
#ifndef BPF_RATE_H
#define BPF_RATE_H

#include "sluice/rate.h"

#include "balance.h"

enum { RATE_TAKEN = 0, RATE_OVER = 1, RATE_FORGOT = 2 }; /* of rate_take() */

/* What of the packet's a judgement takes, in one number. */
#define RATE_SERVICE (SLUICE_MAX_SERVICES - 1)
#define RATE_V6      (1U << 30)
#define RATE_OPENS   (1U << 31)

/* Each way's score, as conn_score(): its own, or the one that is full the longest. */
#define RATE_OWN (1ULL << 62)

static __always_inline __u64 rate_score(__u64 who, const struct sluice_bucket *b)
{
	return (mask_zero(b->who ^ who) & RATE_OWN) | ((~b->full_ns & SLUICE_RATE_NS_MASK) & ~7ULL);
}

/* One drop out of who's bucket. Global, so that the verifier walks it once. */
__noinline int rate_take(__u64 who, __u64 gap_ns, __u64 burst_ns)
{
	__u64 now = bpf_ktime_get_ns(), best = 0, full = 0, taken;
	struct sluice_sources *line;
	__u32 index, way;

	for (int second = 0; second < 2; second++) {
		index = sluice_conn_bucket(who, second, rate_lines);
		line = bpf_map_lookup_elem(&sources, &index);
		for (__u32 i = 0; line && i < SLUICE_SOURCE_WAYS; i++) {
			__u64 score = rate_score(who, &line->way[i]);

			score |= 7 - (second * SLUICE_SOURCE_WAYS + i);
			best ^= (best ^ score) & mask_less(best, score);
		}
	}
	way = 7 - (best & 7);
	index = sluice_conn_bucket(who, way / SLUICE_SOURCE_WAYS, rate_lines);
	line = bpf_map_lookup_elem(&sources, &index);
	if (!line)
		return RATE_TAKEN;
	way &= SLUICE_SOURCE_WAYS - 1;
	asm volatile("" : "+r"(way)); /* one register for the mask and all uses */
	full = line->way[way].full_ns;
	taken = sluice_rate_taken(full, now);
	if (best < RATE_OWN) {
		/* In this order: until it has its name, nobody is held to it. */
		line->way[way].full_ns = now + gap_ns;
		line->way[way].who = who;
		return taken ? RATE_FORGOT : RATE_TAKEN;
	}
	if (sluice_rate_over(taken, gap_ns, burst_ns)) {
		/* The limit had a larger burst, or the bucket was another's a moment ago. */
		if (taken > burst_ns)
			line->way[way].full_ns = now + burst_ns;
		return RATE_OVER;
	}
	line->way[way].full_ns = now + taken + gap_ns;
	return RATE_TAKEN;
}

/* One kind of a limit. */
static __always_inline int rate_of(const struct sluice_limit *l, struct sluice_counters *count,
				   __u64 first, __u64 second, __u32 what, enum sluice_rate kind)
{
	__u32 v6 = (what & RATE_V6) != 0;
	__u64 who;
	int taken;

	if (!l->gap_ns[kind])
		return 0;
	first &= addr_first(&l->mask[v6]);
	second &= addr_second(&l->mask[v6]);
	who = sluice_rate_who(first, second, what & RATE_SERVICE, v6, kind, conn_seed);
	taken = rate_take(who, l->gap_ns[kind], sluice_limit_burst_ns(l));
	if (taken == RATE_FORGOT)
		count->notices[SLUICE_N_rate_forgotten]++;
	return taken == RATE_OVER;
}

/* NEXT, or why the source may not send this now. Global likewise. */
__noinline int rate_judge(__u64 first, __u64 second, __u32 what)
{
	__u32 service = what & RATE_SERVICE, cpu = bpf_get_smp_processor_id();
	const struct sluice_limit *l = bpf_map_lookup_elem(&limits, &service);
	struct sluice_counters *count = bpf_map_lookup_elem(&counters, &cpu);
	int why = NEXT;

	if (!l || !count)
		return NEXT;
	if (rate_of(l, count, first, second, what, SLUICE_RATE_packets))
		why = SLUICE_R_rate_packets;
	else if (what & RATE_OPENS &&
		 rate_of(l, count, first, second, what, SLUICE_RATE_connections))
		why = SLUICE_R_rate_connections;
	return why;
}

/* Does the packet open a connection? Of UDP that cannot be told where the connection table
 * remembers no flows. */
static __always_inline bool rate_opens(const struct packet *p, const struct sluice_service *s)
{
	if (p->flow.proto == IPPROTO_TCP)
		return p->syn;
	return s && p->flow.proto == IPPROTO_UDP && s->track != SLUICE_TRACK_never &&
	       !(s->kind & SLUICE_NAT);
}

/* s is NULL for a flow of the connection table. An ICMP error is of somebody on the way and not of
 * the flow's source: not counted. */
static __always_inline int rate_check(const struct packet *p, const struct sluice_service *s)
{
	__u32 what = p->service & RATE_SERVICE;
	int why;

	if (s ? !s->limited : !rates_on)
		return NEXT;
	if (p->allowed || p->quoted)
		return NEXT;
	if (p->v6)
		what |= RATE_V6;
	if (rate_opens(p, s))
		what |= RATE_OPENS;
	why = rate_judge(addr_first(&p->flow.src), addr_second(&p->flow.src), what);
	/* Asked here and not there: so deep in calls the stack has no room on Linux 5.10. */
	if (why == NEXT ||
	    source_allowed(addr_first(&p->flow.src), addr_second(&p->flow.src), p->v6))
		return NEXT;
	return why;
}

#endif
