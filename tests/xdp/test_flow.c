// SPDX-License-Identifier: BSD-2-Clause
/*
 * `sluice flow` foretells what the gate then does: each flow is asked about first, and then
 * sent.
 */
#include "scene.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/maglev.h"
#include "ctl/flow.h"
#include "l4/arrays.h"

#define PORT  8443
#define TABLE 251

enum { SHOP = BED_FREE };              /* service */
enum { X = BED_FREE, Y, Z, BACKENDS }; /* backends */

static struct gate gate;
static struct flow_answer foretold;

static void table_load(uint32_t x, uint32_t y, uint32_t z)
{
	const struct maglev_member members[] = {
		{"10.83.0.11", X, x}, {"10.83.0.12", Y, y}, {"fd83::11", Z, z}};
	uint32_t table[TABLE];

	assert_int_equal(maglev_build(table, TABLE, members, 3), 0);
	bed_ring(SHOP, table, TABLE);
}

static void shop_open(bool v6, uint8_t proto, uint8_t track, uint8_t pins)
{
	struct sluice_vip key = {
		.addr = frame_addr("shop", v6), .port = htons(PORT), .proto = proto};
	struct sluice_service value = {
		.id = SHOP, .kind = SLUICE_L4, .ring_size = TABLE, .track = track, .pins = pins};

	assert_int_equal(bpf_map_update_elem(gate.vips, &key, &value, BPF_ANY), 0);
}

/* The filter is written as `sluice apply` does it. */
static void shop_entry(uint8_t track, uint8_t pins)
{
	for (int i = 0; i < 4; i++)
		shop_open(i & 1, i & 2 ? IPPROTO_TCP : IPPROTO_UDP, track, pins);
	memset(bed.counters->filter_l4, track == SLUICE_TRACK_never ? 0 : 0xff,
	       sizeof(bed.counters->filter_l4));
}

static int setup(void **unused)
{
	(void)unused;
#define MEMBER(name) gate.name = bed_map(#name);
	GATE_MAPS(MEMBER)
	gate.meta_seen.seed = BED_SEED;
	bed_backend(X, "b1", false, 5, true);
	bed_backend(Y, "b2", false, 5, true);
	bed_backend(Z, "b1", true, 5, true);
	table_load(1, 1, 1);
	shop_entry(SLUICE_TRACK_auto, 0);
	bed_empty_conns();
	return 0;
}

/* ---- the two answers ------------------------------------------------------------------ */

static uint32_t credited(void)
{
	for (uint32_t id = 1; id < SLUICE_MAX_BACKENDS; id++)
		if (bed.counters->backends[id].packets)
			return id;
	return 0;
}

/* Asks, sends, compares; `foretold` keeps the answer. flags NULL: UDP. */
static void agree(bool v6, const char *src, unsigned sport, const char *dst, unsigned dport,
		  const char *flags)
{
	const struct sluice_flow flow = {.src = frame_addr(src, v6),
					 .dst = frame_addr(dst, v6),
					 .sport = htons((uint16_t)sport),
					 .dport = htons((uint16_t)dport),
					 .proto = flags ? IPPROTO_TCP : IPPROTO_UDP};
	const char *ip = v6 ? "ip6" : "ip4";
	uint32_t reason, backend;
	struct frame in;
	struct run run;
	struct err e;

	if (flow_ask(&gate, &flow, &foretold, &e) != 0)
		fail_msg("%s", e.text);
	if (flags)
		frame_printf(&in, "eth / %s %s > %s / tcp %u > %u %s", ip, src, dst, sport, dport,
			     flags);
	else
		frame_printf(&in, "eth / %s %s > %s / udp %u > %u", ip, src, dst, sport, dport);
	reason = scene_reason(&in, 0, &run);
	backend = credited();
	if (reason != foretold.reason)
		fail_msg("%s:%u > %s:%u: foretold %s, was %s", src, sport, dst, dport,
			 scene_reason_name(foretold.reason), scene_reason_name(reason));
	/* A flow that is dropped before has a backend in the answer, none in the counters. */
	if (reason == SLUICE_R_forward && backend != foretold.backend)
		fail_msg("%s:%u > %s:%u: foretold backend %u, was %u", src, sport, dst, dport,
			 foretold.backend, backend);
}

