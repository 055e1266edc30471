// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice attach` and `sluice detach`: the order of the steps around one program on
 * one interface (l4/attach.h), and what is undone when the last one goes.
 *
 * attach: maps, services into them, programs, then what surrounds them; so that the first
 * packet through the gate finds its service. detach: the reverse.
 */
#include "l4/attach.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "l4/chatter.h"
#include "l4/host.h"
#include "l4/neighbour.h"
#include "l4/route.h"
#include "l4/steer.h"
#include "l4/sync.h"
#include "sluice/conn.h"

struct attach_words {
	const char *config;
	const char *mode;
	const char *priority;
	char **ifnames;
	unsigned n_ifnames;
	struct conf *conf; /* NULL without -c */
	struct attach_options options;
};

/* ---- attach --------------------------------------------------------------------------- */

static bool parse_mode(enum conf_mode *out, const char *text)
{
	static const char *const names[] = {
		[CONF_MODE_AUTO] = "auto",
		[CONF_MODE_NATIVE] = "native",
		[CONF_MODE_GENERIC] = "generic",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], text) == 0) {
			*out = (enum conf_mode)i;
			return true;
		}
	}
	return false;
}

static bool parse_priority(uint32_t *out, const char *text)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || n > INT32_MAX)
		return false;
	*out = (uint32_t)n;
	return true;
}

/* What the file says, and over it what was typed. */
static int resolve(struct attach_words *w)
{
	struct attach_options *o = &w->options;

	o->mode = CONF_MODE_AUTO;
	o->priority = 50;
	if (w->config) {
		w->conf = conf_load(w->config, stderr);
		if (!w->conf)
			return CTL_FAIL;
		o->mode = w->conf->mode;
		o->priority = w->conf->priority;
		o->tuning = (struct load_tuning){
			.given = true,
			.conn_rate = w->conf->conn_rate,
			.event_every = w->conf->event_every,
			.max_conns = w->conf->max_conns,
			.max_sources = w->conf->max_sources,
			.nat_sources = w->conf->n_nat_sources,
			.nat_first = w->conf->nat_first,
			.nat_ports = w->conf->nat_last - w->conf->nat_first + 1,
		};
	}
	if (w->mode && !parse_mode(&o->mode, w->mode))
		return ctl_usage("no such mode: %s; native, generic or auto", w->mode);
	if (w->priority && !parse_priority(&o->priority, w->priority))
		return ctl_usage("not a priority: %s; a number, lowest first, 50 by default",
				 w->priority);
	if (w->n_ifnames == 0 && w->conf) {
		w->ifnames = (char **)w->conf->interfaces;
		w->n_ifnames = w->conf->n_interfaces;
	}
	if (w->n_ifnames == 0)
		return ctl_usage("attach needs an interface: typed, or in the file's "
				 "gate { interfaces = ... }");
	return CTL_OK;
}

static int fill_maps(const struct attach_words *w, FILE *out, struct plan_state *state,
		     struct err *e)
{
	struct gate gate;
	int rc = gate_open(&gate, e);

	if (rc)
		return rc;
	if (w->conf)
		rc = ctl_sync_maps(&gate, w->conf, out, false, state, e);
	else
		rc = sync_read(&gate, state, e);
	gate_close(&gate);
	return rc < 0 ? rc : 0;
}

static void report(const struct attach_result *r)
{
	static const char *const words[] = {
		[ATTACH_NEW] = "attached",
		[ATTACH_ALREADY] = "already attached",
		[ATTACH_REPLACED] = "replaced without a gap",
	};
	const struct attach_place *p = &r->place;

	printf("%s: %s, %s, program %u", p->ifname, words[r->outcome],
	       p->native ? "native" : "generic", p->prog_id);
	if (p->position)
		printf(", %u of %u in libxdp's chain (priority %u)", p->position, p->chain,
		       p->priority);
	putchar('\n');
	fflush(stdout);
	if (r->note[0])
		fprintf(stderr, "sluice: note: %s\n", r->note);
}

