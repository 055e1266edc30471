// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice flows`: the connection table as a list, or the sources that have most of it;
 * and how a number of flows is told.
 * Excludes: reading the table (l4/conns.h).
 * Cost: 56 bytes for each flow that is shown, and sorting them.
 */
#include "ctl/flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <jansson.h>

#include "base/addr.h"
#include "base/units.h"
#include "ctl/ctl.h"
#include "ctl/names.h"
#include "l4/chatter.h"

struct flows_words {
	const char *service;
	char backend_service[SLUICE_NAME]; /* of `--backend SERVICE/BACKEND`; empty: of any */
	const char *backend;
	uint64_t top; /* 0: the flows themselves */
	bool json;
};

struct flows {
	const struct flows_words *words;
	struct names names;
	struct conns_flow *rows;
	size_t n, room;
	struct conns_sum sum;
	uint64_t of_backend[SLUICE_MAX_BACKENDS]; /* of those in rows */
};

struct source {
	struct sluice_addr addr;
	uint64_t flows;
};

const char *flows_left(const struct conns_of_backend *of, char buf[FLOWS_LEFT])
{
	char flows[8], recent[8];

	_Static_assert(CONNS_RECENT_S == 60, "the words below say a minute");
	if (of->flows == 0)
		snprintf(buf, FLOWS_LEFT, "no flows left");
	else
		snprintf(buf, FLOWS_LEFT, "%s flow%s left, %s with a packet in the last minute",
			 units_format_count(of->flows, flows), of->flows == 1 ? "" : "s",
			 of->recent ? units_format_count(of->recent, recent) : "none");
	return buf;
}

/* ---- gathering ------------------------------------------------------------------------ */

static bool is_wanted(const struct flows *f, const struct conns_flow *row)
{
	const struct flows_words *w = f->words;

	if (row->stale)
		return !w->service && !w->backend;
	if (w->service && strcmp(names_service(&f->names, row->service), w->service) != 0)
		return false;
	if (!w->backend)
		return true;
	if (w->backend_service[0] &&
	    strcmp(names_service(&f->names, row->service), w->backend_service) != 0)
		return false;
	return strcmp(names_backend(&f->names, row->backend), w->backend) == 0;
}

