// SPDX-License-Identifier: BSD-2-Clause
/*
 * ICMP for VIPs: pings, errors on the way to the flow that they quote, and what is the host's
 * own or nobody's.
 */
#include "scene.h"

#include "sluice/conn.h"

#define OUT44 "eth gate > b1 / ip4 gate > b1 df / ip4 router > shop ttl 63 / "
#define OUT64 "eth gate > b1 / ip4 gate > b1 df / ip6 router > shop hop 63 / "
#define FROM4 "eth / ip4 router > shop / "
#define FROM6 "eth / ip6 router > shop / "
#define Q4    "ip4 shop > client / tcp8 80 > 1000"
#define Q6    "ip6 shop > client / tcp8 80 > 1000"

static const struct scene scenes[] = {
	/* ---- pings ---- */
	TX("echo", "v4: no data", "eth / ip4 client > shop / icmp4 8 id 1 seq 2",
	   "eth gate > client / ip4 shop > client / icmp4 0 id 1 seq 2"),
	TX("echo", "v6", "eth / ip6 client > shop hop 255 / icmp6 128 id 1 seq 2 / data 57",
	   "eth gate > client / ip6 shop > client / icmp6 129 id 1 seq 2 / data 57"),
	TX("echo", "v4: all zeros, whose checksum cannot be 0", "eth / ip4 client > shop / icmp4 8",
	   "eth gate > client / ip4 shop > client / icmp4 0"),
	TX("echo", "v4: two tags", "eth / qinq 7 / vlan 5 / ip4 client > shop / icmp4 8 id 9",
	   "eth gate > client / qinq 7 / vlan 5 / ip4 shop > client / icmp4 0 id 9"),
	TX("echo", "v6: a tag", "eth / vlan 5 / ip6 client > shop / icmp6 128 id 9",
	   "eth gate > client / vlan 5 / ip6 shop > client / icmp6 129 id 9"),
	TX("echo", "v4: options, DSCP, its last hop",
	   "eth / ip4 client > shop ttl 1 tos 0x48 id 3 df options 8 / icmp4 8 id 9 / pad 10",
	   "eth gate > client / ip4 shop > client ttl 64 tos 0x48 id 3 df options 8 / "
	   "icmp4 0 id 9 / pad 10"),
	TX("echo", "v6: an extension header", "eth / ip6 client > shop / dst / icmp6 128 id 9",
	   "eth gate > client / ip6 shop > client / dst / icmp6 129 id 9"),
	PASS("l7", "v4: the daemon's host answers", "eth / ip4 client > site / icmp4 8 id 9"),
	PASS("l7", "v6: a VIP of both kinds: the host answers",
	     "eth / ip6 client > mixed / icmp6 128 id 9"),
	PASS("no_service", "v4: the host's own address", "eth / ip4 client > gate / icmp4 8 id 9"),
	PASS("no_service", "v6: the host's own address",
	     "eth / ip6 client > gate / icmp6 128 id 9"),
	DROP("land", "v4: a ping from itself", "eth / ip4 shop > shop / icmp4 8 id 9"),
	DROP("martian", "v6: a ping from loopback", "eth / ip6 ::1 > shop / icmp6 128 id 9"),
	DROP("martian", "v4: a ping from everybody",
	     "eth / ip4 255.255.255.255 > shop / icmp4 8 id 9"),
	DROP("fragment", "v4: a fragmented ping", "eth / ip4 client > shop mf / icmp4 8 / data 24"),
	DROP("fragment", "v6: a fragmented ping",
	     "eth / ip6 client > shop / frag more / icmp6 128 / data 24"),
	DROP("fragment", "v4: the rest of a ping",
	     "eth / ip4 client > shop offset 4 proto 1 / data 9"),
	PASS("l7", "v4: a fragmented ping of the daemon's host",
	     "eth / ip4 client > site mf / icmp4 8 / data 24"),

	/* ---- errors follow the flow ---- */
	TX("icmp_forward", "v4: unreachable", FROM4 "icmp4 3 code 1 / " Q4,
	   OUT44 "icmp4 3 code 1 / " Q4, .service = TO_B1),
	TX("icmp_forward", "v4: time exceeded", FROM4 "icmp4 11 / " Q4, OUT44 "icmp4 11 / " Q4,
	   .service = TO_B1),
	TX("icmp_forward", "v4: parameter problem", FROM4 "icmp4 12 / " Q4, OUT44 "icmp4 12 / " Q4,
	   .service = TO_B1),
	TX("icmp_forward", "v4: of UDP", FROM4 "icmp4 3 code 3 / ip4 shop > client / udp 80 > 1000",
	   OUT44 "icmp4 3 code 3 / ip4 shop > client / udp 80 > 1000", .service = TO_B1),
	TX("icmp_forward", "v4: the quoted packet was longer, had options and was resent in parts",
	   FROM4 "icmp4 3 / ip4 shop > client len 1500 mf options 12 / tcp8 80 > 1000",
	   OUT44 "icmp4 3 / ip4 shop > client len 1500 mf options 12 / tcp8 80 > 1000",
	   .service = TO_B1),
	TX("icmp_forward", "v4: a whole segment is quoted",
	   FROM4 "icmp4 3 / ip4 shop > client / tcp 80 > 1000 SA / data 500",
	   OUT44 "icmp4 3 / ip4 shop > client / tcp 80 > 1000 SA / data 500", .service = TO_B1),
	TX("icmp_forward", "v6: unreachable", FROM6 "icmp6 1 code 4 / " Q6,
	   OUT64 "icmp6 1 code 4 / " Q6, .service = TO_B1),
	TX("icmp_forward", "v6: too big", FROM6 "icmp6 2 rest 1280 / " Q6,
	   OUT64 "icmp6 2 rest 1280 / " Q6, .service = TO_B1),
	TX("icmp_forward", "v6: time exceeded", FROM6 "icmp6 3 / " Q6, OUT64 "icmp6 3 / " Q6,
	   .service = TO_B1),
	TX("icmp_forward", "v6: parameter problem, of UDP",
	   FROM6 "icmp6 4 / ip6 shop > client / udp 80 > 1000",
	   OUT64 "icmp6 4 / ip6 shop > client / udp 80 > 1000", .service = TO_B1),
	TX("icmp_forward", "v6: the quoted packet was a fragment, the first",
	   FROM6 "icmp6 2 / ip6 shop > client len 1200 / frag more / udp 80 > 1000",
	   OUT64 "icmp6 2 / ip6 shop > client len 1200 / frag more / udp 80 > 1000",
	   .service = TO_B1),
	TX("icmp_forward", "v6 in v6: the tunnel is marked with the flow's hash, not the error's",
	   "eth / ip6 router > shop / icmp6 2 / ip6 shop > client / tcp8 81 > 1000",
	   "eth gate > b1 / ip6 gate > b1 label quoted / ip6 router > shop hop 63 / icmp6 2 / "
	   "ip6 shop > client / tcp8 81 > 1000",
	   .service = TO_B1_6),
	TX("icmp_forward", "v4: tagged", "eth / vlan 5 / ip4 router > shop / icmp4 3 / " Q4,
	   "eth gate > b1 / vlan 5 / ip4 gate > b1 df / ip4 router > shop ttl 63 / icmp4 3 / " Q4,
	   .service = TO_B1),
	TX("icmp_forward", "v4: the entry for every port",
	   "eth / ip4 router > every / icmp4 3 / ip4 every > client / tcp8 77 > 1000",
	   "eth gate > b2 / ip4 gate > b2 df / ip4 router > every ttl 63 / icmp4 3 / "
	   "ip4 every > client / tcp8 77 > 1000",
	   .service = TO_B2),
	PASS("l7", "v4: a flow of the daemon",
	     "eth / ip4 router > site / icmp4 3 / ip4 site > client / tcp8 443 > 1000",
	     .service = BED_L7),
	PASS("l7", "v6: a VIP of both kinds, a flow of the daemon",
	     "eth / ip6 router > mixed / icmp6 2 / ip6 mixed > client / tcp8 443 > 1000",
	     .service = BED_L7),
	DROP("no_backend", "v4: the service has none",
	     FROM4 "icmp4 3 / ip4 shop > client / tcp8 90 > 1000"),
	DROP("ttl", "v4: the error's own last hop",
	     "eth / ip4 router > shop ttl 1 / icmp4 3 / " Q4),
	DROP("martian", "v4: an error from nowhere", "eth / ip4 127.0.0.1 > shop / icmp4 3 / " Q4),
	DROP("land", "v6: an error from itself", "eth / ip6 shop > shop / icmp6 1 / " Q6),

	/* ---- quotes of nothing ---- */
	DROP("icmp_quote", "v4: no quote", FROM4 "icmp4 3"),
	DROP("icmp_quote", "v4: half a header", FROM4 "icmp4 3 / data 10"),
	DROP("icmp_quote", "v4: seven bytes of transport header",
	     "eth / ip4 router > shop len 55 / icmp4 3 / " Q4),
	DROP("icmp_quote", "v4: an impossible header",
	     FROM4 "icmp4 3 / ip4 shop > client ihl 3 / udp 80 > 1"),
	DROP("icmp_quote", "v4: IPv6 is quoted", FROM4 "icmp4 3 / " Q6),
	DROP("icmp_quote", "v4: a later fragment is quoted",
	     FROM4 "icmp4 3 / ip4 shop > client offset 9 / tcp8 80 > 1000"),
	DROP("icmp_quote", "v4: not TCP or UDP",
	     FROM4 "icmp4 3 / ip4 shop > client proto 47 / data 8"),
	DROP("icmp_quote", "v4: a ping's answer", FROM4 "icmp4 3 / ip4 shop > client / icmp4 0"),
	DROP("icmp_quote", "v4: sent by another address",
	     FROM4 "icmp4 3 / ip4 every > client / tcp8 80 > 1000"),
	DROP("icmp_quote", "v4: the flow is quoted the wrong way round",
	     FROM4 "icmp4 3 / ip4 client > shop / tcp8 1000 > 80"),
	DROP("icmp_quote", "v4: a port without service",
	     FROM4 "icmp4 3 / ip4 shop > client / tcp8 22 > 1000"),
	DROP("icmp_quote", "v6: half a header", FROM6 "icmp6 1 / data 30"),
	DROP("icmp_quote", "v6: IPv4 is quoted", FROM6 "icmp6 1 / " Q4 " / data 40"),
	DROP("icmp_quote", "v6: a later fragment is quoted",
	     FROM6 "icmp6 2 / ip6 shop > client / frag offset 9 / tcp8 80 > 1000"),
	DROP("icmp_quote", "v6: another header is quoted",
	     FROM6 "icmp6 2 / ip6 shop > client / hbh / udp 80 > 1000"),
	PASS("l7", "v4: a bad quote may mean something to the host",
	     "eth / ip4 router > site / icmp4 3 / data 10"),
	PASS("l7", "v4: an impossible header, and a service on every port",
	     "eth / ip4 router > every / icmp4 3 / ip4 every > client ihl 3 / tcp8 80 > 1000"),
	PASS("l7", "v6: a VIP of both kinds, a port of neither",
	     "eth / ip6 router > mixed / icmp6 1 / ip6 mixed > client / tcp8 22 > 1000"),
	PASS("no_service", "v4: the host's own errors",
	     "eth / ip4 router > gate / icmp4 3 / data 30"),

	/* ---- other messages ---- */
	DROP("icmp_other", "v4: source quench", FROM4 "icmp4 4 / " Q4),
	DROP("icmp_other", "v4: redirect", FROM4 "icmp4 5 / " Q4),
	DROP("icmp_other", "v4: an answer to a ping that nobody sent", FROM4 "icmp4 0 id 9"),
	DROP("icmp_other", "v6: an answer to a ping that nobody sent", FROM6 "icmp6 129 id 9"),
	DROP("icmp_other", "v6: a type of error that does not exist yet", FROM6 "icmp6 5 / " Q6),
	DROP("icmp_other", "v6: a type that never will", FROM6 "icmp6 0 / " Q6),
	DROP("icmp_other", "v6: multicast listeners", FROM6 "icmp6 131 / data 16"),
	PASS("l7", "v4: the host's stack knows", "eth / ip4 client > mixed / icmp4 13 / data 12"),
	PASS("no_service", "v6: router solicitation", "eth / ip6 client > shop / icmp6 133"),
	PASS("no_service", "v6: neighbour solicitation",
	     "eth / ip6 client > shop hop 255 / icmp6 135 / data 16"),
	PASS("no_service", "v6: neighbour advertisement",
	     "eth / ip6 client > shop hop 255 / icmp6 136 / data 16"),
	PASS("no_service", "v6: redirect", "eth / ip6 client > shop / icmp6 137 / data 32"),
	PASS("no_service", "v6: to all nodes", "eth / ip6 client > ff02::1 / icmp6 134 / data 8"),
	PASS("no_service", "IPv6's ICMP over IPv4", "eth / ip4 client > shop proto 58 / data 16"),
	PASS("no_service", "IPv4's ICMP over IPv6", "eth / ip6 client > shop next 1 / data 16"),
	PASS("truncated", "v4: half a message", "eth / ip4 client > shop proto 1 / data 7"),
	PASS("truncated", "v6: half a message, and padding",
	     "eth / ip6 client > shop next 58 / data 7 / pad 20"),
};

