// SPDX-License-Identifier: BSD-2-Clause
/* Sources that have a backend of their own: who it is for, and when the table decides after all. */
#include "shop.h"

#include <netinet/in.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/addr.h"

/* "10.0.0.0/8" of the service to a backend. */
static void pin_of(uint32_t service, const char *text, uint32_t backend, uint32_t generation)
{
	const struct sluice_pin pin = {.backend = backend, .generation = generation};
	struct sluice_pin_key key = {.service = (uint16_t)service};
	struct cidr net;
	bool host_bits;

	assert_true(cidr_parse(&net, text, &host_bits));
	key.v6 = !addr_is_v4(&net.addr);
	key.addr = net.addr;
	key.prefixlen = SLUICE_PIN_PREFIX(net.prefix, key.v6);
	assert_int_equal(bpf_map_update_elem(bed_map("pins"), &key, &pin, 0), 0);
}

static void pin(const char *text, uint32_t backend)
{
	pin_of(SHOP, text, backend, 5);
}

static int setup(void **unused)
{
	struct sluice_pin_key key;

	shop_open(unused);
	while (bpf_map_get_next_key(bed_map("pins"), NULL, &key) == 0)
		assert_int_equal(bpf_map_delete_elem(bed_map("pins"), &key), 0);
	shop_entry.pins = 1;
	shop_table(TABLE, 1, 1, 1);
	return 0;
}

/* Where the client's flows go, if it is one place; else 0. They are forgotten again. */
static uint32_t all_go(bool v6, const char *flags)
{
	uint32_t to = shop_send(v6, 1024, flags);

	for (unsigned i = 1; i < 40; i++)
		if (shop_send(v6, 1024 + i, flags) != to)
			return 0;
	bed_empty_conns();
	return to;
}

static void a_source_has_its_backend(void **unused)
{
	static const char *const packets[] = {"S", "A", NULL};

	(void)unused;
	pin("10.83.0.0/24", Y);
	pin("fd83::/64", Z);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(all_go(false, packets[i]), Y);
		assert_int_equal(noticed(SLUICE_N_pinned), 1);
		assert_int_equal(all_go(true, packets[i]), Z);
	}
	/* Known flows are not asked about it. */
	shop_send(false, 2000, "A");
	shop_send(false, 2000, "A");
	assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
	assert_int_equal(noticed(SLUICE_N_pinned), 0);
}

static void the_longest_prefix_counts(void **unused)
{
	static const char *const nets[] = {"0.0.0.0/0", "10.0.0.0/7", "10.83.0.0/24",
					   "10.83.0.96/29", "10.83.0.100"};
	static const char *const nets6[] = {"::/0", "fd83::/16", "fd83::/64", "fd83::100/127",
					    "fd83::100"};

	(void)unused;
	for (unsigned i = 0; i < 5; i++) {
		pin(nets[i], X + i % 3);
		assert_int_equal(all_go(false, "S"), X + i % 3);
		pin(nets6[i], X + (i + 1) % 3);
		assert_int_equal(all_go(true, "S"), X + (i + 1) % 3);
		assert_int_equal(all_go(false, "S"), X + i % 3);
	}
}

/* Beside them, or of the other family, though its addresses are of the same form inside. */
static void other_sources_go_by_the_table(void **unused)
{
	(void)unused;
	pin("10.83.0.101", Y);
	pin("10.83.1.0/24", Y);
	pin("::/0", Y);
	assert_int_equal(all_go(false, "S"), 0);
	assert_int_equal(noticed(SLUICE_N_pinned), 0);
	assert_int_equal(noticed(SLUICE_N_pin_unused), 0);
	assert_int_equal(all_go(true, "S"), Y);
}

static void pins_are_a_services_own(void **unused)
{
	(void)unused;
	pin_of(TO_B1, "10.0.0.0/8", Y, 5);
	assert_int_equal(all_go(false, "S"), 0);
	/* And of those that have any. */
	pin("10.0.0.0/8", Y);
	assert_int_equal(all_go(false, "S"), Y);
	shop_entry.pins = 0;
	shop_table(TABLE, 1, 1, 1);
	assert_int_equal(all_go(false, "S"), 0);
}

static void goes_by_the_table(void)
{
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(shop_send(false, 1024 + i, "S"),
				 shop_computed(false, 1024 + i, IPPROTO_TCP));
		assert_int_equal(noticed(SLUICE_N_pin_unused), 1);
		assert_int_equal(noticed(SLUICE_N_pinned), 0);
	}
}

static void a_backend_that_takes_none(void **unused)
{
	struct sluice_backend b;
	uint32_t id = Y;

	(void)unused;
	pin("10.0.0.0/8", Y);
	assert_int_equal(bpf_map_lookup_elem(bed_map("backends"), &id, &b), 0);
	b.drains = 1;
	assert_int_equal(bpf_map_update_elem(bed_map("backends"), &id, &b, 0), 0);
	shop_table(TABLE, 1, 0, 1);
	goes_by_the_table();
	shop_backend(Y, 5, false); /* gone */
	goes_by_the_table();
	shop_backend(Y, 6, true); /* another one with its id */
	goes_by_the_table();
	shop_backend(Y, 5, true);
	assert_int_equal(all_go(false, "S"), Y);
}

/* Older flows do not move when their source is pinned. */
static void known_flows_stay(void **unused)
{
	uint32_t went[40];

	(void)unused;
	for (unsigned i = 0; i < 40; i++)
		went[i] = shop_send(false, 3000 + i, "A");
	pin("10.0.0.0/8", Y);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(shop_send(false, 3000 + i, "A"), went[i]);
	assert_int_equal(shop_send(false, 4000, "A"), Y);
}

/* Whatever the table says, and said before; even if it says nothing. */
static void the_table_is_not_asked(void **unused)
{
	(void)unused;
	pin("10.0.0.0/8", Y);
	shop_keep_table(60);
	shop_table(TABLE, 1, 0, 0);
	assert_int_equal(all_go(false, "A"), Y);
	shop_table(TABLE, 0, 0, 0);
	assert_int_equal(all_go(false, "S"), Y);
	shop_entry.track = SLUICE_TRACK_never;
	shop_table(TABLE, 1, 0, 0);
	assert_int_equal(all_go(false, "A"), Y);
}

static void errors_follow_their_flow(void **unused)
{
	static struct frame in;
	static struct run run;

	(void)unused;
	pin("10.0.0.0/8", Y);
	for (unsigned i = 0; i < 20; i++) {
		frame_printf(&in,
			     "eth / ip4 192.0.2.1 > shop / icmp4 3 code 4 rest 1400 / "
			     "ip4 shop > client / tcp8 %u > %u",
			     SHOP_PORT, 5000 + i);
		assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_icmp_forward);
		assert_int_equal(bed.counters->backends[Y].packets, 1);
	}
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_source_has_its_backend),      TEST(the_longest_prefix_counts),
		TEST(other_sources_go_by_the_table), TEST(pins_are_a_services_own),
		TEST(a_backend_that_takes_none),     TEST(known_flows_stay),
		TEST(the_table_is_not_asked),        TEST(errors_follow_their_flow),
	};

	return scenes_main("gate: pins", &(struct bed_tuning){1000000, 0, 1024, 0, false}, NULL, 0,
			   tests, sizeof(tests) / sizeof(tests[0]));
}