static void is_foretold(enum sluice_reason reason)
{
	assert_string_equal(scene_reason_name(foretold.reason), scene_reason_name(reason));
}

/* ---- scenes --------------------------------------------------------------------------- */

static void new_flows_by_the_table(void **unused)
{
	unsigned of[BACKENDS] = {0};

	(void)unused;
	for (unsigned i = 0; i < 1000; i++) {
		char client[32];

		snprintf(client, sizeof(client), i & 1 ? "2001:db8:7::%x" : "10.9.1.%u",
			 i % 200 + 1);
		agree(i & 1, client, 1024 + i * 31, "shop", PORT, i & 2 ? "S" : NULL);
		is_foretold(SLUICE_R_forward);
		assert_int_equal(foretold.conn, FLOW_CONN_NONE);
		assert_int_equal(foretold.backend, foretold.ring_backend);
		of[foretold.backend]++;
	}
	assert_true(of[X] > 200 && of[Y] > 200 && of[Z] > 200);
}

static void known_flows_by_the_connection_table(void **unused)
{
	unsigned elsewhere = 0;

	(void)unused;
	for (unsigned i = 0; i < 100; i++)
		agree(i & 1, "client", 2000 + i, "shop", PORT, "A");
	table_load(0, 1, 0);
	for (unsigned i = 0; i < 100; i++) {
		agree(i & 1, "client", 2000 + i, "shop", PORT, "A");
		assert_int_equal(foretold.conn, FLOW_CONN_HIT);
		assert_int_equal(foretold.ring_backend, Y);
		elsewhere += foretold.backend != Y;
	}
	assert_true(elsewhere > 0);
}

static void flows_of_a_removed_backend_by_the_table_again(void **unused)
{
	unsigned stale = 0;

	(void)unused;
	for (unsigned i = 0; i < 100; i++)
		agree(i & 1, "client", 3000 + i, "shop", PORT, "A");
	table_load(0, 1, 1);
	bed_backend(X, "b1", false, 6, true); /* the id is somebody else's now */
	bed_backend(Z, "b1", true, 5, false); /* in the table, but gone */
	for (unsigned i = 0; i < 100; i++) {
		agree(i & 1, "client", 3000 + i, "shop", PORT, "S");
		stale += foretold.conn == FLOW_CONN_STALE;
		if (foretold.conn == FLOW_CONN_STALE && foretold.ring_backend == Z)
			is_foretold(SLUICE_R_no_backend);
	}
	assert_true(stale > 0);
}

static void flows_of_services_that_remember_none(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 100; i++)
		agree(i & 1, "client", 3000 + i, "shop", PORT, "A");
	shop_entry(SLUICE_TRACK_never, 0);
	table_load(0, 1, 0);
	for (unsigned i = 0; i < 100; i++) {
		agree(i & 1, "client", 3000 + i, "shop", PORT, "A");
		assert_int_equal(foretold.conn, FLOW_CONN_NONE);
		assert_int_equal(foretold.backend, Y);
	}
}

/* All of Y's before, with the table of today. */
static void flows_older_than_a_change(void **unused)
{
	const struct sluice_change change = {.until_ns = ~0ULL, .slots = TABLE}, none = {0};
	const uint32_t shop = SHOP;
	uint32_t before[TABLE];

	(void)unused;
	for (unsigned i = 0; i < TABLE; i++)
		before[i] = SLUICE_BEFORE(Y, 5);
	assert_int_equal(array_swap_in(gate.rings_before, SHOP, before, TABLE), 0);
	assert_int_equal(bpf_map_update_elem(gate.changes, &shop, &change, BPF_ANY), 0);
	for (unsigned i = 0; i < 100; i++) {
		agree(i & 1, "client", 3000 + i, "shop", PORT, "S");
		assert_int_equal(foretold.before_backend, foretold.backend == Y ? 0 : Y);
		bed_empty_conns();
		agree(i & 1, "client", 3000 + i, "shop", PORT, NULL);
		assert_int_equal(foretold.before_backend, 0);
	}
	assert_int_equal(bpf_map_update_elem(gate.changes, &shop, &none, BPF_ANY), 0);
}

