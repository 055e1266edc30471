// SPDX-License-Identifier: BSD-2-Clause
/*
 * Each reason and each notice, at least once: the last test asks the tables of reasons.h
 * whether one is missing here.
 */
#include "site.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "l4/arrays.h"
#include "sluice/conn.h"
#include "sluice/nat.h"
#include "sluice/quic.h"
#include "l4/cookies.h"

#define SYN4 "eth / ip4 client > shop / tcp 1000 > "

static const struct scene scenes[] = {
	PASS("no_service", "the host's own", "eth / ip4 client > gate / tcp 1000 > 22 S"),
	PASS("l7", "a request for the daemon", "eth / ip4 client > site / tcp 1000 > 443 S",
	     .service = BED_L7),
	PASS("not_ip", "ARP", "eth type 0x806 / data 28"),
	PASS("truncated", "half an IP header", SYN4 "80 S", .cut = 24),
	PASS("malformed", "a header shorter than itself",
	     "eth / ip4 client > shop ihl 4 / tcp 1000 > 80 S"),
	PASS("vlan_depth", "three tags",
	     "eth / qinq 1 / vlan 2 / vlan 3 / ip4 client > shop / tcp 1000 > 80 S"),
	PASS("tunnel_foreign", "somebody's tunnel",
	     "eth / ip4 client > gate / ip4 client > shop / tcp 1000 > 80 S"),
	PASS("decap", "a balancer's tunnel",
	     "eth gate > b1 / ip4 gate > b1 / ip4 client > shop / tcp 1000 > 80 S",
	     .out = "eth gate > b1 / ip4 client > shop / tcp 1000 > 80 S"),
	TX("forward", "to a backend", SYN4 "80 S",
	   "eth gate > b1 / ip4 gate > b1 df / ip4 client > shop ttl 63 / tcp 1000 > 80 S",
	   .service = TO_B1),
	TX("icmp_forward", "to the owner of the flow",
	   "eth / ip4 router > shop / icmp4 3 code 4 rest 1300 / "
	   "ip4 shop > client / tcp8 80 > 1000",
	   "eth gate > b1 / ip4 gate > b1 df / ip4 router > shop ttl 63 / "
	   "icmp4 3 code 4 rest 1300 / ip4 shop > client / tcp8 80 > 1000",
	   .service = TO_B1),
	TX("echo", "a ping of an l4 VIP",
	   "eth / ip4 client > shop ttl 9 / icmp4 8 id 7 seq 1 / data 56",
	   "eth gate > client / ip4 shop > client ttl 64 / icmp4 0 id 7 seq 1 / data 56"),
	DROP("feed", "named by a feed", "eth / ip4 bad > gate / tcp 1000 > 22 S",
	     .lists = "feed 203.0.113.0/24"),
	DROP("block", "on the blocklist", "eth / ip4 bad > gate / tcp 1000 > 22 S",
	     .lists = "block 203.0.113.0/24"),
	DROP("land", "from itself", "eth / ip4 shop > shop / tcp 80 > 80 S"),
	DROP("martian", "from loopback", "eth / ip4 127.0.0.1 > shop / tcp 1000 > 80 S"),
	DROP("fragment", "the first of several",
	     "eth / ip4 client > shop mf / tcp 1000 > 80 S / data 4"),
	DROP("ext_headers", "more than the gate walks",
	     "eth / ip6 client > shop / dst / dst / dst / dst / dst / dst / dst / dst / dst / "
	     "tcp 1000 > 80 S"),
	DROP("ttl", "its last hop", "eth / ip4 client > shop ttl 1 / tcp 1000 > 80 S"),
	DROP("icmp_quote", "no flow of ours",
	     "eth / ip4 router > shop / icmp4 3 / ip4 router > client / tcp8 80 > 1000"),
	DROP("icmp_other", "a timestamp request", "eth / ip4 client > shop / icmp4 13 / data 12"),
	DROP("no_backend", "all have gone", SYN4 "90 S"),
	DROP("no_route", "nothing leads there", SYN4 "86 S"),
	DROP("no_neighbor", "its MAC is not known", SYN4 "84 S"),
	DROP("too_big", "the next wire is too narrow", SYN4 "82 A / data 1240"),
	DROP("no_headroom", "the driver left none", SYN4 "80 S", .meta = 216),
	DROP("decap_bad", "half a packet in the tunnel",
	     "eth gate > b1 / ip4 gate > b1 / ip4 client > shop len 60 / tcp 1000 > 80 S"),
	DROP("no_forwarding", "the host does not route", SYN4 "80 S",
	     .host_does_not_forward = true),
	PASS("no_service", "allowed: on both lists", "eth / ip4 bad > gate / tcp 1000 > 22 S",
	     .lists = "block 203.0.113.0/24, allow 203.0.113.7", .notices = "allowed"),
	PASS("no_service", "expired: a block whose time is over",
	     "eth / ip4 bad > gate / tcp 1000 > 22 S", .lists = "block 203.0.113.0/24 expired",
	     .notices = "expired"),
};

