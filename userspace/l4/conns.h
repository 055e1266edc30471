/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connection table of a running gate, read (sluice/conn.h says how it is laid out). The gate
 * goes on writing it meanwhile: each entry is seen whole or not at all.
 */
#ifndef L4_CONNS_H
#define L4_CONNS_H

#include "l4/gate.h"

/* The entry of this flow (sluice/conn.h); 0 if there is none. *idle_ms: for how long at least it
 * was not used. */
__u64 conns_find(const struct gate *g, const struct sluice_flow *flow, bool apart, __u32 *idle_ms);

struct conns_flow {
	struct sluice_flow flow;
	__u32 backend;
	__u32 service; /* of the backend; 0 when stale */
	__u32 idle_s;  /* since its last packet, within some seconds (conns_step_ms) */
	bool stale;    /* the backend that it was given is gone, its id perhaps another's now */
	bool ended;    /* not stale; closed, or of UDP and silent for too long */
};

/* What passing over the table met. */
struct conns_sum {
	uint64_t made_for; /* flows */
	uint64_t live, ended, stale;
	uint64_t torn; /* written at this moment, or by two CPUs at once: of no flow */
};

/*
 * Gives every flow in the table to `each`, in no order; what it returns other than 0 ends the
 * pass and is returned. Cost: both maps are mapped and read once, 224 bytes for two flows that
 * the table is made for.
 */
int conns_each(const struct gate *g, int (*each)(void *arg, const struct conns_flow *flow),
	       void *arg, struct conns_sum *sum, struct err *e);

#define CONNS_RECENT_S 60

struct conns_of_backend {
	uint64_t flows, recent; /* recent: with a packet in the last CONNS_RECENT_S */
};

/* Flows of each backend that have not ended, by id; of[] has SLUICE_MAX_BACKENDS. As conns_each,
 * but the flows themselves are not read. */
int conns_count(const struct gate *g, struct conns_of_backend *of, struct conns_sum *sum,
		struct err *e);

/* How finely the gate tells an entry's age: 512 of the kernel's ticks. */
__u32 conns_step_ms(void);

#endif
