// SPDX-License-Identifier: BSD-2-Clause
/* Owns: `sluice check`, which touches nothing. */
#include <getopt.h>
#include <stdio.h>

#include "ctl/ctl.h"

static void print_counts(const struct conf *c)
{
	unsigned n[SLUICE_L4 + 1] = {0}, backends = 0;

	for (unsigned i = 0; i < c->n_services; i++) {
		n[c->services[i].kind]++;
		backends += c->services[i].n_backends;
	}
	printf("%s: %u services (%u l4, %u l7), %u backends, %u interfaces, tunnels from %u "
	       "balancers: ok\n",
	       c->path, c->n_services, n[SLUICE_L4], n[SLUICE_L7], backends, c->n_interfaces,
	       c->n_decap_from);
}

int ctl_check(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *path = NULL;
	struct plan_state want;
	struct conf *conf;
	struct err e;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			path = optarg;
			break;
		case 'h':
			return CTL_HELP;
		default:
			return CTL_USAGE;
		}
	}
	if (!path)
		return ctl_usage("check needs the file: -c FILE");
	if (optind < argc)
		return ctl_usage("unexpected word: %s", argv[optind]);
	conf = conf_load(path, stderr);
	if (!conf)
		return CTL_FAIL;
	rc = plan_want(&want, conf, &e);
	if (rc == 0) {
		plan_state_fini(&want);
		print_counts(conf);
	}
	conf_free(conf);
	return rc ? ctl_fail(&e) : CTL_OK;
}
