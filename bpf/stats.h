/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The packet that goes through the corridor, and its one way out: every verdict is counted
 * under its reason, and dropped packets are sampled into the event ring; others only while
 * somebody captures them.
 */
#ifndef BPF_STATS_H
#define BPF_STATS_H

#include <stdbool.h>
#include <stddef.h>

#include "maps.h"

/* A stage returns the reason to stop for, or this. */
#define NEXT (-1)

/* Tuning, set before load. */
const volatile __u32 conn_rate = 100000; /* new connection entries per CPU and second */
const volatile __u32 conn_buckets = 16;  /* of the connection table: a power of two */
const volatile __u64 conn_seed = 1;
const volatile __u32 conn_step_ms = 0; /* one step of conn_stamp(); 0: nothing ever expires */
const volatile __u32 nat_sources = 0;  /* that the map nat is made for; 0 = there is no nat */
const volatile __u32 nat_first = SLUICE_NAT_FIRST; /* of the ports that nat sends from */
const volatile __u32 nat_ports = 1;                /* how many these are */
const volatile __u32 nat_lines = 1;                /* of the map nat_index: a power of two */
const volatile __u32 tick_hz = 250;                /* the kernel's jiffies in a second */
const volatile __u32 rate_lines = 16;              /* of the table of sources: a power of two */
/* Some l4 service has a limit. Set as the maps are at load: packets of known flows, whose service
 * is not looked up, are spared the question otherwise. */
const volatile bool rates_on = false;
const volatile bool syncookies = false;                  /* the kernel makes them */
const volatile __u64 event_step = SLUICE_EVENT_STEP(64); /* of drops of a reason; 0 = no events */
const volatile bool event_heads = true;                  /* bpf_probe_read_kernel is there */

/* It lives on the stack, of which there is half a kilobyte for all that are called at once. */
struct packet {
	struct xdp_md *ctx;
	struct sluice_counters *count;   /* of this CPU */
	const struct sluice_backend *to; /* set with backend */
	struct sluice_hop *hop;          /* the way that it leaves by, once that is sought */
	__u64 hash;                      /* of the flow, in the connection table */
	struct sluice_flow flow;
	__be16 tags[4];         /* VLAN tags as on the wire: TPID, TCI, TPID, TCI */
	__u32 bytes;            /* of the frame as it came */
	__u32 ip_bytes;         /* of the IP packet: the frame may be padded beyond */
	__u16 l3, l4;           /* offsets of the IP header and of what it carries */
	__u16 quote;            /* with quoted: where the quoted ports are */
	__u16 service, backend; /* ids, 0 until known */
	__u8 v6;
	__u8 tos; /* DSCP and ECN */
	__u8 ttl;
	__u8 portless;       /* the reason why no port can be read of it; 0 = it can */
	__u8 first_fragment; /* more fragments follow */
	__u8 syn, rst;       /* TCP: SYN without ACK; RST */
	__u8 closing;        /* TCP: FIN or RST */
	__u8 quoted;         /* flow is not the packet's own: an ICMP error quotes it */
	__u8 conn_stale;     /* the connection table's entry leads nowhere any more */
	__u8 conn_expired;   /* or its flow was silent for too long */
	/* Two of one byte: with another the stack of six calls has no room on Linux 5.10. */
	__u8 moved : 1;   /* its slot has another backend since the last change of the table */
	__u8 allowed : 1; /* its source is on the allow list, as far as that was asked */
	__u8 vip_kind;    /* of an ICMP message: kinds of the VIP that it came to */
	__u8 verdict;     /* of a TX reason: XDP_TX or XDP_REDIRECT */
};

/*
 * Loads of ctx->data and ctx->data_end. The fields are 32 bits wide but hold pointers: left
 * to itself, clang keeps such a load in a 32-bit register and widens a copy of it, which the
 * verifier takes for a number ("invalid mem access 'scalar'", clang 19 with -mcpu=v3).
 */
#define packet_edge(p, field)                                                                      \
	({                                                                                         \
		void *edge_;                                                                       \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                                              \
			     : "=r"(edge_)                                                         \
			     : "r"((p)->ctx), "i"(offsetof(struct xdp_md, field)));                \
		edge_;                                                                             \
	})

