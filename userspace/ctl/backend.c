// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice backend`: weights changed while the gate runs. Such a change is a plan like that
 * of `sluice apply`, of one service alone, and holds until a file is applied again.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/maglev.h"
#include "base/units.h"
#include "ctl/ctl.h"
#include "ctl/flows.h"
#include "ctl/names.h"
#include "ctl/status.h"
#include "l4/chatter.h"
#include "l4/sync.h"

struct backend_words {
	char service[SLUICE_NAME]; /* list: empty = of every service */
	const char *backend;
	uint32_t weight;
	bool json;
};

struct verb {
	const char *name;
	const char *needs; /* its words */
	int n_words;       /* of them; list's one may be left out */
	int (*run)(const struct backend_words *w, const struct gate *g, struct err *e);
};

/* Both are big, and only one command runs. */
static struct names names;
static struct conns_of_backend flows_of[SLUICE_MAX_BACKENDS];

/* ---- list ----------------------------------------------------------------------------- */

static bool is_wanted(const struct backend_words *w, const struct plan_backend *b)
{
	return !w->service[0] || strcmp(names_service(&names, b->service), w->service) == 0;
}

static void print_backend(const struct plan_state *s, const struct plan_backend *b)
{
	char addr[ADDR_TEXT], full[2 * SLUICE_NAME], flows[8], recent[8];

	snprintf(full, sizeof(full), "%s/%s", names_service(&names, b->service), b->name);
	printf("%-24s %-20s %6u %6u %6.1f %% %8s %8s%s\n", full, addr_format(&b->addr, addr),
	       b->weight, b->configured, 100 * status_share(s, b),
	       units_format_count(flows_of[b->id].flows, flows),
	       units_format_count(flows_of[b->id].recent, recent),
	       b->weight == 0 ? "  drained"
	       : b->down      ? "  down"
			      : "");
}

static void print_list(const struct backend_words *w, const struct plan_state *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_backends; i++) {
		if (!is_wanted(w, &s->backends[i]))
			continue;
		if (n++ == 0)
			printf("%-24s %-20s %6s %6s %8s %8s %8s\n", "BACKEND", "ADDRESS", "WEIGHT",
			       "FILE", "SHARE", "FLOWS", "RECENT");
		print_backend(s, &s->backends[i]);
	}
	if (n == 0)
		puts("no l4 service has a backend here; `sluice apply -c FILE` brings them in");
}

static json_t *backend_json(const struct plan_state *s, const struct plan_backend *b)
{
	char addr[ADDR_TEXT];

	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:f, s:I, s:I}", "service",
			 names_service(&names, b->service), "backend", b->name, "address",
			 addr_format(&b->addr, addr), "weight", (json_int_t)b->weight,
			 "configured_weight", (json_int_t)b->configured, "down", b->down, "share",
			 status_share(s, b), "flows", (json_int_t)flows_of[b->id].flows,
			 "recent_flows", (json_int_t)flows_of[b->id].recent);
}

static int print_json(const struct backend_words *w, const struct plan_state *s, struct err *e)
{
	json_t *list = json_array(), *root = json_pack("{s:o}", "backends", list);
	bool oom = !root;

	for (size_t i = 0; !oom && i < s->n_backends; i++)
		if (is_wanted(w, &s->backends[i]))
			oom |= json_array_append_new(list, backend_json(s, &s->backends[i])) != 0;
	return ctl_print_json(root, oom, e);
}

static int run_list(const struct backend_words *w, const struct gate *g, struct err *e)
{
	struct conns_sum sum;
	struct plan_state s;
	int rc;

	if (w->service[0] && !names_find_service(&names, w->service))
		return names_no_service(&names, w->service, e);
	rc = sync_read(g, &s, e);
	if (rc)
		return rc;
	rc = conns_count(g, flows_of, &sum, e);
	if (rc == 0 && w->json)
		rc = print_json(w, &s, e);
	else if (rc == 0)
		print_list(w, &s);
	plan_state_fini(&s);
	return rc;
}

/* ---- changes -------------------------------------------------------------------------- */

static struct plan_backend *find(struct plan_state *s, __u32 id)
{
	for (size_t i = 0; i < s->n_backends; i++)
		if (s->backends[i].id == id)
			return &s->backends[i];
	return NULL;
}

static bool takes_flows(const struct plan_state *s)
{
	for (size_t i = 0; i < s->n_backends; i++)
		if (s->backends[i].weight && !s->backends[i].down)
			return true;
	return false;
}

static int told(const struct backend_words *w, const struct gate *g, const struct plan_state *s,
		const struct plan_backend *b, struct err *e)
{
	char left[FLOWS_LEFT];
	struct conns_sum sum;
	int rc;

	if (b->weight)
		return 0;
	rc = conns_count(g, flows_of, &sum, e);
	if (rc)
		return rc;
	printf("%s/%s takes no new flows; %s\n", w->service, b->name,
	       flows_left(&flows_of[b->id], left));
	if (!takes_flows(s))
		printf("no backend of %s does: new flows to it are dropped (no_backend)\n",
		       w->service);
	return 0;
}

/* s and want hold one service alone, and differ by b's weight. */
static int run_plan(const struct gate *g, struct plan_state *want, const struct plan_state *s,
		    struct err *e)
{
	struct plan plan;
	int rc = plan_make(&plan, want, s, e);

