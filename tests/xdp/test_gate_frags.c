// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fragments of a service that takes them: all of a datagram, and all else that their client sends
 * by the same protocol, goes to one backend. What they may not do: reach what whole packets may
 * not, or come in past the lists and limits.
 */
#include "shop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "sluice/conn.h"
#include "sluice/flow_hash.h"

#define CLIENTS 40

static struct frame in, wanted;
static struct run run;

/* Of both protocols in both families, or of none. */
static void fragments_entries(bool there)
{
	for (int i = 0; i < 4; i++) {
		const struct sluice_vip key = {
			.addr = frame_addr("shop", i & 1),
			.port = htons(i & 2 ? IPPROTO_UDP : IPPROTO_TCP),
			.proto = SLUICE_FRAGMENT,
		};

		if (there)
			assert_int_equal(bpf_map_update_elem(bed_map("vips"), &key, &shop_entry, 0),
					 0);
		else
			bpf_map_delete_elem(bed_map("vips"), &key);
	}
}

static void shop_begin(enum sluice_track track, enum sluice_mode mode)
{
	shop_entry.fragments = 1;
	shop_entry.track = track;
	shop_table(TABLE, 1, 1, 1);
	fragments_entries(true);
	for (uint32_t id = X; id < BACKENDS; id++)
		bed_mode(id, mode);
	bed_empty_conns();
}

static int frags_open(void **unused)
{
	shop_open(unused);
	shop_begin(SLUICE_TRACK_auto, SLUICE_MODE_ipip);
	return 0;
}

static int frags_close(void **unused)
{
	(void)unused;
	fragments_entries(false);
	bed_empty_conns();
	return 0;
}

static const char *sent(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	frame_parse(&in, text);
	return scene_reason_name(scene_reason(&in, 0, &run));
}

#define expect_sent(reason, ...) assert_string_equal(sent(__VA_ARGS__), reason)

/* The backend that a packet is forwarded to; the text after "CLIENT > shop". */
static uint32_t goes(bool v6, unsigned client, const char *rest)
{
	char source[32];

	snprintf(source, sizeof(source), v6 ? "2001:db8:7::%x" : "10.7.0.%u", client + 1);
	expect_sent("forward", "eth / %s %s > shop %s", v6 ? "ip6" : "ip4", source, rest);
	assert_int_equal(bed.counters->services[SHOP].packets, 1);
	for (uint32_t id = X; id < BACKENDS; id++)
		if (bed.counters->backends[id].packets)
			return id;
	fail_msg("no backend was credited");
	return 0;
}

/* The pieces of datagrams and segments, and whole ones, by family and protocol. */
static const char *const pieces[2][2][6] = {
	{{"mf / udp 1000 > 8443 / data 1400", "mf offset 176 proto 17 / data 1400",
	  "offset 352 proto 17 / data 9", "/ udp 1000 > 8443 / data 9", "/ udp 2000 > 8443",
	  "offset 352 proto 17 options 8 / data 9"},
	 {"mf / tcp 1000 > 8443 A / data 100", "mf offset 15 proto 6 / data 1400",
	  "offset 190 proto 6 / data 9", "/ tcp 1000 > 8443 A / data 9", "/ tcp 2000 > 8443 S",
	  "/ tcp 3000 > 8443 R"}},
	{{"/ frag more / udp 1000 > 8443 / data 1392",
	  "/ frag offset 175 more / udp 7 > 7 / data 8", "/ frag offset 352 / udp 7 > 7",
	  "/ udp 1000 > 8443 / data 9", "/ udp 2000 > 8443",
	  "/ hbh 16 / dst / frag offset 9 / udp 80 > 80"},
	 {"/ frag more / tcp 1000 > 8443 A / data 100", "/ frag offset 15 more / tcp 1 > 1 S",
	  "/ frag offset 190 / tcp8 7 > 7", "/ tcp 1000 > 8443 A / data 9", "/ tcp 2000 > 8443 S",
	  "/ rt 24 / frag more / tcp 1000 > 8443 A / data 8"}},
};

/* Where the table has a client's packets: by addresses and protocol alone. */
static uint32_t computed(bool v6, unsigned client, bool tcp)
{
	struct sluice_flow flow = {.dst = frame_addr("shop", v6),
				   .proto = tcp ? IPPROTO_TCP : IPPROTO_UDP};
	char source[32];
	uint32_t slot, id;

	snprintf(source, sizeof(source), v6 ? "2001:db8:7::%x" : "10.7.0.%u", client + 1);
	flow.src = frame_addr(source, v6);
	slot = sluice_slot(sluice_service_hash(&flow, shop_entry.hash), TABLE);
	id = shop_slot(slot);
	return id;
}

