// SPDX-License-Identifier: BSD-2-Clause
/*
 * To a backend: all four pairs of families byte by byte, what is copied from the packet and
 * what is not, tags, the way out, and everything that keeps a packet from being forwarded.
 */
#include "scene.h"

#include <string.h>

#define C4    "ip4 client > shop ttl 63"
#define C6    "ip6 client > shop hop 63"
#define OUT44 "eth gate > b1 / ip4 gate > b1 df / "
#define OUT6  "eth gate > b1 / ip6 gate > b1 label flow / "

static const struct scene scenes[] = {
	/* ---- the four tunnels ---- */
	TX("forward", "4 in 4, TCP", "eth / ip4 client > shop / tcp 1000 > 80 A / data 100",
	   OUT44 C4 " / tcp 1000 > 80 A / data 100", .service = TO_B1),
	TX("forward", "6 in 4, TCP", "eth / ip6 client > shop / tcp 1000 > 80 A / data 100",
	   OUT44 C6 " / tcp 1000 > 80 A / data 100", .service = TO_B1),
	TX("forward", "4 in 6, TCP", "eth / ip4 client > shop / tcp 1000 > 81 A / data 100",
	   OUT6 C4 " / tcp 1000 > 81 A / data 100", .service = TO_B1_6),
	TX("forward", "6 in 6, TCP", "eth / ip6 client > shop / tcp 1000 > 81 A / data 100",
	   OUT6 C6 " / tcp 1000 > 81 A / data 100", .service = TO_B1_6),
	TX("forward", "4 in 4, UDP", "eth / ip4 client > shop / udp 5353 > 80 / data 9",
	   OUT44 C4 " / udp 5353 > 80 / data 9", .service = TO_B1),
	TX("forward", "6 in 6, UDP", "eth / ip6 client > shop / udp 5353 > 81 / data 9",
	   OUT6 C6 " / udp 5353 > 81 / data 9", .service = TO_B1_6),
	TX("forward", "an empty datagram", "eth / ip4 client > shop / udp 5353 > 80",
	   OUT44 C4 " / udp 5353 > 80", .service = TO_B1),

	/* ---- what the outer header takes over ---- */
	TX("forward", "DSCP and ECN, 4 in 4", "eth / ip4 client > shop tos 0xba / tcp 1000 > 80 A",
	   "eth gate > b1 / ip4 gate > b1 df tos 0xba / " C4 " tos 0xba / tcp 1000 > 80 A",
	   .service = TO_B1),
	TX("forward", "DSCP and ECN, 6 in 4", "eth / ip6 client > shop tc 0xb9 / tcp 1000 > 80 A",
	   "eth gate > b1 / ip4 gate > b1 df tos 0xb9 / " C6 " tc 0xb9 / tcp 1000 > 80 A",
	   .service = TO_B1),
	TX("forward", "DSCP and ECN, 4 in 6", "eth / ip4 client > shop tos 0x03 / tcp 1000 > 81 A",
	   "eth gate > b1 / ip6 gate > b1 tc 3 label flow / " C4 " tos 3 / tcp 1000 > 81 A",
	   .service = TO_B1_6),
	TX("forward", "DSCP and ECN, 6 in 6",
	   "eth / ip6 client > shop tc 0x2e label 0x54321 / tcp 1000 > 81 A",
	   "eth gate > b1 / ip6 gate > b1 tc 0x2e label flow / " C6
	   " tc 0x2e label 0x54321 / tcp 1000 > 81 A",
	   .service = TO_B1_6),
	TX("forward", "DF is the tunnel's own", "eth / ip4 client > shop id 77 / tcp 1000 > 80 A",
	   OUT44 C4 " id 77 / tcp 1000 > 80 A", .service = TO_B1),
	TX("forward", "TTL 2 is enough, and 255 leaves as 64",
	   "eth / ip4 client > shop ttl 2 / tcp 1000 > 80 A",
	   OUT44 "ip4 client > shop ttl 1 / tcp 1000 > 80 A", .service = TO_B1),
	TX("forward", "hop limit 255", "eth / ip6 client > shop hop 255 / tcp 1000 > 81 A",
	   OUT6 "ip6 client > shop hop 254 / tcp 1000 > 81 A", .service = TO_B1_6),

	/* ---- lengths come from the IP header, not from the frame ---- */
	TX("forward", "Ethernet padding is no payload, 4 in 4",
	   "eth / ip4 client > shop / tcp 1000 > 80 S / pad 6",
	   OUT44 C4 " / tcp 1000 > 80 S / pad 6", .service = TO_B1),
	TX("forward", "Ethernet padding is no payload, 6 in 6",
	   "eth / ip6 client > shop / udp 1000 > 81 / pad 40", OUT6 C6 " / udp 1000 > 81 / pad 40",
	   .service = TO_B1_6),
	TX("forward", "IP options", "eth / ip4 client > shop options 40 / tcp 1000 > 80 A",
	   OUT44 C4 " options 40 / tcp 1000 > 80 A", .service = TO_B1),
	TX("forward", "IP options, padded",
	   "eth / ip4 client > shop options 4 / udp 1000 > 81 / pad 14",
	   OUT6 C4 " options 4 / udp 1000 > 81 / pad 14", .service = TO_B1_6),
	TX("forward", "extension headers",
	   "eth / ip6 client > shop / hbh 16 / dst / rt 24 / ah 24 / dst / tcp 1000 > 80 A",
	   OUT44 C6 " / hbh 16 / dst / rt 24 / ah 24 / dst / tcp 1000 > 80 A", .service = TO_B1),
	TX("forward", "eight extension headers, as many as are walked",
	   "eth / ip6 client > shop / hbh / dst / dst / dst / dst / dst / dst / dst / tcp 1 > 80 A",
	   OUT44 C6 " / hbh / dst / dst / dst / dst / dst / dst / dst / tcp 1 > 80 A",
	   .service = TO_B1),
	TX("forward", "an atomic fragment is a whole packet (RFC 6946)",
	   "eth / ip6 client > shop / frag / tcp 1000 > 80 A", OUT44 C6 " / frag / tcp 1000 > 80 A",
	   .service = TO_B1),

	/* ---- tags stay on the same wire ---- */
	TX("forward", "a tag, 4 in 4", "eth / vlan 5 / ip4 client > shop / tcp 1000 > 80 A",
	   "eth gate > b1 / vlan 5 / ip4 gate > b1 df / " C4 " / tcp 1000 > 80 A",
	   .service = TO_B1),
	TX("forward", "a tag with priority, 6 in 4",
	   "eth / vlan 0xa005 / ip6 client > shop / tcp 1000 > 80 A",
	   "eth gate > b1 / vlan 0xa005 / ip4 gate > b1 df / " C6 " / tcp 1000 > 80 A",
	   .service = TO_B1),
	TX("forward", "two tags, 4 in 6",
	   "eth / qinq 7 / vlan 5 / ip4 client > shop / tcp 1000 > 81 A",
	   "eth gate > b1 / qinq 7 / vlan 5 / ip6 gate > b1 label flow / " C4 " / tcp 1000 > 81 A",
	   .service = TO_B1_6),
	TX("forward", "two tags, 6 in 6",
	   "eth / vlan 7 / vlan 5 / ip6 client > shop / udp 1000 > 81 / data 3",
	   "eth gate > b1 / vlan 7 / vlan 5 / ip6 gate > b1 label flow / " C6
	   " / udp 1000 > 81 / data 3",
	   .service = TO_B1_6),

	/* ---- another wire ---- */
	REDIRECT("forward", "by the other interface, 4 in 4",
		 "eth / ip4 client > shop / tcp 1000 > 82 A",
		 "eth gate1 > far / ip4 gate1 > far df / " C4 " / tcp 1000 > 82 A",
		 .service = TO_FAR),
	REDIRECT("forward", "by the other interface, 6 in 6",
		 "eth / ip6 client > shop / tcp 1000 > 83 A",
		 "eth gate1 > far / ip6 gate1 > far label flow / " C6 " / tcp 1000 > 83 A",
		 .service = TO_FAR_6),
	REDIRECT("forward", "tags belong to the wire that they came by",
		 "eth / qinq 7 / vlan 5 / ip6 client > shop / tcp 1000 > 82 A / data 30",
		 "eth gate1 > far / ip4 gate1 > far df / " C6 " / tcp 1000 > 82 A / data 30",
		 .service = TO_FAR),
	REDIRECT("forward", "as much as the other wire takes, 4 in 4",
		 "eth / ip4 client > shop / tcp 1000 > 82 A / data 1220",
		 "eth gate1 > far / ip4 gate1 > far df / " C4 " / tcp 1000 > 82 A / data 1220",
		 .service = TO_FAR),
	DROP("too_big", "one byte more, 4 in 4",
	     "eth / ip4 client > shop / tcp 1000 > 82 A / data 1221"),
	REDIRECT("forward", "as much as the other wire takes, 6 in 6",
		 "eth / ip6 client > shop / tcp 1000 > 83 A / data 1180",
		 "eth gate1 > far / ip6 gate1 > far label flow / " C6
		 " / tcp 1000 > 83 A / data 1180",
		 .service = TO_FAR_6),
	DROP("too_big", "one byte more, 6 in 6",
	     "eth / ip6 client > shop / tcp 1000 > 83 A / data 1181"),

	/* ---- no way there ---- */
	DROP("no_route", "v6: nothing leads there", "eth / ip6 client > shop / tcp 1000 > 87 A"),
	DROP("no_neighbor", "v6: its MAC is not known",
	     "eth / ip6 client > shop / tcp 1000 > 85 A"),
	DROP("no_neighbor", "its MAC was asked for in vain",
	     "eth / ip4 client > shop / tcp 1000 > 92 A"),
	DROP("no_neighbor", "v6: its MAC was asked for in vain",
	     "eth / ip6 client > shop / tcp 1000 > 93 A"),
	DROP("no_backend", "the backend is not in use",
	     "eth / ip4 client > shop / tcp 1000 > 89 S"),
	DROP("no_backend", "a table of zeros", "eth / ip6 client > shop / tcp 1000 > 90 A"),
	DROP("no_backend", "no table", "eth / ip4 client > shop / udp 1000 > 91"),
	DROP("no_forwarding", "v6: the host does not route",
	     "eth / ip6 client > shop / tcp 1000 > 81 S", .host_does_not_forward = true),
	DROP("no_headroom", "v6: the driver left none", "eth / ip6 client > shop / tcp 1000 > 81 S",
	     .meta = 216),

	/* ---- guards, for what would be forwarded ---- */
	DROP("ttl", "v6: its last hop", "eth / ip6 client > shop hop 1 / tcp 1000 > 80 S"),
	DROP("ttl", "it had none left", "eth / ip4 client > shop ttl 0 / udp 1000 > 80"),
	DROP("land", "v6: from itself", "eth / ip6 shop > shop / tcp 80 > 80 S"),
	DROP("land", "UDP from itself", "eth / ip4 shop > shop / udp 9 > 80"),
	DROP("martian", "0.0.0.0/8", "eth / ip4 0.1.2.3 > shop / tcp 1000 > 80 S"),
	DROP("martian", "multicast", "eth / ip4 224.0.0.1 > shop / tcp 1000 > 80 S"),
	DROP("martian", "reserved", "eth / ip4 240.0.0.1 > shop / tcp 1000 > 80 S"),
	DROP("martian", "broadcast", "eth / ip4 255.255.255.255 > shop / tcp 1000 > 80 S"),
	DROP("martian", "v6: unspecified", "eth / ip6 :: > shop / tcp 1000 > 80 S"),
	DROP("martian", "v6: loopback", "eth / ip6 ::1 > shop / tcp 1000 > 80 S"),
	DROP("martian", "v6: multicast", "eth / ip6 ff02::1 > shop / tcp 1000 > 80 S"),
	DROP("martian", "v6: IPv4 in disguise",
	     "eth / ip6 ::ffff:10.83.0.100 > shop / tcp 1000 > 80 S"),
	TX("forward", "::2 is nobody special", "eth / ip6 ::2 > shop / tcp 1000 > 80 S",
	   OUT44 "ip6 ::2 > shop hop 63 / tcp 1000 > 80 S", .service = TO_B1),
	TX("forward", "223/8 is nobody special", "eth / ip4 223.1.2.3 > shop / tcp 1000 > 80 S",
	   OUT44 "ip4 223.1.2.3 > shop ttl 63 / tcp 1000 > 80 S", .service = TO_B1),
	PASS("no_service", "martians of the host's own: DHCP",
	     "eth / ip4 0.0.0.0 > 255.255.255.255 / udp 68 > 67 / data 240"),
	PASS("no_service", "the host's own last hop", "eth / ip4 client > gate ttl 1 / udp 1 > 9"),
	PASS("l7", "the daemon's stack has guards of its own",
	     "eth / ip4 127.0.0.1 > site ttl 1 / tcp 1000 > 443 S", .service = BED_L7),

	/* ---- which service ---- */
	PASS("l7", "v6", "eth / ip6 client > site / tcp 1000 > 443 S", .service = BED_L7),
	PASS("l7", "an exact port goes before the entry for every port",
	     "eth / ip4 client > every / tcp 1000 > 443 S", .service = BED_L7),
	TX("forward", "the entry for every port", "eth / ip6 client > every / tcp 1000 > 444 S",
	   "eth gate > b2 / ip4 gate > b2 df / ip6 client > every hop 63 / tcp 1000 > 444 S",
	   .service = TO_B2),
	PASS("no_service", "every TCP port is not every UDP port",
	     "eth / ip6 client > every / udp 1000 > 444"),
	PASS("no_service", "a VIP's port without service",
	     "eth / ip4 client > shop / tcp 1000 > 8080 S"),
	PASS("no_service", "TCP only", "eth / ip4 client > mixed / udp 1000 > 80"),
	TX("forward", "a VIP of both kinds: the l4 port",
	   "eth / ip4 client > mixed / tcp 1000 > 80 S",
	   OUT44 "ip4 client > mixed ttl 63 / tcp 1000 > 80 S", .service = TO_B1),
	PASS("l7", "a VIP of both kinds: the l7 port",
	     "eth / ip4 client > mixed / tcp 1000 > 443 S", .service = BED_L7),
	PASS("no_service", "another protocol", "eth / ip4 client > shop proto 132 / data 20"),
	PASS("no_service", "v6: no next header", "eth / ip6 client > shop next 59 / data 8"),
	PASS("malformed", "a length shorter than its header",
	     "eth / ip4 client > shop len 23 options 4 / tcp 1000 > 80 S"),
	PASS("malformed", "another version than the frame says",
	     "eth / ip4 client > shop version 6 / tcp 1000 > 80 S"),
	PASS("malformed", "v6: another version than the frame says",
	     "eth / ip6 client > shop version 4 / tcp 1000 > 80 S"),
	PASS("malformed", "an IPv4 VIP in IPv6's clothes",
	     "eth / ip6 client > ::ffff:198.51.100.10 / tcp 1000 > 80 S"),

	/* ---- fragments ---- */
	DROP("fragment", "a later one", "eth / ip4 client > shop offset 185 / data 64"),
	DROP("fragment", "one in the middle", "eth / ip4 client > shop mf offset 185 / data 64"),
	DROP("fragment", "v6: the first",
	     "eth / ip6 client > shop / frag more / udp 1 > 80 / data 8"),
	DROP("fragment", "v6: a later one", "eth / ip6 client > shop / frag offset 4 / data 8"),
	DROP("fragment", "v6: behind another header",
	     "eth / ip6 client > shop / dst / frag offset 4 more / data 8"),
	PASS("l7", "the first, for the daemon", "eth / ip4 client > site mf / tcp 1000 > 443 A",
	     .service = BED_L7),
	PASS("l7", "a later one, for a VIP of the daemon",
	     "eth / ip4 client > site offset 185 / data 8"),
	PASS("l7", "a later one may be the daemon's",
	     "eth / ip6 client > mixed / frag offset 4 / data 8"),
	PASS("no_service", "the host's own, the first",
	     "eth / ip4 client > gate mf / udp 1000 > 53 / data 8"),
	PASS("no_service", "the host's own, a later one",
	     "eth / ip4 client > gate offset 185 / data 8"),
	PASS("no_service", "v6: the host's own, a later one",
	     "eth / ip6 client > gate / frag offset 4 / data 8"),
	PASS("no_service", "the first, for no service", "eth / ip4 client > shop mf / tcp 1 > 9"),

	/* ---- too many headers ---- */
	PASS("no_service", "the host's own, nine headers",
	     "eth / ip6 client > gate / dst / dst / dst / dst / dst / dst / dst / dst / dst / "
	     "tcp 1000 > 22 S"),
	PASS("l7", "the daemon's stack walks them",
	     "eth / ip6 client > site / dst / dst / dst / dst / dst / dst / dst / dst / dst / "
	     "tcp 1000 > 443 S"),
	DROP("ext_headers", "headers longer than the gate reaches",
	     "eth / ip6 client > shop / dst 1000 / dst 1000 / tcp 1000 > 80 S"),
};