	if (rc)
		return rc;
	plan_print(&plan, stdout);
	rc = sync_run(g, &plan, e);
	plan_fini(&plan);
	return rc;
}

static int set_weight(const struct backend_words *w, const struct gate *g, __u32 service,
		      __u32 backend, bool by_file, struct err *e)
{
	struct plan_state s = {0}, want = {0};
	struct plan_backend *b;
	int rc = sync_read(g, &s, e);

	rc = rc ? rc : plan_keep(&want, &s, service, e);
	if (rc)
		goto out;
	b = find(&want, backend);
	if (!b) {
		rc = err_set(e, ENOENT, "%s/%s is half there: an apply was cut short; run it again",
			     w->service, w->backend);
		goto out;
	}
	if (by_file && !b->configured) {
		rc = err_set(e, EINVAL,
			     "the file gives %s/%s weight 0; `sluice backend weight %s/%s N` gives "
			     "it another one",
			     w->service, w->backend, w->service, w->backend);
		goto out;
	}
	b->weight = by_file ? b->configured : w->weight;
	if (b->weight == find(&s, backend)->weight)
		printf("%s/%s has weight %u already\n", w->service, w->backend, b->weight);
	else
		rc = run_plan(g, &want, &s, e);
	rc = rc ? rc : told(w, g, &want, b, e);
out:
	plan_state_fini(&want);
	plan_state_fini(&s);
	return rc;
}

static int change(const struct backend_words *w, const struct gate *g, bool by_file, struct err *e)
{
	__u32 service = names_find_service(&names, w->service), backend;

	if (!service)
		return names_no_service(&names, w->service, e);
	backend = names_find_backend(&names, w->service, w->backend);
	if (!backend)
		return names_no_backend(&names, w->service, w->backend, e);
	return set_weight(w, g, service, backend, by_file, e);
}

static int run_drain(const struct backend_words *w, const struct gate *g, struct err *e)
{
	return change(w, g, false, e); /* weight is 0 */
}

static int run_enable(const struct backend_words *w, const struct gate *g, struct err *e)
{
	return change(w, g, true, e);
}

static int run_weight(const struct backend_words *w, const struct gate *g, struct err *e)
{
	return change(w, g, false, e);
}

/* ---- the command ---------------------------------------------------------------------- */

static const struct verb verbs[] = {
	{"list", "one service at most", 1, run_list},
	{"drain", "a backend: SERVICE/BACKEND", 1, run_drain},
	{"enable", "a backend: SERVICE/BACKEND", 1, run_enable},
	{"weight", "a backend and its weight: SERVICE/BACKEND N", 2, run_weight},
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* "shop", or "shop/b1" where a backend is wanted. */
static bool parse_name(struct backend_words *w, const char *text, bool backend)
{
	size_t len = strcspn(text, backend ? "/" : "");

	if (len == 0 || len >= SLUICE_NAME || (backend && (!text[len] || !text[len + 1])))
		return false;
	memcpy(w->service, text, len);
	w->backend = backend ? text + len + 1 : NULL;
	return true;
}

static int parse_weight(struct backend_words *w, const char *text)
{
	uint64_t n = 0;

	if (strcmp(text, "0") != 0 && (!ctl_parse_count(&n, text) || n > MAGLEV_MAX_WEIGHT))
		return ctl_usage("no weight: %s; a number from 0 to %u", text, MAGLEV_MAX_WEIGHT);
	w->weight = (uint32_t)n;
	return CTL_OK;
}

static int parse_words(struct backend_words *w, const struct verb *v, int n, char **words)
{
	bool list = v->run == run_list;

	if (list ? n > v->n_words : n != v->n_words)
		return ctl_usage("backend %s %s %s", v->name, list ? "takes" : "needs", v->needs);
	if (n > 0 && !parse_name(w, words[0], !list))
		return ctl_usage("`%s` names no %s", words[0],
				 list ? "service" : "backend; SERVICE/BACKEND, as shop/b1");
	if (w->json && !list)
		return ctl_usage("backend %s takes no --json", v->name);
	return n > 1 ? parse_weight(w, words[1]) : CTL_OK;
}

static int run(const struct verb *v, const struct backend_words *w, struct err *e)
{
	struct gate gate;
	int rc = gate_open(&gate, e);

	if (rc)
		return rc;
	/* Between reading and writing, nobody else changes what was read. */
	rc = v->run == run_list ? 0 : ctl_lock(e);
	rc = rc ? rc : names_read(&gate, &names, e);
	rc = rc ? rc : v->run(w, &gate, e);
	gate_close(&gate);
	return rc;
}

int ctl_backend(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct backend_words w = {0};
	const struct verb *v;
	struct err e;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		if (opt == 'h')
			return CTL_HELP;
		if (opt != 'j')
			return CTL_USAGE;
		w.json = true;
	}
	if (optind == argc)
		return ctl_usage("backend what? list, drain, enable or weight");
	v = find_verb(argv[optind]);
	if (!v)
		return ctl_usage("no such word after backend: %s; list, drain, enable or weight",
				 argv[optind]);
	rc = parse_words(&w, v, argc - optind - 1, argv + optind + 1);
	if (rc != CTL_OK)
		return rc;
	chatter_catch();
	return run(v, &w, &e) ? ctl_fail(&e) : CTL_OK;
}
