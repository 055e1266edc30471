// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice apply`, and the order in which a file reaches the host: the maps, then what
 * surrounds them.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"
#include "l4/chatter.h"
#include "l4/route.h"
#include "l4/steer.h"
#include "l4/sync.h"

int ctl_sync_maps(const struct gate *g, const struct conf *c, FILE *out, bool dry,
		  struct plan_state *state, struct err *e)
{
	struct plan_state actual = {0};
	struct plan plan = {0};
	int rc = sync_want(c, state, e);

	if (rc)
		return rc;
	rc = sync_read(g, &actual, e);
	rc = rc ? rc : plan_make(&plan, state, &actual, e);
	if (rc == 0) {
		plan_print(&plan, out);
		rc = dry ? 0 : sync_run(g, &plan, e);
	}
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
	for (size_t i = 0; !dry && i < state->n_backends; i++)
		route_prime(&state->backends[i].addr);
	rc = sync_steer(has_l7(state), dry, renew, e);
	return rc < 0 ? rc : changes + rc;
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
	gate_close(&gate);
	if (changes < 0)
		return changes;
	rc = ctl_sync_host(&state, dry, false, e);
	plan_state_fini(&state);
	if (rc >= 0 && rc + changes == 0)
		puts("nothing to change");
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
