// SPDX-License-Identifier: BSD-2-Clause
/*
 * The ways to a backend beside IP in IP, slots by a part of the flow, and the answer to a
 * packet that a tunnel makes too big.
 */
#include "scene.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include <bpf/bpf.h>

#include "sluice/flow_hash.h"

#define PORT 9000
enum { SHOP = BED_FREE }; /* service */
enum { ONE = BED_FREE, BACKENDS = 64 };

static struct frame in, wanted;
static struct run run;

/* The service with one backend. */
static void shop(const char *host, bool host_v6, enum sluice_mode mode)
{
	const uint32_t one = ONE;

	bed_backend(ONE, host, host_v6, 1, true);
	bed_mode(ONE, mode);
	bed_ring(SHOP, &one, 1);
	for (int v6 = 0; v6 < 2; v6++) {
		bed_vip("shop", v6, PORT, IPPROTO_TCP, SHOP, SLUICE_L4);
		bed_vip("shop", v6, PORT, IPPROTO_UDP, SHOP, SLUICE_L4);
	}
	bed_empty_conns();
	bed_forwarding(true); /* other next hops */
}

static uint32_t flow_hash(const char *client, bool v6, unsigned sport, uint8_t proto)
{
	const struct sluice_flow flow = {.src = frame_addr(client, v6),
					 .dst = frame_addr("shop", v6),
					 .sport = htons(sport),
					 .dport = htons(PORT),
					 .proto = proto};

	return sluice_flow_hash(&flow);
}

/* Tags stay on the same wire; on kernels that cannot say which it is, frames come by another. */
static const char *tags_kept(const char *tags)
{
	return bed.same_wire ? tags : "";
}

/* ---- gue ------------------------------------------------------------------------------ */

/* In all pairs of families: the flow's hash as source port, no checksum, lengths right. */
static void gue_in_all_pairs(void **unused)
{
	(void)unused;
	for (int pair = 0; pair < 4; pair++) {
		bool v6 = pair & 1, out6 = pair & 2;
		unsigned sport = 0xc000 | (flow_hash("client", v6, 1000, IPPROTO_TCP) & 0x3fff);
		uint32_t udp = 14 + (out6 ? 40 : 20);

		shop("b1", out6, SLUICE_MODE_gue);
		frame_printf(&in, "eth / %s / tcp 1000 > %u A / data 100",
			     v6 ? "ip6 client > shop" : "ip4 client > shop", PORT);
		assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
		assert_int_equal(run.verdict, scene_tx());
		frame_printf(&wanted,
			     "eth gate > b1 / %s / udp %u > 6080 / %s / tcp 1000 > %u A / data 100",
			     out6 ? "ip6 gate > b1" : "ip4 gate > b1 df", sport,
			     v6 ? "ip6 client > shop hop 63" : "ip4 client > shop ttl 63", PORT);
		wanted.b[udp + 6] = wanted.b[udp + 7] = 0;
		if (out6) {
			uint32_t label = flow_hash("client", v6, 1000, IPPROTO_TCP) & 0xfffff;

			wanted.b[15] |= label >> 16;
			wanted.b[16] = label >> 8;
			wanted.b[17] = label;
		}
		scene_frames_equal(&run.out, &wanted);
	}
}

/* The backend's host takes out what went in; the tags stay. */
static void gue_round_trip(void **unused)
{
	(void)unused;
	for (int pair = 0; pair < 4; pair++) {
		bool v6 = pair & 1;
		const char *ip = v6 ? "ip6 client > shop hop %u" : "ip4 client > shop ttl %u";
		char text[64];
		struct frame tunnel;

		shop("b1", pair & 2, SLUICE_MODE_gue);
		snprintf(text, sizeof(text), ip, 64);
		frame_printf(&in, "eth / vlan 5 / %s / udp 1000 > %u / data 33", text, PORT);
		assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
		tunnel = run.out;
		assert_int_equal(scene_reason(&tunnel, 0, &run), SLUICE_R_decap);
		snprintf(text, sizeof(text), ip, 63);
		frame_printf(&wanted, "eth gate > b1 / %s%s / udp 1000 > %u / data 33",
			     tags_kept("vlan 5 / "), text, PORT);
		scene_frames_equal(&run.out, &wanted);
	}
}

