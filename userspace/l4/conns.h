/* SPDX-License-Identifier: BSD-2-Clause */
/* The connection table of a running gate, read (sluice/conn.h says how it is laid out). */
#ifndef L4_CONNS_H
#define L4_CONNS_H

#include "l4/gate.h"

/* The entry of this flow; false if there is none. */
bool conns_find(const struct gate *g, const struct sluice_flow *flow, __u32 *backend,
		__u32 *generation);

#endif