static void pinned_sources(void **unused)
{
	const struct sluice_pin_key key = {.prefixlen = SLUICE_PIN_PREFIX(8, false),
					   .service = SHOP,
					   .addr = frame_addr("10.0.0.0", false)};
	struct sluice_pin pin = {.backend = Y, .generation = 5};

	(void)unused;
	shop_entry(SLUICE_TRACK_auto, 1);
	assert_int_equal(bpf_map_update_elem(gate.pins, &key, &pin, BPF_ANY), 0);
	for (unsigned i = 0; i < 100; i++) {
		agree(i & 1, "client", 3000 + i, "shop", PORT, i & 2 ? "S" : NULL);
		assert_int_equal(foretold.pin_backend, i & 1 ? 0 : Y);
	}
	pin.generation = 4;
	assert_int_equal(bpf_map_update_elem(gate.pins, &key, &pin, BPF_ANY), 0);
	for (unsigned i = 0; i < 100; i++) {
		agree(i & 1, "client", 4000 + i, "shop", PORT, "S");
		assert_int_equal(foretold.pin_backend, 0);
	}
	assert_int_equal(bpf_map_delete_elem(gate.pins, &key), 0);
}

static void sources_on_the_lists(void **unused)
{
	static const struct {
		const char *lists;
		bool v6;
		enum sluice_reason reason;
	} rows[] = {
		{"block 10.83.0.0/24", false, SLUICE_R_block},
		{"block 10.83.0.100", false, SLUICE_R_block},
		{"block fd83::/64", true, SLUICE_R_block},
		{"block 0.0.0.0/0", false, SLUICE_R_block},
		{"block ::/0", true, SLUICE_R_block},
		{"block ::/0", false, SLUICE_R_forward},
		{"block 10.83.0.100 later", false, SLUICE_R_block},
		{"block 10.83.0.100 expired", false, SLUICE_R_forward},
		{"block fd83::100 expired", true, SLUICE_R_forward},
		{"block 10.83.0.0/24,block 10.83.0.100 expired", false, SLUICE_R_block},
		{"block fd83::/64,block fd83::100 expired", true, SLUICE_R_block},
		{"block 10.83.0.0/24 expired,block 10.83.0.100 expired", false, SLUICE_R_forward},
		{"block 10.83.0.100,allow 10.0.0.0/8", false, SLUICE_R_forward},
		{"block fd83::100,allow fd83::/48", true, SLUICE_R_forward},
		{"block 10.83.0.100,allow 10.0.0.0/8 expired", false, SLUICE_R_block},
		{"allow 10.83.0.100", false, SLUICE_R_forward},
		{"feed 10.83.0.0/24", false, SLUICE_R_feed},
		{"feed 10.83.0.99,feed 10.83.0.101", false, SLUICE_R_forward},
		{"feed fd83::/64", true, SLUICE_R_feed},
		{"feed fd83::99", true, SLUICE_R_forward},
		{"feed 10.83.0.100,block 10.83.0.100", false, SLUICE_R_feed},
		{"feed 10.83.0.99,block 10.83.0.100", false, SLUICE_R_block},
		{"feed 10.83.0.100,allow 10.0.0.0/8", false, SLUICE_R_forward},
		{"feed fd83::100,allow fd83::100 expired", true, SLUICE_R_feed},
		/* As deep as the gate looks, and one level deeper. */
		{"block 10.83.0.100 expired,block 10.83.0.96/27 expired,"
		 "block 10.83.0.64/26 expired,block 10.83.0.0/24",
		 false, SLUICE_R_block},
		{"block 10.83.0.100 expired,block 10.83.0.96/27 expired,"
		 "block 10.83.0.64/26 expired,block 10.83.0.0/25 expired,block 10.83.0.0/24",
		 false, SLUICE_R_forward},
	};

	(void)unused;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bed_list(rows[i].lists);
		agree(rows[i].v6, "client", 4000, "shop", PORT, "S");
		bed_unlist(rows[i].lists);
		if (foretold.reason != rows[i].reason)
			fail_msg("%s: %s", rows[i].lists, scene_reason_name(foretold.reason));
	}
}

