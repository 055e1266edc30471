/* SPDX-License-Identifier: BSD-2-Clause */
/* What `sluice status` knows, between its two printers. */
#ifndef CTL_STATUS_H
#define CTL_STATUS_H

#include <stdio.h>

#include "ctl/health.h"

#include "l4/attach.h"
#include "l4/conns.h"
#include "l4/counters.h"
#include "l4/feeds.h"
#include "l4/plan.h"

#define STATUS_LISTS 4

struct status_list {
	const char *name;
	uint64_t entries;
};

struct status {
	struct sluice_meta meta;
	struct attach_place *places;
	unsigned n_places;
	struct plan_state state;
	struct counters_sum counters;
	struct status_list lists[STATUS_LISTS];
	struct feeds feeds;
	struct conns_of_backend flows[SLUICE_MAX_BACKENDS];
	struct conns_sum conns;
	struct health_page health; /* of the daemon, if it checks backends */
	bool steering;             /* connections of l7 services go to sluiced's sockets */
};

/* Rows of reasons.h as data. */
struct status_name {
	const char *name, *action, *sentence;
};
extern const struct status_name status_reasons[SLUICE_R_COUNT];
extern const struct status_name status_notices[SLUICE_N_COUNT];

/* How packets go to a service's backends, and what chooses between them. */
uint32_t status_mode(const struct status *s, uint32_t service);
/* Part of its service's new flows that a backend gets, 0..1. */
double status_share(const struct plan_state *s, const struct plan_backend *b);

/* What the daemon knows of it; false: it is not checked. */
bool status_health(const struct status *s, const struct plan_backend *b, struct health_record *out);

/* One object; keys are stable, numbers exact. 0 or -errno. */
int status_print_json(const struct status *s, FILE *out, struct err *e);

#endif
