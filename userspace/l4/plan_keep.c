// SPDX-License-Identifier: BSD-2-Clause
/* Owns: wishing that all stays as it is, which is where a change by hand starts from. */
#include "l4/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Entries of one service alone: nobody else's can come into the plan then. */
static void reduce(struct plan_state *s, __u32 service)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_services; i++) {
		if (s->services[i].id == service)
			s->services[n++] = s->services[i];
		else
			free(s->services[i].ring);
	}
	s->n_services = n;
	n = 0;
	for (size_t i = 0; i < s->n_backends; i++)
		if (s->backends[i].service == service)
			s->backends[n++] = s->backends[i];
	s->n_backends = n;
	n = 0;
	for (size_t i = 0; i < s->n_vips; i++)
		if (!plan_is_marker(&s->vips[i]) && s->vips[i].value.id == service)
			s->vips[n++] = s->vips[i];
	s->n_vips = n;
	n = 0;
	for (size_t i = 0; i < s->n_pins; i++)
		if (s->pins[i].service == service)
			s->pins[n++] = s->pins[i];
	s->n_pins = n;
	s->n_decap = 0;
	s->n_sources = 0;
}

/* A service whose addresses are on no VIP entry is an l4 one if it has backends: the gate knows
 * no others. */
static void keep_service(struct plan_service *s, bool has_backends)
{
	s->ring = NULL;
	if (s->slots) /* else a crash left it without; its table's own length is next best */
		s->ring_size = s->slots;
	if (!s->kind)
		s->kind = has_backends ? SLUICE_L4 : SLUICE_L7;
}

/* Those whose backend is gone are not wished for. */
static void keep_pins(struct plan_state *want, const struct plan_state *actual)
{
	for (size_t i = 0; i < actual->n_pins; i++) {
		for (__u32 b = 0; b < want->n_backends; b++) {
			if (want->backends[b].id != actual->pins[i].backend)
				continue;
			want->pins[want->n_pins] = actual->pins[i];
			want->pins[want->n_pins].service = 0;
			want->pins[want->n_pins++].backend = b;
			break;
		}
	}
}

int plan_keep(struct plan_state *want, struct plan_state *actual, __u32 service, struct err *e)
{
	memset(want, 0, sizeof(*want));
	reduce(actual, service);
	want->services = calloc(actual->n_services + 1, sizeof(*want->services));
	want->backends = calloc(actual->n_backends + 1, sizeof(*want->backends));
	want->vips = calloc(actual->n_vips + 1, sizeof(*want->vips));
	want->pins = calloc(actual->n_pins + 1, sizeof(*want->pins));
	if (!want->services || !want->backends || !want->vips || !want->pins) {
		plan_state_fini(want);
		return err_set(e, ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < actual->n_services; i++) {
		want->services[want->n_services++] = actual->services[i];
		keep_service(&want->services[i], actual->n_backends > 0);
	}
	/* There is one service, so its index is 0. */
	for (size_t i = 0; i < actual->n_backends; i++) {
		want->backends[want->n_backends++] = actual->backends[i];
		want->backends[i].service = 0;
		want->backends[i].keep_down = false;
	}
	for (size_t i = 0; i < actual->n_vips; i++) {
		want->vips[want->n_vips++] = actual->vips[i];
		want->vips[i].service = 0;
	}
	keep_pins(want, actual);
	return 0;
}
