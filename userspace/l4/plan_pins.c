// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the difference between the pins that run, of sources and of server IDs, and those that are
 * wanted.
 * Cost: both are sorted once and walked together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "l4/plan_internal.h"

const char *plan_pin_text(const struct plan_pin *pin, char buf[PLAN_PIN_TEXT])
{
	size_t len;

	if (!pin->server_id)
		return cidr_format(&pin->net, buf);
	len = (size_t)snprintf(buf, PLAN_PIN_TEXT, "server_id %u:", pin->server_id - 1U);
	for (unsigned i = 0; i < pin->net.prefix / 8U && len + 3 <= PLAN_PIN_TEXT; i++)
		len += (size_t)snprintf(buf + len, PLAN_PIN_TEXT - len, "%02x", pin->net.addr.b[i]);
	return buf;
}

/* A pin with the ids that it has in the gate. */
struct row {
	const struct plan_pin *pin;
	__u32 service, backend;
};

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order;

	if (x->service != y->service)
		return x->service < y->service ? -1 : 1;
	if (x->pin->server_id != y->pin->server_id)
		return x->pin->server_id < y->pin->server_id ? -1 : 1;
	order = memcmp(&x->pin->net.addr, &y->pin->net.addr, sizeof(x->pin->net.addr));
	return order ? order : (int)x->pin->net.prefix - (int)y->pin->net.prefix;
}

static struct row *rows_new(const struct planner *pl, const struct plan_state *s)
{
	struct row *rows = calloc(s->n_pins + 1, sizeof(*rows));
	bool wanted = s == pl->want;

	for (size_t i = 0; rows && i < s->n_pins; i++) {
		const struct plan_pin *pin = &s->pins[i];

		rows[i] = (struct row){pin, wanted ? s->services[pin->service].id : pin->service,
				       wanted ? s->backends[pin->backend].id : pin->backend};
	}
	if (rows)
		qsort(rows, s->n_pins, sizeof(*rows), compare_rows);
	return rows;
}

/* Backend by backend: that is how people are told. */
static int compare_backends(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->service != y->service || x->backend == y->backend)
		return compare_rows(a, b);
	return x->backend < y->backend ? -1 : 1;
}

static void push_added(struct planner *pl, struct row *rows, size_t n)
{
	if (n)
		qsort(rows, n, sizeof(*rows), compare_backends);
	for (size_t i = 0; i < n; i++)
		plan_push(pl,
			  (struct plan_edit){.step = PLAN_ADD_PIN,
					     .service = &pl->want->services[rows[i].pin->service],
					     .backend = &pl->want->backends[rows[i].pin->backend],
					     .pin = rows[i].pin});
}

static void push_removed(struct planner *pl, const struct row *row)
{
	plan_push(pl,
		  (struct plan_edit){.step = PLAN_REMOVE_PIN,
				     .old_service = plan_service_by_id(pl->actual, row->service),
				     .pin = row->pin});
}

/* One that is to lead elsewhere is written over. What is added gathers at the start of `want`. */
static void walk(struct planner *pl, struct row *want, const struct row *actual)
{
	size_t w = 0, a = 0, added = 0;

	while (w < pl->want->n_pins || a < pl->actual->n_pins) {
		int order = w == pl->want->n_pins     ? 1
			    : a == pl->actual->n_pins ? -1
						      : compare_rows(&want[w], &actual[a]);

		if (order < 0 || (order == 0 && want[w].backend != actual[a].backend))
			want[added++] = want[w];
		if (order > 0)
			push_removed(pl, &actual[a]);
		w += order <= 0;
		a += order >= 0;
	}
	push_added(pl, want, added);
}

int plan_pins(struct planner *pl)
{
	struct row *want = rows_new(pl, pl->want), *actual = rows_new(pl, pl->actual);

	if (want && actual)
		walk(pl, want, actual);
	else
		pl->oom = true;
	free(want);
	free(actual);
	return 0;
}
