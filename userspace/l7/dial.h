/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a request of a service of kind forward goes; see dial.c. Memory that only those have. */
#ifndef L7_DIAL_H
#define L7_DIAL_H

#include "l7/destination.h"
#include "l7/namer.h"

struct client;

struct dial {
	struct client *client;
	struct destination to;
	struct namer_query query;
	struct sluice_addr addrs[LOOKUP_ADDRESSES]; /* of which one must be allowed */
	unsigned n, at;                             /* those before `at` were tried */
	bool looked;                                /* n is known */
};

#endif
