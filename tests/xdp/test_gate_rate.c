// SPDX-License-Identifier: BSD-2-Clause
/*
 * Limits of sources. The rates here are so low (one an hour) that the test's own time changes
 * nothing; when time is to go by, the buckets are told so.
 */
#include "shop.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "sluice/rate.h"

#define HOUR_MS 3600000U
#define HOUR_NS (HOUR_MS * 1000000ULL)

/* So many packets and connections at once, and one of them back in an hour; 0: not limited. Both
 * have the same burst, in hours. */
static struct sluice_limit limit_of(bool packets, bool connections, uint32_t burst)
{
	return (struct sluice_limit){
		.burst_ms = burst * HOUR_MS,
		.prefix4 = 32,
		.prefix6 = 64,
		.known = 1,
		.gap_ns = {[SLUICE_RATE_packets] = packets ? HOUR_NS : 0,
			   [SLUICE_RATE_connections] = connections ? HOUR_NS : 0},
	};
}

static void limited(bool packets, bool connections, uint32_t burst)
{
	struct sluice_limit l = limit_of(packets, connections, burst);

	bed_limit(SHOP, &l);
}

static int setup(void **unused)
{
	shop_open(unused);
	bed_limit(TO_B1, NULL);
	bed_limit(BED_L7, NULL);
	bed_limit(SHOP, NULL);
	return 0;
}

/* Time goes by, for buckets. */
static void later(uint64_t ns)
{
	for (uint32_t i = 0; i < bed.n_conns; i++)
		for (unsigned w = 0; w < SLUICE_SOURCE_WAYS; w++) {
			struct sluice_bucket *b = &bed.sources[i].way[w];

			b->full_ns = b->full_ns > ns ? b->full_ns - ns : 0;
		}
}

static unsigned buckets(void)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < bed.n_conns; i++)
		for (unsigned w = 0; w < SLUICE_SOURCE_WAYS; w++)
			n += bed.sources[i].way[w].who != 0;
	return n;
}

static const char *sent(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The reason that the frame is counted under. */
static const char *sent(const char *format, ...)
{
	static struct frame in;
	static struct run run;
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	frame_parse(&in, text);
	return scene_reason_name(scene_reason(&in, 0, &run));
}

/* From the source to the shop's port, which is of both protocols. */
static const char *tcp(const char *source, unsigned sport, const char *flags)
{
	return sent("eth / ip%d %s > shop / tcp %u > %d %s", strchr(source, ':') ? 6 : 4, source,
		    sport, SHOP_PORT, flags);
}

static const char *udp(const char *source, unsigned sport)
{
	return sent("eth / ip%d %s > shop / udp %u > %d", strchr(source, ':') ? 6 : 4, source,
		    sport, SHOP_PORT);
}

/* How many packets of new TCP flows are forwarded before one is dropped, for that reason. */
static unsigned passes(const char *source, const char *flags, const char *reason)
{
	for (unsigned n = 0; n < 1000; n++) {
		const char *why = tcp(source, 1024 + n, flags);

		if (strcmp(why, "forward") == 0)
			continue;
		assert_string_equal(why, reason);
		return n;
	}
	return 1000;
}

#define A4 "203.0.113.7"
#define B4 "203.0.113.8"
#define A6 "2001:db8::7"
#define B6 "2001:db8:0:1::7"

static const char *const sources[] = {A4, A6};

/* ---- buckets -------------------------------------------------------------------------- */

static void without_a_limit_nothing_is_counted(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(passes(sources[i], "S", ""), 1000);
	assert_int_equal(buckets(), 0);
}

static void a_burst_and_no_more(void **unused)
{
	(void)unused;
	for (uint32_t burst = 1; burst < 40; burst += 7) {
		limited(true, false, burst);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(passes(sources[i], "A", "rate_packets"), burst);
			assert_int_equal(passes(sources[i], "S", "rate_packets"), 0);
			assert_string_equal(udp(sources[i], 1), "rate_packets");
		}
		assert_int_equal(buckets(), 2);
	}
}

