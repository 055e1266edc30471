/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the host's routing must know: that VIPs are local (so that l7 connections are
 * delivered and ARP and neighbour discovery answer for them), where a tunnel to a backend
 * starts.
 */
#ifndef L4_ROUTE_H
#define L4_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/err.h"

/* rtm_protocol of the routes that sluice adds: `ip route show table local proto 83`. */
#define ROUTE_PROTOCOL 83

/*
 * Makes exactly vips[0..n) local: adds `local VIP dev lo table local proto 83` where the
 * address is not local already, and removes those of ours that are not in vips. What
 * others added is never touched. Lines about each change go to out (NULL = none); dry
 * makes none. n = 0 removes all of ours. Returns the number of changes or -errno.
 */
int route_sync(const struct sluice_addr *vips, size_t n, bool dry, FILE *out, struct err *e);

/* The source address that the host would use toward `to`. -ENETUNREACH and the like. */
int route_source(const struct sluice_addr *to, struct sluice_addr *from, struct err *e);

/* The interface by which packets to it leave: its index, or -errno. */
int route_interface(const struct sluice_addr *to, struct err *e);

/* Makes the kernel look for the next hop's MAC address: one datagram to the discard port.
 * No answer is awaited and failure does not matter: the gate counts no_neighbor. */
void route_prime(const struct sluice_addr *to);

#endif