static int keep(void *arg, const struct conns_flow *row)
{
	struct flows *f = arg;

	if (!is_wanted(f, row))
		return 0;
	if (f->n == f->room) {
		size_t room = f->room ? f->room * 2 : 1024;
		struct conns_flow *more = realloc(f->rows, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		f->rows = more;
		f->room = room;
	}
	f->rows[f->n++] = *row;
	if (!row->stale && !row->ended)
		f->of_backend[row->backend]++;
	return 0;
}

/* By service, then as addresses and ports are counted. */
static int compare_rows(const void *a, const void *b)
{
	const struct conns_flow *x = a, *y = b;

	if (x->service != y->service)
		return x->service < y->service ? -1 : 1;
	return memcmp(&x->flow, &y->flow, sizeof(x->flow));
}

static int compare_by_source(const void *a, const void *b)
{
	const struct conns_flow *x = a, *y = b;

	return memcmp(&x->flow.src, &y->flow.src, sizeof(x->flow.src));
}

static int compare_sources(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	if (x->flows != y->flows)
		return x->flows > y->flows ? -1 : 1;
	return memcmp(&x->addr, &y->addr, sizeof(x->addr));
}

/* Every source with its number of flows, most first; the caller frees *out. */
static int count_sources(struct flows *f, struct source **out, size_t *n)
{
	struct source *s = calloc(f->n + 1, sizeof(*s));

	*n = 0;
	*out = s;
	if (!s)
		return -ENOMEM;
	if (f->n)
		qsort(f->rows, f->n, sizeof(*f->rows), compare_by_source);
	for (size_t i = 0; i < f->n; i++) {
		if (*n == 0 || !addr_equal(&s[*n - 1].addr, &f->rows[i].flow.src))
			s[(*n)++].addr = f->rows[i].flow.src;
		s[*n - 1].flows++;
	}
	qsort(s, *n, sizeof(*s), compare_sources);
	return 0;
}

/* ---- for people ----------------------------------------------------------------------- */

static const char *idle_text(__u32 seconds, char buf[16])
{
	if (seconds < 60)
		snprintf(buf, 16, "%us", seconds);
	else if (seconds < 3600)
		snprintf(buf, 16, "%um", seconds / 60);
	else
		snprintf(buf, 16, "%uh", seconds / 3600);
	return buf;
}

static void print_row(const struct flows *f, const struct conns_flow *row)
{
	struct endpoint src = {row->flow.src, ntohs(row->flow.sport)};
	struct endpoint dst = {row->flow.dst, ntohs(row->flow.dport)};
	char from[ENDPOINT_TEXT], to[ENDPOINT_TEXT], idle[16], vip[ENDPOINT_TEXT + 8];
	const char *proto = proto_name(row->flow.proto);

	snprintf(vip, sizeof(vip), "%s/%s", endpoint_format(&dst, to), proto ? proto : "?");
	printf("%-28s %-28s ", endpoint_format(&src, from), vip);
	if (row->stale)
		printf("%-24s", "(stale)");
	else
		printf("%s/%-*s", names_service(&f->names, row->service),
		       23 - (int)strlen(names_service(&f->names, row->service)),
		       names_backend(&f->names, row->backend));
	printf(" %s%s\n", idle_text(row->idle_s, idle), row->ended ? ", ended" : "");
}

static void print_summary(const struct flows *f)
{
	uint64_t all = f->sum.live + f->sum.ended + f->sum.stale;
	char flows[8], made_for[8], ended[8], stale[8];

	if (f->n)
		putchar('\n');
	if (f->words->service || f->words->backend)
		printf("%s of ", units_format_count(f->n, flows));
	printf("%s flow%s in a table for %s", units_format_count(all, flows), all == 1 ? "" : "s",
	       units_format_count(f->sum.made_for, made_for));
	if (f->sum.ended)
		printf("; %s ended", units_format_count(f->sum.ended, ended));
	if (f->sum.stale)
		printf("; %s stale: their backend is gone, and they are given another one when "
		       "they come back",
		       units_format_count(f->sum.stale, stale));
	putchar('\n');
	for (__u32 id = 0; id < SLUICE_MAX_BACKENDS; id++) {
		char n[8];

		if (f->of_backend[id])
			printf("  %s/%-24s %8s\n",
			       names_service(&f->names, f->names.backends[id].service),
			       names_backend(&f->names, id),
			       units_format_count(f->of_backend[id], n));
	}
}

static void print_rows(const struct flows *f)
{
	if (f->n)
		printf("%-28s %-28s %-24s %s\n", "CLIENT", "SERVICE'S ADDRESS", "BACKEND", "IDLE");
	for (size_t i = 0; i < f->n; i++)
		print_row(f, &f->rows[i]);
}

static void print_sources(const struct flows *f, const struct source *sources, size_t n)
{
	char addr[ADDR_TEXT], count[8];

	if (n)
		printf("%-40s %8s\n", "SOURCE", "FLOWS");
	for (size_t i = 0; i < n && i < f->words->top; i++)
		printf("%-40s %8s\n", addr_format(&sources[i].addr, addr),
		       units_format_count(sources[i].flows, count));
}

/* ---- for programs --------------------------------------------------------------------- */

/* One after the other, since a million of them would not fit into memory as a tree. */
static int print_item(json_t *o, bool first)
{
	int rc = 0;

	fputs(first ? "\n  " : ",\n  ", stdout);
	if (!o || json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER) != 0)
		rc = -ENOMEM;
	json_decref(o);
	return rc;
}

static json_t *row_json(const struct flows *f, const struct conns_flow *row)
{
	char src[ADDR_TEXT], dst[ADDR_TEXT];
	const char *proto = proto_name(row->flow.proto);

	return json_pack("{s:s, s:i, s:s, s:i, s:s, s:s, s:s, s:I, s:b, s:b}", "source",
			 addr_format(&row->flow.src, src), "source_port", ntohs(row->flow.sport),
			 "destination", addr_format(&row->flow.dst, dst), "destination_port",
			 ntohs(row->flow.dport), "proto", proto ? proto : "?", "service",
			 names_service(&f->names, row->service), "backend",
			 row->stale ? "" : names_backend(&f->names, row->backend), "idle_seconds",
			 (json_int_t)row->idle_s, "ended", row->ended, "stale", row->stale);
}

static int print_rows_json(const struct flows *f)
{
	int rc = 0;

	fputs("{\"flows\": [", stdout);
	for (size_t i = 0; rc == 0 && i < f->n; i++)
		rc = print_item(row_json(f, &f->rows[i]), i == 0);
	return rc;
}

static int print_sources_json(const struct flows *f, const struct source *sources, size_t n)
{
	char addr[ADDR_TEXT];
	int rc = 0;

	fputs("{\"sources\": [", stdout);
	for (size_t i = 0; rc == 0 && i < n && i < f->words->top; i++)
		rc = print_item(json_pack("{s:s, s:I}", "source",
					  addr_format(&sources[i].addr, addr), "flows",
					  (json_int_t)sources[i].flows),
				i == 0);
	return rc;
}

