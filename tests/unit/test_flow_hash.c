// SPDX-License-Identifier: BSD-2-Clause
/*
 * The hash of a flow: golden values (every balancer must agree, so they are part of the ABI;
 * they come from an implementation of its own), and that flows spread evenly. These are the
 * lines that the gate runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/addr.h"
#include "sluice/flow_hash.h"

static struct sluice_flow flow(const char *src, const char *dst, uint16_t sport, uint16_t dport,
			       uint8_t proto)
{
	struct sluice_flow f = {.sport = htons(sport), .dport = htons(dport), .proto = proto};

	assert_true(addr_parse(&f.src, src));
	assert_true(addr_parse(&f.dst, dst));
	return f;
}

static void test_hashes_and_slots_are_these(void **unused)
{
	static const char *const ones = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
	const struct {
		const char *src, *dst;
		uint16_t sport, dport;
		uint8_t proto;
		uint32_t hash, slot;
	} rows[] = {
		{"0.0.0.0", "0.0.0.0", 0, 0, 0, 0x5c7d7c21, 23677},
		{"10.83.0.100", "198.51.100.10", 40000, 80, IPPROTO_TCP, 0x39c19bde, 14785},
		{"10.83.0.100", "198.51.100.10", 40001, 80, IPPROTO_TCP, 0xe4eb0d96, 58603},
		{"10.83.0.100", "198.51.100.10", 40000, 80, IPPROTO_UDP, 0xd18fbe7c, 53648},
		{"198.51.100.10", "10.83.0.100", 80, 40000, IPPROTO_TCP, 0x201cd7fd, 8220},
		{"fd83::100", "2001:db8:51::10", 40000, 80, IPPROTO_TCP, 0x2c9f7117, 11423},
		{"2001:db8::1", "2001:db8:51::10", 65535, 443, IPPROTO_UDP, 0xb1b0e4ee, 45489},
		{"::", "::", 0, 0, 0, 0x995278ff, 39251},
		{"203.0.113.7", "198.51.100.10", 0, 0, IPPROTO_ICMP, 0x99933b58, 39315},
		{ones, ones, 65535, 65535, 255, 0x9a265ef7, 39462},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sluice_flow f =
			flow(rows[i].src, rows[i].dst, rows[i].sport, rows[i].dport, rows[i].proto);

		assert_int_equal(sluice_flow_hash(&f), rows[i].hash);
		assert_int_equal(sluice_slot(rows[i].hash, SLUICE_RING_SIZE), rows[i].slot);
	}
}

static void test_padding_is_not_hashed(void **unused)
{
	struct sluice_flow f = flow("10.0.0.1", "10.0.0.2", 1, 2, IPPROTO_TCP), padded = f;

	(void)unused;
	memset(padded.pad, 0xff, sizeof(padded.pad));
	assert_int_equal(sluice_flow_hash(&f), sluice_flow_hash(&padded));
}

static void test_every_bit_of_a_flow_changes_half_of_the_hash(void **unused)
{
	struct sluice_flow f = flow("10.83.0.100", "198.51.100.10", 40000, 80, IPPROTO_TCP);
	const size_t bits = offsetof(struct sluice_flow, pad) * 8;
	uint32_t hash = sluice_flow_hash(&f);
	unsigned flipped = 0;

	(void)unused;
	for (size_t bit = 0; bit < bits; bit++) {
		struct sluice_flow near = f;
		uint32_t differs;

		((uint8_t *)&near)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		differs = hash ^ sluice_flow_hash(&near);
		assert_in_range(__builtin_popcount(differs), 4, 28);
		flipped += (unsigned)__builtin_popcount(differs);
	}
	assert_in_range(flipped, bits * 15, bits * 17);
}

static void test_the_two_directions_differ(void **unused)
{
	struct sluice_flow there = flow("10.0.0.1", "10.0.0.2", 1000, 2000, IPPROTO_TCP),
			   back = flow("10.0.0.2", "10.0.0.1", 2000, 1000, IPPROTO_TCP),
			   ports = flow("10.0.0.1", "10.0.0.2", 2000, 1000, IPPROTO_TCP);

	(void)unused;
	assert_int_not_equal(sluice_flow_hash(&there), sluice_flow_hash(&back));
	assert_int_not_equal(sluice_flow_hash(&there), sluice_flow_hash(&ports));
}

/* 64 buckets of 1024 on average; six times the square root of that is luck's own bound. */
static void assert_even(const unsigned buckets[64])
{
	for (unsigned i = 0; i < 64; i++)
		assert_in_range(buckets[i], 1024 - 6 * 32, 1024 + 6 * 32);
}

static void test_one_clients_ports_spread_evenly(void **unused)
{
	unsigned buckets[64] = {0};

	(void)unused;
	for (unsigned port = 0; port < 65536; port++) {
		struct sluice_flow f =
			flow("10.83.0.100", "198.51.100.10", (uint16_t)port, 80, IPPROTO_TCP);

		buckets[sluice_slot(sluice_flow_hash(&f), 64)]++;
	}
	assert_even(buckets);
}

static void test_neighbours_with_one_port_spread_evenly(void **unused)
{
	struct sluice_flow f4 = flow("10.83.0.0", "198.51.100.10", 53, 53, IPPROTO_UDP),
			   f6 = flow("2001:db8::", "2001:db8:51::10", 53, 53, IPPROTO_UDP);
	unsigned buckets4[64] = {0}, buckets6[64] = {0};

	(void)unused;
	for (unsigned i = 0; i < 65536; i++) {
		f4.src.b[14] = f6.src.b[6] = (uint8_t)(i >> 8);
		f4.src.b[15] = f6.src.b[7] = (uint8_t)i;
		buckets4[sluice_slot(sluice_flow_hash(&f4), 64)]++;
		buckets6[sluice_slot(sluice_flow_hash(&f6), 64)]++;
	}
	assert_even(buckets4);
	assert_even(buckets6);
}

static void test_slots_are_within_bounds_and_in_the_order_of_hashes(void **unused)
{
	static const uint32_t sizes[] = {1, 2, 3, 64, 65537, 131101};

	(void)unused;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t last = 0;

		assert_int_equal(sluice_slot(0, sizes[i]), 0);
		assert_int_equal(sluice_slot(UINT32_MAX, sizes[i]), sizes[i] - 1);
		for (uint64_t hash = 0; hash <= UINT32_MAX; hash += 65521) {
			uint32_t slot = sluice_slot((uint32_t)hash, sizes[i]);

			assert_true(slot >= last && slot < sizes[i]);
			last = slot;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hashes_and_slots_are_these),
		cmocka_unit_test(test_padding_is_not_hashed),
		cmocka_unit_test(test_every_bit_of_a_flow_changes_half_of_the_hash),
		cmocka_unit_test(test_the_two_directions_differ),
		cmocka_unit_test(test_one_clients_ports_spread_evenly),
		cmocka_unit_test(test_neighbours_with_one_port_spread_evenly),
		cmocka_unit_test(test_slots_are_within_bounds_and_in_the_order_of_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