#define PACKET_MAX_OFFSET 2048 /* headers that begin beyond are out of reach */

/*
 * Header fields are read through this: NULL when the packet ends before. Helpers that move
 * the packet's head end the borrow of earlier pointers, so none is kept.
 */
#define packet_at(p, offset, type) ((type *)packet_span(p, offset, sizeof(type)))

static __always_inline void *packet_span(const struct packet *p, __u64 offset, __u32 bytes)
{
	void *at = packet_edge(p, data), *end = packet_edge(p, data_end);

	/* One register for the comparison and the sum, so that the verifier sees the bound. */
	asm volatile("" : "+r"(offset));
	if (offset > PACKET_MAX_OFFSET)
		return NULL;
	at += offset;
	return at + bytes <= end ? at : NULL;
}

static __always_inline void notice(struct packet *p, enum sluice_notice n)
{
	p->count->notices[n]++;
}

static __always_inline void count_add(struct sluice_count *c, __u32 bytes)
{
	c->packets++;
	c->bytes += bytes;
}

/* The frame's first bytes. A loop with a check for each would do without the helper, but costs
 * the verifier a path for each length, at every call. */
static __always_inline void event_head(const struct packet *p, struct sluice_event *e)
{
	void *at = packet_edge(p, data), *end = packet_edge(p, data_end);
	__u64 n = end - at;

	e->frame = n;
	e->held = 0;
	__builtin_memset(e->head, 0, sizeof(e->head));
	if (!event_heads)
		return;
	asm volatile("" : "+r"(n)); /* one register for the check and the helper */
	if (n > SLUICE_EVENT_HEAD)
		n = SLUICE_EVENT_HEAD;
	e->held = n;
	bpf_probe_read_kernel(e->head, n, at);
}

static __noinline int event_emit(struct packet *p, __u32 reason)
{
	struct sluice_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		notice(p, SLUICE_N_events_lost);
		return 0;
	}
	e->time_ns = bpf_ktime_get_boot_ns();
	e->ifindex = p->ctx->ingress_ifindex;
	e->reason = reason;
	e->bytes = p->bytes;
	e->backend = p->backend;
	e->flow = p->flow;
	event_head(p, e);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* Of those that are not dropped, the ones that `sluice capture` has asked for. */
static __always_inline bool event_asked(const struct packet *p, __u32 reason)
{
	return p->count->capture >> reason & 1 &&
	       bpf_ktime_get_boot_ns() < p->count->capture_until_ns;
}

/* One of so many: each moves on by a part of 2^32, and the one that comes around is due. The
 * remainder of a division would say it too, but divisions are slow. */
static __always_inline bool event_due(const struct packet *p, __u32 reason, int action)
{
	return event_step && (action == XDP_DROP || event_asked(p, reason)) &&
	       (__u32)(p->count->reasons[reason].packets * event_step) < event_step;
}

/* PASS, DROP or TX, by the table in reasons.h. */
static __always_inline int reason_action(const struct packet *p, __u32 reason)
{
	enum { PASS = XDP_PASS, DROP = XDP_DROP, TX = -1 };
	int action = PASS;

	switch (reason) {
#define SLUICE_REASON(name, act, sentence)                                                         \
	case SLUICE_R_##name:                                                                      \
		action = act;                                                                      \
		break;
		SLUICE_REASONS(SLUICE_REASON)
#undef SLUICE_REASON
	}
	return action == TX ? p->verdict : action;
}

/* The only exit. Services and backends are credited with what they got, not with drops. */
static __always_inline int leave(struct packet *p, int why)
{
	__u32 reason = (__u32)why & (SLUICE_SLOTS - 1);
	struct sluice_count *c = &p->count->reasons[reason];
	int action = reason_action(p, reason);

	if (event_due(p, reason, action))
		event_emit(p, reason);
	count_add(c, p->bytes);
	if (action == XDP_DROP)
		return action;
	if (p->service)
		count_add(&p->count->services[p->service & (SLUICE_MAX_SERVICES - 1)], p->bytes);
	if (p->backend)
		count_add(&p->count->backends[p->backend & (SLUICE_MAX_BACKENDS - 1)], p->bytes);
	return action;
}

#endif