static int print_summary_json(const struct flows *f)
{
	bool first = true;
	int rc = 0;

	fputs("],\n\"backends\": [", stdout);
	for (__u32 id = 0; rc == 0 && id < SLUICE_MAX_BACKENDS; id++) {
		if (!f->of_backend[id])
			continue;
		rc = print_item(json_pack("{s:s, s:s, s:I}", "service",
					  names_service(&f->names, f->names.backends[id].service),
					  "backend", names_backend(&f->names, id), "flows",
					  (json_int_t)f->of_backend[id]),
				first);
		first = false;
	}
	printf("],\n\"live\": %llu, \"ended\": %llu, \"stale\": %llu, \"made_for\": %llu}\n",
	       (unsigned long long)f->sum.live, (unsigned long long)f->sum.ended,
	       (unsigned long long)f->sum.stale, (unsigned long long)f->sum.made_for);
	return rc;
}

/* ---- the command ---------------------------------------------------------------------- */

static int print_all(struct flows *f)
{
	struct source *sources = NULL;
	size_t n = 0;
	int rc = 0;

	if (f->words->top)
		rc = count_sources(f, &sources, &n);
	else if (f->n)
		qsort(f->rows, f->n, sizeof(*f->rows), compare_rows);
	if (rc)
		goto out;
	if (f->words->json) {
		rc = f->words->top ? print_sources_json(f, sources, n) : print_rows_json(f);
		rc = rc ? rc : print_summary_json(f);
		goto out;
	}
	if (f->words->top)
		print_sources(f, sources, n);
	else
		print_rows(f);
	print_summary(f);
out:
	free(sources);
	return rc;
}

/* A filter that nobody can pass is a mistake, not an empty list. */
static int check_words(const struct flows *f, struct err *e)
{
	const struct flows_words *w = f->words;
	const char *service = w->backend_service[0] ? w->backend_service : w->service;

	if (w->service && !names_find_service(&f->names, w->service))
		return names_no_service(&f->names, w->service, e);
	if (w->backend && service && !names_find_service(&f->names, service))
		return names_no_service(&f->names, service, e);
	if (w->backend && !names_find_backend(&f->names, service, w->backend))
		return names_no_backend(&f->names, service, w->backend, e);
	return 0;
}

static int flows(const struct flows_words *w, struct err *e)
{
	static struct flows f; /* 32 KB, and the names */
	struct gate gate;
	int rc = gate_open(&gate, e);

	if (rc)
		return rc;
	f.words = w;
	rc = names_read(&gate, &f.names, e);
	rc = rc ? rc : check_words(&f, e);
	if (rc == 0) {
		rc = conns_each(&gate, keep, &f, &f.sum, e);
		rc = rc ? rc : print_all(&f);
		if (rc == -ENOMEM)
			err_set(e, ENOMEM, "out of memory: the table has %zu flows so far", f.n);
	}
	free(f.rows);
	gate_close(&gate);
	return rc;
}

static bool parse_backend(struct flows_words *w, const char *text)
{
	const char *slash = strchr(text, '/');

	w->backend = slash ? slash + 1 : text;
	if (!slash)
		return true;
	if (slash == text || (size_t)(slash - text) >= SLUICE_NAME)
		return false;
	memcpy(w->backend_service, text, (size_t)(slash - text));
	return *w->backend;
}

int ctl_flows(int argc, char **argv)
{
	static const struct option options[] = {
		{"service", required_argument, NULL, 's'},
		{"backend", required_argument, NULL, 'b'},
		{"top", required_argument, NULL, 't'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct flows_words w = {0};
	struct err e;
	int opt;

	while ((opt = getopt_long(argc, argv, "s:b:t:jh", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			w.service = optarg;
			break;
		case 'b':
			if (!parse_backend(&w, optarg))
				return ctl_usage("`%s` names no backend; BACKEND or "
						 "SERVICE/BACKEND",
						 optarg);
			break;
		case 't':
			if (!ctl_parse_count(&w.top, optarg))
				return ctl_usage("not a number of sources: %s", optarg);
			break;
		case 'j':
			w.json = true;
			break;
		case 'h':
			return CTL_HELP;
		default:
			return CTL_USAGE;
		}
	}
	if (optind < argc)
		return ctl_usage("unexpected word: %s", argv[optind]);
	chatter_catch();
	return flows(&w, &e) ? ctl_fail(&e) : CTL_OK;
}
