// SPDX-License-Identifier: BSD-2-Clause
/* See shop.h. */
#include "shop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <time.h>

#include <bpf/bpf.h>

#include "base/maglev.h"
#include "l4/arrays.h"
#include "sluice/flow_hash.h"

struct sluice_service shop_entry;
struct run shop_run;

static struct frame in;
static uint32_t table[65537];

static void entries_write(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int udp = 0; udp < 2; udp++) {
			struct sluice_vip key = {.addr = frame_addr("shop", v6),
						 .port = htons(SHOP_PORT),
						 .proto = udp ? IPPROTO_UDP : IPPROTO_TCP};

			assert_int_equal(bpf_map_update_elem(bed_map("vips"), &key, &shop_entry, 0),
					 0);
		}
}

void shop_table(uint32_t size, uint32_t x, uint32_t y, uint32_t z)
{
	const struct maglev_member members[] = {
		{"10.83.0.11", X, x}, {"10.83.0.12", Y, y}, {"fd83::11", Z, z}};

	assert_int_equal(maglev_build(table, size, members, 3), 0);
	bed_ring(SHOP, table, size);
	shop_entry.ring_size = size;
	entries_write();
}

void shop_keep_table(int seconds)
{
	struct sluice_change change = {.slots = shop_entry.ring_size};
	static uint32_t before[65537];
	const uint32_t id = SHOP;
	struct timespec now;

	for (uint32_t i = 0; i < change.slots; i++)
		before[i] = SLUICE_BEFORE(table[i], 5);
	clock_gettime(CLOCK_BOOTTIME, &now);
	change.until_ns = (now.tv_sec + seconds) * 1000000000ULL;
	assert_int_equal(array_swap_in(bed_map("rings_before"), SHOP, before, change.slots), 0);
	assert_int_equal(bpf_map_update_elem(bed_map("changes"), &id, &change, 0), 0);
}

void shop_backend(uint32_t id, uint32_t generation, bool in_use)
{
	struct sluice_backend b;

	bed_backend(id, id == Y ? "b2" : "b1", id == Z, generation, in_use);
	assert_int_equal(bpf_map_lookup_elem(bed_map("backends"), &id, &b), 0);
	b.service = in_use ? SHOP : 0;
	assert_int_equal(bpf_map_update_elem(bed_map("backends"), &id, &b, 0), 0);
}

void window_new(void)
{
	bed.counters->window_start_ns = 0;
}

void window_hold(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	bed.counters->window_start_ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
}

int shop_open(void **unused)
{
	static const struct sluice_change none;
	const uint32_t shop = SHOP;

	(void)unused;
	assert_int_equal(bpf_map_update_elem(bed_map("changes"), &shop, &none, 0), 0);
	for (uint32_t id = X; id < BACKENDS; id++)
		shop_backend(id, 5, true);
	shop_entry = (struct sluice_service){.id = SHOP, .kind = SLUICE_L4};
	shop_table(TABLE, 1, 1, 1);
	bed_empty_conns();
	window_new();
	return 0;
}

uint32_t shop_send(bool v6, unsigned sport, const char *flags)
{
	const char *ip = v6 ? "ip6 client > shop" : "ip4 client > shop";

	if (flags)
		frame_printf(&in, "eth / %s / tcp %u > %u %s", ip, sport, SHOP_PORT, flags);
	else
		frame_printf(&in, "eth / %s / udp %u > %u", ip, sport, SHOP_PORT);
	assert_string_equal(scene_reason_name(scene_reason(&in, 0, &shop_run)), "forward");
	for (uint32_t id = X; id < BACKENDS; id++)
		if (bed.counters->backends[id].packets)
			return id;
	fail_msg("no backend was credited");
	return 0;
}

struct sluice_flow shop_flow(bool v6, unsigned sport, uint8_t proto)
{
	return (struct sluice_flow){.src = frame_addr("client", v6),
				    .dst = frame_addr("shop", v6),
				    .sport = htons(sport),
				    .dport = htons(SHOP_PORT),
				    .proto = proto};
}

uint32_t shop_slot(uint32_t slot)
{
	return table[slot];
}

uint32_t shop_computed(bool v6, unsigned sport, uint8_t proto)
{
	const struct sluice_flow flow = shop_flow(v6, sport, proto);

	return table[sluice_slot(sluice_service_hash(&flow, shop_entry.hash),
				 shop_entry.ring_size)];
}

uint64_t noticed(enum sluice_notice n)
{
	return bed.counters->notices[n];
}
