// SPDX-License-Identifier: BSD-2-Clause
/* Sieves: exactly the addresses of the feed are in them, whatever it is made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l4/sieve.h"

static struct feed feed;
static struct sieve sieve[2];
static struct err err;

/* ---- verbs ---------------------------------------------------------------------------- */

static int teardown(void **unused)
{
	(void)unused;
	feed_fini(&feed);
	sieve_fini(&sieve[0]);
	sieve_fini(&sieve[1]);
	return 0;
}

static void name(const char *text)
{
	struct feed_range r;
	bool v6;

	assert_int_equal(feed_parse_line(text, strlen(text), &r, &v6, &err), 1);
	assert_int_equal(feed_add(&feed, v6, &r, &err), 0);
}

static void build(void)
{
	feed_merge(&feed);
	for (int v6 = 0; v6 < 2; v6++) {
		sieve_fini(&sieve[v6]);
		if (sieve_build(&sieve[v6], &feed, v6, &err) != 0)
			fail_msg("%s", err.text);
	}
}

static bool has(const char *text)
{
	struct sluice_addr addr;
	bool in;

	assert_true(addr_parse(&addr, text));
	in = sieve_has(&sieve[!addr_is_v4(&addr)], &addr);
	assert_false(sieve_has(&sieve[addr_is_v4(&addr)], &addr));
	return in;
}

/* ---- the model ------------------------------------------------------------------------ */

static uint64_t seed = 88172645463325252ULL;