/* What is dropped takes nothing. */
static void what_was_taken_comes_back(void **unused)
{
	(void)unused;
	limited(true, false, 10);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(passes(sources[i], "A", "rate_packets"), 10);
		later(HOUR_NS);
		assert_int_equal(passes(sources[i], "A", "rate_packets"), 1);
		later(3 * HOUR_NS);
		assert_int_equal(passes(sources[i], "A", "rate_packets"), 3);
		later(1000 * HOUR_NS);
		assert_int_equal(passes(sources[i], "A", "rate_packets"), 10);
	}
}

/* A burst that is shorter than one packet's time: one at a time. */
static void the_least_burst(void **unused)
{
	struct sluice_limit l = limit_of(true, false, 0);

	(void)unused;
	l.burst_ms = 1;
	bed_limit(SHOP, &l);
	assert_int_equal(passes(A4, "A", "rate_packets"), 1);
	later(HOUR_NS + 60 * 1000000000ULL);
	assert_int_equal(passes(A4, "A", "rate_packets"), 1);
}

/* Nobody waits for what a former limit let them take. */
static void a_lower_limit_holds_at_once(void **unused)
{
	struct sluice_limit l = limit_of(true, false, 2);
	const uint32_t shop = SHOP;

	(void)unused;
	limited(true, false, 900);
	assert_int_equal(passes(A4, "A", "rate_packets"), 900);
	assert_int_equal(bpf_map_lookup_elem(bed_map("limits"), &shop, &l), 0);
	l.burst_ms = 2 * HOUR_MS;
	assert_int_equal(bpf_map_update_elem(bed_map("limits"), &shop, &l, 0), 0);
	assert_int_equal(passes(A4, "A", "rate_packets"), 0);
	later(HOUR_NS);
	assert_int_equal(passes(A4, "A", "rate_packets"), 1);
}

/* ---- who ------------------------------------------------------------------------------ */

static void sources_do_not_share(void **unused)
{
	(void)unused;
	limited(true, false, 5);
	assert_int_equal(passes(A4, "A", "rate_packets"), 5);
	assert_int_equal(passes(B4, "A", "rate_packets"), 5);
	assert_int_equal(passes(A6, "A", "rate_packets"), 5);
	assert_int_equal(passes(B6, "A", "rate_packets"), 5);
	assert_int_equal(buckets(), 4);
}

static void addresses_of_a_prefix_are_one_source(void **unused)
{
	struct sluice_limit l = limit_of(true, false, 6);

	(void)unused;
	l.prefix4 = 23;
	bed_limit(SHOP, &l);
	for (unsigned i = 0; i < 3; i++) {
		assert_string_equal(tcp("203.0.112.1", 1024 + i, "A"), "forward");
		assert_string_equal(tcp("203.0.113.254", 1024 + i, "A"), "forward");
		assert_string_equal(tcp("2001:db8::1", 1024 + i, "A"), "forward");
		assert_string_equal(tcp("2001:db8::ffff:1:2:3", 1024 + i, "A"), "forward");
	}
	assert_string_equal(tcp("203.0.112.77", 1024, "A"), "rate_packets");
	assert_string_equal(tcp("203.0.114.77", 1024, "A"), "forward");
	assert_string_equal(tcp("2001:db8::abcd:0:0:1", 1024, "A"), "rate_packets");
	assert_string_equal(tcp("2001:db8:0:1::1", 1024, "A"), "forward");
}

static void services_do_not_share(void **unused)
{
	struct sluice_limit l = limit_of(true, false, 5);

	(void)unused;
	limited(true, false, 5);
	bed_limit(TO_B1, &l);
	assert_int_equal(passes(A4, "A", "rate_packets"), 5);
	for (unsigned i = 0; i < 6; i++)
		assert_string_equal(sent("eth / ip4 " A4 " > shop / tcp %u > 80 A", 2000 + i),
				    i < 5 ? "forward" : "rate_packets");
	/* Nor with those that have none. */
	for (unsigned i = 0; i < 20; i++)
		assert_string_equal(sent("eth / ip4 " A4 " > shop / tcp %u > 88 A", 2000 + i),
				    "forward");
}

