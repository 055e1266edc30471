/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits of sources: what the map `limits` says of each service, and what the gate has counted
 * (sluice/rate.h) of one source.
 */
#ifndef L4_RATES_H
#define L4_RATES_H

#include "conf/conf.h"
#include "l4/gate.h"

/* "packets", "connections". */
extern const char *const rates_names[SLUICE_RATE_COUNT];

/* As the gate has it; all zero when the service has none. */
struct sluice_limit rates_limit(const struct conf_service *s);
/* Fills in the masks of prefix4 and prefix6. */
void rates_masks(struct sluice_limit *l);

/* By service id, each; SLUICE_MAX_SERVICES. 0 or -errno. */
int rates_read(const struct gate *g, struct sluice_limit *all);
int rates_write(const struct gate *g, __u32 service, const struct sluice_limit *l);
/* Is there a limit that packets of known flows concern? Asked of the pinned map. */
bool rates_of_known(const char *path);

struct rates_state {
	double left;   /* of the burst; 1: all of it */
	__u64 wait_ns; /* until one more is let through; 0: it is now */
};

/* How the gate would judge the source now. 0 or -errno. */
int rates_ask(const struct gate *g, __u32 service, const struct sluice_limit *l,
	      enum sluice_rate kind, const struct sluice_addr *source, struct rates_state *state);

#endif
