/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Full NAT: the flows of services whose backends answer to the balancer.
 *
 *   client:cport -> VIP:vport   becomes   source:sport -> backend:bport, and back
 *
 * The map `nat` has an element for each port of each source address, with a few ways: flows to
 * different backends (address, port and protocol) may share a source port. So an answer finds
 * its flow by its destination alone, and a port is free where no way has the backend. The map
 * `nat_index` leads from the client's side to the same place. Only who takes a place or gives
 * one up holds a lock; packets of flows that are there read and write without.
 */
#ifndef SLUICE_NAT_H
#define SLUICE_NAT_H

#include <linux/bpf.h>

#include "sluice/abi.h"

#define SLUICE_NAT_WAYS    4 /* flows on a source port */
#define SLUICE_NAT_LINE    7 /* words in a cache line of the index, beside its lock */
#define SLUICE_NAT_SOURCES 8 /* source addresses, of both families together */

/* Outside the range that Linux takes its own connections' ports from. */
#define SLUICE_NAT_FIRST 1024
#define SLUICE_NAT_LAST  32767

enum sluice_nat_state {
	SLUICE_NAT_FREE,
	SLUICE_NAT_NEW,      /* only the client has sent */
	SLUICE_NAT_ANSWERED, /* the backend too; TCP: its SYN-ACK */
	SLUICE_NAT_OPEN,     /* the client has got that answer: it is where it says */
	SLUICE_NAT_CLOSING,  /* TCP: both have sent FIN, or one RST */
};

struct sluice_nat_flow {
	struct sluice_addr client, vip, source, backend;
	__be16 cport, vport, sport, bport;
	__u8 proto;
	__u8 state; /* enum sluice_nat_state; written last */
	__u8 fins;  /* 1: of the client, 2: of the backend */
	__u8 pad;
	__u32 stamp;            /* jiffies of its last packet, the lower half */
	__be32 proof;           /* TCP: the ACK number that tells that the client is there */
	__u16 ip_diff, l4_diff; /* what the way to the backend adds to both checksums */
	__u16 id, service;      /* of the backend, and what it serves */
	__u32 generation;       /* of the backend */
	__u32 index;            /* where nat_index has it: line * SLUICE_NAT_LINE + word */
	__u32 pad2;
	struct sluice_hop hop; /* to the client */
};

struct sluice_nat_port {
	struct bpf_spin_lock lock;
	__u32 turn; /* changes with each flow that gets a way */
	struct sluice_nat_flow way[SLUICE_NAT_WAYS];
};

/* word: upper half of the flow's keyed hash, then its place + 1 (port's element * WAYS + way);
 * 0 = empty. */
struct sluice_nat_line {
	struct bpf_spin_lock lock;
	__u32 pad;
	__u64 word[SLUICE_NAT_LINE];
};

/* Element 0 of `nat_pool`: the sources in use. A source keeps its number while it is one. */
struct sluice_nat_pool {
	struct sluice_addr addr[SLUICE_NAT_SOURCES]; /* any: the number is free */
	__u8 number[2][SLUICE_NAT_SOURCES];          /* of those of IPv4, of IPv6; first n count */
	__u32 n[2];
	/* What the maps nat and nat_index were made for; a gate's program has it in its own data.
	 */
	__u32 sources, first, ports; /* addresses, and of each so many ports from the first on */
	__u32 pad;
};

/* Seconds without a packet after which a flow is over: RFC 5382 REQ-5 (four minutes for
 * connections that are being opened or closed, two hours and four minutes for open ones), RFC
 * 4787 REQ-5 (two minutes at least, five recommended). */
static inline __attribute__((always_inline)) __u32 sluice_nat_idle_s(int udp, __u8 state)
{
	if (udp)
		return state == SLUICE_NAT_OPEN ? 300 : 120;
	return state == SLUICE_NAT_OPEN ? 7440 : 240;
}

/* Lines of an index that at most half fills. */
static inline __u32 sluice_nat_lines(__u32 ports)
{
	__u32 lines = 1;

	while (lines < ports && lines < 1U << 30)
		lines *= 2;
	return lines;
}

SLUICE_SIZE(struct sluice_nat_flow, 144);
SLUICE_SIZE(struct sluice_nat_line, 64);
SLUICE_SIZE(struct sluice_nat_pool, 168);

#endif