static uint32_t send_flow(const char *flags)
{
	static struct frame in;
	static struct run run;

	frame_printf(&in, SYN4 "80 %s", flags);
	return scene_reason(&in, 0, &run);
}

static void notices_of_the_connection_table(void **unused)
{
	const __u64 *n = bed.counters->notices;

	(void)unused;
	bed_empty_conns();
	assert_int_equal(send_flow("A"), SLUICE_R_forward);
	assert_int_equal(n[SLUICE_N_conn_miss], 1);
	assert_int_equal(n[SLUICE_N_conn_new], 1);
	assert_int_equal(send_flow("A"), SLUICE_R_forward);
	assert_int_equal(n[SLUICE_N_conn_hit], 1);
	bed_backend(TO_B1, "b1", false, 2, true);
	assert_int_equal(send_flow("A"), SLUICE_R_forward);
	assert_int_equal(n[SLUICE_N_conn_stale], 1);

	struct timespec now;

	bed_empty_conns();
	clock_gettime(CLOCK_MONOTONIC, &now);
	bed.counters->window_start_ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
	bed.counters->window_entries = 1U << 30;
	assert_int_equal(send_flow("A"), SLUICE_R_forward);
	assert_int_equal(n[SLUICE_N_conn_skipped], 1);
	bed.counters->window_start_ns = 0;
}

static void tracked(uint8_t track, uint32_t udp_timeout_ms)
{
	const struct sluice_vip key = {
		.addr = frame_addr("shop", false), .port = htons(80), .proto = IPPROTO_UDP};
	const struct sluice_service value = {
		.id = TO_B1, .kind = SLUICE_L4, .ring_size = 1, .track = track};
	const uint32_t id = TO_B1;
	struct sluice_backend b;

	assert_int_equal(bpf_map_update_elem(bed_map("vips"), &key, &value, 0), 0);
	assert_int_equal(bpf_map_lookup_elem(bed_map("backends"), &id, &b), 0);
	b.udp_timeout_ms = udp_timeout_ms;
	assert_int_equal(bpf_map_update_elem(bed_map("backends"), &id, &b, 0), 0);
}

static void notices_of_a_service_of_datagrams(void **unused)
{
	const __u64 *n = bed.counters->notices;
	static struct frame in;
	static struct run run;

	(void)unused;
	bed_empty_conns();
	frame_parse(&in, "eth / ip4 client > shop / udp 1000 > 80");
	tracked(SLUICE_TRACK_never, 0);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
	assert_int_equal(n[SLUICE_N_conn_untracked], 1);
	tracked(SLUICE_TRACK_auto, 1000);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
	for (uint32_t i = 0; i < bed.n_conns; i++) { /* a minute goes by */
		__u64 *word = &bed.conns[i].way[0].word;

		if (*word)
			*word = (*word & ~SLUICE_CONN_STAMP) |
				(uint16_t)(*word - 60000 / BED_STEP_MS);
	}
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
	assert_int_equal(n[SLUICE_N_conn_expired], 1);
	tracked(SLUICE_TRACK_auto, 0);
}

