/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MAC addresses of next hops toward backends. The gate reads the kernel's neighbour table, but
 * nothing that it sends makes the kernel look whether an entry still holds, or for one that is not
 * there. So the kernel is told to keep these entries true by itself, process or not (`managed`,
 * Linux 5.16). On older kernels each is only looked for once.
 */
#ifndef L4_NEIGHBOUR_H
#define L4_NEIGHBOUR_H

#include <stddef.h>

#include "base/addr.h"
#include "base/err.h"

/* NDA_PROTOCOL of such entries, as ROUTE_PROTOCOL is of routes. */
#define NEIGHBOUR_PROTOCOL 83

/*
 * Exactly the next hops toward to[0..n) are kept true from now on: those of ours that lead to none
 * of them are removed, permanent entries of others are left alone. A backend without a route is
 * passed over: the gate counts that. n = 0 removes all of ours. 0 or -errno.
 */
int neighbour_sync(const struct sluice_addr *to, size_t n, struct err *e);

#endif
