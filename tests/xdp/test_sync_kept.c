// SPDX-License-Identifier: BSD-2-Clause
/* What `sluice apply` keeps beside the tables: those before a change, and pinned sources. */
#include "synced.h"

#include <netinet/in.h>
#include <string.h>

#include <bpf/bpf.h>

#include "l4/before.h"
#include "l4/pins.h"
#include "sluice/quic.h"

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

/* ---- pins ----------------------------------------------------------------------------- */

static struct conf_pin pins[2][2];

static void pin(unsigned backend, unsigned i, const char *text)
{
	bool host_bits;

	assert_true(cidr_parse(&pins[backend][i].net, text, &host_bits));
	backends[0][backend].pins = pins[backend];
	backends[0][backend].n_pins = i + 1;
}

/* The backend that a source is pinned to; 0 if it is not, or to an earlier one with the id. */
static uint32_t pinned(const char *source)
{
	const struct sluice_addr src = addr(source);
	struct sluice_pin value;

	if (!pins_find(&gate, 1, &src, &value) ||
	    value.generation != backend_at(value.backend).generation)
		return 0;
	return value.backend;
}

static struct conf_server_id ids[2];

/* The backend that a server ID of one byte leads to. */
static uint32_t named(uint8_t id)
{
	struct sluice_server_id key = {.service = 1, .length = 1};
	struct sluice_pin value;

	memcpy(key.id, &id, 1);
	if (bpf_map_lookup_elem(gate.server_ids, &key, &value) != 0 ||
	    value.generation != backend_at(value.backend).generation)
		return 0;
	return value.backend;
}

static void test_server_ids_come_and_go(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		ids[i] = (struct conf_server_id){.length = 1, .id = {(uint8_t)(i + 7)}};
		backends[0][i].server_ids = &ids[i];
		backends[0][i].n_server_ids = 1;
	}
	apply();
	assert_int_equal(apply(), 0);
	assert_int_equal(vip_at("198.51.100.10", 80, IPPROTO_TCP).server_ids, 1);
	assert_int_equal(named(7), 1);
	assert_int_equal(named(8), 2);
	/* They change places; one goes. */
	ids[0].id[0] = 8;
	ids[1].id[0] = 7;
	apply();
	assert_int_equal(named(7), 2);
	assert_int_equal(named(8), 1);
	backends[0][0].n_server_ids = 0;
	apply();
	assert_int_equal(named(7), 2);
	assert_int_equal(named(8), 0);
	backends[0][1].n_server_ids = 0;
	apply();
	assert_int_equal(named(7), 0);
	assert_int_equal(vip_at("198.51.100.10", 80, IPPROTO_TCP).server_ids, 0);
}

static void test_pins_come_and_go(void **unused)
{
	(void)unused;
	pin(0, 0, "192.0.2.0/24");
	pin(0, 1, "2001:db8::/32");
	pin(1, 0, "192.0.2.7/32");
	apply();
	assert_int_equal(apply(), 0);
	assert_int_equal(vip_at("198.51.100.10", 80, IPPROTO_TCP).pins, 1);
	assert_int_equal(pinned("192.0.2.6"), 1);
	assert_int_equal(pinned("192.0.2.7"), 2);
	assert_int_equal(pinned("192.0.3.7"), 0);
	assert_int_equal(pinned("2001:db8:9::1"), 1);
	/* One leads elsewhere, one goes. */
	backends[0][0].n_pins = 1;
	pin(1, 0, "192.0.2.0/24");
	backends[0][0].n_pins = 0;
	assert_int_equal(apply(), 3);
	assert_int_equal(pinned("192.0.2.6"), 2);
	assert_int_equal(pinned("192.0.2.7"), 2);
	assert_int_equal(pinned("2001:db8:9::1"), 0);
	/* Weight 0 shows where the gate looks. */
	assert_int_equal(backend_at(2).drains, 0);
	backends[0][1].weight = 0;
	apply();
	assert_int_equal(backend_at(2).drains, 1);
	assert_int_equal(pinned("192.0.2.6"), 2);
	/* With their backend. */
	services[0].n_backends = 1;
	apply();
	assert_int_equal(pinned("192.0.2.6"), 0);
	assert_int_equal(vip_at("198.51.100.10", 80, IPPROTO_TCP).pins, 0);
	assert_int_equal(apply(), 0);
}

/* An id that was used again has no pins of its earlier life; apply makes them anew. */
static void test_pins_of_another_generation_are_made_anew(void **unused)
{
	uint32_t one = 1;
	struct sluice_backend b;

	(void)unused;
	pin(0, 0, "192.0.2.0/24");
	apply();
	b = backend_at(1);
	b.generation++;
	assert_int_equal(bpf_map_update_elem(gate.backends, &one, &b, BPF_ANY), 0);
	assert_int_equal(pinned("192.0.2.6"), 0);
	assert_int_equal(apply(), 1);
	assert_int_equal(pinned("192.0.2.6"), 1);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, synced_open, synced_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(test_the_table_before_is_kept),
		SCENE(test_the_table_before_knows_generations),
		SCENE(test_the_table_before_goes_in_the_end),
		SCENE(test_pins_come_and_go),
		SCENE(test_server_ids_come_and_go),
		SCENE(test_pins_of_another_generation_are_made_anew),
	};

	return cmocka_run_group_tests_name("sync: what is kept", tests, synced_host, NULL);
}
