// SPDX-License-Identifier: BSD-2-Clause
/*
 * Plans made real: the gate's maps pinned in a mount namespace of this test's own, edited by
 * sync_run, read back by sync_read. No program runs. Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "l4/before.h"
#include "l4/chatter.h"
#include "l4/counters.h"
#include "l4/load.h"
#include "l4/sync.h"

#define RING 251

static struct gate gate;
static struct err err;

/* ---- the file ------------------------------------------------------------------------- */

static struct conf conf;
static struct conf_service services[2];
static struct conf_listen listens[2][2];
static struct conf_backend backends[2][3];
static struct sluice_addr decap[2];

static struct sluice_addr addr(const char *text)
{
	struct sluice_addr a;

	assert_true(addr_parse(&a, text));
	return a;
}

static void add_backend(struct conf_service *s, const char *name, const char *ip, uint32_t weight)
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

static int setup_group(void **unused)
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
static const struct load_tuning tuning = {.max_conns = 1024};

static int setup(void **unused)
{
	uint32_t conns;
	bool made;

	(void)unused;
	file_init();
	if (load_maps(&tuning, &made, &conns, &err) == 0 && gate_open(&gate, &err) == 0)
		return 0;
	fprintf(stderr, "%s\n", err.text);
	chatter_print(stderr);
	return -1;
}

static int teardown(void **unused)
{
	(void)unused;
	gate_close(&gate);
	return load_unpin(&err);
}

/* ---- verbs ---------------------------------------------------------------------------- */

/* Returns the number of edits. */
static size_t apply(void)
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

static struct sluice_backend backend_at(uint32_t id)
{
	struct sluice_backend b;

	assert_int_equal(bpf_map_lookup_elem(gate.backends, &id, &b), 0);
	return b;
}

static struct sluice_service vip_at(const char *ip, uint16_t port, uint8_t proto)
{
	struct sluice_vip key = {.addr = addr(ip), .port = htons(port), .proto = proto};
	struct sluice_service s = {0};

	bpf_map_lookup_elem(gate.vips, &key, &s);
	return s;
}

/* Slots of the running ring that lead to a backend. */
static unsigned slots_of(uint32_t service, uint32_t backend)
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

/* ---- scenes --------------------------------------------------------------------------- */

static void test_maps_hold_what_the_file_says(void **unused)
{
	struct sluice_service s;
	struct sluice_backend b;
	struct sluice_addr a;
	uint32_t one;

	(void)unused;
	assert_true(apply() > 0);
	s = vip_at("198.51.100.10", 80, IPPROTO_TCP);
	assert_int_equal(s.id, 1);
	assert_int_equal(s.kind, SLUICE_L4);
	assert_int_equal(s.ring_size, RING);
	s = vip_at("2001:db8::10", 0, IPPROTO_UDP);
	assert_int_equal(s.id, 1);
	s = vip_at("198.51.100.20", 443, IPPROTO_TCP);
	assert_int_equal(s.kind, SLUICE_L7);
	assert_int_equal(s.ring_size, 0);
	assert_int_equal(vip_at("198.51.100.10", 0, IPPROTO_ICMP).kind, SLUICE_L4);
	assert_int_equal(vip_at("2001:db8::10", 0, IPPROTO_ICMPV6).kind, SLUICE_L4);
	assert_int_equal(vip_at("198.51.100.20", 0, IPPROTO_ICMP).kind, SLUICE_L7);
	b = backend_at(2);
	assert_int_not_equal(b.service, 0);
	a = addr("fd00::12");
	assert_memory_equal(&b.addr, &a, sizeof(a));
	a = addr("fd00::1");
	assert_memory_equal(&b.src, &a, sizeof(a));
	assert_int_equal(slots_of(1, 1) + slots_of(1, 2), RING);
	assert_in_range(slots_of(1, 2), RING * 3 / 4 - 3, RING * 3 / 4 + 3);
	assert_int_equal(bpf_map_lookup_elem(gate.decap_from, &decap[0], &one), 0);
}

static void test_second_apply_writes_nothing(void **unused)
{
	(void)unused;
	apply();
	assert_int_equal(apply(), 0);
}

