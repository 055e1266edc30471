/* SPDX-License-Identifier: BSD-2-Clause */
/* The maps pins and server_ids: sources of a service, and server IDs of QUIC, that have a backend.
 */
#ifndef L4_PINS_H
#define L4_PINS_H

#include "l4/gate.h"
#include "l4/plan.h"

/* Into s->pins, which is the caller's to free. One that was made for another generation of its
 * backend, and so counts for nothing, has backend 0. 0 or -errno. */
int pins_read(const struct gate *g, struct plan_state *s);

/* Adds it, or leads it elsewhere. 0 or -errno. */
int pins_put(const struct gate *g, __u32 service, const struct plan_pin *pin, __u32 backend);
int pins_remove(const struct gate *g, const struct plan_pin *pin);

/* The pin of a source; false if there is none. */
bool pins_find(const struct gate *g, __u32 service, const struct sluice_addr *src,
	       struct sluice_pin *pin);

#endif