/* The table before the last change had another backend, which is still there. */
static void notice_of_a_flow_older_than_a_change(void **unused)
{
	const uint32_t before = SLUICE_BEFORE(TO_B2, 1), id = TO_B1;
	const struct sluice_change change = {.until_ns = ~0ULL, .slots = 1}, none = {0};

	(void)unused;
	bed_empty_conns();
	assert_int_equal(array_swap_in(bed_map("rings_before"), TO_B1, &before, 1), 0);
	assert_int_equal(bpf_map_update_elem(bed_map("changes"), &id, &change, 0), 0);
	assert_int_equal(send_flow("A"), SLUICE_R_forward);
	assert_int_equal(bed.counters->notices[SLUICE_N_conn_previous], 1);
	assert_int_equal(bed.counters->backends[TO_B2].packets, 1);
	assert_int_equal(bpf_map_update_elem(bed_map("changes"), &id, &none, 0), 0);
	bed_empty_conns();
}

static void notices_of_a_pinned_source(void **unused)
{
	const struct sluice_vip vip = {
		.addr = frame_addr("shop", false), .port = htons(80), .proto = IPPROTO_TCP};
	const struct sluice_service pinned = {
		.id = TO_B1, .kind = SLUICE_L4, .ring_size = 1, .pins = 1};
	const struct sluice_pin_key key = {.prefixlen = SLUICE_PIN_PREFIX(0, false),
					   .service = TO_B1,
					   .addr = frame_addr("0.0.0.0", false)};
	struct sluice_pin pin = {.backend = TO_B2, .generation = 1};

	(void)unused;
	bed_empty_conns();
	assert_int_equal(bpf_map_update_elem(bed_map("vips"), &vip, &pinned, 0), 0);
	assert_int_equal(bpf_map_update_elem(bed_map("pins"), &key, &pin, 0), 0);
	assert_int_equal(send_flow("S"), SLUICE_R_forward);
	assert_int_equal(bed.counters->notices[SLUICE_N_pinned], 1);
	pin.generation++;
	assert_int_equal(bpf_map_update_elem(bed_map("pins"), &key, &pin, 0), 0);
	assert_int_equal(send_flow("S"), SLUICE_R_forward);
	assert_int_equal(bed.counters->notices[SLUICE_N_pin_unused], 1);
	assert_int_equal(bpf_map_delete_elem(bed_map("pins"), &key), 0);
	bed_vip("shop", false, 80, IPPROTO_TCP, TO_B1, SLUICE_L4);
}

/* One packet or connection an hour; whose place another takes before it is over. */
static void reasons_of_a_limit(void **unused)
{
	struct sluice_limit limit = {.prefix4 = 32, .prefix6 = 64};

	(void)unused;
	limit.gap_ns[SLUICE_RATE_packets] = 3600 * 1000000000ULL;
	bed_limit(TO_B1, &limit);
	assert_int_equal(send_flow("A"), SLUICE_R_forward);
	assert_int_equal(send_flow("A"), SLUICE_R_rate_packets);
	for (uint32_t i = 0; i < bed.n_conns; i++)
		for (unsigned w = 0; w < SLUICE_SOURCE_WAYS; w++)
			bed.sources[i].way[w] = (struct sluice_bucket){1, 1ULL << 59};
	assert_int_equal(send_flow("A"), SLUICE_R_forward);
	assert_int_equal(bed.counters->notices[SLUICE_N_rate_forgotten], 1);
	limit.gap_ns[SLUICE_RATE_connections] = limit.gap_ns[SLUICE_RATE_packets];
	limit.gap_ns[SLUICE_RATE_packets] = 0;
	bed_limit(TO_B1, &limit);
	assert_int_equal(send_flow("S"), SLUICE_R_forward);
	assert_int_equal(send_flow("S"), SLUICE_R_rate_connections);
	bed_limit(TO_B1, NULL);
}

