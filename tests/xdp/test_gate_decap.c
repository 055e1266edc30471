// SPDX-License-Identifier: BSD-2-Clause
/*
 * The backend's side: what comes out of a balancer's tunnel is the packet that went in, and a
 * tunnel of anybody else is not touched.
 */
#include "scene.h"

#include <stdio.h>

#define T4 "eth gate > b1 / ip4 gate > b1 / "
#define T6 "eth gate > b1 / ip6 gate > b1 / "
#define E  "eth gate > b1 / "
#define I4 "ip4 client > shop / tcp 1000 > 80 A / data 30"
#define I6 "ip6 client > shop / tcp 1000 > 80 A / data 30"

static const struct scene scenes[] = {
	/* ---- the four tunnels ---- */
	PASS("decap", "4 in 4", T4 I4, .out = E I4),
	PASS("decap", "6 in 4", T4 I6, .out = E I6),
	PASS("decap", "4 in 6", T6 I4, .out = E I4),
	PASS("decap", "6 in 6", T6 I6, .out = E I6),
	PASS("decap", "from the balancer's other address", "eth / ip4 gate1 > b1 / " I4,
	     .out = "eth / " I4),

	/* ---- what is around it ---- */
	PASS("decap", "a tag", "eth gate > b1 / vlan 5 / ip4 gate > b1 / " I6,
	     .out = "eth gate > b1 / vlan 5 / " I6),
	PASS("decap", "two tags", "eth gate > b1 / qinq 0xe007 / vlan 5 / ip6 gate > b1 / " I4,
	     .out = "eth gate > b1 / qinq 0xe007 / vlan 5 / " I4),
	PASS("decap", "outer options", "eth gate > b1 / ip4 gate > b1 options 12 / " I4,
	     .out = E I4),
	PASS("decap", "outer extension headers", T6 "hbh / dst 24 / " I6, .out = E I6),
	PASS("decap", "padding behind", T4 "ip4 client > shop / udp 9 > 80 / pad 12",
	     .out = E "ip4 client > shop / udp 9 > 80 / pad 12"),
	PASS("decap", "bytes behind the inner packet, in the tunnel's length",
	     T4 "ip4 client > shop len 28 / udp 9 > 80 / data 12",
	     .out = E "ip4 client > shop len 28 / udp 9 > 80 / data 12"),

	/* ---- what is in it is the host's to judge ---- */
	PASS("decap", "no service here: the host may have it", T4 "ip4 client > gate / udp 9 > 9",
	     .out = E "ip4 client > gate / udp 9 > 9"),
	PASS("decap", "a last hop", T4 "ip4 client > shop ttl 1 / udp 9 > 80",
	     .out = E "ip4 client > shop ttl 1 / udp 9 > 80"),
	PASS("decap", "a fragment", T4 "ip4 client > shop offset 9 / data 8",
	     .out = E "ip4 client > shop offset 9 / data 8"),
	PASS("decap", "a tunnel", T4 "ip4 client > shop / ip6 client > shop / udp 9 > 80",
	     .out = E "ip4 client > shop / ip6 client > shop / udp 9 > 80"),
	PASS("decap", "an ICMP error",
	     T4 "ip4 router > shop / icmp4 3 / ip4 shop > client / tcp8 80 > 1000",
	     .out = E "ip4 router > shop / icmp4 3 / ip4 shop > client / tcp8 80 > 1000"),

	/* ---- congestion marks of the tunnel's path (RFC 6040, section 4.2) ---- */
	PASS("decap", "DSCP of the tunnel stays outside",
	     "eth gate > b1 / ip4 gate > b1 tos 0xb8 / ip4 client > shop tos 0x20 / udp 9 > 80",
	     .out = E "ip4 client > shop tos 0x20 / udp 9 > 80"),
	PASS("decap", "marked on the way, 4 in 4",
	     "eth gate > b1 / ip4 gate > b1 tos 3 / ip4 client > shop tos 0xba / udp 9 > 80",
	     .out = E "ip4 client > shop tos 0xbb / udp 9 > 80"),
	PASS("decap", "marked on the way, 6 in 4",
	     "eth gate > b1 / ip4 gate > b1 tos 3 / ip6 client > shop tc 0xb9 / udp 9 > 80",
	     .out = E "ip6 client > shop tc 0xbb / udp 9 > 80"),
	PASS("decap", "marked on the way, 4 in 6",
	     "eth gate > b1 / ip6 gate > b1 tc 3 / ip4 client > shop tos 1 / udp 9 > 80",
	     .out = E "ip4 client > shop tos 3 / udp 9 > 80"),
	PASS("decap", "marked before it came in",
	     "eth gate > b1 / ip6 gate > b1 tc 3 / ip6 client > shop tc 3 / udp 9 > 80",
	     .out = E "ip6 client > shop tc 3 / udp 9 > 80"),
	DROP("decap_bad", "marked, and the sender does not know what that means",
	     "eth gate > b1 / ip4 gate > b1 tos 3 / ip4 client > shop / udp 9 > 80"),
	DROP("decap_bad", "v6: marked, and the sender does not know what that means",
	     "eth gate > b1 / ip6 gate > b1 tc 3 / ip6 client > shop tc 0x20 / udp 9 > 80"),

	/* ---- nothing whole inside ---- */
	DROP("decap_bad", "half an inner header",
	     "eth gate > b1 / ip4 gate > b1 len 30 / ip4 client > shop / udp 9 > 80"),
	DROP("decap_bad", "IPv6 announced, IPv4 inside",
	     "eth gate > b1 / ip4 gate > b1 proto 41 / ip4 client > shop / tcp 1 > 80 / data 9"),
	DROP("decap_bad", "IPv4 announced, IPv6 inside",
	     "eth gate > b1 / ip6 gate > b1 next 4 / ip6 client > shop / tcp 1 > 80 / data 9"),
	DROP("decap_bad", "an inner header shorter than itself",
	     T4 "ip4 client > shop ihl 4 / udp 9 > 80"),
	DROP("decap_bad", "an inner length shorter than its header",
	     T4 "ip4 client > shop len 19 / udp 9 > 80"),
	DROP("decap_bad", "longer than the tunnel", T6 "ip4 client > shop len 29 / udp 9 > 80"),
	DROP("decap_bad", "v6: longer than the tunnel", T4 "ip6 client > shop len 9 / udp 9 > 80"),
	DROP("decap_bad", "whole only with the frame's padding",
	     T4 "ip4 client > shop len 29 / udp 9 > 80 / pad 10"),
	DROP("decap_bad", "nothing at all inside", "eth gate > b1 / ip4 gate > b1 proto 4"),
	DROP("decap_bad", "v6: nothing at all inside", "eth gate > b1 / ip6 gate > b1 next 41"),
	DROP("decap_bad", "the first fragment of a tunnel packet",
	     "eth gate > b1 / ip4 gate > b1 mf / " I4),
	DROP("decap_bad", "v6: the first fragment of a tunnel packet", T6 "frag more / " I6),

	/* ---- not from a balancer ---- */
	PASS("tunnel_foreign", "4 in 4", "eth / ip4 client > b1 / " I4),
	PASS("tunnel_foreign", "6 in 4", "eth / ip4 client > b1 / " I6),
	PASS("tunnel_foreign", "4 in 6", "eth / ip6 client > b1 / " I4),
	PASS("tunnel_foreign", "6 in 6", "eth / ip6 client > b1 / " I6),
	PASS("tunnel_foreign", "a balancer in disguise", "eth / ip6 ::ffff:10.83.0.2 > b1 / " I6),
	PASS("no_service", "GRE from a balancer", "eth / ip4 gate > b1 proto 47 / data 40"),
	PASS("no_service", "from a balancer, but no tunnel", "eth / ip4 gate > b1 / udp 9 > 9"),
};