/* In every order: another piece is the first for each client. */
static void together(bool v6, bool tcp)
{
	bool met[BACKENDS] = {false};

	for (unsigned client = 0; client < CLIENTS; client++) {
		uint32_t to = computed(v6, client, tcp);

		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(goes(v6, client, pieces[v6][tcp][(client + i) % 6]), to);
		met[to] = true;
	}
	assert_true(met[X] && met[Y] && met[Z]);
}

static void all_of_a_client_goes_together(void **unused)
{
	static const enum sluice_mode modes[] = {SLUICE_MODE_ipip, SLUICE_MODE_gue, SLUICE_MODE_l2};

	(void)unused;
	for (int i = 0; i < 12; i++) {
		bool v6 = i & 1;

		shop_begin(i & 2 ? SLUICE_TRACK_never : SLUICE_TRACK_auto, modes[i / 4]);
		shop_entry.hash = i % 3 == 0 ? SLUICE_HASH_src : SLUICE_HASH_5tuple;
		shop_begin(shop_entry.track, modes[i / 4]);
		together(v6, false);
		together(v6, true);
		if (shop_entry.track == SLUICE_TRACK_never)
			assert_int_equal(bed_conns(), 0);
		else
			assert_int_equal(bed_conns(), 2 * CLIENTS);
	}
}

/* A fragment is carried as it is. */
static void as_they_are(void **unused)
{
	uint32_t to;

	(void)unused;
	shop_table(TABLE, 1, 0, 0);
	to = goes(false, 1, "mf offset 9 id 77 proto 17 / data 40");
	assert_int_equal(to, X);
	frame_parse(&wanted, "eth gate > b1 / ip4 gate > b1 df / "
			     "ip4 10.7.0.2 > shop mf offset 9 id 77 proto 17 ttl 63 / data 40");
	scene_frames_equal(&run.out, &wanted);
	to = goes(true, 1, "/ frag offset 9 more / udp 1 > 2 / data 40");
	frame_parse(&wanted, "eth gate > b1 / ip4 gate > b1 df / ip6 2001:db8:7::2 > shop hop 63 / "
			     "frag offset 9 more / udp 1 > 2 / data 40");
	scene_frames_equal(&run.out, &wanted);
	assert_int_equal(to, X);
}

/* The table changes between the pieces: whoever was there stays, new clients do not come. */
static void they_stay_when_the_table_changes(void **unused)
{
	(void)unused;
	for (int v6 = 0; v6 < 2; v6++) {
		bed_empty_conns();
		shop_table(TABLE, 1, 0, 0);
		for (unsigned client = 0; client < 8; client++)
			assert_int_equal(goes(v6, client, pieces[v6][0][client % 6]), X);
		shop_table(TABLE, 0, 1, 0);
		for (unsigned i = 0; i < 48; i++)
			assert_int_equal(goes(v6, i % 8, pieces[v6][0][i / 8]), X);
		assert_int_equal(goes(v6, 8, pieces[v6][0][1]), Y);
		assert_int_equal(goes(v6, 8, pieces[v6][0][0]), Y);
	}
}

static void errors_reach_who_has_the_flow(void **unused)
{
	(void)unused;
	shop_table(TABLE, 1, 0, 0);
	assert_int_equal(goes(false, 1, pieces[0][0][0]), X);
	shop_table(TABLE, 0, 1, 0);
	expect_sent("icmp_forward", "eth / ip4 router > shop / icmp4 11 code 1 / "
				    "ip4 shop > 10.7.0.2 mf / udp 8443 > 1000");
	assert_int_equal(bed.counters->backends[X].packets, 1);
}

/* ---- what they may not ---------------------------------------------------------------- */

