/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The wall between the gate (bpf/) and userspace: keys, values, pins and bounds of
 * every shared map. Fixed-width, padding spelled out and zero, addresses as bytes in
 * network order. A change here that an older program would misread raises SLUICE_ABI;
 * attach and sluiced refuse pins of another number and say how to mend it.
 *
 * One address type serves both families: IPv4 is stored v4-mapped (::ffff:a.b.c.d,
 * RFC 4291 section 2.5.5.2), so each map has one key layout.
 */
#ifndef SLUICE_ABI_H
#define SLUICE_ABI_H

#include <linux/types.h>

#include "sluice/reasons.h"

#define SLUICE_ABI     1
#define SLUICE_PIN_DIR "/sys/fs/bpf/sluice"

/* Bounds. What happens there is said beside each map in bpf/maps.h. */
#define SLUICE_MAX_LIST     (1U << 20) /* entries of each LPM trie */
#define SLUICE_MAX_VIPS     8192       /* (address, port, protocol) keys */
#define SLUICE_MAX_SERVICES 1024       /* service ids */
#define SLUICE_MAX_BACKENDS 4096       /* backend ids; id 0 means none */
#define SLUICE_MAX_CONNS    (1U << 20) /* flows that the connection table is made for, default */
#define SLUICE_MAX_PINS     65536      /* sources that have a backend of their own */
#define SLUICE_MAX_SOURCES  65536      /* sources that limits are counted for, default */
#define SLUICE_MAX_DECAP    256        /* balancers that a backend host trusts */
#define SLUICE_MAX_WORKERS  256        /* listening sockets that steer spreads over */
#define SLUICE_RING_SIZE    65537      /* default Maglev table size: prime, > 100 * backends */
#define SLUICE_EVENTS_BYTES (1U << 18) /* event ring; a full ring drops the event, counted */
#define SLUICE_EVENT_HEAD   128        /* bytes of a sampled frame that its event holds */
#define SLUICE_FILTER_WORDS 256        /* 64 bits each; with more VIPs a filter lets more through */
#define SLUICE_SLOTS        64         /* reason and notice slots, so that they can grow */
#define SLUICE_SCRATCH      64         /* words for the gate itself */

/* ---- what an operator edits with bpftool: stable, in the manual ------------------- */

struct sluice_lpm4 {
	__u32 prefixlen; /* 0..32, host order */
	__u8 addr[4];
};

struct sluice_lpm6 {
	__u32 prefixlen; /* 0..128, host order */
	__u8 addr[16];
};

/* All zero: listed by hand, forever. */
struct sluice_listed {
	__u64 expires_ns; /* CLOCK_BOOTTIME; 0 = never */
	__u32 reason;     /* enum sluice_listing */
	__u32 flags;      /* must be zero */
};

/* ---- what sluice itself writes ---------------------------------------------------- */

struct sluice_addr {
	union {
		__u8 b[16];
		__u32 w[4];
	};
};

#define SLUICE_L7     1 /* passed up to the daemon */
#define SLUICE_L4     2 /* forwarded by the gate */
#define SLUICE_NAT    4 /* forwarded with other addresses: l4 with forward = nat */
#define SLUICE_SOURCE 8 /* no service: an address that nat sends from (nat.h) */

/*
 * port 0 = every port of the VIP that has no entry of its own. proto ICMP (1, or 58 for
 * IPv6) with port 0 is the VIP's own entry: it exists once for each VIP, answers "is this
 * address ours" for pings, quoted errors and fragments, and its kind joins the kinds of
 * all the VIP's services. proto SLUICE_FRAGMENT with a protocol's number as port is of the service
 * that takes the fragments of this protocol.
 */
#define SLUICE_FRAGMENT                                                                            \
	44 /* what a fragment header of IPv6 is announced by: nobody listens there */
struct sluice_vip {
	struct sluice_addr addr;
	__be16 port;
	__u8 proto;
	__u8 pad;
};

struct sluice_service {
	__u32 id;        /* 1..SLUICE_MAX_SERVICES-1; index of rings and counters */
	__u32 kind;      /* SLUICE_L7, L4, NAT or SOURCE; of a VIP's own entry, all of them */
	__u32 ring_size; /* entries of the inner map rings[id]; 0 = no backend. SOURCE: its number
			  */
	__u8 hash;       /* enum sluice_hash */
	__u8 fragments;  /* 1: a client's packets of one protocol are one flow, without ports, so
			  * that fragments, which name none, go with the others */
	__u8 spare[2];
	__u8 track;       /* enum sluice_track */
	__u8 pins;        /* 1: some sources have a backend of their own, in the map pins */
	__u8 limited;     /* 1: each source has a limit, in the map limits */
	__u8 syncookie;   /* enum sluice_syncookie */
	__u32 syn_rate;   /* SYNs per CPU and second; more of them are a flood */
	__u32 server_ids; /* hash = quic_cid: how long they are (quic.h) */
};