static void put_ttl(struct frame *f, uint32_t l3, uint8_t ttl)
{
	f->b[l3 + 8] = ttl;
	f->b[l3 + 10] = f->b[l3 + 11] = 0;
	uint16_t sum = ~frame_sum(f->b + l3, 20, 0);
	f->b[l3 + 10] = sum >> 8;
	f->b[l3 + 11] = sum;
}

/* Every value that the header's sum can have meets every TTL's end of the carry. */
static void ttl_checksums_of_every_sum(void **unused)
{
	static struct frame in;
	static struct run run;

	(void)unused;
	frame_parse(&in, "eth / ip4 client > shop / tcp 1000 > 80 S");
	for (uint32_t id = 0; id <= 0xffff; id++) {
		in.b[18] = id >> 8;
		in.b[19] = id;
		put_ttl(&in, 14, 64);
		assert_int_equal(bed_run(&in, 0, &run), 0);
		assert_int_equal(run.verdict, scene_tx());
		assert_int_equal(run.out.b[34 + 8], 63);
		put_ttl(&in, 14, 63);
		if (memcmp(in.b + 14, run.out.b + 34, in.bytes - 14) != 0) {
			frame_dump("came out", &run.out);
			fail_msg("id %u", id);
		}
	}
}

/* The outer header's own checksum, over every outer length that fits. */
static void outer_checksums_of_every_length(void **unused)
{
	static struct frame in;
	static struct run run;

	(void)unused;
	for (uint32_t bytes = 0; bytes <= 1400; bytes++) {
		frame_printf(&in, "eth / ip4 client > shop / udp 1000 > 80 / data %u", bytes);
		assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
		assert_int_equal(frame_sum(run.out.b + 14, 20, 0), 0xffff);
		assert_int_equal(run.out.b[16] << 8 | run.out.b[17], bytes + 48);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ttl_checksums_of_every_sum),
		cmocka_unit_test(outer_checksums_of_every_length),
	};

	return scenes_main("gate: forward", &(struct bed_tuning){100000, 0, 0, 0, false}, scenes,
			   sizeof(scenes) / sizeof(scenes[0]), tests,
			   sizeof(tests) / sizeof(tests[0]));
}
