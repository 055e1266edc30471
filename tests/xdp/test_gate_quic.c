// SPDX-License-Identifier: BSD-2-Clause
/*
 * A service whose datagrams go by the connection ID of QUIC: wherever they come from, whatever
 * else is in them, and however the ID is cut. What names no backend goes by its flow.
 */
#include "shop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "sluice/conn.h"
#include "sluice/quic.h"

static struct frame in;
static struct run run;

/* "0:c0ffee01" leads to that backend. */
static void server_id(const char *text, uint32_t backend, uint32_t generation)
{
	struct sluice_server_id key = {.service = SHOP, .rotation = (__u8)(text[0] - '0')};
	const struct sluice_pin value = {.backend = backend, .generation = generation};
	uint8_t *id = (uint8_t *)key.id;

	for (text += 2; *text; text += 2)
		assert_int_equal(sscanf(text, "%2hhx", &id[key.length++]), 1);
	shop_entry.server_ids |= (uint32_t)key.length << (4 * key.rotation);
	assert_int_equal(bpf_map_update_elem(bed_map("server_ids"), &key, &value, BPF_ANY), 0);
}

/* Three configurations: of four bytes, of one, and of the most that there can be. */
static int quic_open(void **unused)
{
	static const struct {
		const char *id;
		uint32_t backend;
	} rows[] = {
		{"0:00000001", X},
		{"0:c0ffee02", Y},
		{"0:c0ffee03", Z},
		{"2:0a", X},
		{"2:0b", Y},
		{"6:000102030405060708090a0b0c0d0e", Z},
		{"6:000102030405060708090a0b0c0d0f", X},
	};

	shop_open(unused);
	shop_entry.hash = SLUICE_HASH_quic_cid;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		server_id(rows[i].id, rows[i].backend, 5);
	shop_table(TABLE, 1, 1, 1);
	return 0;
}

static int quic_close(void **unused)
{
	struct sluice_server_id key;

	(void)unused;
	while (bpf_map_get_next_key(bed_map("server_ids"), NULL, &key) == 0)
		bpf_map_delete_elem(bed_map("server_ids"), &key);
	bed_empty_conns();
	return 0;
}

/* A datagram of QUIC in place of the frame's data; behind these bytes, as many others. */
static void payload(const char *hex, unsigned rest, bool v6, const char *client, unsigned sport)
{
	unsigned n = (unsigned)strlen(hex) / 2;
	uint8_t *at;

	frame_printf(&in, "eth / %s %s > shop / udp %u > %u / data %u", v6 ? "ip6" : "ip4", client,
		     sport, SHOP_PORT, n + rest);
	at = in.b + in.bytes - n - rest;
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", at + i), 1);
}

static uint32_t credited(void)
{
	assert_string_equal(scene_reason_name(scene_reason(&in, 0, &run)), "forward");
	assert_int_equal(bed.counters->services[SHOP].packets, 1);
	for (uint32_t id = X; id < BACKENDS; id++)
		if (bed.counters->backends[id].packets)
			return id;
	fail_msg("no backend was credited");
	return 0;
}

static uint32_t goes(const char *hex, unsigned sport)
{
	payload(hex, 30, sport & 1, "client", sport);
	return credited();
}

/* ---- where IDs lead ------------------------------------------------------------------- */

