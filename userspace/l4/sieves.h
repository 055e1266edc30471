/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sieves of a running gate: how a new one gets into its map while packets ask the old one,
 * and asking them as the gate does. One changer at a time: the caller sees to that.
 */
#ifndef L4_SIEVES_H
#define L4_SIEVES_H

#include "l4/gate.h"
#include "l4/sieve.h"

/* Puts a sieve in place of the gate's, or takes it away if nothing is in it. A packet meets
 * the old one or the new one. After a failure the old one stays. */
int sieves_swap(const struct gate *g, const struct sieve *s, struct err *e);

/* Bytes that the gate's sieve of a family takes; 0: there is none. */
size_t sieves_bytes(const struct gate *g, bool v6);

/* Would the gate find the address there? */
bool sieves_hold(const struct gate *g, const struct sluice_addr *addr);

#endif
