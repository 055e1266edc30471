/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gate's maps brought to what a configuration says: read, plan (plan.h), write. Made
 * to be run again: whatever interrupts it, the next run ends where this one would have.
 */
#ifndef L4_SYNC_H
#define L4_SYNC_H

#include "l4/gate.h"
#include "l4/plan.h"

/* What the maps hold now. VIP entries come sorted. The caller frees it (plan_state_fini). */
int sync_read(const struct gate *g, struct plan_state *actual, struct err *e);

/* plan_want, and the sources of tunnels that the file leaves to the routing table. */
int sync_want(const struct conf *c, struct plan_state *want, struct err *e);

/* Makes the edits, in order. On failure the error names the edit; those before it stay. */
int sync_run(const struct gate *g, const struct plan *p, struct err *e);

/* Addresses of the VIPs in a state, each once, for route_sync: *out is the caller's to
 * free. Returns their number, or -ENOMEM. */
long sync_vip_addrs(const struct plan_state *s, struct sluice_addr **out);

#endif
