// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: what `sluice status` gathers, and how a person sees it. Programs get the same from
 * status_json.c.
 * Cost: one pass over every map, the connection table too; of lists, their sizes are counted.
 */
#include "ctl/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/units.h"
#include "ctl/ctl.h"
#include "ctl/flows.h"
#include "l4/chatter.h"
#include "l4/load.h"
#include "l4/steer.h"
#include "l4/sync.h"

const struct status_name status_reasons[SLUICE_R_COUNT] = {
#define SLUICE_REASON(name, action, sentence) {#name, #action, sentence},
	SLUICE_REASONS(SLUICE_REASON)
#undef SLUICE_REASON
};

const struct status_name status_notices[SLUICE_N_COUNT] = {
#define SLUICE_NOTICE(name, sentence) {#name, "", sentence},
	SLUICE_NOTICES(SLUICE_NOTICE)
#undef SLUICE_NOTICE
};

/* ---- gathering ------------------------------------------------------------------------ */

/* Entries of a list. Kernels before 5.15 count one by one. */
static uint64_t count_entries(int fd, size_t key_size)
{
	enum { CHUNK = 4096 };
	unsigned char *keys = calloc(CHUNK, key_size + sizeof(struct sluice_listed));
	unsigned char in[sizeof(struct sluice_lpm6)], out[sizeof(struct sluice_lpm6)];
	uint64_t total = 0;
	bool first = true;

	for (;;) {
		__u32 n = CHUNK;
		int rc = keys ? bpf_map_lookup_batch(fd, first ? NULL : in, out, keys,
						     keys + CHUNK * key_size, &n, NULL)
			      : -1;

		if (rc != 0 && errno != ENOENT)
			break;
		total += n;
		memcpy(in, out, key_size);
		first = false;
		if (rc != 0)
			goto out;
	}
	total = 0;
	for (first = true; bpf_map_get_next_key(fd, first ? NULL : in, out) == 0; first = false) {
		memcpy(in, out, key_size);
		total++;
	}
out:
	free(keys);
	return total;
}

static void gather_lists(struct status *s, const struct gate *g)
{
	s->lists[0] = (struct status_list){"block4", count_entries(g->block4, 8)};
	s->lists[1] = (struct status_list){"block6", count_entries(g->block6, 20)};
	s->lists[2] = (struct status_list){"allow4", count_entries(g->allow4, 8)};
	s->lists[3] = (struct status_list){"allow6", count_entries(g->allow6, 20)};
}

static int gather(struct status *s, const char *ifname, struct err *e)
{
	struct gate g;
	int rc = gate_open(&g, e);

	if (rc)
		return rc;
	s->meta = g.meta_seen;
	s->steering = steer_attached();
	if (health_page_open(&s->health, HEALTH_PAGE_DIR, e) != 0)
		s->health = (struct health_page){.fd = -1}; /* nothing is checked */
	gather_lists(s, &g);
	rc = sync_read(&g, &s->state, e);
	rc = rc ? rc : counters_read(&g, &s->counters, e);
	rc = rc ? rc : conns_count(&g, s->flows, &s->conns, e);
	rc = rc ? rc : feeds_list(&g, &s->feeds, e);
	gate_close(&g);
	if (rc)
		return rc;
	if (!ifname)
		return attach_list(&s->places, &s->n_places, e);
	s->places = calloc(1, sizeof(*s->places));
	if (!s->places)
		return err_set(e, ENOMEM, "out of memory");
	rc = attach_look(ifname, s->places, e);
	if (rc == 0 && !s->places->prog_id)
		return err_set(e, ENOENT, "no gate is attached to %s; `sluice attach %s`", ifname,
			       ifname);
	s->n_places = 1;
	return rc;
}

double status_share(const struct plan_state *s, const struct plan_backend *b)
{
	for (size_t i = 0; i < s->n_services; i++) {
		const struct plan_service *svc = &s->services[i];
		uint32_t slots = 0;

		if (svc->id != b->service || !svc->ring)
			continue;
		for (uint32_t slot = 0; slot < svc->ring_size; slot++)
			slots += svc->ring[slot] == b->id;
		return (double)slots / svc->ring_size;
	}
	return 0;
}

/* ---- printing ------------------------------------------------------------------------- */

static void print_count(const struct sluice_count *c)
{
	char packets[8], bytes[16];

	printf("%8s packets  %10s", units_format_count(c->packets, packets),
	       units_format_bytes(c->bytes, bytes));
}

static void print_places(const struct status *s)
{
	if (s->n_places == 0)
		puts("no interface has the gate; its maps are kept");
	for (unsigned i = 0; i < s->n_places; i++) {
		const struct attach_place *p = &s->places[i];

		printf("interface %s  %s  program %u tag %s", p->ifname,
		       p->native ? "native" : "generic", p->prog_id, p->tag);
		for (unsigned k = 0; k < p->chain; k++)
			printf("%s%s (priority %u)", k ? ", " : "  chain: ", p->links[k].name,
			       p->links[k].priority);
		puts(p->adopted ? "" : "  NOT on the pinned maps: attach it again");
	}
	if (s->meta.build_id != load_build_id())
		printf("the gate is of another build than this program: `sluice attach` replaces "
		       "it\n");
}

static const char *service_name(const struct status *s, uint32_t id)
{
	for (size_t i = 0; i < s->state.n_services; i++)
		if (s->state.services[i].id == id)
			return s->state.services[i].name;
	return "";
}

bool status_health(const struct status *s, const struct plan_backend *b, struct health_record *out)
{
	return health_find(&s->health, service_name(s, b->service), b->name, out);
}

