// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice check`, which changes nothing: a file's mistakes, and what its backends'
 * hosts need so that they can answer clients directly.
 */
#include <getopt.h>
#include <stdio.h>

#include "ctl/ctl.h"
#include "l4/sync.h"

static void print_counts(const struct conf *c)
{
	unsigned n[SLUICE_L4 + 1] = {0}, backends = 0;

	for (unsigned i = 0; i < c->n_services; i++) {
		n[c->services[i].kind]++;
		backends += c->services[i].n_backends;
	}
	/* As the file has them: a name is one, and a destination of clients is none. */
	for (unsigned i = 0; i < c->n_pools; i++)
		for (unsigned k = 0; k < c->pools[i].n_backends; k++)
			backends += !c->pools[i].backends[k].seat;
	for (unsigned i = 0; i < c->n_services; i++)
		backends -= c->services[i].outgoing != NULL;
	printf("%s: %u services (%u l4, %u l7), %u backends, %u interfaces, tunnels from %u "
	       "balancers: ok\n",
	       c->path, c->n_services, n[SLUICE_L4], n[SLUICE_L7], backends, c->n_interfaces,
	       c->n_decap_from);
}

/* ---- the other side of the tunnel ----------------------------------------------------- */

static void print_sources(const struct plan_state *want)
{
	bool first = true;

	printf("#   gate { interfaces = { \"IFACE\" } decap_from = {");
	for (size_t i = 0; i < want->n_backends; i++) {
		const struct sluice_addr *src = &want->backends[i].src;
		bool known = false;
		char text[ADDR_TEXT];

		for (size_t j = 0; j < i && !known; j++)
			known = addr_equal(src, &want->backends[j].src);
		if (known || want->backends[i].mode == SLUICE_MODE_nat)
			continue;
		printf("%s\"%s\"", first ? " " : ", ", addr_format(src, text));
		first = false;
	}
	puts(" } }");
}

/* Of nat, a backend knows nothing. */
static bool has_l4(const struct plan_state *want)
{
	for (size_t i = 0; i < want->n_services; i++)
		if (want->services[i].kind == SLUICE_L4 &&
		    want->services[i].mode != SLUICE_MODE_nat)
			return true;
	return false;
}

/* A backend must hold the VIP to answer for it, and must not claim it toward the network. */
static void print_backend_commands(const struct plan_state *want)
{
	char text[ADDR_TEXT];

	if (!has_l4(want)) {
		puts("# no l4 service, or by nat: backends need nothing");
		return;
	}
	puts("# on each backend host, as root; /etc/sluice.conf there is one line:");
	print_sources(want);
	for (size_t i = 0; i < want->n_vips; i++) {
		const struct plan_vip *vip = &want->vips[i];
		bool v4 = addr_is_v4(&vip->key.addr);

		if (vip->service == PLAN_MARKER && (vip->value.kind & SLUICE_L4))
			printf("ip addr add %s/%s\n", addr_format(&vip->key.addr, text),
			       v4 ? "32 dev lo" : "128 dev lo nodad");
	}
	puts("sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2");
	puts("sluice attach -c /etc/sluice.conf");
}

static int check(const struct conf *c, bool backends, struct err *e)
{
	struct plan_state want;
	int rc = backends ? sync_want(c, &want, e) : plan_want(&want, c, e);

	if (rc)
		return rc;
	if (backends)
		print_backend_commands(&want);
	else
		print_counts(c);
	plan_state_fini(&want);
	return 0;
}

int ctl_check(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"backends", no_argument, NULL, 'b'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *path = NULL;
	bool backends = false;
	struct conf *conf;
	struct err e;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "c:bh", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			path = optarg;
			break;
		case 'b':
			backends = true;
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
	rc = check(conf, backends, &e);
	conf_free(conf);
	return rc ? ctl_fail(&e) : CTL_OK;
}