/* Which SYNs of an l7 service the gate answers itself. */
#define SLUICE_SYNCOOKIES(SLUICE_SYNCOOKIE)                                                        \
	SLUICE_SYNCOOKIE(off, "none")                                                              \
	SLUICE_SYNCOOKIE(auto, "those that come amid a flood")                                     \
	SLUICE_SYNCOOKIE(always, "all")

enum sluice_syncookie {
#define SLUICE_SYNCOOKIE(name, sentence) SLUICE_SYNCOOKIE_##name,
	SLUICE_SYNCOOKIES(SLUICE_SYNCOOKIE)
#undef SLUICE_SYNCOOKIE
		SLUICE_SYNCOOKIE_COUNT,
};

/* What such an answer says of this host: what its TCP stack would say itself, since that is who
 * goes on with the connection. */
struct sluice_cookies {
	__u16 mss[2];   /* of IPv4 and IPv6; 0: not known yet, so that none is answered */
	__u8 timestamp; /* 1: with a timestamp, which holds what of the client's options counts */
	__u8 sack;      /* 1: with it, selective acknowledgements */
	__u8 scale;     /* with it, the shift of windows + 1; 0: they are not scaled */
	__u8 pad;
};

/* The last change of a service's Maglev table; the one before it is in the map rings_before. */
struct sluice_change {
	__u64 until_ns; /* CLOCK_BOOTTIME: how long it is asked; 0: there is none to ask */
	__u32 slots;    /* it has */
	__u32 keep_ms;  /* by the file: how long after a change; the gate does not read it */
};

/* A slot of such a table. The id may be another backend's by now, with another generation. */
#define SLUICE_BEFORE(id, generation)  ((__u32)(generation) << 16 | (id))
#define SLUICE_BEFORE_ID(slot)         ((slot) & 0xffff)
#define SLUICE_BEFORE_GENERATION(slot) ((slot) >> 16) /* its low 16 bits */

#define SLUICE_DRAINS_WEIGHT           1 /* its weight is 0 */
#define SLUICE_DRAINS_DOWN             2 /* checks found it down */

struct sluice_backend {
	struct sluice_addr addr; /* outer destination */
	struct sluice_addr src;  /* outer source, same family */
	__u32 generation;        /* changes each time the id is given to another backend */
	__u16 service;           /* that it serves; 0: no backend has this id */
	__u16 mss;               /* TCP: the most that its peers may name; 0: whatever they do */
	__u8 mode;               /* enum sluice_mode */
	__u8 drains; /* not 0: takes no new flows, not even pinned ones; by SLUICE_DRAINS_* */
	__be16 port; /* nat: that it listens on; 0 = the VIP's */
	__u32 udp_timeout_ms; /* of the service's UDP flows; 0: for good */
};

#define SLUICE_MSS_AUTO 1 /* mss: what the way to the backend has room for */

/* A source of a service, in a trie of both families: prefixlen counts 32 for service to pad, and
 * then bits of addr, of which the 96 before a v4-mapped address are some. */
struct sluice_pin_key {
	__u32 prefixlen;
	__u16 service;
	__u8 v6;
	__u8 pad;
	struct sluice_addr addr;
};
#define SLUICE_PIN_PREFIX(bits, v6) (32 + ((v6) ? 0 : 96) + (bits))

struct sluice_pin {
	__u32 backend;
	__u32 generation; /* of the backend that it was made for */
};

/* What a limit counts of a source. */
#define SLUICE_RATES(SLUICE_RATE)                                                                  \
	SLUICE_RATE(packets, "packets")                                                            \
	SLUICE_RATE(connections, "new ones: opening SYNs of TCP, flows of UDP that are not known")

enum sluice_rate {
#define SLUICE_RATE(name, sentence) SLUICE_RATE_##name,
	SLUICE_RATES(SLUICE_RATE)
#undef SLUICE_RATE
		SLUICE_RATE_COUNT,
};

/* What a service takes of each source. All zero: it has no limit. */
struct sluice_limit {
	__u32 rate[SLUICE_RATE_COUNT];   /* per second; 0: as many as there are */
	__u32 burst_ms;                  /* so much of its rate can a source save up */
	__u8 prefix4, prefix6;           /* addresses within such a prefix are one source */
	__u8 known;                      /* 1: packets of known flows come by, too */
	__u8 pad;                        /* the gate reads what follows, which says the same: */
	__u64 gap_ns[SLUICE_RATE_COUNT]; /* 1 s / rate; 0: not limited */
	struct sluice_addr mask[2];      /* of a source, for IPv4 and IPv6 */
};