/* What the tables do, even if no daemon says why. */
static void print_health(const struct status *s, const struct plan_backend *b)
{
	struct health_record r;
	char text[HEALTH_TEXT];

	if (status_health(s, b, &r))
		printf("  %s%s", health_text(&r, text), b->down ? "" : r.up ? "" : " (in use)");
	else if (b->down)
		fputs("  down, as the last daemon left it", stdout);
}

static void print_backend(const struct status *s, const struct plan_backend *b)
{
	char addr[ADDR_TEXT], left[FLOWS_LEFT];

	printf("  %-16s %-24s weight %-4u %5.1f %%  ", b->name, addr_format(&b->addr, addr),
	       b->weight, 100 * status_share(&s->state, b));
	print_count(&s->counters.backends[b->id]);
	if (b->weight == 0)
		printf("  drained, %s", flows_left(&s->flows[b->id], left));
	print_health(s, b);
	if (b->weight != b->configured)
		printf("  (by hand; the file says %u)", b->configured);
	putchar('\n');
}

uint32_t status_mode(const struct status *s, uint32_t service)
{
	for (size_t i = 0; i < s->state.n_backends; i++)
		if (s->state.backends[i].service == service)
			return s->state.backends[i].mode;
	return SLUICE_MODE_ipip;
}

static void print_service(const struct status *s, const struct plan_service *svc)
{
	printf("\nservice %s (%s%s)  ", svc->name,
	       svc->kind == SLUICE_L4   ? "l4 "
	       : svc->kind == SLUICE_L7 ? "l7"
					: "no listen address of its own",
	       svc->kind == SLUICE_L4 ? plan_mode_name(status_mode(s, svc->id)) : "");
	print_count(&s->counters.services[svc->id]);
	printf("\n ");
	for (size_t i = 0; i < s->state.n_vips; i++) {
		const struct plan_vip *v = &s->state.vips[i];
		struct endpoint ep = {.addr = v->key.addr, .port = ntohs(v->key.port)};
		char text[ENDPOINT_TEXT];

		if (!plan_is_listen(v) || v->value.id != svc->id)
			continue;
		printf(" %s/%s", endpoint_format(&ep, text), proto_name(v->key.proto));
	}
	putchar('\n');
	for (size_t i = 0; i < s->state.n_backends; i++)
		if (s->state.backends[i].service == svc->id)
			print_backend(s, &s->state.backends[i]);
}

static void print_reasons(const struct status *s)
{
	puts("\nreasons (`sluice why` explains them)");
	for (unsigned i = 0; i < SLUICE_R_COUNT; i++) {
		if (s->counters.reasons[i].packets == 0)
			continue;
		printf("  %-4s %-16s ", status_reasons[i].action, status_reasons[i].name);
		print_count(&s->counters.reasons[i]);
		putchar('\n');
	}
	for (unsigned i = 0; i < SLUICE_N_COUNT; i++) {
		char n[8];

		if (s->counters.notices[i])
			printf("       %-16s %8s\n", status_notices[i].name,
			       units_format_count(s->counters.notices[i], n));
	}
}

/* Each with its own numbers: `sluice block feeds`. */
static void print_feeds(const struct feeds *feeds)
{
	size_t prefixes[2] = {0};
	char memory[16];

	if (feeds->n == 0)
		return;
	for (unsigned i = 0; i < feeds->n; i++)
		for (int v6 = 0; v6 < 2; v6++)
			prefixes[v6] += feeds->feed[i].prefixes[v6];
	printf("\nfeeds  %u with %zu IPv4 and %zu IPv6 prefixes, in %s", feeds->n, prefixes[0],
	       prefixes[1],
	       units_format_bytes(feeds->sieve_bytes[0] + feeds->sieve_bytes[1], memory));
}

static void print_human(const struct status *s)
{
	char flows[8], made_for[8];

	print_places(s);
	for (size_t i = 0; i < s->state.n_services; i++)
		print_service(s, &s->state.services[i]);
	print_reasons(s);
	printf("\nlists ");
	for (unsigned i = 0; i < STATUS_LISTS; i++)
		printf(" %s %" PRIu64, s->lists[i].name, s->lists[i].entries);
	print_feeds(&s->feeds);
	printf("\nconnection table  %s of %s flows\n",
	       units_format_count(s->conns.live + s->conns.ended + s->conns.stale, flows),
	       units_format_count(s->conns.made_for, made_for));
	if (s->steering)
		printf("steering to %u sockets of sluiced\n", s->meta.workers);
	for (size_t i = 0; i < s->state.n_decap; i++) {
		char text[ADDR_TEXT];

		printf("%s%s%s", i ? ", " : "tunnels unwrapped from ",
		       addr_format(&s->state.decap[i], text),
		       i + 1 == s->state.n_decap ? "\n" : "");
	}
}

int ctl_status(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"interface", required_argument, NULL, 'i'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	static struct status s; /* 84 KB of counters, 64 KB of flows */
	const char *ifname = NULL;
	bool json = false;
	struct err e;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "ji:h", options, NULL)) != -1) {
		switch (opt) {
		case 'j':
			json = true;
			break;
		case 'i':
			ifname = optarg;
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
	rc = gather(&s, ifname, &e);
	if (rc == 0 && json)
		rc = status_print_json(&s, stdout, &e);
	else if (rc == 0)
		print_human(&s);
	plan_state_fini(&s.state);
	free(s.places);
	health_page_close(&s.health);
	return rc ? ctl_fail(&e) : CTL_OK;
}
