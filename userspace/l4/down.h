/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Backends that checks found down, in the gate's tables: they get no new flows, whatever their
 * weight, until they are up again; what flows goes on. Weights, by file or hand, stay as they
 * are. What is said here outlives the process that says it; `sluice apply` keeps it.
 */
#ifndef L4_DOWN_H
#define L4_DOWN_H

#include "l4/gate.h"
#include "l4/plan.h"

struct down_backend {
	struct endpoint at; /* as the file has it */
	bool down;
};

/*
 * Brings one service's tables to what is said of its backends; one that is not named stays.
 * fill: where all that have a weight are down, as by hand the others have none, all are used.
 * Returns the number of edits, or -errno: -EWOULDBLOCK while another program
 * changes the gate, -ENOENT when it does not know the service.
 */
int down_apply(const struct gate *g, const char *service, const struct down_backend *backends,
	       size_t n, bool fill, struct err *e);

/* As the tables have it: fills `down` of each. 0 or -errno. */
int down_read(const struct gate *g, const char *service, struct down_backend *backends, size_t n,
	      struct err *e);

#endif