static const struct {
	const char *hex; /* of the datagram, from its start */
	uint32_t to;     /* 0: it names none */
} datagrams[] = {
	/* Short headers; first bits of any version, any length bits and nonces. */
	{"4000"
	 "00000001"
	 "11223344",
	 X},
	{"401fc0ffee02"
	 "11223344",
	 Y},
	{"7f00c0ffee03"
	 "55667788",
	 Z},
	{"0013c0ffee03"
	 "55667788",
	 Z}, /* without QUIC's fixed bit (RFC 9287) */
	{"40400a"
	 "99999999",
	 X},
	{"40570b"
	 "99999999",
	 Y},
	{"40c0000102030405060708090a0b0c0d0e"
	 "00000000",
	 Z},
	{"40df000102030405060708090a0b0c0d0f"
	 "ffffffff",
	 X},
	/* Long ones: version 1, 2, one to force negotiation, the negotiation's own 0. */
	{"e0000000010900c0ffee0211223344", Y},
	{"d36b3343cf0900c0ffee0311223344", Z},
	{"c01a2a3a4a0900000000011122334400", X},
	{"80000000000900c0ffee0211223344", Y},
	{"c0000000011400c0ffee02112233445566778899aabbccddee0a", Y},
	{"c00000000114c0000102030405060708090a0b0c0d0e00000000", Z},
	{"ff00000001ff00c0ffee0211223344", Y}, /* longer IDs than version 1 has */
	/* Nobody's: unknown, of a configuration that is not in use, of none. */
	{"4000c0ffee04"
	 "11223344",
	 0},
	{"4000"
	 "00000002"
	 "11223344",
	 0},
	{"4020c0ffee02"
	 "11223344",
	 0},
	{"40e0c0ffee02"
	 "11223344",
	 0},
	{"40400c"
	 "99999999",
	 0},
	{"40c0000102030405060708090a0b0c0d10"
	 "00000000",
	 0},
	/* Made up by a client, too short for a server ID, or none. */
	{"c00000000108"
	 "8394c8f03e515708",
	 0},
	{"c0000000010400c0ffee0211223344", 0},
	{"c0000000010100c0ffee0211223344", 0},
	{"c0000000010000c0ffee0211223344", 0},
};

#define DATAGRAMS (sizeof(datagrams) / sizeof(datagrams[0]))

static void ids_lead_to_their_backends(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < DATAGRAMS; i++)
		for (unsigned sport = 2000; sport < 2008; sport++) {
			uint32_t to = goes(datagrams[i].hex, sport);
			uint32_t wanted = datagrams[i].to ?: shop_computed(sport & 1, sport, 17);

			if (to != wanted)
				fail_msg("%s: to %u", datagrams[i].hex, to);
			assert_int_equal(noticed(SLUICE_N_quic_id), datagrams[i].to != 0);
			assert_int_equal(noticed(SLUICE_N_quic_unknown), datagrams[i].to == 0);
			bed_empty_conns();
		}
}

static void a_connection_that_moves_stays(void **unused)
{
	static const char *const clients[] = {"client", "10.83.0.77", "172.16.8.1", "192.0.2.200"};

	(void)unused;
	for (unsigned i = 0; i < 40; i++) {
		payload("4000c0ffee0311223344", 200, false, clients[i % 4], 3000 + i);
		assert_int_equal(credited(), Z);
	}
	/* And is known at each of its places, which is how errors find it. */
	assert_int_equal(bed_conns(), 40);
	frame_parse(&in, "eth / ip4 router > shop / icmp4 3 code 4 rest 1400 / "
			 "ip4 shop > 10.83.0.77 / udp 8443 > 3001");
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_icmp_forward);
	assert_int_equal(bed.counters->backends[Z].packets, 1);
	assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
}

/* The ID counts, not what was at the address and port before. */
static void another_connection_from_the_same_port(void **unused)
{
	const char *const ids[] = {"4000c0ffee0311223344", "4000c0ffee0211223344",
				   "e0000000010900c0ffee0311223344"};

	(void)unused;
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(goes(ids[i % 3], 2000), i % 3 == 1 ? Y : Z);
	assert_int_equal(bed_conns(), 1);
	/* What names none follows the last. */
	assert_int_equal(goes("c00000000108"
			      "8394c8f03e515708",
			      2000),
			 Z);
}

/* Of a handshake, the client's first packets name nobody; they stay together. */
static void the_first_packets_of_a_client(void **unused)
{
	(void)unused;
	for (unsigned sport = 2000; sport < 2020; sport++) {
		uint32_t to = goes("c00000000108"
				   "8394c8f03e515708",
				   sport);

		shop_table(TABLE, 0, 1, 0);
		assert_int_equal(goes("c00000000108"
				      "8394c8f03e515708",
				      sport),
				 to);
		shop_table(TABLE, 1, 1, 1);
	}
	assert_int_equal(bed_conns(), 20);
}

static void without_a_table_of_flows(void **unused)
{
	(void)unused;
	shop_entry.track = SLUICE_TRACK_never;
	shop_table(TABLE, 1, 1, 1);
	assert_int_equal(goes("4000c0ffee0311223344", 2000), Z);
	assert_int_equal(goes("c00000000108"
			      "8394c8f03e515708",
			      2000),
			 shop_computed(false, 2000, 17));
	assert_int_equal(bed_conns(), 0);
}