/* Whether or not the list of blocked ones was looked at before. */
static void allowed_sources_are_exempt(void **unused)
{
	static const char *const lists[] = {"allow 203.0.113.0/24,allow 2001:db8::/32",
					    "allow 203.0.113.0/24,allow 2001:db8::/32,"
					    "block 203.0.113.0/24,block 2001:db8::/32"};

	(void)unused;
	limited(true, true, 2);
	for (unsigned i = 0; i < 2; i++) {
		bed_list(lists[i]);
		for (unsigned k = 0; k < 2; k++)
			assert_int_equal(passes(sources[k], "S", ""), 1000);
		assert_int_equal(noticed(SLUICE_N_allowed), 1);
		bed_unlist(lists[i]);
	}
	assert_int_equal(passes(A4, "S", "rate_packets"), 0);
}

/* ---- what ----------------------------------------------------------------------------- */

static void syns_are_connections(void **unused)
{
	(void)unused;
	limited(false, true, 4);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(passes(sources[i], "S", "rate_connections"), 4);
		/* What is open goes on. */
		assert_int_equal(passes(sources[i], "A", ""), 1000);
		assert_int_equal(passes(sources[i], "SA", ""), 1000);
		assert_int_equal(passes(sources[i], "S", "rate_connections"), 0);
	}
}

/* The same flow opened again and again, known or not. */
static void syns_of_known_flows_are_too(void **unused)
{
	(void)unused;
	limited(false, true, 4);
	assert_string_equal(tcp(A4, 2000, "A"), "forward");
	for (unsigned i = 0; i < 8; i++)
		assert_string_equal(tcp(A4, 2000, "S"), i < 4 ? "forward" : "rate_connections");
	assert_string_equal(tcp(A4, 2000, "A"), "forward");
}

static void unknown_flows_of_udp_are_connections(void **unused)
{
	(void)unused;
	limited(false, true, 4);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned n = 0; n < 8; n++)
			assert_string_equal(udp(sources[i], 3000 + n),
					    n < 4 ? "forward" : "rate_connections");
		for (unsigned n = 0; n < 40; n++)
			assert_string_equal(udp(sources[i], 3000 + n % 4), "forward");
	}
	shop_entry.track = SLUICE_TRACK_never; /* and cannot be told */
	shop_entry.limited = 1;
	shop_table(TABLE, 1, 1, 1);
	for (unsigned n = 0; n < 40; n++)
		assert_string_equal(udp(A4, 4000 + n), "forward");
}

static void packets_of_known_flows_count(void **unused)
{
	(void)unused;
	limited(true, false, 8);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned n = 0; n < 8; n++) {
			assert_string_equal(tcp(sources[i], 2000, "A"), "forward");
			assert_int_equal(noticed(SLUICE_N_conn_hit), n > 0);
		}
		assert_string_equal(tcp(sources[i], 2000, "A"), "rate_packets");
		assert_string_equal(tcp(sources[i], 2001, "S"), "rate_packets");
	}
}

static void both_hold(void **unused)
{
	(void)unused;
	limited(true, true, 6);
	assert_int_equal(passes(A4, "S", "rate_packets"), 6);
	bed_empty_sources();
	for (unsigned i = 0; i < 3; i++)
		assert_string_equal(tcp(B4, 2000, "A"), "forward");
	assert_int_equal(passes(B4, "S", "rate_packets"), 3);
}

/* Of a router on the way, not of the source that is quoted. */
static void errors_are_not_counted(void **unused)
{
	(void)unused;
	limited(true, true, 1);
	for (unsigned i = 0; i < 20; i++)
		assert_string_equal(sent("eth / ip4 router > shop / icmp4 3 code 4 rest 1300 / "
					 "ip4 shop > client / tcp8 %d > 1000",
					 SHOP_PORT),
				    "icmp_forward");
	assert_string_equal(sent("eth / ip4 client > shop / tcp 1000 > %d A", SHOP_PORT),
			    "forward");
}

static void the_daemons_services_too(void **unused)
{
	struct sluice_limit l = limit_of(true, true, 3);

	(void)unused;
	l.gap_ns[SLUICE_RATE_connections] = 2 * HOUR_NS;
	bed_limit(BED_L7, &l);
	for (int v6 = 0; v6 < 2; v6++) {
		const char *ip = v6 ? "ip6 " A6 : "ip4 " A4;

		assert_string_equal(sent("eth / %s > site / tcp 1000 > 443 S", ip), "l7");
		assert_string_equal(sent("eth / %s > site / tcp 1000 > 443 S", ip),
				    "rate_connections");
		assert_string_equal(sent("eth / %s > site / tcp 1000 > 443 A", ip), "l7");
		assert_string_equal(sent("eth / %s > site / tcp 1000 > 443 A", ip), "rate_packets");
		/* The same address, the same port; but nobody's service. */
		assert_string_equal(sent("eth / %s > site / tcp 1000 > 444 A", ip), "no_service");
	}
}

