/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What gen.c tells gen.bpf.c about the frames that it shall send. */
#ifndef BENCH_GEN_H
#define BENCH_GEN_H

#include <linux/types.h>

#define GEN_ETH      14
#define GEN_MAX      74 /* Ethernet, IPv6, TCP */

#define GEN_ANYWHERE 2 /* by_addr: over all of IPv4, not only 10/8 */

struct gen_plan {
	__u8 head[GEN_MAX + 6]; /* all headers of flow 0, in network order */
	__u32 len;              /* of the frame */
	__u32 v6;
	__u64 flows;   /* distinct flows, sent in an order that repeats after all of them */
	__u64 first;   /* number of the first packet */
	__u32 by_addr; /* flows differ in the source address, not only in ports */
	__u32 pad;
};

#endif
