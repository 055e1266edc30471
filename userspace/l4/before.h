/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table that a service had before the last change of it, which the gate asks about flows
 * that are older (bpf/balance.h). It is kept for a time that the file says, by service.
 */
#ifndef L4_BEFORE_H
#define L4_BEFORE_H

#include "l4/gate.h"

/* How long a service's table is kept after a change; from the next change on, but 0 ends it now.
 * 0 or -errno, like the others. */
int before_keep(const struct gate *g, __u32 service, __u32 keep_ms);
/* For each service, by id: how long. out has SLUICE_MAX_SERVICES. */
int before_kept(const struct gate *g, __u32 *keep_ms);

/* Right before another table than this is swapped in, or none: the gate asks it from then on,
 * which is the same until the swap. */
int before_swap(const struct gate *g, __u32 service, const __u32 *ring, __u32 slots);
/* Of a service that is removed. */
int before_forget(const struct gate *g, __u32 service);
/* Frees the tables whose time is over. */
int before_sweep(const struct gate *g);

/* The backend that a hash had before, if the gate would ask; 0: none. *generation: its low 16
 * bits. */
__u32 before_find(const struct gate *g, __u32 service, __u32 hash, __u32 *generation);

#endif