/* Of one source, service and kind of rate; rate.h reads it. 0, 0: empty. */
struct sluice_bucket {
	__u64 who;
	__u64 full_ns; /* CLOCK_MONOTONIC: when all that was taken has come back */
};

#define SLUICE_SOURCE_WAYS 4
struct sluice_sources { /* one cache line */
	struct sluice_bucket way[SLUICE_SOURCE_WAYS];
};

/* How packets go to the backends of an l4 service. */
#define SLUICE_MODES(SLUICE_MODE)                                                                  \
	SLUICE_MODE(ipip, "inside an IP tunnel (RFC 2003, 2473, 4213)")                            \
	SLUICE_MODE(gue, "inside UDP, so that routers and NICs spread the flows")                  \
	SLUICE_MODE(l2, "as they are, to the backend's MAC address; it must be on the same wire")  \
	SLUICE_MODE(nat, "with other addresses, both ways: backends need know nothing of it")

enum sluice_mode {
#define SLUICE_MODE(name, sentence) SLUICE_MODE_##name,
	SLUICE_MODES(SLUICE_MODE)
#undef SLUICE_MODE
		SLUICE_MODE_COUNT,
};

/* What of a flow its Maglev slot is chosen by. */
#define SLUICE_HASHES(SLUICE_HASH)                                                                 \
	SLUICE_HASH(5tuple, "addresses, ports and protocol: each connection by itself")            \
	SLUICE_HASH(src, "the client's address: all its connections to one backend")               \
	SLUICE_HASH(src_port, "the client's address and the service's port")                       \
	SLUICE_HASH(quic_cid, "QUIC's connection ID, if it names a backend; else as 5tuple")

enum sluice_hash {
#define SLUICE_HASH(name, sentence) SLUICE_HASH_##name,
	SLUICE_HASHES(SLUICE_HASH)
#undef SLUICE_HASH
		SLUICE_HASH_COUNT,
};

/* Which packets make an entry in the connection table. */
#define SLUICE_TRACKS(SLUICE_TRACK)                                                                \
	SLUICE_TRACK(auto, "a flow whose client is known to be there")                             \
	SLUICE_TRACK(always, "every flow, from its opening SYN on")                                \
	SLUICE_TRACK(never, "none: the Maglev table alone decides, for each packet")

enum sluice_track {
#define SLUICE_TRACK(name, sentence) SLUICE_TRACK_##name,
	SLUICE_TRACKS(SLUICE_TRACK)
#undef SLUICE_TRACK
		SLUICE_TRACK_COUNT,
};

#define SLUICE_GUE_PORT 6080 /* IANA's; of variant 1, the IP packet follows the UDP header */

/* What people call it. The gate does not read these; `status`, `apply` and `flow` do. */
#define SLUICE_NAME 32 /* with the NUL */
struct sluice_label {
	char name[SLUICE_NAME]; /* empty: the id is free */
	__u32 service;          /* of a backend: the id of its service; one backend serves one */
	__u32 weight;           /* of a backend, as it holds now */
	__u32 configured;       /* by the file: a backend's weight, a service's ring_size */
};

/* A flow as the client sends it. */
struct sluice_flow {
	struct sluice_addr src, dst;
	__be16 sport, dport;
	__u8 proto;
	__u8 pad[3];
};

/* A flow's entry in the connection table; conn.h reads it. 0, 0: empty. */
struct sluice_conn {
	__u64 check;
	__u64 word;
};

#define SLUICE_CONN_WAYS 4
struct sluice_conns { /* one cache line */
	struct sluice_conn way[SLUICE_CONN_WAYS];
};
struct sluice_conn_keys {
	struct sluice_flow way[SLUICE_CONN_WAYS];
};

struct sluice_count {
	__u64 packets;
	__u64 bytes; /* of the frame as it came in */
};

/* The way to a backend, as the host's routes and neighbours last said. */
struct sluice_hop {
	__u64 until;      /* jiffies; asked again from then on */
	__u32 generation; /* of the backend that it is for */
	__u32 in, out;    /* interfaces: the packet's, and where it leaves */
	__u16 mtu;        /* packets up to so many bytes, tunnel included, are known to fit */
	__u8 dest[6], source[6];
	__u8 on_link; /* no router is between */
	__u8 pad[5];
};

/* The SYNs that one CPU saw of a service. */
struct sluice_syns {
	__u64 start_ns; /* the window in which they are counted: a second */
	__u64 until_ns; /* so long it counts as a flood; 0: there is none */
	__u64 seen;
};

