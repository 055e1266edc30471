/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A running gate, held by its pins: what `sluice` and the keeper open to look at it and to
 * edit it. Nothing here attaches or detaches (attach.h).
 */
#ifndef L4_GATE_H
#define L4_GATE_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/err.h"

/* Every pinned map, once: X(member and pin name). */
#define GATE_MAPS(X)                                                                               \
	X(block4)                                                                                  \
	X(block6)                                                                                  \
	X(allow4)                                                                                  \
	X(allow6)                                                                                  \
	X(sieves)                                                                                  \
	X(vips)                                                                                    \
	X(rings)                                                                                   \
	X(rings_before)                                                                            \
	X(changes)                                                                                 \
	X(backends)                                                                                \
	X(service_labels)                                                                          \
	X(backend_labels)                                                                          \
	X(conns)                                                                                   \
	X(conn_keys)                                                                               \
	X(nat)                                                                                     \
	X(nat_index)                                                                               \
	X(nat_pool)                                                                                \
	X(server_ids)                                                                              \
	X(pins)                                                                                    \
	X(limits)                                                                                  \
	X(sources)                                                                                 \
	X(cookies)                                                                                 \
	X(decap_from)                                                                              \
	X(counters)                                                                                \
	X(events)                                                                                  \
	X(meta)                                                                                    \
	X(workers)

struct gate {
#define X(name) int name;
	GATE_MAPS(X)
#undef X
	struct sluice_meta meta_seen; /* as read when the gate was opened */
};

/*
 * Adopts the pins under SLUICE_PIN_DIR after checking the ABI number. Errors say what to
 * do: no bpffs mounted, no permission, nothing attached, pins of another version.
 * Returns 0 or -errno; gate_close accepts a zeroed struct.
 */
int gate_open(struct gate *g, struct err *e);
void gate_close(struct gate *g);

/*
 * One changer of the maps at a time. The descriptor that holds the lock, which closing it gives
 * back; or -errno: -EWOULDBLOCK if another holds it and `wait` is false.
 */
int gate_lock(bool wait, struct err *e);

#endif
