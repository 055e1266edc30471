/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Health checks by the way that the gate forwards (bpf/probe.bpf.c): what the daemon tells the
 * programs that change the checks' packets. Its maps are nobody else's and have no pins.
 */
#ifndef SLUICE_PROBE_H
#define SLUICE_PROBE_H

#include "sluice/abi.h"

#define SLUICE_PROBE_MARK  0x5c000000U /* of a check's socket, with a number in the low bits */
#define SLUICE_PROBE_MASK  0xffff0000U
#define SLUICE_PROBES      SLUICE_MAX_BACKENDS
#define SLUICE_PROBE_FLOWS 16384 /* checks that are under way; then the oldest is forgotten */
#define SLUICE_PROBE_BITS  1024  /* of a filter of VIPs; a wrong yes costs one lookup */

/* A backend and what its packets become. Both addresses and src are of one family. */
struct sluice_probe {
	struct sluice_addr backend; /* that the socket is connected to */
	struct sluice_addr vip;     /* that the packet goes to */
	struct sluice_addr src;     /* outer source of a tunnel */
	__u32 mode;                 /* enum sluice_mode: ipip, gue or l2 */
};

/* How an answer is known. */
struct sluice_probe_flow {
	struct sluice_addr vip, own;
	__be16 vport, port;
	__u8 proto;
	__u8 pad[3];
};

static inline __attribute__((always_inline)) __u32 sluice_probe_bit(const struct sluice_addr *vip)
{
	__u32 h = (vip->w[2] ^ vip->w[3]) * 0x9e3779b1U;

	return (h >> 16) % SLUICE_PROBE_BITS;
}

SLUICE_SIZE(struct sluice_probe, 52);
SLUICE_SIZE(struct sluice_probe_flow, 40);

#endif
