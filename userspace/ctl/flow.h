/* SPDX-License-Identifier: BSD-2-Clause */
/* What the gate would do with a flow, asked of its maps. */
#ifndef CTL_FLOW_H
#define CTL_FLOW_H

#include "l4/block.h"
#include "l4/gate.h"

enum flow_conn {
	FLOW_CONN_NONE,    /* not in the connection table */
	FLOW_CONN_HIT,     /* there, and its backend takes the flow */
	FLOW_CONN_STALE,   /* there, but its backend is gone */
	FLOW_CONN_EXPIRED, /* there, but of UDP and silent for too long */
};

struct flow_answer {
	/* Where the gate stops; `forward` stands for all that comes after the choice of a
	 * backend (its route, its neighbour, the packet's size). */
	enum sluice_reason reason;
	bool named;            /* by a feed */
	bool blocked, allowed; /* by the lists; allowed is known only when named or blocked */
	struct block_entry block, allow;
	struct sluice_service service; /* id 0: none. All below is for l4 alone */
	enum flow_conn conn;
	__u32 conn_backend, conn_generation; /* of the connection table's entry, or nat's */
	struct endpoint nat_source;          /* what nat's backend sees of it; port 0: nothing */
	__u32 hash, slot;
	__u32 ring_backend;   /* what the Maglev table says; 0 = nothing */
	__u32 pin_backend;    /* that the source is pinned to; 0 = none, or it takes no new flows */
	__u32 before_backend; /* of a flow without an entry that is older than the last change of
				 the table; 0 = the same */
	__u32 backend;        /* the flow's; 0 = none */
	struct sluice_backend to;
};

/* 0 or -errno. Edits that go on meanwhile may show in part. */
int flow_ask(const struct gate *g, const struct sluice_flow *flow, struct flow_answer *a,
	     struct err *e);

#endif