/* ---- a full table --------------------------------------------------------------------- */

/* Every way is somebody's who has taken so much. */
static void fill(uint64_t taken_ns)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	for (uint32_t i = 0; i < bed.n_conns; i++)
		for (unsigned w = 0; w < SLUICE_SOURCE_WAYS; w++)
			bed.sources[i].way[w] = (struct sluice_bucket){
				.who = 1 + i * SLUICE_SOURCE_WAYS + w,
				.full_ns = now.tv_sec * 1000000000ULL + taken_ns};
}

static void a_full_table_blocks_nobody(void **unused)
{
	(void)unused;
	limited(true, true, 5);
	fill(900 * HOUR_NS);
	for (unsigned i = 0; i < 2; i++) {
		assert_string_equal(tcp(sources[i], 2000, "A"), "forward");
		assert_int_equal(noticed(SLUICE_N_rate_forgotten), 1);
		/* It has its place then, and its limit. */
		assert_int_equal(passes(sources[i], "A", "rate_packets"), 4);
	}
}

/* Forged ones take one packet's worth each. */
static void a_flood_of_sources_hides_nobody(void **unused)
{
	(void)unused;
	limited(true, false, 5);
	assert_int_equal(passes(A4, "A", "rate_packets"), 5);
	assert_int_equal(passes(A6, "A", "rate_packets"), 5);
	for (unsigned i = 0; i < 40000; i++) {
		char from[32];

		snprintf(from, sizeof(from), "10.%u.%u.%u", 84 + (i >> 16), i >> 8 & 255, i & 255);
		assert_string_equal(tcp(from, 2000, "S"), "forward");
	}
	assert_int_equal(buckets(), bed.n_conns * SLUICE_SOURCE_WAYS);
	assert_int_equal(passes(A4, "A", "rate_packets"), 0);
	assert_int_equal(passes(A6, "A", "rate_packets"), 0);
	assert_int_equal(passes(B4, "A", "rate_packets"), 5);
}

/* The place of those who have their whole burst again is taken first. */
static void full_buckets_are_forgotten_first(void **unused)
{
	(void)unused;
	limited(true, false, 5);
	fill(2 * HOUR_NS);
	for (uint32_t i = 0; i < bed.n_conns; i++)
		bed.sources[i].way[i % SLUICE_SOURCE_WAYS].full_ns = 1;
	assert_string_equal(tcp(A4, 2000, "A"), "forward");
	assert_int_equal(noticed(SLUICE_N_rate_forgotten), 0);
	for (uint32_t i = 0; i < bed.n_conns; i++)
		for (unsigned w = 0; w < SLUICE_SOURCE_WAYS; w++)
			if (bed.sources[i].way[w].who > bed.n_conns * SLUICE_SOURCE_WAYS)
				assert_int_equal(w, i % SLUICE_SOURCE_WAYS);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(without_a_limit_nothing_is_counted),
		TEST(a_burst_and_no_more),
		TEST(what_was_taken_comes_back),
		TEST(the_least_burst),
		TEST(a_lower_limit_holds_at_once),
		TEST(sources_do_not_share),
		TEST(addresses_of_a_prefix_are_one_source),
		TEST(services_do_not_share),
		TEST(allowed_sources_are_exempt),
		TEST(syns_are_connections),
		TEST(syns_of_known_flows_are_too),
		TEST(unknown_flows_of_udp_are_connections),
		TEST(packets_of_known_flows_count),
		TEST(both_hold),
		TEST(errors_are_not_counted),
		TEST(the_daemons_services_too),
		TEST(a_full_table_blocks_nobody),
		TEST(a_flood_of_sources_hides_nobody),
		TEST(full_buckets_are_forgotten_first),
	};

	return scenes_main("gate: limits", &(struct bed_tuning){1000000, 0, 1024, 0, true}, NULL, 0,
			   tests, sizeof(tests) / sizeof(tests[0]));
}
