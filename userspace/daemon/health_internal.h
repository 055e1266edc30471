/* SPDX-License-Identifier: BSD-2-Clause */
/* Between health.c and the files that do a part of its work. Private to them. */
#ifndef DAEMON_HEALTH_INTERNAL_H
#define DAEMON_HEALTH_INTERNAL_H

#include "base/log.h"
#include "daemon/checkers.h"
#include "daemon/health.h"
#include "health/checker.h"
#include "health/state.h"
#include "l4/probe.h"

/* Backends that are checked alike and stand in for one another. */
struct health_group {
	const char *name;
	const struct conf_health *conf;
	const struct conf_service *service; /* l4; NULL: a pool */
	const struct conf_backend *backends;
	uint32_t n;
	bool panic;
	bool dirty; /* l4: the gate's table is not yet as it should be */
	struct log_rate said, panic_said, calm_said;
};

struct health {
	const struct conf *conf;
	struct health_page page;
	const char *dir; /* of the page; NULL: in memory */
	struct health_group *groups;
	size_t n_groups;
	/* By slot - 1. */
	struct check_target *targets;
	struct health_state *states;
	uint32_t *group_of;
	struct health_member *members; /* room for the largest group */

	struct checkers checkers;
	struct probe *probe; /* NULL: no check goes by the way that the gate forwards */
	int *marks;          /* by slot - 1: its number there */
	struct gate *gate;   /* NULL: l4 services are not checked */
	struct event *settle;
	struct log_rate gate_said;
};

/* health_gate.c: brings the gate's tables to what is known, of groups that are dirty. 0 or
 * -EWOULDBLOCK: to be called again. */
int health_gate_settle(struct health *h);
/* To be called once, before: takes over what the tables tell. */
void health_gate_begin(struct health *h);
/* Of a backend that nothing else is known of. */
void health_assume_down(struct health *h, uint32_t at);
/* Somebody else may have changed the tables. */
void health_gate_doubt(struct health *h);

/* health_probe.c: chooses the way of each check, before the checkers start. */
void health_probe_begin(struct health *h);
/* A socket for a target that is marked, or -errno. */
int health_probe_socket(struct health *h, uint32_t at);

/* Which backends of a group take requests; what changed in that is for the gate to know. */
void health_group_settle(struct health *h, struct health_group *g);
/* health_names.c: who sits where that target looks. */
void health_seat(struct health *h, uint32_t at, const struct name_seat *seat);

static inline uint32_t first_slot(const struct health_group *g)
{
	return g->backends[0].slot;
}

#endif
