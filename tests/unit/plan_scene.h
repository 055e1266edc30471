/* SPDX-License-Identifier: BSD-2-Clause */
/* What `sluice apply` decides about files that are texts, and what it prints. */
#ifndef UNIT_PLAN_SCENE_H
#define UNIT_PLAN_SCENE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_load.h"
#include "l4/plan.h"

struct scene {
	struct plan_state want, actual;
	struct plan plan;
	struct err err;
	char *lines; /* of the last plan */
};

/* What sync_read would say once all edits toward `want` are made; it takes want over. */
static inline void enact(struct scene *s)
{
	plan_fini(&s->plan);
	plan_state_fini(&s->actual);
	s->actual = s->want;
	memset(&s->want, 0, sizeof(s->want));
	for (size_t i = 0; i < s->actual.n_services; i++) {
		struct plan_service *svc = &s->actual.services[i];

		svc->slots = svc->ring_size;
		if (!svc->ring)
			svc->ring_size = 0;
	}
	for (size_t i = 0; i < s->actual.n_pins; i++) {
		struct plan_pin *pin = &s->actual.pins[i];

		pin->service = s->actual.services[pin->service].id;
		pin->backend = s->actual.backends[pin->backend].id;
	}
	for (size_t i = 0; i < s->actual.n_backends; i++)
		s->actual.backends[i].service =
			s->actual.services[s->actual.backends[i].service].id;
}

static inline void make(struct scene *s)
{
	size_t len;
	FILE *out;

	plan_fini(&s->plan);
	assert_int_equal(plan_make(&s->plan, &s->want, &s->actual, &s->err), 0);
	free(s->lines);
	s->lines = NULL;
	out = open_memstream(&s->lines, &len);
	plan_print(&s->plan, out);
	fclose(out);
}

static inline void apply(struct scene *s, const char *text)
{
	struct conf *c = load_text(text);

	if (!c)
		fail_msg("%s", told);
	plan_state_fini(&s->want);
	assert_int_equal(plan_want(&s->want, c, &s->err), 0);
	make(s);
	conf_free(c);
}

static inline void scene_fini(struct scene *s)
{
	plan_fini(&s->plan);
	plan_state_fini(&s->want);
	plan_state_fini(&s->actual);
	free(s->lines);
}

#endif
