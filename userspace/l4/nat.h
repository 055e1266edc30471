/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nat's maps: the addresses that it sends from, and the flows that it has. An address is three
 * entries of the map vips, by which answers to it are known, and a place in nat_pool.
 */
#ifndef L4_NAT_H
#define L4_NAT_H

#include "l4/gate.h"
#include "l4/plan.h"
#include "sluice/nat.h"

#define NAT_SOURCE_KEYS 3 /* entries of vips that a source has: TCP, UDP, ICMP */

/* What the maps were made for, and which of the sources, found in vips, are in the pool. 0 or
 * -errno. */
int nat_read(const struct gate *g, struct plan_state *s);
/* Lets answers to it in, or no more. 0 or -errno. */
int nat_source_put(const struct gate *g, const struct plan_source *s);
int nat_source_remove(const struct gate *g, const struct plan_source *s);
/* New flows are sent from the sources of s, and from no others. 0 or -errno. */
int nat_pool_write(const struct gate *g, const struct plan_state *s);

struct nat_flow {
	struct sluice_flow flow; /* as the client sends it */
	struct endpoint source;  /* what the backend sees of it */
	__u32 backend, generation;
	__u32 idle_s; /* since its last packet, within a fraction of a second */
	bool ended;   /* silent for too long; its place is for who wants it */
};

/* Gives every flow to `each`, in no order; what it returns other than 0 ends the pass and is
 * returned. Cost: the map is copied, 584 bytes for each source port. */
int nat_each(const struct gate *g, int (*each)(void *arg, const struct nat_flow *f), void *arg);
/* The flow that a client's packet is of; false if there is none. */
bool nat_find(const struct gate *g, const struct sluice_flow *flow, struct nat_flow *out);

#endif
