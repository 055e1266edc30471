// SPDX-License-Identifier: BSD-2-Clause
/* See synced.h. */
#include "synced.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include <bpf/bpf.h>

#include "l4/chatter.h"
#include "l4/sync.h"

struct gate gate;
struct err err;

/* ---- the file ------------------------------------------------------------------------- */

struct conf conf;
struct conf_service services[2];
struct conf_listen listens[2][2];
struct conf_backend backends[2][3];
struct sluice_addr decap[2];

struct sluice_addr addr(const char *text)
{
	struct sluice_addr a;

	assert_true(addr_parse(&a, text));
	return a;
}

void add_backend(struct conf_service *s, const char *name, const char *ip, uint32_t weight)
{
	s->backends[s->n_backends++] = (struct conf_backend){
		.name = name, .endpoint = {.addr = addr(ip)}, .weight = weight};
}

/* An l4 service with two backends in two families, an l7 one, a balancer to trust. */
static void file_init(void)
{
	memset(&conf, 0, sizeof(conf));
	memset(services, 0, sizeof(services));
	conf.path = "test.conf";
	conf.services = services;
	conf.n_services = 2;
	conf.source4 = addr("10.0.0.1");
	conf.source6 = addr("fd00::1");
	conf.decap_from = decap;
	conf.n_decap_from = 1;
	decap[0] = addr("10.0.0.99");
	services[0] = (struct conf_service){.name = "shop",
					    .kind = SLUICE_L4,
					    .ring_size = RING,
					    .listens = listens[0],
					    .n_listens = 2,
					    .backends = backends[0]};
	services[1] = (struct conf_service){.name = "site",
					    .kind = SLUICE_L7,
					    .listens = listens[1],
					    .n_listens = 1,
					    .backends = backends[1]};
	listens[0][0] = (struct conf_listen){{addr("198.51.100.10"), 80}, IPPROTO_TCP, 1};
	listens[0][1] = (struct conf_listen){{addr("2001:db8::10"), 0}, IPPROTO_UDP, 1};
	listens[1][0] = (struct conf_listen){{addr("198.51.100.20"), 443}, IPPROTO_TCP, 1};
	add_backend(&services[0], "b1", "10.0.0.11", 1);
	add_backend(&services[0], "b2", "fd00::12", 3);
}

/* ---- a private bpffs ------------------------------------------------------------------ */

int synced_host(void **unused)
{
	(void)unused;
	chatter_catch();
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") != 0) {
		perror("a mount namespace of its own with bpffs (needs root)");
		return -1;
	}
	return 0;
}

/* Small tables: the test is about content. */
const struct load_tuning synced_tuning = {.max_conns = 1024};

int synced_open(void **unused)
{
	struct load_sizes sizes;
	bool made;

	(void)unused;
	file_init();
	if (load_maps(&synced_tuning, &made, &sizes, &err) == 0 && gate_open(&gate, &err) == 0)
		return 0;
	fprintf(stderr, "%s\n", err.text);
	chatter_print(stderr);
	return -1;
}

int synced_close(void **unused)
{
	(void)unused;
	gate_close(&gate);
	return load_unpin(&err);
}

/* ---- verbs ---------------------------------------------------------------------------- */

/* Returns the number of edits. */
size_t apply(void)
{
	struct plan_state want, actual;
	struct plan plan;
	size_t n;

	assert_int_equal(sync_want(&conf, &want, &err), 0);
	assert_int_equal(sync_read(&gate, &actual, &err), 0);
	assert_int_equal(plan_make(&plan, &want, &actual, &err), 0);
	assert_int_equal(sync_run(&gate, &plan, &err), 0);
	n = plan.n;
	plan_fini(&plan);
	plan_state_fini(&want);
	plan_state_fini(&actual);
	return n;
}

struct sluice_backend backend_at(uint32_t id)
{
	struct sluice_backend b;

	assert_int_equal(bpf_map_lookup_elem(gate.backends, &id, &b), 0);
	return b;
}

struct sluice_service vip_at(const char *ip, uint16_t port, uint8_t proto)
{
	struct sluice_vip key = {.addr = addr(ip), .port = htons(port), .proto = proto};
	struct sluice_service s = {0};

	bpf_map_lookup_elem(gate.vips, &key, &s);
	return s;
}

/* Slots of the running ring that lead to a backend. */
unsigned slots_of(uint32_t service, uint32_t backend)
{
	struct plan_state s;
	unsigned n = 0;

	assert_int_equal(sync_read(&gate, &s, &err), 0);
	for (size_t i = 0; i < s.n_services; i++)
		for (uint32_t slot = 0;
		     s.services[i].id == service && slot < s.services[i].ring_size; slot++)
			n += s.services[i].ring[slot] == backend;
	plan_state_fini(&s);
	return n;
}
