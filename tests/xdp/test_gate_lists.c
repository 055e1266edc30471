// SPDX-License-Identifier: BSD-2-Clause
/*
 * The operator's lists: the longest prefix decides, allow wins, a time that is over does not
 * count, and whatever a packet wears, a listed source stays listed.
 */
#include "scene.h"

#include <stdio.h>

#include "base/addr.h"

#define BAD4   "block 203.0.113.0/24"
#define BAD6   "block 2001:db8:bad::/48"
#define FROM4  "eth / ip4 bad > gate / tcp 1000 > 22 S"
#define FROM6  "eth / ip6 bad > gate / tcp 1000 > 22 S"
#define SHOP4  "eth / ip4 bad > shop / tcp 1000 > 80 S"
#define TUNNEL "eth gate > b1 / ip4 gate > b1 / "

static const struct scene scenes[] = {
	/* ---- who is listed ---- */
	DROP("block", "its network", FROM4, .lists = BAD4),
	DROP("block", "v6: its network", FROM6, .lists = BAD6),
	DROP("block", "its address", FROM4, .lists = "block 203.0.113.7"),
	DROP("block", "v6: its address", FROM6, .lists = "block 2001:db8:bad::7"),
	DROP("block", "everybody", FROM4, .lists = "block 0.0.0.0/0"),
	DROP("block", "v6: everybody", FROM6, .lists = "block ::/0"),
	PASS("no_service", "its neighbour", FROM4, .lists = "block 203.0.113.6/32"),
	PASS("no_service", "v6: its neighbour", FROM6, .lists = "block 2001:db8:bad::6/128"),
	PASS("no_service", "the network beside", FROM4, .lists = "block 203.0.112.0/24"),
	PASS("no_service", "everybody of the other family", FROM4, .lists = "block ::/0"),
	PASS("no_service", "v6: everybody of the other family", FROM6, .lists = "block 0.0.0.0/0"),
	PASS("no_service", "the destination is listed", "eth / ip4 client > bad / tcp 1000 > 22 S",
	     .lists = BAD4),
	PASS("not_ip", "ARP of everybody", "eth type 0x806 / data 28", .lists = "block 0.0.0.0/0"),

	/* ---- what it asks for does not matter ---- */
	DROP("block", "for an l4 service", SHOP4, .lists = BAD4),
	DROP("block", "for an l7 service", "eth / ip4 bad > site / tcp 1000 > 443 S",
	     .lists = BAD4),
	DROP("block", "a ping", "eth / ip4 bad > shop / icmp4 8", .lists = BAD4),
	DROP("block", "an ICMP error",
	     "eth / ip4 bad > shop / icmp4 3 / ip4 shop > client / tcp8 80 > 1000", .lists = BAD4),
	DROP("block", "neighbour discovery", "eth / ip6 bad > gate / icmp6 135 / data 16",
	     .lists = BAD6),
	DROP("block", "a protocol without ports", "eth / ip4 bad > gate proto 132 / data 20",
	     .lists = BAD4),

	/* ---- what it wears does not matter ---- */
	DROP("block", "one tag", "eth / vlan 5 / ip4 bad > shop / tcp 1000 > 80 S", .lists = BAD4),
	DROP("block", "two tags", "eth / qinq 7 / vlan 5 / ip4 bad > gate / tcp 1000 > 22 S",
	     .lists = BAD4),
	DROP("block", "v6: one tag", "eth / vlan 5 / ip6 bad > shop / tcp 1000 > 80 S",
	     .lists = BAD6),
	DROP("block", "v6: two tags", "eth / vlan 7 / qinq 5 / ip6 bad > gate / udp 1000 > 53",
	     .lists = BAD6),
	DROP("block", "IP options", "eth / ip4 bad > gate options 40 / tcp 1000 > 22 S",
	     .lists = BAD4),
	DROP("block", "extension headers", "eth / ip6 bad > gate / hbh / dst / rt / tcp 1 > 22 S",
	     .lists = BAD6),
	DROP("block", "more extension headers than are walked",
	     "eth / ip6 bad > gate / dst / dst / dst / dst / dst / dst / dst / dst / dst / udp 1 > "
	     "2",
	     .lists = BAD6),
	DROP("block", "a first fragment", "eth / ip4 bad > gate mf / udp 1000 > 53 / data 8",
	     .lists = BAD4),
	DROP("block", "a later fragment", "eth / ip4 bad > gate offset 9 / data 8", .lists = BAD4),
	DROP("block", "v6: a later fragment", "eth / ip6 bad > gate / frag offset 9 / data 8",
	     .lists = BAD6),
	DROP("block", "no transport header", "eth / ip4 bad > gate / tcp 1000 > 22 S",
	     .lists = BAD4, .cut = 34),
	DROP("block", "v6: no transport header", FROM6, .lists = BAD6, .cut = 54),
	DROP("block", "an impossible header length", "eth / ip4 bad > gate ihl 2 / udp 1 > 2",
	     .lists = BAD4),
	DROP("block", "an impossible version", "eth / ip6 bad > gate version 9 / udp 1 > 2",
	     .lists = BAD6),
	DROP("block", "an impossible length", "eth / ip4 bad > gate len 3 / udp 1 > 2",
	     .lists = BAD4),
	DROP("block", "a length beyond the frame", "eth / ip6 bad > gate len 9000 / udp 1 > 2",
	     .lists = BAD6),
	DROP("block", "a TTL of 0", "eth / ip4 bad > gate ttl 0 / udp 1 > 2", .lists = BAD4),

	/* ---- tunnels ---- */
	DROP("block", "a listed balancer", TUNNEL "ip4 client > shop / tcp 1000 > 80 S",
	     .lists = "block 10.83.0.2"),
	DROP("block", "inside a balancer's tunnel, 4 in 4", TUNNEL "ip4 bad > shop / tcp 1 > 80 S",
	     .lists = BAD4),
	DROP("block", "inside a balancer's tunnel, 6 in 4", TUNNEL "ip6 bad > shop / tcp 1 > 80 S",
	     .lists = BAD6),
	DROP("block", "inside a balancer's tunnel, 4 in 6",
	     "eth gate > b1 / ip6 gate > b1 / ip4 bad > shop / tcp 1 > 80 S", .lists = BAD4),
	DROP("block", "inside a balancer's tunnel, 6 in 6, tagged",
	     "eth gate > b1 / vlan 5 / ip6 gate > b1 / ip6 bad > shop / tcp 1 > 80 S",
	     .lists = BAD6),
	PASS("decap", "allowed inside a balancer's tunnel", TUNNEL "ip4 bad > shop / tcp 1 > 80 S",
	     .out = "eth gate > b1 / ip4 bad > shop / tcp 1 > 80 S",
	     .lists = BAD4 ", allow 203.0.113.7", .notices = "allowed"),
	PASS("tunnel_foreign", "inside a stranger's tunnel nobody looks",
	     "eth / ip4 client > gate / ip4 bad > shop / tcp 1 > 80 S", .lists = BAD4),

	/* ---- allow wins ---- */
	PASS("no_service", "its address is allowed", FROM4, .lists = BAD4 ", allow 203.0.113.7",
	     .notices = "allowed"),
	PASS("no_service", "v6: its address is allowed", FROM6,
	     .lists = BAD6 ", allow 2001:db8:bad::7", .notices = "allowed"),
	PASS("no_service", "its network is allowed, its address blocked", FROM4,
	     .lists = "block 203.0.113.7, allow 203.0.113.0/24", .notices = "allowed"),
	PASS("no_service", "v6: everybody is allowed", FROM6, .lists = BAD6 ", allow ::/0",
	     .notices = "allowed"),
	DROP("block", "its neighbour is allowed", FROM4, .lists = BAD4 ", allow 203.0.113.6"),
	PASS("no_service", "allowed and not blocked: nothing to notice", FROM4,
	     .lists = "allow 203.0.113.7"),
	TX("forward", "allowed to an l4 service", SHOP4,
	   "eth gate > b1 / ip4 gate > b1 df / ip4 bad > shop ttl 63 / tcp 1000 > 80 S",
	   .service = TO_B1, .lists = BAD4 ", allow 203.0.113.0/24", .notices = "allowed"),

	/* ---- time ---- */
	DROP("block", "its time is not over", FROM4, .lists = "block 203.0.113.7 later"),
	PASS("no_service", "its time is over", FROM4, .lists = "block 203.0.113.7 expired",
	     .notices = "expired"),
	PASS("no_service", "v6: its time is over", FROM6,
	     .lists = "block 2001:db8:bad::/48 expired", .notices = "expired"),
	DROP("block", "it was allowed for a time that is over", FROM4,
	     .lists = BAD4 ", allow 203.0.113.7 expired", .notices = "expired"),
	PASS("no_service", "it is allowed for a time", FROM4,
	     .lists = BAD4 ", allow 203.0.113.7 later", .notices = "allowed"),
	PASS("no_service", "both are over", FROM4,
	     .lists = "block 203.0.113.7 expired, allow 203.0.113.7", .notices = "expired"),

	/* ---- an entry that is over hides nobody behind it ---- */
	DROP("block", "its address is over, its network is not", FROM4,
	     .lists = BAD4 ", block 203.0.113.7 expired", .notices = "expired"),
	DROP("block", "v6: its address is over, its network is not", FROM6,
	     .lists = BAD6 ", block 2001:db8:bad::7 expired", .notices = "expired"),
	DROP("block", "its address is over, everybody is not", FROM4,
	     .lists = "block 0.0.0.0/0, block 203.0.113.7 expired", .notices = "expired"),
	DROP("block", "v6: everybody is not over", FROM6,
	     .lists = "block ::/0, block 2001:db8:bad::7 expired", .notices = "expired"),
	PASS("no_service", "everybody is over", FROM4,
	     .lists = "block 0.0.0.0/0 expired, block 203.0.113.7 expired", .notices = "expired"),
	DROP("block", "the last but one length", FROM4,
	     .lists = "block 203.0.113.6/31, block 203.0.113.7 expired", .notices = "expired"),
	DROP("block", "v6: the last but one length", FROM6,
	     .lists = "block 2001:db8:bad::6/127, block 2001:db8:bad::7 expired",
	     .notices = "expired"),
	DROP("block", "three are over, the fourth is not", FROM4,
	     .lists = "block 203.0.113.7 expired, block 203.0.113.0/24 expired, "
		      "block 203.0.0.0/16 expired, block 203.0.0.0/8 later",
	     .notices = "expired"),
	PASS("no_service", "its address is over and allowed, its network is not over", FROM4,
	     .lists = BAD4 ", block 203.0.113.7 expired, allow 203.0.113.7",
	     .notices = "allowed expired"),
	PASS("no_service", "v6: its address is over and allowed, its network is not over", FROM6,
	     .lists = BAD6 ", block 2001:db8:bad::7 expired, allow 2001:db8:bad::7",
	     .notices = "allowed expired"),
	PASS("no_service", "its address was allowed, its network still is", FROM4,
	     .lists = BAD4 ", allow 203.0.113.7 expired, allow 203.0.0.0/16",
	     .notices = "allowed expired"),
};