/* Its only backend is named, or nobody is. */
static void notices_of_quic(void **unused)
{
	const struct sluice_server_id key = {.service = BED_FREE + 9, .length = 1};
	const struct sluice_pin value = {.backend = TO_B1, .generation = 1};
	struct sluice_vip vip = {
		.addr = frame_addr("shop", false), .port = htons(7443), .proto = IPPROTO_UDP};
	const struct sluice_service s = {.id = BED_FREE + 9, .kind = SLUICE_L4, .server_ids = 1};
	struct frame in;
	struct run run;

	(void)unused;
	bed_backend(TO_B1, "b1", false, 1, true);
	assert_int_equal(bpf_map_update_elem(bed_map("vips"), &vip, &s, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(bed_map("server_ids"), &key, &value, BPF_ANY), 0);
	frame_parse(&in, "eth / ip4 client > shop / udp 1000 > 7443 / data 40");
	memset(in.b + in.bytes - 40, 0, 40);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
	assert_int_equal(bed.counters->notices[SLUICE_N_quic_id], 1);
	in.b[in.bytes - 38] = 1;
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
	assert_int_equal(bed.counters->notices[SLUICE_N_quic_unknown], 1);
	bed_empty_conns();
}

static void reasons_of_syn_cookies(void **unused)
{
	struct frame in;
	struct run run;

	(void)unused;
	if (!cookies_possible()) {
		puts("SKIP: the verifier of this kernel does not follow the gate to its SYN "
		     "cookies");
		skip();
	}
	site_open();
	site_says(true, true, true);
	site_syncookie(SLUICE_SYNCOOKIE_always, 1000);
	frame_parse(&in, "eth / ip4 client > site / tcp 1000 > 443 S");
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_syncookie);
	site_flooded(true);
	frame_parse(&in, "eth / ip4 client > site / tcp 1000 > 443 A");
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_syncookie_bad);
	/* Where the answer has its sequence number, and the next packet what it acknowledges. */
	frame_parse(&in, "eth / ip4 client > site / tcp 1000 > 443 S");
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_syncookie);
	frame_parse(&in, "eth / ip4 client > site / tcp 1000 > 443 A");
	memcpy(in.b + 42, run.out.b + 38, 4);
	memcpy(in.b + 38, run.out.b + 42, 4);
	for (int i = 45; ++in.b[i] == 0; i--)
		;
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_l7);
	assert_int_equal(bed.counters->notices[SLUICE_N_syncookie_good], 1);
	site_close();
	frame_parse(&in, "eth / ip4 client > site / tcp 1000 > 443 S");
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_l7);
	assert_int_equal(bed.counters->notices[SLUICE_N_syncookie_refused], 1);
	site_syncookie(SLUICE_SYNCOOKIE_off, 0);
}

static void reasons_of_the_way(void **unused)
{
	static struct frame in;
	static struct run run;

	(void)unused;
	frame_parse(&in, "eth / ip4 client > shop df / tcp 1000 > 82 A / data 1300");
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_too_big_told);
	bed_backend(TO_B2, "routed", false, 2, true);
	bed_mode(TO_B2, SLUICE_MODE_l2);
	frame_parse(&in, "eth / ip4 client > shop / tcp 1000 > 88 S");
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_not_on_link);
	bed_backend(TO_B2, "b2", false, 1, true);
}

enum { NAT = BED_FREE };