/* An upgrade is done when no interface runs the old program. */
static void note_others(const struct attach_result *r)
{
	struct attach_place *places;
	struct err ignored;
	unsigned n;

	if (attach_list(&places, &n, &ignored) != 0)
		return;
	for (unsigned i = 0; i < n; i++)
		if (strcmp(places[i].tag, r->place.tag) != 0)
			fprintf(stderr,
				"sluice: note: %s still runs the gate of another build; `sluice "
				"attach %s` replaces it\n",
				places[i].ifname, places[i].ifname);
	free(places);
}

static int put_all(const struct attach_words *w, struct err *e)
{
	struct attach_result result;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < w->n_ifnames; i++) {
		rc = attach_put(w->ifnames[i], &w->options, &result, e);
		if (rc == 0)
			report(&result);
	}
	if (rc == 0)
		note_others(&result);
	return rc;
}

/* The gate asks the kernel's routing, which answers only where the host forwards. */
static void note_forwarding(const char *ifname, const struct plan_state *state)
{
	bool off[2] = {false, false}; /* by family: IPv4, IPv6 */

	for (size_t i = 0; i < state->n_backends; i++) {
		bool v6 = !addr_is_v4(&state->backends[i].addr);

		off[v6] |= !host_forwards(ifname, v6);
	}
	if (!off[0] && !off[1])
		return;
	fprintf(stderr,
		"sluice: note: %s does not forward, so packets for backends are dropped "
		"(no_forwarding); `sysctl -w",
		ifname);
	for (int v6 = 0; v6 < 2; v6++)
		if (off[v6])
			fprintf(stderr, " net/ipv%d/conf/%s/forwarding=1", v6 ? 6 : 4, ifname);
	fputs("`\n", stderr);
}

/* A failed attach leaves no new pins behind, unless a gate runs on them. */
static bool undo_maps(void)
{
	struct attach_place *places = NULL;
	struct err ignored;
	unsigned n;
	bool undo = attach_list(&places, &n, &ignored) == 0 && n == 0;

	if (undo)
		load_unpin(&ignored);
	free(places);
	return undo;
}

/* The services go into the maps before any program runs on them; what changed there is told
 * when it is sure to stay. */
static int fill_and_put(const struct attach_words *w, bool made, struct plan_state *state,
			struct err *e)
{
	char *changes = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&changes, &len);
	int rc;

	if (!out)
		return err_set(e, errno, "out of memory");
	rc = fill_maps(w, out, state, e);
	rc = rc ? rc : put_all(w, e);
	fclose(out);
	if (rc == 0 || !made || !undo_maps())
		fputs(changes, stdout);
	free(changes);
	return rc;
}

static int check_names(const struct attach_words *w, struct err *e)
{
	for (unsigned i = 0; i < w->n_ifnames; i++) {
		int rc = host_ifindex(w->ifnames[i], e);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Wanted by a file, or 0. */
static void note_size(const char *table, uint32_t wanted, uint32_t entries)
{
	if (wanted && sluice_conn_buckets(wanted) * 2 != entries)
		fprintf(stderr,
			"sluice: note: %s keeps its %u entries; to have %u, `sluice detach --all` "
			"first\n",
			table, entries, wanted);
}

/* Once it is known which interfaces there are. */
static int fill_cookies(const struct plan_state *state, struct err *e)
{
	struct gate gate;
	int rc = gate_open(&gate, e);

	if (rc)
		return rc;
	rc = ctl_sync_cookies(&gate, state, e);
	gate_close(&gate);
	return rc;
}

static int attach(const struct attach_words *w, struct err *e)
{
	const struct load_tuning *t = &w->options.tuning;
	struct load_sizes sizes;
	struct plan_state state = {0};
	bool made = false;
	int rc = host_ready(e);

	rc = rc ? rc : check_names(w, e);
	rc = rc ? rc : ctl_lock(e);
	rc = rc ? rc : load_maps(t, &made, &sizes, e);
	if (rc == 0)
		note_size("the connection table", t->max_conns, sizes.conns);
	if (rc == 0)
		note_size("the table of sources", t->max_sources, sizes.sources);
	rc = rc ? rc : fill_and_put(w, made, &state, e);
	rc = rc ? rc : fill_cookies(&state, e);
	for (unsigned i = 0; rc == 0 && i < w->n_ifnames; i++)
		note_forwarding(w->ifnames[i], &state);
	rc = rc ? rc : ctl_sync_host(&state, false, true, e);
	plan_state_fini(&state);
	return rc < 0 ? rc : 0;
}

int ctl_attach(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"mode", required_argument, NULL, 'm'},
		{"priority", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct attach_words w = {0};
	struct err e;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "c:m:p:h", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			w.config = optarg;
			break;
		case 'm':
			w.mode = optarg;
			break;
		case 'p':
			w.priority = optarg;
			break;
		case 'h':
			return CTL_HELP;
		default:
			return CTL_USAGE;
		}
	}
	w.ifnames = argv + optind;
	w.n_ifnames = (unsigned)(argc - optind);
	chatter_catch();
	rc = resolve(&w);
	if (rc == CTL_OK) {
		int err = attach(&w, &e);

		rc = err ? ctl_fail(&e) : CTL_OK;
		if (err == -ENOEXEC)
			chatter_print(stderr);
	}
	conf_free(w.conf);
	return rc;
}