/* Every carry that the checksum can have on the way from request to answer: what comes out is
 * summed up anew, as its receiver does. */
static void echo_checksums_of_every_id(void **unused)
{
	static const char *const pings[] = {
		"eth / ip4 client > shop / icmp4 8",
		"eth / ip6 client > shop / icmp6 128 seq 0xf7ff / data 1",
	};
	static struct frame in;
	static struct run run;

	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		bool v6 = i == 1;
		uint32_t l4 = v6 ? 54 : 34;

		frame_parse(&in, pings[i]);
		for (uint32_t id = 0; id <= 0xffff; id++) {
			/* The request's checksum follows the id, from 0 on (RFC 1624). */
			uint32_t sum = (uint16_t)~(in.b[l4 + 2] << 8 | in.b[l4 + 3]);

			sum += (uint16_t)~(in.b[l4 + 4] << 8 | in.b[l4 + 5]) + id;
			sum = (sum & 0xffff) + (sum >> 16);
			sum = ~((sum & 0xffff) + (sum >> 16));
			in.b[l4 + 2] = sum >> 8, in.b[l4 + 3] = sum;
			in.b[l4 + 4] = id >> 8, in.b[l4 + 5] = id;
			if (!frame_icmp_ok(&in, 14, l4, v6))
				fail_msg("ping %u, id %u: the request is wrong", i, id);
			assert_int_equal(bed_run(&in, 0, &run), 0);
			assert_int_equal(run.verdict, XDP_TX);
			if (!frame_icmp_ok(&run.out, 14, l4, v6))
				fail_msg("ping %u, id %u: the answer is wrong", i, id);
		}
	}
}