static void test_all_can_be_taken_away_again(void **unused)
{
	struct plan_state s;

	(void)unused;
	apply();
	conf.n_services = 0;
	conf.n_decap_from = 0;
	apply();
	assert_int_equal(sync_read(&gate, &s, &err), 0);
	assert_int_equal(s.n_services + s.n_backends + s.n_vips + s.n_decap, 0);
	plan_state_fini(&s);
}

/* A flow of the removed backend must not be taken for one of the next with its id. */
static void test_reused_id_has_another_generation(void **unused)
{
	struct sluice_backend first, gone, next;

	(void)unused;
	apply();
	first = backend_at(1);
	services[0].n_backends = 0;
	add_backend(&services[0], "b3", "10.0.0.13", 1);
	apply();
	gone = backend_at(1);
	assert_int_equal(gone.service, 0);
	assert_int_not_equal(gone.generation, first.generation);
	add_backend(&services[0], "b4", "10.0.0.14", 1);
	apply();
	next = backend_at(1);
	assert_int_not_equal(next.service, 0);
	assert_int_not_equal(next.generation, first.generation);
	assert_int_not_equal(next.generation, gone.generation);
}

static void test_weight_change_keeps_the_generation(void **unused)
{
	struct sluice_backend before, after;

	(void)unused;
	apply();
	before = backend_at(1);
	backends[0][0].weight = 3;
	assert_int_equal(apply(), 2); /* the label, the ring */
	after = backend_at(1);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_in_range(slots_of(1, 1), RING / 2 - 3, RING / 2 + 3);
}

static void test_ring_is_swapped_not_rewritten(void **unused)
{
	uint32_t service = 1, before, after;

	(void)unused;
	apply();
	assert_int_equal(bpf_map_lookup_elem(gate.rings, &service, &before), 0);
	backends[0][0].weight = 3;
	apply();
	assert_int_equal(bpf_map_lookup_elem(gate.rings, &service, &after), 0);
	assert_int_not_equal(before, after);
}

/* ---- the table before a change -------------------------------------------------------- */

/* Slots that the gate would ask the table before for, and that have this backend. */
static unsigned slots_before(uint32_t backend, uint32_t generation)
{
	unsigned n = 0;

	for (uint64_t slot = 0; slot < RING; slot++) {
		uint32_t hash = (uint32_t)(((slot << 32) + (1ULL << 31)) / RING), was;

		if (before_find(&gate, 1, hash, &was) == backend)
			n += was == generation;
	}
	return n;
}

static struct sluice_change change_at(uint32_t service)
{
	struct sluice_change c;

	assert_int_equal(bpf_map_lookup_elem(gate.changes, &service, &c), 0);
	return c;
}

static bool has_table_before(uint32_t service)
{
	uint32_t inner;

	return bpf_map_lookup_elem(gate.rings_before, &service, &inner) == 0;
}

static void test_the_table_before_is_kept(void **unused)
{
	unsigned first;

	(void)unused;
	services[0].previous_ms = 600000;
	apply();
	/* The first one comes after none. */
	assert_false(has_table_before(1));
	first = slots_of(1, 1);
	backends[0][0].weight = 0;
	apply();
	assert_int_equal(slots_of(1, 1), 0);
	assert_int_equal(slots_before(1, backend_at(1).generation), first);
	assert_int_equal(slots_before(2, backend_at(2).generation), RING - first);
	assert_int_equal(change_at(1).slots, RING);
	/* Nothing changed, so it is still that one. */
	assert_int_equal(apply(), 0);
	assert_int_equal(slots_before(1, backend_at(1).generation), first);
	/* The last backend goes: there is no table now, but one before. */
	backends[0][1].weight = 0;
	apply();
	assert_int_equal(slots_before(2, backend_at(2).generation), RING);
	/* And none came between. */
	backends[0][0].weight = 1;
	apply();
	assert_int_equal(slots_before(2, backend_at(2).generation), RING);
}

/* What had the id is not taken for what has it now. */
static void test_the_table_before_knows_generations(void **unused)
{
	uint32_t was;

	(void)unused;
	services[0].previous_ms = 600000;
	apply();
	was = backend_at(1).generation;
	backends[0][0] = (struct conf_backend){
		.name = "b3", .endpoint = {.addr = addr("10.0.0.13")}, .weight = 1};
	apply();
	backends[0][2] = (struct conf_backend){
		.name = "b4", .endpoint = {.addr = addr("10.0.0.14")}, .weight = 0};
	services[0].n_backends = 3;
	apply();
	assert_int_equal(backend_at(1).service, 1);
	assert_int_not_equal(backend_at(1).generation, was);
	assert_true(slots_before(1, was) > 0);
	assert_int_equal(slots_before(1, backend_at(1).generation), 0);
}