static void the_entry_that_blocks_is_named(void **unused)
{
	static const char lists[] = "block 10.83.0.100 expired,block 10.83.0.0/24 later,"
				    "block 10.0.0.0/8,allow 10.83.0.64/26";
	char text[ADDR_TEXT + 4];

	(void)unused;
	bed_list(lists);
	agree(false, "client", 4000, "shop", PORT, "S");
	bed_unlist(lists);
	assert_true(foretold.blocked && foretold.allowed);
	assert_string_equal(cidr_format(&foretold.block.net, text), "10.83.0.0/24");
	assert_string_equal(cidr_format(&foretold.allow.net, text), "10.83.0.64/26");
}

static void services_of_every_kind(void **unused)
{
	(void)unused;
	for (int v6 = 0; v6 < 2; v6++) {
		agree(v6, "client", 5000, "site", 443, "S");
		is_foretold(SLUICE_R_l7);
		agree(v6, "client", 5000, "site", 443, NULL);
		is_foretold(SLUICE_R_no_service);
		agree(v6, "client", 5000, "shop", 7, "S");
		is_foretold(SLUICE_R_no_service);
		agree(v6, "client", 5000, "mixed", 80, "S");
		is_foretold(SLUICE_R_forward);
		agree(v6, "client", 5000, "mixed", 443, "S");
		is_foretold(SLUICE_R_l7);
		/* Every port, but the one that has an entry of its own. */
		agree(v6, "client", 5000, "every", 12345, "S");
		is_foretold(SLUICE_R_forward);
		assert_int_equal(foretold.backend, TO_B2);
		agree(v6, "client", 5000, "every", 443, "S");
		is_foretold(SLUICE_R_l7);
		agree(v6, "client", 5000, "gate", 22, "S");
		is_foretold(SLUICE_R_no_service);
	}
}

static void services_without_a_backend(void **unused)
{
	static const unsigned ports[] = {89, 90, 91}; /* gone, nobody, no table at all */

	(void)unused;
	for (unsigned i = 0; i < 6; i++) {
		agree(i & 1, "client", 5000, "shop", ports[i / 2], "S");
		is_foretold(SLUICE_R_no_backend);
		assert_int_equal(foretold.backend, 0);
	}
}

static void sources_that_cannot_be(void **unused)
{
	static const struct {
		bool v6;
		const char *src;
		enum sluice_reason reason;
	} rows[] = {
		{false, "shop", SLUICE_R_land},
		{true, "shop", SLUICE_R_land},
		{false, "127.0.0.1", SLUICE_R_martian},
		{false, "0.0.0.1", SLUICE_R_martian},
		{false, "224.0.0.1", SLUICE_R_martian},
		{false, "255.255.255.255", SLUICE_R_martian},
		{false, "223.0.0.1", SLUICE_R_forward},
		{false, "1.0.0.0", SLUICE_R_forward},
		{true, "::1", SLUICE_R_martian},
		{true, "::", SLUICE_R_martian},
		{true, "ff02::1", SLUICE_R_martian},
		{true, "::2", SLUICE_R_forward},
	};

	(void)unused;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		agree(rows[i].v6, rows[i].src, 6000, "shop", PORT, "S");
		is_foretold(rows[i].reason);
	}
	/* Not judged on the way to the host itself. */
	agree(false, "127.0.0.1", 6000, "gate", 22, "S");
	is_foretold(SLUICE_R_no_service);
}

int main(void)
{
	static const struct bed_tuning tuning = {.conn_rate = 100000, .max_conns = 4096};
	static const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_setup(name, setup)
		SCENE(new_flows_by_the_table),
		SCENE(known_flows_by_the_connection_table),
		SCENE(flows_of_a_removed_backend_by_the_table_again),
		SCENE(flows_of_services_that_remember_none),
		SCENE(flows_older_than_a_change),
		SCENE(pinned_sources),
		SCENE(sources_on_the_lists),
		SCENE(the_entry_that_blocks_is_named),
		SCENE(services_of_every_kind),
		SCENE(services_without_a_backend),
		SCENE(sources_that_cannot_be),
	};

	return scenes_main("flow", &tuning, NULL, 0, tests, sizeof(tests) / sizeof(tests[0]));
}