/* An error goes where the packets of its flow go, also when the flow's table says otherwise by
 * now; and it makes no entry. */
static void errors_go_where_their_flow_went(void **unused)
{
	const uint32_t table[] = {TO_B2};
	static struct frame ack, error;
	static struct run run;

	(void)unused;
	bed_empty_conns();
	frame_parse(&ack, "eth / ip4 client > shop / tcp 1000 > 80 A");
	frame_parse(&error, FROM4 "icmp4 3 / " Q4);
	assert_int_equal(scene_reason(&error, 0, &run), SLUICE_R_icmp_forward);
	assert_int_equal(bed_conns(), 0);
	assert_int_equal(scene_reason(&ack, 0, &run), SLUICE_R_forward);
	assert_int_equal(bed_conns(), 1);

	bed_ring(TO_B1, table, 1);
	assert_int_equal(scene_reason(&error, 0, &run), SLUICE_R_icmp_forward);
	assert_int_equal(bed.counters->backends[TO_B1].packets, 1);
	assert_int_equal(bed.counters->notices[SLUICE_N_conn_hit], 1);
	bed_empty_conns();
	assert_int_equal(scene_reason(&error, 0, &run), SLUICE_R_icmp_forward);
	assert_int_equal(bed.counters->backends[TO_B2].packets, 1);
	assert_int_equal(bed_conns(), 0);
	bed_ring(TO_B1, (uint32_t[]){TO_B1}, 1);
}