/* ---- detach --------------------------------------------------------------------------- */

/* Returns how many were there, or -errno. */
static int take_named(char **ifnames, unsigned n, struct err *e)
{
	int taken = 0;

	for (unsigned i = 0; i < n; i++) {
		int rc = attach_take(ifnames[i], e);

		if (rc == -ENODEV && access(SLUICE_PIN_DIR, F_OK) == 0)
			return err_set(e, ENODEV,
				       "there is no interface %s; if it went away, `sluice detach "
				       "--all` removes what the gate left",
				       ifnames[i]);
		if (rc < 0)
			return rc;
		printf("%s: %s\n", ifnames[i], rc ? "detached" : "no gate is attached there");
		taken += rc;
	}
	return taken;
}

static int take_all(struct err *e)
{
	struct attach_place *places;
	unsigned n;
	int rc = attach_list(&places, &n, e);

	if (rc == 0 && n == 0)
		puts("no gate is attached");
	for (unsigned i = 0; rc == 0 && i < n; i++) {
		rc = attach_take(places[i].ifname, e);
		if (rc == 1)
			printf("%s: detached\n", places[i].ifname);
		rc = rc < 0 ? rc : 0;
	}
	free(places);
	return rc;
}

/* The last gate is gone: nothing that sluice put on this host stays, except kept maps. */
static int clear_host(bool keep_maps, struct err *e)
{
	int rc = route_sync(NULL, 0, false, NULL, e);

	rc = rc < 0 ? rc : neighbour_sync(NULL, 0, e);
	rc = rc < 0 ? rc : steer_detach(e);
	if (rc || keep_maps)
		return rc;
	return load_unpin(e);
}

static int detach(char **ifnames, unsigned n, bool all, bool keep_maps, struct err *e)
{
	struct attach_place *left;
	unsigned n_left;
	int taken, rc = host_permitted(e);

	rc = rc ? rc : ctl_lock(e);
	if (rc)
		return rc;
	taken = all ? take_all(e) : take_named(ifnames, n, e);
	if (taken < 0)
		return taken;
	rc = attach_list(&left, &n_left, e);
	free(left);
	/* Maps kept by an earlier detach go only when all that is sluice's is to go. */
	if (rc || n_left > 0 || (taken == 0 && !all))
		return rc;
	rc = clear_host(keep_maps, e);
	if (rc == 0 && keep_maps)
		printf("the maps stay in %s\n", SLUICE_PIN_DIR);
	return rc;
}

int ctl_detach(int argc, char **argv)
{
	static const struct option options[] = {
		{"all", no_argument, NULL, 'a'},
		{"keep-maps", no_argument, NULL, 'k'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	bool all = false, keep_maps = false;
	struct err e;
	int opt;

	while ((opt = getopt_long(argc, argv, "akh", options, NULL)) != -1) {
		switch (opt) {
		case 'a':
			all = true;
			break;
		case 'k':
			keep_maps = true;
			break;
		case 'h':
			return CTL_HELP;
		default:
			return CTL_USAGE;
		}
	}
	if (all == (optind < argc))
		return ctl_usage("detach needs interfaces, or --all");
	chatter_catch();
	if (detach(argv + optind, (unsigned)(argc - optind), all, keep_maps, &e) != 0)
		return ctl_fail(&e);
	return CTL_OK;
}
