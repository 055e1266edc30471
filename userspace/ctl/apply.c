// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice apply`, and the order in which a file reaches the host: the maps, then what
 * surrounds them.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"
#include "ctl/flows.h"
#include "l4/attach.h"
#include "l4/chatter.h"
#include "l4/cookies.h"
#include "l4/host.h"
#include "l4/neighbour.h"
#include "l4/route.h"
#include "l4/steer.h"
#include "l4/sync.h"

/* By id; those that nobody has stay 0. *of is the caller's to free. */
static int count_flows(const struct gate *g, struct plan_state *actual,
		       struct conns_of_backend **of, struct err *e)
{
	struct conns_sum sum;
	int rc;

	*of = calloc(SLUICE_MAX_BACKENDS, sizeof(**of));
	if (!*of)
		return err_set(e, ENOMEM, "out of memory");
	rc = actual->n_backends ? conns_count(g, *of, &sum, e) : 0;
	for (size_t i = 0; rc == 0 && i < actual->n_backends; i++)
		actual->backends[i].flows = (__u32)(*of)[actual->backends[i].id].flows;
	return rc;
}

static void print_drained(const struct plan_state *want, const struct conns_of_backend *of,
			  FILE *out)
{
	char left[FLOWS_LEFT];

	for (size_t i = 0; i < want->n_backends; i++) {
		const struct plan_backend *b = &want->backends[i];

		if (b->weight == 0)
			fprintf(out, "  backend %s/%s is drained; %s\n",
				want->services[b->service].name, b->name,
				flows_left(&of[b->id], left));
	}
}

int ctl_sync_maps(const struct gate *g, const struct conf *c, FILE *out, bool dry,
		  struct plan_state *state, struct err *e)
{
	struct plan_state actual = {0};
	struct conns_of_backend *of = NULL;
	struct plan plan = {0};
	int rc = sync_want(c, state, e);

	if (rc)
		return rc;
	rc = sync_read(g, &actual, e);
	rc = rc ? rc : count_flows(g, &actual, &of, e);
	rc = rc ? rc : plan_make(&plan, state, &actual, e);
	if (rc == 0) {
		plan_print(&plan, out);
		print_drained(state, of, out);
		rc = dry ? 0 : sync_run(g, &plan, e);
	}
	free(of);
	rc = rc ? rc : (int)plan.n;
	plan_fini(&plan);
	plan_state_fini(&actual);
	if (rc < 0)
		plan_state_fini(state);
	return rc;
}

static bool has_l7(const struct plan_state *s)
{
	for (size_t i = 0; i < s->n_vips; i++)
		if (!plan_is_marker(&s->vips[i]) && s->vips[i].value.kind == SLUICE_L7)
			return true;
	return false;
}

/* Returns the number of changes or -errno. */
static int sync_steer(bool wanted, bool dry, bool renew, struct err *e)
{
	bool runs = steer_attached();
	int rc = 0;

	if (wanted != runs)
		printf("%c steering to sluiced\n", wanted ? '+' : '-');
	if (dry)
		return wanted != runs;
	if (wanted && (renew || !runs))
		rc = steer_attach(e);
	else if (!wanted)
		rc = steer_detach(e);
	return rc ? rc : wanted != runs;
}

/* Backends answer to whom ARP and neighbour discovery lead them. */
static void note_sources(const struct plan_state *s)
{
	char text[ADDR_TEXT];

	for (size_t i = 0; i < s->n_sources; i++)
		if (!host_owns(&s->sources[i].addr))
			fprintf(stderr,
				"sluice: note: nat_source %s is no address of this host, so that "
				"backends may not find it; `ip addr add %s/%s dev IFACE`\n",
				addr_format(&s->sources[i].addr, text), text,
				addr_is_v4(&s->sources[i].addr) ? "32" : "128");
}

static int sync_neighbours(const struct plan_state *s, struct err *e)
{
	struct sluice_addr *to = calloc(s->n_backends + 1, sizeof(*to));
	int rc;

	if (!to)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < s->n_backends; i++)
		to[i] = s->backends[i].addr;
	rc = neighbour_sync(to, s->n_backends, e);
	free(to);
	return rc;
}

int ctl_sync_host(const struct plan_state *state, bool dry, bool renew, struct err *e)
{
	struct sluice_addr *vips;
	long n = sync_vip_addrs(state, &vips);
	int changes, rc;

	if (n < 0)
		return err_set(e, (int)-n, "out of memory");
	changes = route_sync(vips, (size_t)n, dry, stdout, e);
	free(vips);
	if (changes < 0)
		return changes;
	note_sources(state);
	rc = dry ? 0 : sync_neighbours(state, e);
	rc = rc ? rc : sync_steer(has_l7(state), dry, renew, e);
	return rc < 0 ? rc : changes + rc;
}

int ctl_sync_cookies(const struct gate *g, const struct plan_state *state, struct err *e)
{
	struct sluice_cookies cookies;
	struct cookies_host host;
	const char *caution;
	bool any = false;
	int rc;

	for (size_t i = 0; i < state->n_services; i++)
		any |= state->services[i].entry.syncookie != 0;
	if (!any)
		return 0;
	cookies_look(&host);
	cookies = cookies_of(&host);
	rc = cookies_write(g, &cookies, e);
	caution = cookies_caution(&host, cookies_possible());
	if (rc == 0 && caution)
		fprintf(stderr, "sluice: note: %s\n", caution);
	return rc;
}

/* A gate that was put there while no l4 service had a limit. */
static void note_limits(const char *path)
{
	struct attach_place *places;
	struct err ignored;
	unsigned n;

	if (attach_list(&places, &n, &ignored) != 0)
		return;
	for (unsigned i = 0; i < n; i++)
		if (attach_spares_flows(&places[i]))
			fprintf(stderr,
				"sluice: note: on %s limits hold for new flows alone; `sluice "
				"attach -c %s %s` makes the gate count packets of known ones, "
				"too\n",
				places[i].ifname, path, places[i].ifname);
	free(places);
}

static int apply(const struct conf *c, bool dry, struct err *e)
{
	struct plan_state state;
	struct gate gate;
	int changes, rc = gate_open(&gate, e);

	rc = rc ? rc : ctl_lock(e);
	if (rc)
		return rc;
	changes = ctl_sync_maps(&gate, c, stdout, dry, &state, e);
	if (changes >= 0 && !dry)
		rc = ctl_sync_cookies(&gate, &state, e);
	gate_close(&gate);
	if (changes < 0)
		return changes;
	rc = rc ? rc : ctl_sync_host(&state, dry, false, e);
	plan_state_fini(&state);
	if (rc >= 0 && rc + changes == 0)
		puts("nothing to change");
	if (rc >= 0 && !dry)
		note_limits(c->path);
	return rc < 0 ? rc : 0;
}

int ctl_apply(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"dry-run", no_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *path = NULL;
	bool dry = false;
	struct conf *conf;
	struct err e;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "c:nh", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			path = optarg;
			break;
		case 'n':
			dry = true;
			break;
		case 'h':
			return CTL_HELP;
		default:
			return CTL_USAGE;
		}
	}
	if (!path)
		return ctl_usage("apply needs the file: -c FILE");
	if (optind < argc)
		return ctl_usage("unexpected word: %s", argv[optind]);
	chatter_catch();
	conf = conf_load(path, stderr);
	if (!conf)
		return CTL_FAIL;
	rc = apply(conf, dry, &e);
	conf_free(conf);
	return rc ? ctl_fail(&e) : CTL_OK;
}
