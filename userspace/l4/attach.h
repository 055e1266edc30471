/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gate on network interfaces: put there, found again, replaced, taken off. Other XDP
 * programs are never touched. What is attached outlives the process.
 */
#ifndef L4_ATTACH_H
#define L4_ATTACH_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "conf/conf.h"
#include "l4/load.h"

#define ATTACH_CHAIN 10 /* programs that libxdp's dispatcher takes */

struct attach_link {
	char name[32];
	uint32_t prog_id;
	unsigned priority;
};

/* What runs on one interface. */
struct attach_place {
	char ifname[IF_NAMESIZE];
	int ifindex;
	bool native;       /* else generic */
	uint32_t prog_id;  /* the gate's; 0 = it is not there */
	char tag[17];      /* the kernel's fingerprint of the program, in hex */
	bool adopted;      /* runs on the pinned maps; false when somebody removed the pins */
	unsigned position; /* in libxdp's chain, from 1; 0 = alone on the interface */
	unsigned chain;    /* programs in that chain, ours included */
	unsigned priority; /* in that chain */
	struct attach_link links[ATTACH_CHAIN]; /* the chain, in the order in which it runs */
	uint32_t other_id; /* a program that is not ours and not in a chain; 0 = none */
	char other_name[32];
};

/* Fills *place; an interface without any XDP program is fine. 0 or -errno. */
int attach_look(const char *ifname, struct attach_place *place, struct err *e);
/* Every interface of this network namespace that has a gate; the caller frees *places. */
int attach_list(struct attach_place **places, unsigned *n, struct err *e);

struct attach_options {
	enum conf_mode mode;
	uint32_t priority;
	struct load_tuning tuning;
};

enum attach_outcome { ATTACH_NEW, ATTACH_ALREADY, ATTACH_REPLACED };

struct attach_result {
	enum attach_outcome outcome;
	struct attach_place place; /* as it is afterwards */
	char note[512];            /* what the operator must know; empty = nothing */
};

/*
 * Makes this build's gate run on ifname, on the maps that load_maps has pinned:
 *   nothing there           attached through libxdp, or alone where its dispatcher cannot
 *                           carry the gate and nobody else is there
 *   this very program       left as it is
 *   another build's gate    replaced without a gap
 *   other programs' chain   joined
 *   another program, alone  refused with its name
 * Mode auto tries native, then generic, and says so in the note. On failure the interface
 * is as it was. -ENOEXEC: the verifier refused the program; chatter_print has its log.
 */
int attach_put(const char *ifname, const struct attach_options *o, struct attach_result *result,
	       struct err *e);

/* Does the gate there heed limits only of flows that it does not know? That is how it was put
 * there, if no l4 service had one. */
bool attach_spares_flows(const struct attach_place *place);

/* Takes the gate off. 1 = done, 0 = it was not there, or -errno. */
int attach_take(const char *ifname, struct err *e);

#endif
