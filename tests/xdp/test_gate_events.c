// SPDX-License-Identifier: BSD-2-Clause
/* Samples of dropped packets: one of so many for each reason, what they say, and who is
 * never sampled. */
#include "scene.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <netinet/in.h>

#define EVERY 3 /* not a power of two */

static struct ring_buffer *ring;
static struct sluice_event events[64];
static unsigned n_events;
static struct frame in;
static struct run run;

static int keep(void *unused, void *data, size_t size)
{
	(void)unused;
	assert_int_equal(size, sizeof(struct sluice_event));
	assert_true(n_events < 64);
	memcpy(&events[n_events++], data, size);
	return 0;
}

static void read_events(void)
{
	n_events = 0;
	assert_true(ring_buffer__consume(ring) >= 0);
}

static int setup(void **unused)
{
	(void)unused;
	if (!ring)
		ring = ring_buffer__new(bed_map("events"), keep, NULL, NULL);
	if (!ring)
		return -1;
	read_events();
	memset(bed.counters, 0, offsetof(struct sluice_counters, filter_vips));
	bed.counters->capture = 0;
	bed_empty_conns();
	return 0;
}

static void send_times(const char *frame, unsigned times)
{
	frame_parse(&in, frame);
	for (unsigned i = 0; i < times; i++)
		assert_int_equal(bed_run(&in, 0, &run), 0);
}

static void one_of_so_many_drops(void **unused)
{
	(void)unused;
	send_times("eth / ip4 127.0.0.1 > shop / tcp 1000 > 80 S", 10 * EVERY);
	read_events();
	assert_int_equal(n_events, 10);
	send_times("eth / ip4 127.0.0.1 > shop / tcp 1000 > 80 S", EVERY - 1);
	read_events();
	assert_int_equal(n_events, 1);
	send_times("eth / ip4 127.0.0.1 > shop / tcp 1000 > 80 S", 1);
	read_events();
	assert_int_equal(n_events, 0);
}

/* A flood that ends by one reason does not hide the few that end by another. */
static void reasons_are_sampled_apart(void **unused)
{
	(void)unused;
	send_times("eth / ip4 127.0.0.1 > shop / tcp 1000 > 80 S", 2 * EVERY - 1);
	send_times("eth / ip4 client > shop ttl 1 / tcp 1000 > 80 S", 1);
	send_times("eth / ip4 shop > shop / tcp 1000 > 80 S", 1);
	read_events();
	assert_int_equal(n_events, 4);
	assert_int_equal(events[0].reason, SLUICE_R_martian);
	assert_int_equal(events[1].reason, SLUICE_R_martian);
	assert_int_equal(events[2].reason, SLUICE_R_ttl);
	assert_int_equal(events[3].reason, SLUICE_R_land);
}

static void an_event_tells_the_packet(void **unused)
{
	const struct sluice_flow flow = {.src = frame_addr("client", true),
					 .dst = frame_addr("shop", true),
					 .sport = htons(1000),
					 .dport = htons(85),
					 .proto = IPPROTO_UDP};
	const struct sluice_event *e = &events[0];
	struct timespec before, after;

	(void)unused;
	clock_gettime(CLOCK_BOOTTIME, &before);
	send_times("eth / vlan 5 / ip6 client > shop / udp 1000 > 85 / data 11", 1);
	clock_gettime(CLOCK_BOOTTIME, &after);
	read_events();
	assert_int_equal(n_events, 1);
	assert_in_range(e->time_ns, before.tv_sec * 1000000000ULL + before.tv_nsec,
			after.tv_sec * 1000000000ULL + after.tv_nsec);
	assert_int_equal(e->ifindex, if_nametoindex(bed.ingress));
	assert_int_equal(e->reason, SLUICE_R_no_neighbor);
	assert_int_equal(e->bytes, in.bytes);
	assert_int_equal(e->backend, TO_SILENT_6);
	assert_memory_equal(&e->flow, &flow, sizeof(flow));
}

static void no_backend_is_named_when_there_is_none(void **unused)
{
	(void)unused;
	send_times("eth / ip4 client > shop / tcp 1000 > 90 S", 1);
	read_events();
	assert_int_equal(n_events, 1);
	assert_int_equal(events[0].reason, SLUICE_R_no_backend);
	assert_int_equal(events[0].backend, 0);
}

/* What is not known yet is zero, not what was in the ring before. */
static void an_event_of_a_blocked_packet_has_no_ports(void **unused)
{
	const struct sluice_flow flow = {.src = frame_addr("bad", false),
					 .dst = frame_addr("shop", false)};

	(void)unused;
	bed_list("block 203.0.113.7");
	send_times("eth / ip4 bad > shop / tcp 1000 > 80 S", 1);
	bed_unlist("block 203.0.113.7");
	read_events();
	assert_int_equal(n_events, 1);
	assert_int_equal(events[0].reason, SLUICE_R_block);
	assert_int_equal(events[0].backend, 0);
	assert_memory_equal(&events[0].flow, &flow, sizeof(flow));
}

