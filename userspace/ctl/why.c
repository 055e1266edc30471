// SPDX-License-Identifier: BSD-2-Clause
/* Owns: `sluice why`: the rows of reasons.h with their sentences and what they counted. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include <jansson.h>

#include "base/units.h"
#include "ctl/ctl.h"
#include "ctl/status.h"
#include "ctl/why_source.h"
#include "l4/chatter.h"

struct why_words {
	const char *name; /* NULL = every row */
	bool json, all;
};

/* Which rows are asked for: one by name, else those that counted, else (--all) every one. */
static bool is_wanted(const struct why_words *w, const char *name, uint64_t packets)
{
	return w->name ? strcmp(w->name, name) == 0 : w->all || packets;
}

static bool is_known(const char *name)
{
	for (unsigned i = 0; i < SLUICE_R_COUNT; i++)
		if (strcmp(status_reasons[i].name, name) == 0)
			return true;
	for (unsigned i = 0; i < SLUICE_N_COUNT; i++)
		if (strcmp(status_notices[i].name, name) == 0)
			return true;
	return false;
}

/* ---- for people ----------------------------------------------------------------------- */

static int print_reasons(const struct why_words *w, const struct counters_sum *c)
{
	char packets[8], bytes[16];
	int n = 0;

	for (unsigned i = 0; i < SLUICE_R_COUNT; i++) {
		const struct status_name *r = &status_reasons[i];

		if (!is_wanted(w, r->name, c->reasons[i].packets))
			continue;
		if (n++ == 0)
			printf("%-7s %-16s %8s %10s\n", "ACTION", "REASON", "PACKETS", "BYTES");
		printf("%-7s %-16s %8s %10s  %s\n", r->action, r->name,
		       units_format_count(c->reasons[i].packets, packets),
		       units_format_bytes(c->reasons[i].bytes, bytes), r->sentence);
	}
	return n;
}

static int print_notices(const struct why_words *w, const struct counters_sum *c, bool apart)
{
	char packets[8];
	int n = 0;

	for (unsigned i = 0; i < SLUICE_N_COUNT; i++) {
		const struct status_name *r = &status_notices[i];

		if (!is_wanted(w, r->name, c->notices[i]))
			continue;
		if (n++ == 0)
			printf("%s%-7s %-16s %8s\n", apart ? "\n" : "", "", "NOTICED", "COUNT");
		printf("%-7s %-16s %8s %10s  %s\n", "", r->name,
		       units_format_count(c->notices[i], packets), "", r->sentence);
	}
	return n;
}

static void print_human(const struct why_words *w, const struct counters_sum *c)
{
	int n = print_reasons(w, c);

	n += print_notices(w, c, n > 0);
	if (n == 0)
		puts("no packet has met the gate yet; --all shows every reason there is");
}

/* ---- for programs --------------------------------------------------------------------- */

static json_t *row_json(const struct status_name *r, const struct sluice_count *c)
{
	if (!c)
		return json_pack("{s:s}", "sentence", r->sentence);
	return json_pack("{s:s, s:s, s:I, s:I}", "action", r->action, "sentence", r->sentence,
			 "packets", (json_int_t)c->packets, "bytes", (json_int_t)c->bytes);
}

static int print_json(const struct why_words *w, const struct counters_sum *c, struct err *e)
{
	json_t *reasons = json_object(), *notices = json_object();
	json_t *root = json_pack("{s:o, s:o}", "reasons", reasons, "notices", notices);
	bool oom = !root;

	for (unsigned i = 0; i < SLUICE_R_COUNT && !oom; i++)
		if (is_wanted(w, status_reasons[i].name, c->reasons[i].packets))
			oom |= json_object_set_new(reasons, status_reasons[i].name,
						   row_json(&status_reasons[i], &c->reasons[i]));
	for (unsigned i = 0; i < SLUICE_N_COUNT && !oom; i++) {
		json_t *row;

		if (!is_wanted(w, status_notices[i].name, c->notices[i]))
			continue;
		row = row_json(&status_notices[i], NULL);
		oom |= !row ||
		       json_object_set_new(row, "packets", json_integer((json_int_t)c->notices[i]));
		oom |= json_object_set_new(notices, status_notices[i].name, row);
	}
	return ctl_print_json(root, oom, e);
}

/* ---- the command ---------------------------------------------------------------------- */

static int why(const struct why_words *w, struct err *e)
{
	static struct counters_sum sum; /* 84 KB */
	struct gate gate;
	int rc = gate_open(&gate, e);

	if (rc)
		return rc;
	rc = counters_read(&gate, &sum, e);
	gate_close(&gate);
	if (rc == 0 && w->json)
		return print_json(w, &sum, e);
	if (rc == 0)
		print_human(w, &sum);
	return rc;
}

int ctl_why(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"all", no_argument, NULL, 'a'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct why_words w = {0};
	struct sluice_addr source;
	struct err e;
	int opt;

	while ((opt = getopt_long(argc, argv, "jah", options, NULL)) != -1) {
		switch (opt) {
		case 'j':
			w.json = true;
			break;
		case 'a':
			w.all = true;
			break;
		case 'h':
			return CTL_HELP;
		default:
			return CTL_USAGE;
		}
	}
	if (optind < argc)
		w.name = argv[optind++];
	if (optind < argc)
		return ctl_usage("unexpected word: %s", argv[optind]);
	if (w.name && addr_parse(&source, w.name)) {
		chatter_catch();
		return why_source(&source, w.json, &e) ? ctl_fail(&e) : CTL_OK;
	}
	if (w.name && !is_known(w.name))
		return ctl_usage("no such reason: %s; `sluice why --all` shows every one", w.name);
	chatter_catch();
	return why(&w, &e) ? ctl_fail(&e) : CTL_OK;
}
