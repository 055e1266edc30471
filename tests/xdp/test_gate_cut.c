// SPDX-License-Identifier: BSD-2-Clause
/*
 * Frames that end too early, at every byte, and frames with bytes changed at random: each is
 * counted under exactly one reason whose verdict it gets (scene_reason() checks that); a
 * listed source stays listed as soon as its address is there; what is sent is whole.
 */
#include "scene.h"

#include <stdio.h>
#include <string.h>

#define SHORTEST 14 /* BPF_PROG_RUN takes no less */

/* One of every kind that a stage reads deeper into. Its reason when whole, and where its
 * source address is complete (the fixed IP header ends). */
static const struct kind {
	const char *in, *reason;
	uint32_t visible;
} kinds[] = {
	{"eth / ip4 client > gate / tcp 1000 > 22 S", "no_service", 34},
	{"eth / ip6 client > gate / tcp 1000 > 22 S", "no_service", 54},
	{"eth / ip4 client > shop / tcp 1000 > 80 A / data 20", "forward", 34},
	{"eth / ip6 client > shop / tcp 1000 > 80 A / data 20", "forward", 54},
	{"eth / vlan 5 / ip4 client > shop / tcp 1000 > 81 S", "forward", 38},
	{"eth / qinq 7 / vlan 5 / ip6 client > shop / udp 1000 > 81 / data 9", "forward", 62},
	{"eth / qinq 7 / vlan 5 / ip4 client > shop options 40 / udp 1000 > 82", "forward", 42},
	{"eth / ip4 client > shop options 12 / tcp 1000 > 80 A", "forward", 34},
	{"eth / ip6 client > shop / hbh 16 / rt 24 / dst / ah 24 / tcp 1000 > 83 A", "forward", 54},
	{"eth / ip6 client > shop / hbh / dst / dst / dst / dst / dst / dst / dst / dst / udp 1 > "
	 "2",
	 "ext_headers", 54},
	{"eth / ip4 client > shop mf / udp 1000 > 80 / data 16", "fragment", 34},
	{"eth / ip4 client > shop offset 9 / data 16", "fragment", 34},
	{"eth / ip6 client > shop / frag more / udp 1000 > 80 / data 16", "fragment", 54},
	{"eth / ip6 client > shop / dst / frag offset 9 / data 16", "fragment", 54},
	{"eth / ip4 client > shop / icmp4 8 id 7 / data 20", "echo", 34},
	{"eth / ip6 client > shop / icmp6 128 id 7 / data 20", "echo", 54},
	{"eth / ip4 client > shop / icmp4 3 / ip4 shop > client options 8 / tcp8 80 > 1000",
	 "icmp_forward", 34},
	{"eth / ip6 client > shop / icmp6 2 / ip6 shop > client / frag more / udp 80 > 1000",
	 "icmp_forward", 54},
	{"eth / ip4 gate > b1 / ip4 client > shop / tcp 1000 > 80 A / data 9", "decap", 34},
	{"eth / ip4 gate > b1 / ip6 client > shop / tcp 1000 > 80 A / data 9", "decap", 34},
	{"eth / vlan 5 / ip6 gate > b1 / ip4 client > shop / udp 1000 > 80", "decap", 58},
	{"eth / ip6 gate > b1 / hbh / ip6 client > shop / udp 1000 > 80", "decap", 54},
	{"eth / ip4 client > gate / ip4 bad > shop / udp 1000 > 80", "tunnel_foreign", 34},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct frame in, whole;
static struct run run;

/* Offset of the IP header behind any tags. */
static uint32_t l3_of(const struct frame *f, bool *v6)
{
	uint32_t at = 12, type;

	while ((type = f->b[at] << 8 | f->b[at + 1]) == 0x8100 || type == 0x88a8)
		at += 4;
	assert_true(type == 0x0800 || type == 0x86dd);
	*v6 = type == 0x86dd;
	return at + 2;
}

/* The IP packet of a frame that is sent ends inside it. */
static void whole_out(const struct frame *out)
{
	bool v6;
	uint32_t l3 = l3_of(out, &v6), at = l3 + (v6 ? 4 : 2);

	assert_true(l3 + (v6 ? 40 : 0) + (out->b[at] << 8 | out->b[at + 1]) <= out->bytes);
}

static uint32_t run_checked(const struct frame *f)
{
	uint32_t reason = scene_reason(f, 0, &run);

	if (scene_action(reason) == XDP_TX)
		whole_out(&run.out);
	if (scene_action(reason) == XDP_PASS && reason != SLUICE_R_decap)
		scene_frames_equal(&run.out, f);
	return reason;
}

/* The frame just ends; its headers promise more. */
static void cut_at_every_byte(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < KINDS; i++) {
		frame_parse(&whole, kinds[i].in);
		assert_string_equal(scene_reason_name(run_checked(&whole)), kinds[i].reason);
		for (uint32_t n = SHORTEST; n < whole.bytes; n++) {
			in = whole;
			in.bytes = n;
			uint32_t reason = run_checked(&in);

			if (reason != SLUICE_R_truncated)
				fail_msg("%s, cut to %u: %s", kinds[i].in, n,
					 scene_reason_name(reason));
		}
	}
}