static uint64_t dice(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static unsigned __int128 number_of(const struct sluice_addr *addr)
{
	unsigned __int128 n = 0;

	for (unsigned i = addr_is_v4(addr) ? 12 : 0; i < 16; i++)
		n = n << 8 | addr->b[i];
	return n;
}

static struct sluice_addr addr_of(unsigned __int128 n, bool v6)
{
	struct sluice_addr addr = {0};

	for (unsigned i = 16; i-- > 0; n >>= 8)
		addr.b[i] = (uint8_t)n;
	if (!v6)
		addr.b[10] = addr.b[11] = 0xff;
	return addr;
}

static bool is_named(bool v6, unsigned __int128 n)
{
	for (size_t i = 0; i < feed.n[v6]; i++)
		if (n >= feed.ranges[v6][i].first && n <= feed.ranges[v6][i].last)
			return true;
	return false;
}

static void agree_on(bool v6, unsigned __int128 n)
{
	struct sluice_addr addr = addr_of(v6 ? n : (uint32_t)n, v6);
	char text[ADDR_TEXT];

	if (v6 && addr_is_v4(&addr))
		return;
	if (sieve_has(&sieve[v6], &addr) != is_named(v6, number_of(&addr)))
		fail_msg("%s is%s named, the sieve says otherwise", addr_format(&addr, text),
			 is_named(v6, number_of(&addr)) ? "" : " not");
}

/* The ends of each range and what is beyond them, and anything. */
static void agree(bool v6)
{
	for (size_t i = 0; i < feed.n[v6]; i++) {
		const struct feed_range *r = &feed.ranges[v6][i];

		agree_on(v6, r->first);
		agree_on(v6, r->last);
		agree_on(v6, r->first - 1);
		agree_on(v6, r->last + 1);
		agree_on(v6, r->first + (r->last - r->first) / 2);
		agree_on(v6, r->first ^ (unsigned __int128)1 << dice() % 128);
	}
	for (int i = 0; i < 200; i++)
		agree_on(v6, (unsigned __int128)dice() << 64 | dice());
}

/* ---- scenes --------------------------------------------------------------------------- */

static void test_nothing(void **unused)
{
	(void)unused;
	build();
	assert_int_equal(sieve[0].n + sieve[1].n, 0);
	assert_false(has("0.0.0.0"));
	assert_false(has("::"));
}

static void test_a_few_by_hand(void **unused)
{
	(void)unused;
	name("192.0.2.1");
	name("192.0.2.200-192.0.3.3");
	name("10.0.0.0/8");
	name("2001:db8::/32");
	name("2001:db9::1");
	build();
	assert_true(has("192.0.2.1") && has("192.0.2.200") && has("192.0.3.3"));
	assert_false(has("192.0.2.0") || has("192.0.2.199") || has("192.0.3.4"));
	assert_true(has("10.0.0.0") && has("10.255.255.255") && has("10.1.2.3"));
	assert_false(has("9.255.255.255") || has("11.0.0.0"));
	assert_true(has("2001:db8::") && has("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"));
	assert_true(has("2001:db9::1"));
	assert_false(has("2001:db9::") || has("2001:db9::2") || has("2001:db7::1"));
}

static void test_everybody(void **unused)
{
	(void)unused;
	name("0.0.0.0/0");
	build();
	assert_true(has("0.0.0.0") && has("255.255.255.255") && has("128.1.2.3"));
	assert_false(has("::1"));
	assert_int_equal(sieve[0].n, SLUICE_SIEVE_ROOTS + 65536);
	name("::/0");
	build();
	assert_true(has("::") && has("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
}

static void test_the_first_and_the_last_address(void **unused)
{
	(void)unused;
	name("0.0.0.0");
	name("255.255.255.255");
	name("::");
	name("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	build();
	agree(false);
	agree(true);
	assert_true(has("255.255.255.255") && has("0.0.0.0") && has("::"));
	assert_false(has("255.255.255.254") || has("0.0.0.1") || has("::1"));
}

static void test_every_length_alone(void **unused)
{
	(void)unused;
	for (int v6 = 0; v6 < 2; v6++) {
		for (unsigned prefix = 0; prefix <= (v6 ? 128 : 32); prefix++) {
			struct cidr net = {
				.addr = addr_of(v6 ? (unsigned __int128)dice() << 64 | dice()
						   : (uint32_t)dice(),
						v6),
				.prefix = (uint8_t)prefix};
			char text[ADDR_TEXT + 4];

			cidr_mask(&net);
			name(cidr_format(&net, text));
			build();
			agree(v6);
			assert_int_equal(sieve[!v6].n, 0);
			teardown(NULL);
		}
	}
}

/* 2001:db8::1/128, :2/127, :4/126, ...: each length once, none inside another. */
static void test_every_length_of_ipv6_at_once(void **unused)
{
	(void)unused;
	for (unsigned bit = 0; bit < 128; bit++) {
		struct cidr net = {.addr = addr_of((unsigned __int128)1 << bit, true),
				   .prefix = (uint8_t)(128 - bit)};
		char text[ADDR_TEXT + 4];

		if (!addr_is_v4(&net.addr))
			name(cidr_format(&net, text));
	}
	build();
	agree(true);
}

/* A few addresses of one network, so that it has no, one or several ranges. */
static void test_every_shape_of_a_network(void **unused)
{
	char text[64];

	(void)unused;
	for (unsigned first = 0; first < 256; first += 5) {
		for (unsigned last = first; last < 256; last += 7) {
			snprintf(text, sizeof(text), "10.0.31.%u-10.0.31.%u", first, last);
			name(text);
			name("10.0.32.0/24");
			if (last < 250)
				name(first % 2 ? "10.0.31.252/30" : "10.0.33.9");
			build();
			agree(false);
			teardown(NULL);
		}
	}
}

/* Dense and sparse, long and short, over all addresses or a corner of them. */
static void test_random_ranges(void **unused)
{
	(void)unused;
	for (int round = 0; round < 60; round++) {
		bool v6 = round & 1;
		unsigned spread = (unsigned)(dice() % (v6 ? 128 : 32)) + 1;
		unsigned length = (unsigned)(dice() % spread) + 1;
		unsigned __int128 base = (unsigned __int128)dice() << 64 | dice();

		for (size_t i = 0, n = dice() % 300 + 1; i < n; i++) {
			unsigned __int128 x = (unsigned __int128)dice() << 64 | dice();
			struct feed_range r = {
				.first =
					base ^
					(spread == 128 ? x : x % ((unsigned __int128)1 << spread))};

			r.last = r.first + dice() % ((uint64_t)1 << (length > 40 ? 40 : length));
			if (!v6) {
				r.first = (uint32_t)r.first;
				r.last = (uint32_t)r.last;
			}
			if (r.first <= r.last)
				assert_int_equal(feed_add(&feed, v6, &r, &err), 0);
		}
		build();
		agree(v6);
		teardown(NULL);
	}
}

static void test_a_million_of_each_family(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < 1000000; i++) {
		unsigned __int128 n = (unsigned __int128)dice() << 64 | dice();
		struct feed_range r4 = {(uint32_t)n, (uint32_t)n}, r6 = {n, n};

		assert_int_equal(feed_add(&feed, false, &r4, &err), 0);
		assert_int_equal(feed_add(&feed, true, &r6, &err), 0);
	}
	build();
	for (int v6 = 0; v6 < 2; v6++) {
		size_t strangers = 0;

		for (size_t i = 0; i < feed.n[v6]; i++) {
			struct sluice_addr addr = addr_of(feed.ranges[v6][i].first, v6);

			assert_true(sieve_has(&sieve[v6], &addr));
			addr = addr_of(v6 ? (unsigned __int128)dice() << 64 | dice()
					  : (uint32_t)dice(),
				       v6);
			strangers += sieve_has(&sieve[v6], &addr);
		}
		/* IPv4: a million of 2^32 are in it; IPv6: who hit one would have seen a wonder. */
		assert_true(v6 ? strangers == 0 : strangers < 1000);
	}
	/* What sieve.h promises about size. */
	assert_true(sieve[0].n * 64 < (size_t)9 * 1048576 / 2);
	assert_true(sieve[1].n * 64 < (size_t)9 * 1000000);
}

/* Many of one length come first: no markers, one question. */
static void test_lengths_are_asked_by_weight(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 1000; i++) {
		struct feed_range r = {.first = (unsigned __int128)(dice() | 1ULL << 63) << 64 |
						dice()};

		r.last = r.first;
		assert_int_equal(feed_add(&feed, true, &r, &err), 0);
	}
	name("2001:db8:1::/48");
	name("2001:db9::/32");
	name("2001:dba::/64");
	build();
	agree(true);
	assert_int_equal(sieve[1].lines[0].node[0].prefixlen, 128);
	assert_true(sieve[1].n < 64 + 1003 / 8 + 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_teardown(name, teardown)
		SCENE(test_nothing),
		SCENE(test_a_few_by_hand),
		SCENE(test_everybody),
		SCENE(test_the_first_and_the_last_address),
		SCENE(test_every_length_alone),
		SCENE(test_every_length_of_ipv6_at_once),
		SCENE(test_every_shape_of_a_network),
		SCENE(test_random_ranges),
		SCENE(test_a_million_of_each_family),
		SCENE(test_lengths_are_asked_by_weight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
