// SPDX-License-Identifier: BSD-2-Clause
/*
 * Plans made real: the gate's maps pinned in a mount namespace of this test's own, edited by
 * sync_run, read back by sync_read. No program runs. Needs root.
 */
#include "synced.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "l4/counters.h"
#include "l4/sync.h"

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
	struct load_sizes sizes;
	bool made;

	(void)unused;
	apply();
	assert_int_equal(load_maps(&larger, &made, &sizes, &err), 0);
	assert_false(made);
	assert_int_equal(sizes.conns, 1024); /* running flows are worth more than the new size */
	assert_int_equal(apply(), 0);
}

static void test_pins_of_another_abi_are_refused(void **unused)
{
	struct sluice_meta meta = {.abi = 99};
	struct gate other;
	struct load_sizes sizes;
	uint32_t zero = 0;
	bool made;

	(void)unused;
	assert_int_equal(bpf_map_update_elem(gate.meta, &zero, &meta, BPF_ANY), 0);
	assert_int_equal(gate_open(&other, &err), -EPROTO);
	assert_non_null(strstr(err.text, "99"));
	assert_int_equal(load_maps(&synced_tuning, &made, &sizes, &err), -EPROTO);
	assert_non_null(strstr(err.text, "detach --all"));
	assert_int_equal(bpf_map_lookup_elem(gate.meta, &zero, &meta), 0);
	assert_int_equal(meta.abi, 99);
}

static void test_pins_of_another_layout_are_refused(void **unused)
{
	static const char path[] = SLUICE_PIN_DIR "/vips";
	struct load_sizes sizes;
	bool made;
	int fd;

	(void)unused;
	assert_int_equal(unlink(path), 0);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "vips", 24, 16, SLUICE_MAX_VIPS, NULL);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	close(fd);
	assert_int_equal(load_maps(&synced_tuning, &made, &sizes, &err), -EPROTO);
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

#define SCENE(test) cmocka_unit_test_setup_teardown(test, synced_open, synced_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(test_maps_hold_what_the_file_says),
		SCENE(test_second_apply_writes_nothing),
		SCENE(test_all_can_be_taken_away_again),
		SCENE(test_reused_id_has_another_generation),
		SCENE(test_weight_change_keeps_the_generation),
		SCENE(test_ring_is_swapped_not_rewritten),
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

	return cmocka_run_group_tests_name("sync", tests, synced_host, NULL);
}