/* To the port of GUE, but not from a balancer, or not a tunnel: the host's own datagram, or
 * a broken one. */
static void gue_of_others(void **unused)
{
	static const struct {
		const char *frame, *reason;
	} rows[] = {
		{"eth / ip4 client > gate / udp 5000 > 6080 / ip4 client > shop / udp 1 > 80",
		 "no_service"},
		{"eth / ip6 client > gate / udp 5000 > 6080 / data 60", "no_service"},
		{"eth / ip4 gate > b1 / udp 5000 > 6081 / ip4 client > shop / udp 1 > 80",
		 "no_service"},
		{"eth / ip4 gate > b1 / udp 5000 > 6080", "decap_bad"},
		{"eth / ip4 gate > b1 / udp 5000 > 6080 / data 60", "decap_bad"},
		{"eth / ip6 gate > b1 / udp 5000 > 6080 / ip4 client > shop len 99 / data 8",
		 "decap_bad"},
		{"eth / ip4 gate > b1 mf / udp 5000 > 6080 / ip4 client > shop / udp 1 > 80",
		 "decap_bad"},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		frame_parse(&in, rows[i].frame);
		assert_string_equal(scene_reason_name(scene_reason(&in, 0, &run)), rows[i].reason);
	}
}

/* ---- l2 ------------------------------------------------------------------------------- */

/* The packet as it is, one hop older, to the backend's MAC; tags stay on the same wire. */
static void l2_changes_the_macs_alone(void **unused)
{
	static const char *const tags[] = {"", "vlan 7 / ", "qinq 9 / vlan 7 / "};

	(void)unused;
	for (int pair = 0; pair < 4; pair++)
		for (int t = 0; t < 3; t++) {
			bool v6 = pair & 1;

			shop("b2", pair & 2, SLUICE_MODE_l2);
			frame_printf(&in, "eth / %s%s / udp 1000 > %u / data 50", tags[t],
				     v6 ? "ip6 client > shop" : "ip4 client > shop", PORT);
			assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
			assert_int_equal(run.verdict, scene_tx());
			frame_printf(&wanted, "eth gate > b2 / %s%s / udp 1000 > %u / data 50",
				     tags_kept(tags[t]),
				     v6 ? "ip6 client > shop hop 63" : "ip4 client > shop ttl 63",
				     PORT);
			scene_frames_equal(&run.out, &wanted);
		}
}

static void l2_by_the_other_interface(void **unused)
{
	(void)unused;
	shop("far", false, SLUICE_MODE_l2);
	frame_printf(&in, "eth / vlan 7 / ip4 client > shop / tcp 1000 > %u S", PORT);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
	assert_int_equal(run.verdict, XDP_REDIRECT);
	frame_printf(&wanted, "eth gate1 > far / ip4 client > shop ttl 63 / tcp 1000 > %u S", PORT);
	scene_frames_equal(&run.out, &wanted);
}

/* A router would send it back here. A tunnel goes there like anywhere. */
static void l2_behind_a_router(void **unused)
{
	(void)unused;
	for (int v6 = 0; v6 < 2; v6++) {
		frame_printf(&in, "eth / ip4 client > shop / tcp 1000 > %u S", PORT);
		shop("routed", v6, SLUICE_MODE_l2);
		assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_not_on_link);
		shop("routed", v6, SLUICE_MODE_ipip);
		assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
	}
}

/* ---- too big -------------------------------------------------------------------------- */

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

/* Before Linux 5.12 the gate is not told how much fits, and names what every path takes. */
static bool tells_mtu(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	uname(&u);
	sscanf(u.release, "%d.%d", &major, &minor);
	return major > 5 || (major == 5 && minor >= 12);
}

/* What the client gets for a frame that is too big: an error in the VIP's name, with the size
 * that fits and the first 128 bytes of its packet. */