/*
 * Element cpu of the array map `counters`: written by that CPU alone, so plain adds do;
 * an array of one struct per CPU because its lookup is inlined by every kernel, and
 * because userspace may mmap it. Readers sum over CPUs.
 */
struct sluice_counters {
	struct sluice_count reasons[SLUICE_SLOTS];
	__u64 notices[SLUICE_SLOTS];
	struct sluice_count services[SLUICE_MAX_SERVICES];
	struct sluice_count backends[SLUICE_MAX_BACKENDS];
	/* Written by whoever writes vips, before and after: which addresses can be a VIP, and
	 * which (address, port) can have flows in the connection table. See filter.h. */
	__u64 filter_vips[SLUICE_FILTER_WORDS];
	__u64 filter_l4[SLUICE_FILTER_WORDS];
	/* The gate's own: what this CPU knows of next hops, and how many entries it made into the
	 * connection table in the current window. */
	struct sluice_hop hops[SLUICE_MAX_BACKENDS];
	__u64 window_start_ns;
	__u64 window_entries;
	__u64 window_was_full; /* the one before */
	__u64 icmp_start_ns;   /* the window of ICMP errors sent, likewise */
	__u64 icmp_sent;
	/* Written by whoever writes the map sieves: where the sieves of IPv4 and IPv6 are, as first
	 * slot << 16 | number of slots. 0: there is none. */
	__u32 sieves[2];
	/* Written by `sluice capture` while it runs: reasons (bits) whose packets are sampled too,
	 * though they are not dropped, and until when, so that a killed one does not go on. */
	__u64 capture;
	__u64 capture_until_ns; /* CLOCK_BOOTTIME */
	/* The gate's own: a packet on its way to a function that the verifier walks by itself. */
	__u64 scratch[SLUICE_SCRATCH];
	struct sluice_syns syns[SLUICE_MAX_SERVICES];
};

/* Of the circle of 2^32 that packets go around, one after the other, when one of so many is
 * sampled: the first, and about every n-th after it. */
#define SLUICE_EVENT_STEP(every) ((every) ? ((1ULL << 32) + (every) - 1) / (every) : 0)

/* One sampled packet, in the ring buffer `events`. */
struct sluice_event {
	__u64 time_ns; /* CLOCK_BOOTTIME */
	__u32 ifindex;
	__u32 reason;
	__u32 bytes;   /* of the frame as it came in */
	__u32 backend; /* 0 = none */
	struct sluice_flow flow;
	__u32 frame; /* bytes of the frame as it left, which may have lost or gained a tunnel */
	__u32 held;  /* bytes of it in head; zeros follow. 0: the kernel lets nobody copy them */
	__u8 head[SLUICE_EVENT_HEAD];
};

/* Element 0 of the array map `meta`: whose pins these are. */
struct sluice_meta {
	__u32 abi;      /* SLUICE_ABI; written first at load, checked by everyone else */
	__u32 workers;  /* sockets in `workers` that steer spreads over; written by sluiced */
	__u64 build_id; /* of the gate object that was loaded: FNV-1a 64 of its ELF bytes */
	__u64 seed;     /* of the connection table's fingerprints; chosen when the pins are made */
};

#define SLUICE_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " changed its size")
SLUICE_SIZE(struct sluice_lpm4, 8);
SLUICE_SIZE(struct sluice_lpm6, 20);
SLUICE_SIZE(struct sluice_listed, 16);
SLUICE_SIZE(struct sluice_vip, 20);
SLUICE_SIZE(struct sluice_service, 28);
SLUICE_SIZE(struct sluice_change, 16);
SLUICE_SIZE(struct sluice_backend, 48);
SLUICE_SIZE(struct sluice_pin_key, 24);
SLUICE_SIZE(struct sluice_pin, 8);
SLUICE_SIZE(struct sluice_cookies, 8);
SLUICE_SIZE(struct sluice_limit, 64);
SLUICE_SIZE(struct sluice_sources, 64);
SLUICE_SIZE(struct sluice_label, 44);
SLUICE_SIZE(struct sluice_flow, 40);
SLUICE_SIZE(struct sluice_conns, 64);
SLUICE_SIZE(struct sluice_hop, 40);
SLUICE_SIZE(struct sluice_event, 200);
SLUICE_SIZE(struct sluice_meta, 24);
_Static_assert(SLUICE_MAX_BACKENDS <= 1U << 13, "a connection's entry holds 13 bits of it");
_Static_assert(sizeof(struct sluice_counters) % 64 == 0, "a cache line is shared between CPUs");
_Static_assert(SLUICE_R_COUNT <= SLUICE_SLOTS && SLUICE_N_COUNT <= SLUICE_SLOTS, "slots");

#endif