/* ---- backends that come and go -------------------------------------------------------- */

static void a_backend_that_drains_keeps_its_connections(void **unused)
{
	(void)unused;
	shop_table(TABLE, 1, 1, 0);
	assert_int_equal(goes("4000c0ffee0311223344", 2000), Z);
	for (unsigned sport = 2000; sport < 2100; sport++) {
		bed_empty_conns();
		assert_int_not_equal(goes("c00000000108"
					  "8394c8f03e515708",
					  sport),
				     Z);
	}
}

static void a_backend_that_is_gone(void **unused)
{
	(void)unused;
	for (int i = 0; i < 2; i++) {
		/* No more in use; or its number is another's. */
		shop_backend(Z, i ? 6 : 5, i);
		bed_empty_conns();
		goes("4000c0ffee0311223344", 2000);
		assert_int_equal(noticed(SLUICE_N_quic_unknown), 1);
	}
	server_id("0:c0ffee03", Z, 6);
	assert_int_equal(goes("4000c0ffee0311223344", 2000), Z);
}

/* ---- what cannot be read -------------------------------------------------------------- */

/* Cut at each byte, in the frame and in what the UDP packet says: it goes by its flow as long as
 * the ID is not whole, with as much behind it as any packet of QUIC has. */
static void cut_at_every_byte(void **unused)
{
	static const struct {
		const char *hex;
		unsigned enough;
	} rows[] = {{"4000c0ffee0311223344", 2 + 16}, {"e0000000010900c0ffee0311223344", 7 + 16}};

	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		unsigned n = (unsigned)strlen(rows[i].hex) / 2;

		for (unsigned bytes = 0; bytes < 60; bytes++) {
			unsigned sport = 2000 + 2 * bytes;
			uint32_t to;

			bed_empty_conns();
			payload(rows[i].hex, 60 - n, false, "client", sport);
			/* The IP packet ends there; the frame goes on. */
			in.b[14 + 2] = 0;
			in.b[14 + 3] = 28 + bytes;
			to = credited();
			assert_int_equal(noticed(SLUICE_N_quic_id), bytes >= rows[i].enough);
			assert_int_equal(
				to, bytes >= rows[i].enough ? Z : shop_computed(false, sport, 17));
			in.bytes = 14 + 28 + bytes;
			bed_empty_conns();
			assert_int_equal(credited(), to);
		}
	}
}

static void fragments_name_no_backend(void **unused)
{
	(void)unused;
	frame_printf(&in, "eth / ip4 client > shop mf / udp 1000 > %u / data 64", SHOP_PORT);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_fragment);
	frame_parse(&in, "eth / ip4 client > shop offset 9 proto 17 / data 64");
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_fragment);
}

/* Any bytes whatever are forwarded to somebody, under one reason. */
static void anything_at_all(void **unused)
{
	uint32_t state = 7;

	(void)unused;
	for (unsigned round = 0; round < 5000; round++) {
		payload("4000c0ffee0311223344", round % 50, round & 1, "client", 2000 + round);
		for (unsigned i = in.bytes - 10 - round % 50; i < in.bytes; i++) {
			state = state * 1664525 + 1013904223;
			if (state >> 30 == 0)
				in.b[i] = state >> 16;
		}
		credited();
		assert_int_equal(noticed(SLUICE_N_quic_id) + noticed(SLUICE_N_quic_unknown), 1);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, quic_open, quic_close)
	static const struct CMUnitTest tests[] = {
		TEST(ids_lead_to_their_backends),
		TEST(a_connection_that_moves_stays),
		TEST(another_connection_from_the_same_port),
		TEST(the_first_packets_of_a_client),
		TEST(without_a_table_of_flows),
		TEST(a_backend_that_drains_keeps_its_connections),
		TEST(a_backend_that_is_gone),
		TEST(cut_at_every_byte),
		TEST(fragments_name_no_backend),
		TEST(anything_at_all),
	};

	return scenes_main("gate: QUIC", &(struct bed_tuning){.conn_rate = 1000000}, NULL, 0, tests,
			   sizeof(tests) / sizeof(tests[0]));
}
