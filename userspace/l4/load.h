/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gate's object, which is part of this program: its maps made and pinned, its program
 * opened for whoever attaches it (attach.c alone).
 */
#ifndef L4_LOAD_H
#define L4_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct gate_bpf;

/* Fixed while loaded. Zeroed = as compiled in. */
struct load_tuning {
	bool given; /* conn_rate and event_every are as asked for, not as compiled in */
	uint32_t conn_rate;
	uint32_t event_every;
	uint32_t max_conns;   /* 0 = SLUICE_MAX_CONNS; pinned maps keep their size */
	uint32_t max_sources; /* 0 = SLUICE_MAX_SOURCES; likewise */
	/* What nat sends from: addresses, and of each so many ports from the first on. No address:
	 * as it is pinned, if it is. */
	uint32_t nat_sources, nat_first, nat_ports;
};

/* What tables are made for. */
struct load_sizes {
	uint32_t conns, sources;
};

/*
 * Makes and pins the maps that are not pinned yet, after checking that those that are fit
 * this build; the maps of nat are made anew where other addresses or ports are asked for, and
 * its flows end; `made` tells whether the gate's pins are new, `sizes` how large the tables are.
 * Loads no program. 0 or -errno.
 */
int load_maps(const struct load_tuning *t, bool *made, struct load_sizes *sizes, struct err *e);

/* The object on the pinned maps, tuned, not loaded: the caller loads and closes it. NULL
 * with e filled. */
struct gate_bpf *load_open(const struct load_tuning *t, struct err *e);

/* FNV-1a 64 of the object's ELF bytes. */
uint64_t load_build_id(void);
/* Says in meta whose program runs on the maps now. */
int load_sign(struct err *e);

/* Unpins everything in SLUICE_PIN_DIR and the folder itself; 0 also when there is none. The
 * folder that libxdp makes on first use and leaves goes too, if it is empty. */
int load_unpin(struct err *e);

#endif