static void no_more_than_whole_packets_may(void **unused)
{
	static const struct {
		const char *reason, *frame;
	} rows[] = {
		/* Ports of another service, and of none. */
		{"fragment", "eth / ip4 client > shop mf / udp 1000 > 80 / data 16"},
		{"fragment", "eth / ip6 client > shop / frag more / tcp 1000 > 80 A / data 16"},
		{"no_service", "eth / ip4 client > shop mf / udp 1000 > 22 / data 16"},
		/* Protocols that no service has. */
		{"fragment", "eth / ip4 client > shop offset 9 proto 1 / data 16"},
		{"fragment", "eth / ip4 client > shop offset 9 proto 47 / data 16"},
		{"fragment", "eth / ip4 client > shop mf / icmp4 8 / data 16"},
		{"fragment", "eth / ip6 client > shop / frag offset 9 / icmp6 128"},
		{"fragment", "eth / ip6 client > shop / frag offset 9 / dst / udp 1 > 2"},
		/* VIPs whose services take none. */
		{"fragment", "eth / ip4 client > 198.51.100.60 offset 9 proto 17 / data 16"},
		{"l7", "eth / ip4 client > site offset 9 proto 6 / data 16"},
		{"no_service", "eth / ip4 client > gate offset 9 proto 17 / data 16"},
		/* No fragment, though it names no port either. */
		{"ext_headers",
		 "eth / ip6 client > shop / hbh / dst / dst / dst / dst / dst / dst / "
		 "dst / dst / udp 1 > 8443"},
		{"ext_headers", "eth / ip6 client > shop / dst 2040 / udp 1 > 8443"},
		{"martian", "eth / ip4 127.0.0.1 > shop offset 9 proto 17 / data 16"},
		{"land", "eth / ip4 shop > shop mf / udp 1000 > 8443 / data 16"},
		{"ttl", "eth / ip4 client > shop ttl 1 offset 9 proto 17 / data 16"},
		{"ttl", "eth / ip6 client > shop hop 1 / frag offset 9 / udp 1 > 2"},
		/* A first one that is too short for what it carries is for nobody. */
		{"truncated", "eth / ip4 client > shop mf len 24 / udp 1000 > 8443"},
		{"truncated", "eth / ip4 client > shop mf / tcp8 1000 > 8443"},
		{"truncated", "eth / ip6 client > shop / frag more / tcp8 1000 > 8443"},
	};

	(void)unused;
	bed_vip("198.51.100.60", false, 0, IPPROTO_ICMP, 0, SLUICE_L4);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = sent("%s", rows[i].frame);

		if (strcmp(why, rows[i].reason) != 0)
			fail_msg("%s: %s", rows[i].frame, why);
		assert_int_equal(bed.counters->services[SHOP].packets, 0);
	}
	assert_int_equal(bed_conns(), 0);
}

/* Tiny ones, ones that overlap what came before, and those of any place: the source decides. */
static void none_dodges_the_lists(void **unused)
{
	static const char *const rows[] = {
		"eth / ip4 bad > shop mf / udp 1000 > 8443 / data 8",
		"eth / ip4 bad > shop mf / tcp8 1000 > 8443",
		"eth / ip4 bad > shop offset 1 proto 6 / data 16",
		"eth / ip4 bad > shop mf offset 1 proto 17 / data 16",
		"eth / ip4 bad > shop offset 0x1fff proto 17 / data 1",
		"eth / ip4 bad > shop mf len 20 proto 17",
		"eth / qinq 7 / vlan 5 / ip4 bad > shop offset 9 proto 17 options 8 / data 8",
		"eth / ip6 bad > shop / frag more / tcp8 1000 > 8443",
		"eth / ip6 bad > shop / frag offset 1 / tcp8 1000 > 8443",
		"eth / ip6 bad > shop / hbh / frag offset 9 / udp 1 > 2",
		"eth / vlan 5 / ip6 bad > shop / frag / udp 1000 > 8443",
	};

	(void)unused;
	bed_list("block 203.0.113.7/32,block 2001:db8:bad::/48");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_sent("block", "%s", rows[i]);
	bed_unlist("block 203.0.113.7/32,block 2001:db8:bad::/48");
	expect_sent("forward", "%s", rows[0]);
	expect_sent("forward", "%s", rows[2]);
}

static void they_count_for_the_limit(void **unused)
{
	const struct sluice_limit limit = {.rate = {[SLUICE_RATE_packets] = 1},
					   .gap_ns = {[SLUICE_RATE_packets] = 1000000000000ULL},
					   .burst_ms = 1,
					   .prefix4 = 32,
					   .prefix6 = 128,
					   .known = 1};

	(void)unused;
	shop_entry.limited = 1;
	shop_begin(SLUICE_TRACK_auto, SLUICE_MODE_ipip);
	bed_limit(SHOP, &limit);
	expect_sent("forward", "eth / ip4 client > shop offset 9 proto 17 / data 16");
	expect_sent("rate_packets", "eth / ip4 client > shop offset 18 proto 17 / data 16");
	expect_sent("rate_packets", "eth / ip4 client > shop mf / udp 1000 > 8443 / data 16");
	expect_sent("rate_packets", "eth / ip4 client > shop / udp 1000 > 8443");
	bed_limit(SHOP, NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, frags_open, frags_close)
	static const struct CMUnitTest tests[] = {
		TEST(all_of_a_client_goes_together),    TEST(as_they_are),
		TEST(they_stay_when_the_table_changes), TEST(errors_reach_who_has_the_flow),
		TEST(no_more_than_whole_packets_may),   TEST(none_dodges_the_lists),
		TEST(they_count_for_the_limit),
	};

	return scenes_main("gate: fragments",
			   &(struct bed_tuning){.conn_rate = 1000000, .rates_on = true}, NULL, 0,
			   tests, sizeof(tests) / sizeof(tests[0]));
}