/* The IP packet itself is that short, and says so: in a frame as short, and in a padded one.
 * Padding must not be read as headers, so both mean the same. */
static void short_packets_of_every_length(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < KINDS; i++) {
		frame_parse(&whole, kinds[i].in);
		bool v6;
		uint32_t l3 = l3_of(&whole, &v6), at = l3 + (v6 ? 4 : 2);

		for (uint32_t n = kinds[i].visible; n < whole.bytes; n++) {
			uint32_t len = n - l3 - (v6 ? 40 : 0), padded, bare;

			in = whole;
			in.b[at] = len >> 8;
			in.b[at + 1] = len;
			padded = run_checked(&in);
			in.bytes = n;
			bare = run_checked(&in);
			if (padded != bare)
				fail_msg("%s, %u bytes: %s, but padded %s", kinds[i].in, n,
					 scene_reason_name(bare), scene_reason_name(padded));
		}
	}
}

static void a_listed_source_stays_listed(void **unused)
{
	static const char *const everybody = "block 0.0.0.0/0, block ::/0";

	(void)unused;
	bed_list(everybody);
	for (size_t i = 0; i < KINDS; i++) {
		frame_parse(&whole, kinds[i].in);
		for (uint32_t n = SHORTEST; n <= whole.bytes; n++) {
			in = whole;
			in.bytes = n;
			bool blocked = run_checked(&in) == SLUICE_R_block;

			if (blocked != (n >= kinds[i].visible))
				fail_msg("%s, cut to %u: %s", kinds[i].in, n,
					 blocked ? "blocked" : "not blocked");
		}
	}
	bed_unlist(everybody);
}

static uint32_t state = 1;

static uint32_t random_next(void)
{
	state ^= state << 13; /* xorshift32: the same frames in every run */
	state ^= state >> 17;
	return state ^= state << 5;
}

static void bytes_changed_at_random(void **unused)
{
	unsigned met[SLUICE_R_COUNT] = {0}, reasons = 0;

	(void)unused;
	for (unsigned round = 0; round < 40000; round++) {
		frame_parse(&in, kinds[random_next() % KINDS].in);
		for (unsigned changes = random_next() % 4; changes > 0; changes--)
			in.b[random_next() % in.bytes] = random_next();
		if (random_next() % 4 == 0)
			in.bytes = SHORTEST + random_next() % (in.bytes - SHORTEST);
		met[run_checked(&in)]++;
	}
	for (unsigned i = 0; i < SLUICE_R_COUNT; i++)
		reasons += met[i] > 0;
	/* Most of them: then the changes do reach every stage. */
	assert_true(reasons >= SLUICE_R_COUNT / 2);
	bed_empty_conns();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(short_packets_of_every_length),
		cmocka_unit_test(a_listed_source_stays_listed),
		cmocka_unit_test(bytes_changed_at_random),
	};

	return scenes_main("gate: cut and changed", &(struct bed_tuning){100000, 0, 0, 0, false},
			   NULL, 0, tests, sizeof(tests) / sizeof(tests[0]));
}