/* One port, and so one flow to the backend. */
static void reasons_of_nat(void **unused)
{
	static struct frame in;
	static struct run run;
	struct sluice_nat_port port;
	const uint32_t element = 0;

	(void)unused;
	bed_nat_service(NAT, false, 9000, "b1", 0);
	frame_parse(&in, "eth / ip4 client > shop / tcp 1000 > 9000 A");
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_nat_unknown);
	frame_parse(&in, "eth / ip4 client > shop / tcp 1000 > 9000 S");
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
	frame_printf(&in, "eth / ip4 b1 > nat / tcp 9000 > %u SA", BED_NAT_FIRST);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_nat_reply);
	assert_int_equal(bpf_map_lookup_elem(bed_map("nat"), &element, &port), 0);
	port.way[0].state = SLUICE_NAT_OPEN;
	assert_int_equal(bpf_map_update_elem(bed_map("nat"), &element, &port, 0), 0);
	frame_parse(&in, "eth / ip4 client > shop / tcp 1001 > 9000 S");
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_nat_full);
}

/* A table in which every way is somebody's. */
static void a_full_table_evicts(void **unused)
{
	(void)unused;
	for (uint32_t i = 0; i < bed.n_conns; i++)
		for (unsigned w = 0; w < SLUICE_CONN_WAYS; w++)
			bed.conns[i].way[w] = (struct sluice_conn){1, 1ULL << 16};
	assert_int_equal(send_flow("A"), SLUICE_R_forward);
	assert_int_equal(bed.counters->notices[SLUICE_N_conn_evicted], 1);
	assert_int_equal(bed.counters->notices[SLUICE_N_conn_new], 1);
	assert_int_equal(send_flow("A"), SLUICE_R_forward);
	assert_int_equal(bed.counters->notices[SLUICE_N_conn_hit], 1);
	bed_empty_conns();
}

/* Nobody reads the ring here. */
static void events_lost_when_the_ring_is_full(void **unused)
{
	struct frame in;

	(void)unused;
	bed_list("block 203.0.113.7");
	frame_parse(&in, "eth / ip4 bad > gate / tcp 1000 > 22 S");
	assert_int_equal(bed_repeat(&in, 64 * (SLUICE_EVENTS_BYTES / sizeof(struct sluice_event))),
			 0);
	bed_unlist("block 203.0.113.7");
	assert_true(bed.counters->notices[SLUICE_N_events_lost] > 0);
}

static bool reason_of_cookies(uint32_t i)
{
	return i == SLUICE_R_syncookie || i == SLUICE_R_syncookie_bad;
}

static bool notice_of_cookies(uint32_t i)
{
	return i == SLUICE_N_syncookie_good || i == SLUICE_N_syncookie_refused;
}

static void nothing_was_left_out(void **unused)
{
	bool all = cookies_possible();

	(void)unused;
	for (uint32_t i = 0; i < SLUICE_R_COUNT; i++)
		if ((all || !reason_of_cookies(i)) && !scene_saw_reason(i))
			fail_msg("no scene ends with %s", scene_reason_name(i));
	for (uint32_t i = 0; i < SLUICE_N_COUNT; i++)
		if ((all || !notice_of_cookies(i)) && !scene_saw_notice(i))
			fail_msg("nothing here leads to notice %u", i);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(notices_of_the_connection_table),
		cmocka_unit_test(notices_of_a_service_of_datagrams),
		cmocka_unit_test(a_full_table_evicts),
		cmocka_unit_test(notice_of_a_flow_older_than_a_change),
		cmocka_unit_test(notices_of_a_pinned_source),
		cmocka_unit_test(reasons_of_a_limit),
		cmocka_unit_test(notices_of_quic),
		cmocka_unit_test(reasons_of_syn_cookies),
		cmocka_unit_test(reasons_of_the_way),
		cmocka_unit_test(reasons_of_nat),
		cmocka_unit_test(events_lost_when_the_ring_is_full),
		cmocka_unit_test(nothing_was_left_out),
	};

	return scenes_main("gate: every reason", &(struct bed_tuning){100000, 64, 0, 1, true},
			   scenes, sizeof(scenes) / sizeof(scenes[0]), tests,
			   sizeof(tests) / sizeof(tests[0]));
}
