// SPDX-License-Identifier: BSD-2-Clause
/* Owns: `sluice why ADDRESS`: a source and the limits of services. */
#include "ctl/ctl.h"
#include "ctl/why_source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/units.h"
#include "ctl/names.h"
#include "l4/block.h"
#include "l4/rates.h"

/* One limit of one service. */
struct judged {
	const char *service;
	const struct sluice_limit *limit;
	enum sluice_rate kind;
	bool v6;
	struct rates_state state;
};

struct asked {
	struct gate gate;
	struct names names;
	struct sluice_limit limits[SLUICE_MAX_SERVICES];
	bool allowed;
	struct judged rows[SLUICE_MAX_SERVICES * SLUICE_RATE_COUNT];
	unsigned n;
};

static int ask_all(struct asked *a, const struct sluice_addr *source)
{
	int rc = rates_read(&a->gate, a->limits);

	for (__u32 id = 0; rc == 0 && id < SLUICE_MAX_SERVICES; id++) {
		for (unsigned kind = 0; rc == 0 && kind < SLUICE_RATE_COUNT; kind++) {
			struct judged *j = &a->rows[a->n];

			if (!a->limits[id].gap_ns[kind])
				continue;
			*j = (struct judged){.service = names_service(&a->names, id),
					     .limit = &a->limits[id],
					     .kind = kind,
					     .v6 = !addr_is_v4(source)};
			rc = rates_ask(&a->gate, id, j->limit, j->kind, source, &j->state);
			a->n++;
		}
	}
	return rc;
}

static int ask(struct asked *a, const struct sluice_addr *source, struct err *e)
{
	struct block_entry which;
	struct block_list allow;
	int rc = names_read(&a->gate, &a->names, e);

	if (rc)
		return rc;
	allow = block_allow_of(&a->gate);
	a->allowed = block_listed(&allow, source, block_now(), &which);
	rc = ask_all(a, source);
	return rc ? err_set(e, -rc, "cannot read the maps limits and sources: %s", strerror(-rc))
		  : 0;
}

/* ---- for people ----------------------------------------------------------------------- */

static void print_row(const struct judged *j, bool allowed)
{
	char burst[UNITS_MS], rate[24];

	snprintf(rate, sizeof(rate), "%u/s", j->limit->rate[j->kind]);
	printf("%-16s %-12s %10s %7s %5.1f %%  ", j->service, rates_names[j->kind], rate,
	       units_format_ms(j->limit->burst_ms, burst), 100 * j->state.left);
	if (allowed)
		puts("on the allow list: no limit");
	else if (!j->state.wait_ns)
		puts("within its limit");
	else
		printf("over its limit: dropped (rate_%s), the next in %.3f s\n",
		       rates_names[j->kind], (double)j->state.wait_ns / 1e9);
}

static void print_human(const struct asked *a)
{
	if (a->n == 0) {
		puts("no service has a limit");
		return;
	}
	printf("%-16s %-12s %10s %7s %7s\n", "SERVICE", "COUNTED", "LIMIT", "BURST", "LEFT");
	for (unsigned i = 0; i < a->n; i++)
		print_row(&a->rows[i], a->allowed);
}

/* ---- for programs --------------------------------------------------------------------- */

static json_t *row_json(const struct judged *j)
{
	const struct sluice_limit *l = j->limit;

	return json_pack("{s:s, s:s, s:I, s:I, s:i, s:f, s:I}", "service", j->service, "counts",
			 rates_names[j->kind], "rate", (json_int_t)l->rate[j->kind], "burst_ms",
			 (json_int_t)l->burst_ms, "prefix", j->v6 ? l->prefix6 : l->prefix4, "left",
			 j->state.left, "wait_ns", (json_int_t)j->state.wait_ns);
}

static int print_json(const struct asked *a, const struct sluice_addr *source, struct err *e)
{
	char text[ADDR_TEXT];
	json_t *limits = json_array();
	json_t *root = json_pack("{s:s, s:b, s:o}", "source", addr_format(source, text), "allowed",
				 a->allowed, "limits", limits);
	bool oom = !root;

	for (unsigned i = 0; i < a->n && !oom; i++)
		oom |= json_array_append_new(limits, row_json(&a->rows[i])) != 0;
	return ctl_print_json(root, oom, e);
}

int why_source(const struct sluice_addr *source, bool json, struct err *e)
{
	static struct asked a; /* 350 KB */
	int rc = gate_open(&a.gate, e);

	if (rc)
		return rc;
	rc = ask(&a, source, e);
	gate_close(&a.gate);
	if (rc)
		return rc;
	if (json)
		return print_json(&a, source, e);
	print_human(&a);
	return 0;
}