/* The prefix of that length that the bad address is in. */
static void prefix_format(char out[static ADDR_TEXT + 4], bool v6, unsigned prefix)
{
	struct cidr cidr = {.addr = frame_addr("bad", v6), .prefix = prefix};
	uint8_t *b = cidr.addr.b + (v6 ? 0 : 12);

	for (unsigned bit = prefix; bit < (v6 ? 128U : 32U); bit++)
		b[bit / 8] &= ~(0x80 >> bit % 8);
	cidr_format(&cidr, out);
}

/* Wherever the hiding entry ends and the hidden one begins. */
static void expired_hides_no_shorter_prefix_of_any_length(void **unused)
{
	static struct frame in;
	static struct run run;

	(void)unused;
	for (int v6 = 0; v6 < 2; v6++) {
		unsigned longest = v6 ? 128 : 32;

		frame_parse(&in, v6 ? FROM6 : FROM4);
		for (unsigned above = 1; above <= longest; above++) {
			for (unsigned below = 0; below < above; below += v6 ? 5 : 1) {
				char hidden[64], hiding[64], lists[200];

				prefix_format(hidden, v6, below);
				prefix_format(hiding, v6, above);
				snprintf(lists, sizeof(lists), "block %s, block %s expired", hidden,
					 hiding);
				bed_list(lists);
				if (scene_reason(&in, 0, &run) != SLUICE_R_block)
					fail_msg("%s: got through", lists);
				assert_int_equal(bed.counters->notices[SLUICE_N_expired], 1);
				bed_unlist(lists);
			}
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(expired_hides_no_shorter_prefix_of_any_length),
	};

	return scenes_main("gate: lists", &(struct bed_tuning){100000, 0, 0, 0, false}, scenes,
			   sizeof(scenes) / sizeof(scenes[0]), tests,
			   sizeof(tests) / sizeof(tests[0]));
}