static void told(bool v6, const char *host, bool host_v6, enum sluice_mode mode, unsigned bytes,
		 unsigned path, unsigned outer)
{
	uint32_t l4 = 14 + (v6 ? 40 : 20), mtu = (tells_mtu() ? path : 1280) - outer;

	if (v6 && mtu < 1280)
		mtu = 1280; /* nobody may be asked for less */

	shop(host, host_v6, mode);
	frame_printf(&in, "eth / %s / tcp 1000 > %u A / data %u",
		     v6 ? "ip6 client > shop" : "ip4 client > shop df", PORT, bytes);
	assert_string_equal(scene_reason_name(scene_reason(&in, 0, &run)), "too_big_told");
	assert_int_equal(run.verdict, XDP_TX);
	assert_int_equal(run.out.bytes, l4 + 8 + 128);
	frame_parse(&wanted,
		    v6 ? "eth gate > client / ip6 shop > client / icmp6 2 / data 128"
		       : "eth gate > client / ip4 shop > client / icmp4 3 code 4 / data 128");
	assert_memory_equal(run.out.b, wanted.b, l4);
	assert_int_equal(run.out.b[l4], v6 ? 2 : 3);
	assert_int_equal(run.out.b[l4 + 1], v6 ? 0 : 4);
	assert_int_equal(get32(run.out.b + l4 + 4), mtu);
	assert_true(frame_icmp_ok(&run.out, 14, l4, v6));
	assert_memory_equal(run.out.b + l4 + 8, in.b + 14, 128);
}

static void the_size_that_fits_is_told(void **unused)
{
	(void)unused;
	told(false, "far", false, SLUICE_MODE_ipip, 1221, 1280, 20);
	told(false, "far", true, SLUICE_MODE_ipip, 1201, 1280, 40);
	told(false, "far", false, SLUICE_MODE_gue, 1300, 1280, 28);
	told(false, "far", true, SLUICE_MODE_gue, 1300, 1280, 48);
	told(false, "far", false, SLUICE_MODE_l2, 1300, 1280, 0);
	told(false, "b1", false, SLUICE_MODE_ipip, 1441, 1500, 20);
	told(true, "b1", false, SLUICE_MODE_ipip, 1421, 1500, 20);
	told(true, "b1", true, SLUICE_MODE_gue, 1430, 1500, 48);
	told(true, "far", true, SLUICE_MODE_ipip, 1300, 1280, 40);
}

static void who_is_not_told(void **unused)
{
	static const char *const rows[] = {
		"eth / ip4 client > shop / tcp 1000 > %u A / data 1300", /* may be cut up */
		"eth / ip6 client > shop / tcp 1000 > %u A / data 1190", /* is small already */
	};

	(void)unused;
	shop("far", false, SLUICE_MODE_ipip);
	for (size_t i = 0; i < 2; i++) {
		if (i == 1)
			shop("far", true, SLUICE_MODE_ipip);
		frame_printf(&in, rows[i], PORT);
		assert_string_equal(scene_reason_name(scene_reason(&in, 0, &run)), "too_big");
	}
}

/* The second is held, however slow the machine. */
static void answers_are_bounded(void **unused)
{
	unsigned answers = 0;
	struct timespec now;

	(void)unused;
	shop("far", false, SLUICE_MODE_ipip);
	frame_printf(&in, "eth / ip4 client > shop df / tcp 1000 > %u A / data 1300", PORT);
	bed.counters->icmp_sent = 0;
	for (int i = 0; i < 1100; i++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		bed.counters->icmp_start_ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
		answers += scene_reason(&in, 0, &run) == SLUICE_R_too_big_told;
	}
	assert_int_equal(answers, 1000);
	bed.counters->icmp_start_ns = 0;
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_too_big_told);
}