static void test_the_table_before_goes_in_the_end(void **unused)
{
	struct sluice_change c;
	uint32_t one = 1;

	(void)unused;
	services[0].previous_ms = 600000;
	apply();
	backends[0][0].weight = 5;
	apply();
	assert_true(has_table_before(1));
	/* Its time is over: what runs next tidies up. */
	c = change_at(1);
	c.until_ns = 1;
	assert_int_equal(bpf_map_update_elem(gate.changes, &one, &c, BPF_ANY), 0);
	assert_int_equal(slots_before(1, backend_at(1).generation), 0);
	apply();
	assert_false(has_table_before(1));
	/* The file has no more use for it. */
	backends[0][0].weight = 6;
	apply();
	assert_true(has_table_before(1));
	services[0].previous_ms = 0;
	assert_int_equal(apply(), 1);
	assert_false(has_table_before(1));
	backends[0][0].weight = 7;
	apply();
	assert_false(has_table_before(1));
	/* Nor has another service with the id. */
	services[0].previous_ms = 1000;
	backends[0][0].weight = 8;
	apply();
	assert_true(has_table_before(1));
	services[0].name = "other";
	apply();
	assert_false(has_table_before(1));
	assert_int_equal(change_at(1).keep_ms, 0);
}

static void test_rings_of_other_lengths_fit(void **unused)
{
	(void)unused;
	apply();
	services[0].ring_size = 65537;
	apply();
	assert_int_equal(vip_at("198.51.100.10", 80, IPPROTO_TCP).ring_size, 65537);
	assert_int_equal(slots_of(1, 1) + slots_of(1, 2), 65537);
	services[0].ring_size = 131101;
	apply();
	assert_int_equal(slots_of(1, 1) + slots_of(1, 2), 131101);
	services[0].ring_size = RING;
	apply();
	assert_int_equal(slots_of(1, 1) + slots_of(1, 2), RING);
}

static void test_new_owner_of_an_id_starts_at_zero(void **unused)
{
	static struct sluice_counters cpu;
	static struct counters_sum sum;
	uint32_t first = 0;

	(void)unused;
	cpu.services[1].packets = 5;
	cpu.services[2].packets = 6;
	cpu.backends[1].bytes = 7;
	cpu.reasons[SLUICE_R_block].packets = 8;
	cpu.notices[SLUICE_N_expired] = 9;
	assert_int_equal(bpf_map_update_elem(gate.counters, &first, &cpu, BPF_ANY), 0);
	assert_int_equal(counters_read(&gate, &sum, &err), 0);
	assert_int_equal(sum.services[1].packets, 5);
	assert_int_equal(sum.backends[1].bytes, 7);
	conf.n_services = 1;
	apply();
	assert_int_equal(counters_read(&gate, &sum, &err), 0);
	assert_int_equal(sum.services[1].packets, 0);
	assert_int_equal(sum.services[2].packets, 6);
	assert_int_equal(sum.backends[1].bytes, 0);
	assert_int_equal(sum.reasons[SLUICE_R_block].packets, 8);
	assert_int_equal(sum.notices[SLUICE_N_expired], 9);
}