static void what_goes_on_is_not_sampled(void **unused)
{
	(void)unused;
	send_times("eth / ip4 client > shop / tcp 1000 > 80 A", 2 * EVERY);
	send_times("eth / ip4 client > site / tcp 1000 > 443 A", 2 * EVERY);
	send_times("eth / ip4 client > shop / icmp4 8", 2 * EVERY);
	send_times("eth type 0x806 / data 28", 2 * EVERY);
	read_events();
	assert_int_equal(n_events, 0);
}

/* Every length around the event's own, and every rest of a word: as much as the event holds, and
 * nothing of what was in the ring before. */
static void an_event_holds_the_frames_first_bytes(void **unused)
{
	static const uint8_t nothing[SLUICE_EVENT_HEAD];
	char text[128];

	(void)unused;
	for (unsigned more = 0; more < SLUICE_EVENT_HEAD; more++) {
		const struct sluice_event *e = &events[0];
		uint32_t held;

		snprintf(text, sizeof(text),
			 "eth / ip4 127.0.0.1 > shop / tcp 1000 > 80 S / data %u", more);
		send_times(text, EVERY);
		read_events();
		assert_int_equal(n_events, 1);
		held = in.bytes < SLUICE_EVENT_HEAD ? in.bytes : SLUICE_EVENT_HEAD;
		assert_int_equal(e->frame, in.bytes);
		assert_int_equal(e->held, held);
		assert_memory_equal(e->head, in.b, held);
		assert_memory_equal(e->head + held, nothing, SLUICE_EVENT_HEAD - held);
	}
	assert_true(in.bytes > SLUICE_EVENT_HEAD);
}

static void capture(uint64_t reasons, int64_t for_ns)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	bed.counters->capture = reasons;
	bed.counters->capture_until_ns = now.tv_sec * 1000000000ULL + now.tv_nsec + for_ns;
}

/* What a capture asks for is sampled as drops are: as it left, inside its tunnel. */
static void a_capture_samples_what_goes_on_too(void **unused)
{
	const struct sluice_event *e = &events[0];

	(void)unused;
	capture(1ULL << SLUICE_R_forward | 1ULL << SLUICE_R_l7, 3600000000000);
	send_times("eth / ip4 client > shop / tcp 1000 > 80 A / data 9", 2 * EVERY);
	send_times("eth / ip4 client > shop / icmp4 8", 2 * EVERY);
	read_events();
	assert_int_equal(n_events, 2);
	assert_int_equal(e->reason, SLUICE_R_forward);
	assert_int_equal(e->backend, TO_B1);
	assert_int_equal(e->bytes, 14 + 20 + 20 + 9);
	assert_int_equal(e->frame, e->bytes + 20);
	assert_int_equal(e->head[14 + 9], IPPROTO_IPIP);
	send_times("eth / ip4 client > site / tcp 1000 > 443 A", EVERY);
	read_events();
	assert_int_equal(n_events, 1);
	assert_int_equal(e->reason, SLUICE_R_l7);
	assert_memory_equal(e->head, in.b, in.bytes);
}

/* One that was killed could not put an end to it. */
static void a_capture_ends_by_itself(void **unused)
{
	(void)unused;
	capture(1ULL << SLUICE_R_forward, -1);
	send_times("eth / ip4 client > shop / tcp 1000 > 80 A", 2 * EVERY);
	read_events();
	assert_int_equal(n_events, 0);
}

/* Each event takes 8 bytes more than its own in the ring. */
static void a_full_ring_loses_and_counts(void **unused)
{
	const unsigned room = SLUICE_EVENTS_BYTES / (sizeof(struct sluice_event) + 8);

	(void)unused;
	frame_parse(&in, "eth / ip4 127.0.0.1 > shop / tcp 1000 > 80 S");
	assert_int_equal(bed_repeat(&in, EVERY * room), 0);
	assert_int_equal(bed.counters->notices[SLUICE_N_events_lost], 0);
	assert_int_equal(bed_repeat(&in, EVERY * 5), 0);
	assert_int_equal(bed.counters->notices[SLUICE_N_events_lost], 5);
	assert_int_equal(bed.counters->reasons[SLUICE_R_martian].packets, EVERY * (room + 5));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(one_of_so_many_drops),
		TEST(reasons_are_sampled_apart),
		TEST(an_event_tells_the_packet),
		TEST(no_backend_is_named_when_there_is_none),
		TEST(an_event_of_a_blocked_packet_has_no_ports),
		TEST(an_event_holds_the_frames_first_bytes),
		TEST(what_goes_on_is_not_sampled),
		TEST(a_capture_samples_what_goes_on_too),
		TEST(a_capture_ends_by_itself),
		TEST(a_full_ring_loses_and_counts),
	};

	return scenes_main("gate: events", &(struct bed_tuning){100000, EVERY, 0, 0, false}, NULL,
			   0, tests, sizeof(tests) / sizeof(tests[0]));
}