/* What forward() makes of a packet, decap() gives back, but for the one hop. */
static void round_trip(void **unused)
{
	static const char *const inner[] = {
		"/ tcp %u > %u SA",
		"/ udp %u > %u",
		"/ udp %u > %u / data 1200",
		"/ tcp %u > %u A / data 7 / pad 9",
	};
	static struct frame in, wanted;
	static struct run sent, got;
	char text[128];

	(void)unused;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		for (uint16_t port = 80; port <= 83; port++) {
			for (unsigned i = 0; i < 4; i++) {
				const char *what = v6 ? "ip6 client > shop hop %u "
						      : "ip4 client > shop tos 0x29 ttl %u ";

				if (port >= 82 && i == 2)
					continue; /* too big for that wire */
				snprintf(text, sizeof(text), "eth / vlan 9 / %s %s", what,
					 inner[i]);
				frame_printf(&in, text, 64, 1000 + i, port);
				frame_printf(&wanted, text, 63, 1000 + i, port);
				assert_int_equal(scene_reason(&in, 0, &sent), SLUICE_R_forward);
				assert_int_equal(scene_reason(&sent.out, 0, &got), SLUICE_R_decap);
				/* MAC addresses are the tunnel's; tags stay on one wire. */
				uint32_t l3 = bed.same_wire && port < 82 ? 18 : 14;

				assert_int_equal(got.out.bytes - l3, wanted.bytes - 18);
				assert_memory_equal(got.out.b + l3, wanted.b + 18,
						    wanted.bytes - 18);
			}
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
	};

	return scenes_main("gate: decap", &(struct bed_tuning){100000, 0, 0, 0, false}, scenes,
			   sizeof(scenes) / sizeof(scenes[0]), tests,
			   sizeof(tests) / sizeof(tests[0]));
}