static void test_apply_mends_what_a_crash_left(void **unused)
{
	const struct sluice_label none = {0};
	uint32_t service = 1, backend = 2, stray = 77;
	struct sluice_backend b = {.service = 1, .addr = addr("10.0.0.77"), .generation = 4};

	(void)unused;
	apply();
	/* Cut short at the worst places: no ring, a label lost, an entry without one. */
	assert_int_equal(bpf_map_delete_elem(gate.rings, &service), 0);
	assert_int_equal(bpf_map_update_elem(gate.backend_labels, &backend, &none, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(gate.backends, &stray, &b, BPF_ANY), 0);
	assert_true(apply() > 0);
	assert_int_equal(backend_at(stray).service, 0);
	assert_int_equal(slots_of(1, 1) > 0, 1);
	assert_int_equal(apply(), 0);
}

static void test_failed_edit_is_told_and_the_next_run_goes_on(void **unused)
{
	struct plan_state want, actual;
	struct gate broken = gate;
	struct plan plan;

	(void)unused;
	broken.vips = -1;
	assert_int_equal(sync_want(&conf, &want, &err), 0);
	assert_int_equal(sync_read(&gate, &actual, &err), 0);
	assert_int_equal(plan_make(&plan, &want, &actual, &err), 0);
	assert_int_equal(sync_run(&broken, &plan, &err), -EBADF);
	assert_non_null(strstr(err.text, "apply"));
	plan_fini(&plan);
	plan_state_fini(&want);
	plan_state_fini(&actual);
	apply();
	assert_int_equal(vip_at("198.51.100.10", 80, IPPROTO_TCP).id, 1);
	assert_int_equal(apply(), 0);
}

/* ---- pins ----------------------------------------------------------------------------- */

static void test_pins_are_taken_up_again(void **unused)
{
	struct load_tuning larger = {.max_conns = 4096};
	uint32_t conns;
	bool made;

	(void)unused;
	apply();
	assert_int_equal(load_maps(&larger, &made, &conns, &err), 0);
	assert_false(made);
	assert_int_equal(conns, 1024); /* running flows are worth more than the new size */
	assert_int_equal(apply(), 0);
}

static void test_pins_of_another_abi_are_refused(void **unused)
{
	struct sluice_meta meta = {.abi = 99};
	struct gate other;
	uint32_t zero = 0, conns;
	bool made;

	(void)unused;
	assert_int_equal(bpf_map_update_elem(gate.meta, &zero, &meta, BPF_ANY), 0);
	assert_int_equal(gate_open(&other, &err), -EPROTO);
	assert_non_null(strstr(err.text, "99"));
	assert_int_equal(load_maps(&tuning, &made, &conns, &err), -EPROTO);
	assert_non_null(strstr(err.text, "detach --all"));
	assert_int_equal(bpf_map_lookup_elem(gate.meta, &zero, &meta), 0);
	assert_int_equal(meta.abi, 99);
}

static void test_pins_of_another_layout_are_refused(void **unused)
{
	static const char path[] = SLUICE_PIN_DIR "/vips";
	uint32_t conns;
	bool made;
	int fd;

	(void)unused;
	assert_int_equal(unlink(path), 0);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "vips", 24, 16, SLUICE_MAX_VIPS, NULL);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	close(fd);
	assert_int_equal(load_maps(&tuning, &made, &conns, &err), -EPROTO);
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, "detach --all"));
}

static void test_missing_pin_is_told(void **unused)
{
	struct gate other;

	(void)unused;
	assert_int_equal(unlink(SLUICE_PIN_DIR "/rings"), 0);
	assert_int_equal(gate_open(&other, &err), -EPROTO);
	assert_non_null(strstr(err.text, "rings"));
}

static void test_nothing_attached_is_told(void **unused)
{
	struct gate other;

	(void)unused;
	assert_int_equal(load_unpin(&err), 0);
	assert_int_equal(gate_open(&other, &err), -ENOENT);
	assert_non_null(strstr(err.text, "sluice attach"));
	assert_int_equal(load_unpin(&err), 0); /* twice is fine */
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(test_maps_hold_what_the_file_says),
		SCENE(test_second_apply_writes_nothing),
		SCENE(test_all_can_be_taken_away_again),
		SCENE(test_reused_id_has_another_generation),
		SCENE(test_weight_change_keeps_the_generation),
		SCENE(test_ring_is_swapped_not_rewritten),
		SCENE(test_the_table_before_is_kept),
		SCENE(test_the_table_before_knows_generations),
		SCENE(test_the_table_before_goes_in_the_end),
		SCENE(test_rings_of_other_lengths_fit),
		SCENE(test_new_owner_of_an_id_starts_at_zero),
		SCENE(test_apply_mends_what_a_crash_left),
		SCENE(test_failed_edit_is_told_and_the_next_run_goes_on),
		SCENE(test_pins_are_taken_up_again),
		SCENE(test_pins_of_another_abi_are_refused),
		SCENE(test_pins_of_another_layout_are_refused),
		SCENE(test_missing_pin_is_told),
		SCENE(test_nothing_attached_is_told),
	};

	return cmocka_run_group_tests_name("sync", tests, setup_group, NULL);
}
