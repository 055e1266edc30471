// SPDX-License-Identifier: BSD-2-Clause
/*
 * Imported feeds at the gate: what they name is dropped whatever it wears, allow wins, the
 * lists go on beside them, and the gate's answer is the naive one for random feeds. How a
 * sieve is laid out is tested in tests/unit.
 */
#include "scene.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/addr.h"
#include "l4/sieve.h"

#define FEED4 "feed 203.0.113.0/24"
#define FEED6 "feed 2001:db8:bad::/48"
#define FROM4 "eth / ip4 bad > gate / tcp 1000 > 22 S"
#define FROM6 "eth / ip6 bad > gate / tcp 1000 > 22 S"

static const struct scene scenes[] = {
	/* ---- who is named ---- */
	DROP("feed", "its network", FROM4, .lists = FEED4),
	DROP("feed", "v6: its network", FROM6, .lists = FEED6),
	DROP("feed", "its address", FROM4, .lists = "feed 203.0.113.7"),
	DROP("feed", "v6: its address", FROM6, .lists = "feed 2001:db8:bad::7"),
	DROP("feed", "one of several of its network", FROM4,
	     .lists = "feed 203.0.113.1,feed 203.0.113.7,feed 203.0.113.200"),
	DROP("feed", "everybody", FROM4, .lists = "feed 0.0.0.0/0"),
	DROP("feed", "v6: everybody", FROM6, .lists = "feed ::/0"),
	PASS("no_service", "its neighbour", FROM4, .lists = "feed 203.0.113.6,feed 203.0.113.8"),
	PASS("no_service", "v6: its neighbours", FROM6,
	     .lists = "feed 2001:db8:bad::6,feed 2001:db8:bad::8"),
	PASS("no_service", "the networks beside", FROM4,
	     .lists = "feed 203.0.112.0/24,feed 203.0.114.0/24"),
	PASS("no_service", "everybody of the other family", FROM4, .lists = "feed ::/0"),
	PASS("no_service", "v6: everybody of the other family", FROM6, .lists = "feed 0.0.0.0/0"),
	PASS("no_service", "the destination is named", "eth / ip4 client > bad / tcp 1000 > 22 S",
	     .lists = FEED4),
	PASS("not_ip", "ARP of everybody", "eth type 0x806 / data 28", .lists = "feed 0.0.0.0/0"),

	/* ---- what it asks for and wears does not matter ---- */
	DROP("feed", "for an l4 service", "eth / ip4 bad > shop / tcp 1000 > 80 S", .lists = FEED4),
	DROP("feed", "for an l7 service", "eth / ip6 bad > site / tcp 1000 > 443 S",
	     .lists = FEED6),
	DROP("feed", "two tags", "eth / qinq 7 / vlan 5 / ip4 bad > gate / tcp 1000 > 22 S",
	     .lists = FEED4),
	DROP("feed", "extension headers", "eth / ip6 bad > gate / hbh / dst / rt / tcp 1 > 22 S",
	     .lists = FEED6),
	DROP("feed", "a later fragment", "eth / ip4 bad > gate offset 9 / data 8", .lists = FEED4),
	DROP("feed", "an impossible length", "eth / ip4 bad > gate len 3 / udp 1 > 2",
	     .lists = FEED4),
	DROP("feed", "inside a balancer's tunnel, 4 in 6",
	     "eth gate > b1 / ip6 gate > b1 / ip4 bad > shop / tcp 1 > 80 S", .lists = FEED4),
	DROP("feed", "inside a balancer's tunnel, 6 in 4",
	     "eth gate > b1 / ip4 gate > b1 / ip6 bad > shop / tcp 1 > 80 S", .lists = FEED6),

	/* ---- allow wins ---- */
	PASS("no_service", "its address is allowed", FROM4, .lists = FEED4 ",allow 203.0.113.7",
	     .notices = "allowed"),
	PASS("no_service", "v6: its address is allowed", FROM6,
	     .lists = FEED6 ",allow 2001:db8:bad::7", .notices = "allowed"),
	PASS("no_service", "its network is allowed, its address named", FROM4,
	     .lists = "feed 203.0.113.7,allow 203.0.113.0/24", .notices = "allowed"),
	DROP("feed", "its neighbour is allowed", FROM4, .lists = FEED4 ",allow 203.0.113.6"),
	DROP("feed", "it was allowed for a time that is over", FROM4,
	     .lists = FEED4 ",allow 203.0.113.7 expired", .notices = "expired"),
	TX("forward", "allowed to an l4 service", "eth / ip4 bad > shop / tcp 1000 > 80 S",
	   "eth gate > b1 / ip4 gate > b1 df / ip4 bad > shop ttl 63 / tcp 1000 > 80 S",
	   .service = TO_B1, .lists = FEED4 ",allow 203.0.113.0/24", .notices = "allowed"),

	/* ---- beside the lists ---- */
	DROP("block", "not named, but listed", FROM4,
	     .lists = "feed 192.0.2.0/24,block 203.0.113.7"),
	DROP("block", "v6: not named, but listed", FROM6,
	     .lists = "feed 2001:db8::1,block 2001:db8:bad::7"),
	DROP("feed", "named and listed", FROM4, .lists = FEED4 ",block 203.0.113.0/24"),
	DROP("feed", "named, and listed for a time that is over", FROM4,
	     .lists = FEED4 ",block 203.0.113.7 expired"),
	PASS("no_service", "named, listed and allowed", FROM4,
	     .lists = FEED4 ",block 203.0.113.7,allow 203.0.113.7", .notices = "allowed"),
};