/* An ICMP error goes the way of the flow that it quotes. */
static void errors_by_every_way(void **unused)
{
	static const enum sluice_mode modes[] = {SLUICE_MODE_ipip, SLUICE_MODE_gue, SLUICE_MODE_l2};
	static const uint32_t outer[] = {20, 40, 28, 48, 0, 0};

	(void)unused;
	for (int i = 0; i < 12; i++) {
		bool v6 = i & 1, host_v6 = i & 2;
		uint32_t n;

		shop("b1", host_v6, modes[i / 4]);
		frame_printf(
			&in,
			v6 ? "eth / ip6 router > shop / icmp6 1 / ip6 shop > client / tcp8 %u > 9"
			   : "eth / ip4 router > shop / icmp4 3 / ip4 shop > client / tcp8 %u > 9",
			PORT);
		assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_icmp_forward);
		n = in.bytes - 14;
		assert_int_equal(run.out.bytes, 14 + outer[i / 2] + n);
		in.b[14 + (v6 ? 7 : 8)]--; /* its TTL, and with it the checksum */
		if (!v6)
			in.b[14 + 10]++;
		assert_memory_equal(run.out.b + run.out.bytes - n, in.b + 14, n);
	}
}

/* ---- slots ---------------------------------------------------------------------------- */

static void shop_of_many(enum sluice_hash hash)
{
	uint32_t table[1021];

	for (uint32_t i = 0; i < 1021; i++)
		table[i] = ONE + i % BACKENDS;
	for (uint32_t id = ONE; id < ONE + BACKENDS; id++)
		bed_backend(id, "b1", false, 1, true);
	bed_ring(SHOP, table, 1021);
	for (unsigned port = PORT; port < PORT + 2; port++) {
		const struct sluice_vip key = {.addr = frame_addr("shop", false),
					       .port = htons(port),
					       .proto = IPPROTO_UDP};
		const struct sluice_service value = {
			.id = SHOP, .kind = SLUICE_L4, .ring_size = 1021, .hash = hash};

		assert_int_equal(bpf_map_update_elem(bed_map("vips"), &key, &value, 0), 0);
	}
	bed_empty_conns();
}

static uint32_t backend_of(const char *client, unsigned sport, unsigned dport)
{
	frame_printf(&in, "eth / ip4 %s > shop / udp %u > %u", client, sport, dport);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
	for (uint32_t id = ONE; id < ONE + BACKENDS; id++)
		if (bed.counters->backends[id].packets)
			return id;
	return 0;
}

/* How many backends 64 clients, or ports, or services of theirs meet. */
static unsigned spread(bool clients, bool sports, bool dports)
{
	bool met[ONE + BACKENDS] = {false};
	unsigned n = 0;

	for (unsigned i = 0; i < 64; i++) {
		char client[16];
		uint32_t id;

		snprintf(client, sizeof(client), "10.83.7.%u", clients ? i + 1 : 1);
		id = backend_of(client, sports ? 2000 + i : 2000, dports ? PORT + i % 2 : PORT);
		n += !met[id];
		met[id] = true;
	}
	return n;
}

static void slots_by_what_the_service_says(void **unused)
{
	(void)unused;
	shop_of_many(SLUICE_HASH_5tuple);
	assert_true(spread(true, false, false) > 30);
	assert_true(spread(false, true, false) > 30);
	shop_of_many(SLUICE_HASH_src);
	assert_true(spread(true, false, false) > 30);
	assert_int_equal(spread(false, true, true), 1);
	shop_of_many(SLUICE_HASH_src_port);
	assert_true(spread(true, false, false) > 30);
	assert_int_equal(spread(false, true, false), 1);
	assert_int_equal(spread(false, true, true), 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(gue_in_all_pairs),
		cmocka_unit_test(gue_round_trip),
		cmocka_unit_test(gue_of_others),
		cmocka_unit_test(l2_changes_the_macs_alone),
		cmocka_unit_test(l2_by_the_other_interface),
		cmocka_unit_test(l2_behind_a_router),
		cmocka_unit_test(the_size_that_fits_is_told),
		cmocka_unit_test(who_is_not_told),
		cmocka_unit_test(answers_are_bounded),
		cmocka_unit_test(errors_by_every_way),
		cmocka_unit_test(slots_by_what_the_service_says),
	};

	return scenes_main("gate: modes", &(struct bed_tuning){100000, 0, 0, 0, false}, NULL, 0,
			   tests, sizeof(tests) / sizeof(tests[0]));
}
