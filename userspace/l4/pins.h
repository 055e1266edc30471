/* SPDX-License-Identifier: BSD-2-Clause */
/* The map pins: sources of a service that have a backend of their own. */
#ifndef L4_PINS_H
#define L4_PINS_H

#include "l4/gate.h"
#include "l4/plan.h"

/* Into s->pins, which is the caller's to free. One that was made for another generation of its
 * backend, and so counts for nothing, has backend 0. 0 or -errno. */
int pins_read(const struct gate *g, struct plan_state *s);

/* Adds it, or leads it elsewhere. 0 or -errno. */
int pins_put(const struct gate *g, __u32 service, const struct cidr *net, __u32 backend);
int pins_remove(const struct gate *g, __u32 service, const struct cidr *net);

/* The pin of a source; false if there is none. */
bool pins_find(const struct gate *g, __u32 service, const struct sluice_addr *src,
	       struct sluice_pin *pin);

#endif