/* ---- verbs ---------------------------------------------------------------------------- */

static struct err err;

static int no_feeds(void **unused)
{
	(void)unused;
	bed_feed(NULL);
	return 0;
}

static uint32_t reason_of(bool v6, const struct sluice_addr *src)
{
	static struct frame in;
	static struct run run;
	char text[ADDR_TEXT];

	frame_printf(&in, "eth / %s %s > gate / tcp 1000 > 22 S", v6 ? "ip6" : "ip4",
		     addr_format(src, text));
	return scene_reason(&in, 0, &run);
}

static void is_named(bool v6, const struct sluice_addr *src, bool named)
{
	char text[ADDR_TEXT];
	uint32_t reason = reason_of(v6, src);

	if (reason != (named ? SLUICE_R_feed : SLUICE_R_no_service))
		fail_msg("%s is%s named: %s", addr_format(src, text), named ? "" : " not",
			 scene_reason_name(reason));
}

static uint64_t seed = 88172645463325252ULL;

static uint64_t dice(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

/* ---- scenes of their own -------------------------------------------------------------- */

/* The bad address' prefix of each length, its ends, and the addresses beside them. */
static void every_length(void **unused)
{
	(void)unused;
	for (int v6 = 0; v6 < 2; v6++) {
		unsigned longest = v6 ? 128 : 32, skip = v6 ? 0 : 96;

		for (unsigned prefix = 0; prefix <= longest; prefix++) {
			struct cidr net = {.addr = frame_addr("bad", v6), .prefix = prefix};
			struct sluice_addr last = net.addr;
			char text[ADDR_TEXT + 4];

			cidr_mask(&net);
			for (unsigned bit = skip + prefix; bit < 128; bit++)
				last.b[bit / 8] |= 0x80 >> bit % 8;
			bed_feed(cidr_format(&net, text));
			is_named(v6, &net.addr, true);
			is_named(v6, &last, true);
			if (prefix) {
				net.addr.b[(skip + prefix - 1) / 8] ^=
					0x80 >> (skip + prefix - 1) % 8;
				is_named(v6, &net.addr, false);
			}
			bed_feed(NULL);
		}
	}
}

/* All lengths of IPv6 in one feed: the whole tree of lengths is walked. */
static void every_length_at_once(void **unused)
{
	static struct feed feed;
	struct sluice_addr addr;
	struct sieve sieve;

	(void)unused;
	for (unsigned bit = 0; bit < 128; bit++) {
		struct feed_range r = {(unsigned __int128)1 << bit, 0};

		r.last = r.first + r.first - 1;
		if (bit != 47 && bit % 3) /* leave holes, and v4-mapped ones */
			assert_int_equal(feed_add(&feed, true, &r, &err), 0);
	}
	assert_int_equal(sieve_build(&sieve, &feed, true, &err), 0);
	bed_sieve(&sieve);
	for (unsigned bit = 0; bit < 128; bit++) {
		memset(&addr, 0, sizeof(addr));
		addr.b[15 - bit / 8] = 1 << bit % 8;
		is_named(true, &addr, bit != 47 && bit % 3);
		for (unsigned low = 0; low < bit; low++)
			if (dice() & 1)
				addr.b[15 - low / 8] |= 1 << low % 8;
		if (!addr_is_v4(&addr))
			is_named(true, &addr, bit != 47 && bit % 3);
	}
	sieve_fini(&sieve);
	feed_fini(&feed);
}

#define SMALL 200

static bool model_says(const struct feed *f, bool v6, unsigned __int128 n)
{
	for (size_t i = 0; i < f->n[v6]; i++)
		if (n >= f->ranges[v6][i].first && n <= f->ranges[v6][i].last)
			return true;
	return false;
}

static void agree_on(const struct feed *f, bool v6, unsigned __int128 n)
{
	struct sluice_addr addr = {0};
	unsigned __int128 rest = n = v6 ? n : (uint32_t)n;

	for (unsigned i = 16; i-- > (v6 ? 0 : 12); rest >>= 8)
		addr.b[i] = rest;
	if (!v6)
		addr.b[10] = addr.b[11] = 0xff;
	if (v6 && addr_is_v4(&addr))
		return;
	is_named(v6, &addr, model_says(f, v6, n));
}

/* Over all addresses or a corner of them, single ones or large nets. */
static void random_feeds(void **unused)
{
	(void)unused;
	for (int round = 0; round < 40; round++) {
		bool v6 = round & 1;
		unsigned spread = dice() % (v6 ? 120 : 32) + 1, length = dice() % spread + 1;
		unsigned __int128 base = (unsigned __int128)dice() << 64 | dice();
		struct feed feed = {0};
		struct sieve sieve;

		for (int i = 0; i < SMALL; i++) {
			unsigned __int128 x = (unsigned __int128)dice() << 64 | dice();
			struct feed_range r = {
				.first = base ^ (x & (((unsigned __int128)1 << spread) - 1))};

			r.last = r.first + dice() % (1ULL << (length > 40 ? 40 : length));
			r.first = v6 ? r.first : (uint32_t)r.first;
			r.last = v6 ? r.last : (uint32_t)r.last;
			if (r.first <= r.last)
				assert_int_equal(feed_add(&feed, v6, &r, &err), 0);
		}
		feed_merge(&feed);
		assert_int_equal(sieve_build(&sieve, &feed, v6, &err), 0);
		bed_sieve(&sieve);
		for (size_t i = 0; i < feed.n[v6]; i++) {
			agree_on(&feed, v6, feed.ranges[v6][i].first);
			agree_on(&feed, v6, feed.ranges[v6][i].first - 1);
			agree_on(&feed, v6, feed.ranges[v6][i].last);
			agree_on(&feed, v6, feed.ranges[v6][i].last + 1);
			agree_on(&feed, v6,
				 base ^ (dice() & ((1ULL << (spread > 63 ? 63 : spread)) - 1)));
		}
		sieve_fini(&sieve);
		feed_fini(&feed);
		bed_feed(NULL);
	}
}

/* Bit 0: there is a sieve of IPv4; bit 1: of IPv6. No slot is taken that is none of theirs. */
static unsigned families(void)
{
	const uint32_t *words = bed.counters->sieves;
	uint32_t taken = 0, id;

	for (uint32_t slot = 0; slot < SLUICE_SIEVE_CHUNKS; slot++)
		taken += bpf_map_lookup_elem(bed_map("sieves"), &slot, &id) == 0;
	assert_int_equal(taken, (words[0] & 0xffff) + (words[1] & 0xffff));
	return (words[0] != 0) | (words[1] != 0) << 1;
}

/* One feed for another: what only the old one named is free at once, and the other way
 * round. A family that is empty again costs no lookup. */
static void feeds_are_swapped(void **unused)
{
	struct sluice_addr old4 = frame_addr("bad", false), new4 = frame_addr("client", false);
	struct sluice_addr old6 = frame_addr("bad", true);

	(void)unused;
	assert_int_equal(families(), 0);
	bed_feed("203.0.113.0/24");
	assert_int_equal(families(), 1);
	bed_feed("2001:db8:bad::/48");
	assert_int_equal(families(), 3);
	is_named(false, &old4, true);
	is_named(false, &new4, false);
	is_named(true, &old6, true);
	bed_feed(NULL);
	bed_feed("10.83.0.100");
	assert_int_equal(families(), 1);
	is_named(false, &old4, false);
	is_named(false, &new4, true);
	is_named(true, &old6, false);
	bed_feed(NULL);
	assert_int_equal(families(), 0);
	is_named(false, &new4, false);
}

/* Whatever somebody writes into a sieve, the gate reads within it. */
static void a_damaged_sieve_harms_nobody(void **unused)
{
	struct sieve sieve = {.lines = calloc(200, 64), .n = 200};

	(void)unused;
	assert_non_null(sieve.lines);
	for (int round = 0; round < 60; round++) {
		uint64_t *words = (uint64_t *)sieve.lines;

		for (size_t i = 0; i < 200 * 8; i++)
			words[i] = dice() | (round % 3 ? 0 : ~0ULL << 32);
		sieve.v6 = round & 1;
		bed_sieve(&sieve);
		for (int i = 0; i < 4; i++) {
			struct sluice_addr src = frame_addr("bad", sieve.v6);
			uint32_t reason;

			src.b[sieve.v6 ? 0 : 12] = dice() % 200; /* lines that are there */
			src.b[13] = dice();
			src.b[15] = dice();
			reason = reason_of(sieve.v6, &src);
			assert_true(reason == SLUICE_R_feed || reason == SLUICE_R_no_service);
		}
	}
	sieve_fini(&sieve);
	bed_feed(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_setup_teardown(name, no_feeds, no_feeds)
		SCENE(every_length),      SCENE(every_length_at_once),         SCENE(random_feeds),
		SCENE(feeds_are_swapped), SCENE(a_damaged_sieve_harms_nobody),
	};

	return scenes_main("gate: feeds", &(struct bed_tuning){100000, 0, 0, 0, false}, scenes,
			   sizeof(scenes) / sizeof(scenes[0]), tests,
			   sizeof(tests) / sizeof(tests[0]));
}
