/* SPDX-License-Identifier: BSD-2-Clause */
/* Between plan.c and the files that plan a part of the whole. Private to them. */
#ifndef L4_PLAN_INTERNAL_H
#define L4_PLAN_INTERNAL_H

#include "l4/plan.h"

struct planner {
	struct plan *plan;
	size_t room;
	struct plan_state *want;
	const struct plan_state *actual;
	const struct plan_service **running; /* by index of a wanted service; NULL = new */
	bool *kept_service, *kept_backend;   /* by index of an actual one */
	struct err *err;
	bool oom; /* sticky, so that the steps need not each carry it */
};

void plan_push(struct planner *pl, struct plan_edit edit);
const struct plan_service *plan_service_by_id(const struct plan_state *s, __u32 id);

/* Stages: 0 or -errno. Services and backends have their ids. */
int plan_pins(struct planner *pl);
int plan_sources(struct planner *pl);

#endif