static struct sluice_conn *only_entry(void)
{
	for (uint32_t i = 0; i < bed.n_conns; i++)
		for (unsigned w = 0; w < SLUICE_CONN_WAYS; w++)
			if (bed.conns[i].way[w].word)
				return &bed.conns[i].way[w];
	fail_msg("there is no entry");
	return NULL;
}

/* Anybody on the way may send one, or forge it: what it quotes opens, closes and renews nothing. */
static void errors_say_nothing_of_their_flow(void **unused)
{
	static const char *const flags[] = {"S", "R", "FA", "SA", ""};
	static struct frame f;
	static struct run run;
	struct sluice_conn *entry;
	uint64_t word;

	(void)unused;
	bed_empty_conns();
	frame_parse(&f, "eth / ip4 client > shop / tcp 1000 > 80 A");
	assert_int_equal(scene_reason(&f, 0, &run), SLUICE_R_forward);
	entry = only_entry();
	word = (entry->word & ~SLUICE_CONN_STAMP) | (uint16_t)(entry->word - 5);
	for (int i = 0; i < 10; i++) {
		entry->word = i % 2 ? word | SLUICE_CONN_OPENING : word;
		uint64_t before = entry->word;

		frame_printf(&f, FROM4 "icmp4 3 / ip4 shop > client / tcp 80 > 1000 %s",
			     flags[i / 2]);
		assert_int_equal(scene_reason(&f, 0, &run), SLUICE_R_icmp_forward);
		assert_int_equal(bed.counters->notices[SLUICE_N_conn_hit], 1);
		assert_true(entry->word == before);
	}
	bed_empty_conns();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_checksums_of_every_id),
		cmocka_unit_test(errors_go_where_their_flow_went),
		cmocka_unit_test(errors_say_nothing_of_their_flow),
	};

	return scenes_main("gate: ICMP", &(struct bed_tuning){100000, 0, 0, 0, false}, scenes,
			   sizeof(scenes) / sizeof(scenes[0]), tests,
			   sizeof(tests) / sizeof(tests[0]));
}
