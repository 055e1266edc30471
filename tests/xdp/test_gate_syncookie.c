// SPDX-License-Identifier: BSD-2-Clause
/*
 * SYNs answered with a cookie. A client, the gate, and the kernel with a listener, which makes the
 * cookies and judges them; what the answer looks like is checked byte by byte here.
 */
#include "site.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "l4/cookies.h"

#define ALL      "\x02\x04\x05\xb4\x04\x02\x08\x0a\x11\x22\x33\x44\0\0\0\0\x01\x03\x03\x09"
#define NO_SACK  "\x02\x04\x05\xb4\x01\x01\x08\x0a\x11\x22\x33\x44\0\0\0\0\x01\x03\x03\x09"
#define NO_SCALE "\x02\x04\x05\xb4\x04\x02\x08\x0a\x11\x22\x33\x44\0\0\0\0"
#define NO_STAMP "\x02\x04\x05\xb4\x04\x02\x01\x01\x01\x03\x03\x09"
#define MSS_ONLY "\x02\x04\x05\xb4"

#define BOTH(v6) for (int v6 = 0; v6 < 2; v6++)

static struct frame in;
static struct run run;

/* ---- the client ----------------------------------------------------------------------- */

static uint32_t tcp_at(bool v6, unsigned tags)
{
	return 14 + 4 * tags + (v6 ? 40 : 20);
}

/* A TCP header with options: the text ends with data that becomes them. */
static void with_options(uint32_t at, const char *options, size_t n)
{
	in.b[at + 12] = (uint8_t)((20 + n) / 4 << 4);
	memcpy(in.b + at + 20, options, n);
}

#define syn(v6, options) syn_with(v6, options, sizeof(options) - 1)
static const char *syn_with(bool v6, const char *options, size_t n)
{
	frame_printf(&in, "eth / ip%d client > site / tcp 1000 > 443 S / data %zu", v6 ? 6 : 4, n);
	with_options(tcp_at(v6, 0), options, n);
	return scene_reason_name(scene_reason(&in, 0, &run));
}

static const char *send_text(const char *text)
{
	frame_parse(&in, text);
	return scene_reason_name(scene_reason(&in, 0, &run));
}

static uint32_t get32(uint32_t at)
{
	const uint8_t *b = run.out.b + at;

	return (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

static uint32_t get16(uint32_t at)
{
	return get32(at) >> 16;
}

/* The client's next packet after the answer in `run`; acks that cookie and so many more. */
static const char *ack(bool v6, uint32_t cookie, int more)
{
	uint32_t at = tcp_at(v6, 0), n = cookie + 1 + more;

	frame_printf(&in, "eth / ip%d client > site / tcp 1000 > 443 A", v6 ? 6 : 4);
	for (int i = 0; i < 4; i++)
		in.b[at + 8 + i] = (uint8_t)(n >> 8 * (3 - i));
	/* The SYN had the sequence number that all frames here have. */
	in.b[at + 7]++;
	return scene_reason_name(scene_reason(&in, 0, &run));
}

static uint64_t noticed(enum sluice_notice n)
{
	return bed.counters->notices[n];
}

/* ---- the answer ----------------------------------------------------------------------- */

static bool tcp_sum_ok(bool v6, uint32_t at, uint32_t bytes)
{
	uint32_t addrs = v6 ? at - 32 : at - 8;
	uint8_t pseudo[40 + 64] = {0};
	uint32_t n = v6 ? 32 : 8;

	memcpy(pseudo, run.out.b + addrs, n);
	pseudo[n + 1] = IPPROTO_TCP;
	pseudo[n + 3] = (uint8_t)bytes;
	memcpy(pseudo + n + 4, run.out.b + at, bytes);
	return frame_sum(pseudo, n + 4 + bytes, 0) == 0xffff;
}

/* All but the options; returns the cookie. */
static uint32_t check_answer(bool v6, unsigned tags, uint32_t options)
{
	uint32_t at = tcp_at(v6, tags), bytes = 20 + options;
	uint32_t frame = at + bytes < 60 ? 60 : at + bytes;

	assert_int_equal(run.verdict, XDP_TX);
	assert_int_equal(run.out.bytes, in.bytes < frame && in.bytes < 60 ? at + bytes : frame);
	assert_memory_equal(run.out.b, in.b + 6, 6);
	assert_memory_equal(run.out.b + 6, in.b, 6);
	assert_memory_equal(run.out.b + 12, in.b + 12, 4 * tags + 2);
	if (v6) {
		assert_int_equal(get32(at - 40), 6U << 28);
		assert_int_equal(get32(at - 36), bytes << 16 | IPPROTO_TCP << 8 | 64);
		assert_memory_equal(run.out.b + at - 32, in.b + at - 16, 16);
		assert_memory_equal(run.out.b + at - 16, in.b + at - 32, 16);
	} else {
		assert_int_equal(get32(at - 20), 0x45000000 | (20 + bytes));
		assert_int_equal(get32(at - 16), 0x4000);
		assert_int_equal(get16(at - 12), 64 << 8 | IPPROTO_TCP);
		assert_int_equal(frame_sum(run.out.b + at - 20, 20, 0), 0xffff);
		assert_memory_equal(run.out.b + at - 8, in.b + at - 4, 4);
		assert_memory_equal(run.out.b + at - 4, in.b + at - 8, 4);
	}
	assert_int_equal(get32(at), 443 << 16 | 1000);
	assert_int_equal(run.out.b[at + 12], bytes / 4 << 4);
	assert_int_equal(run.out.b[at + 13], 0x12);
	assert_int_equal(get32(at + 16) & 0xffff, 0);
	assert_true(tcp_sum_ok(v6, at, bytes));
	assert_int_equal(get32(at + 20), 0x02040000 | (v6 ? SITE_MSS6 : SITE_MSS4));
	return get32(at + 4);
}

/* What the client's timestamp will say when it comes back. */
static void check_stamp(bool v6, uint32_t scale, bool sack)
{
	uint32_t at = tcp_at(v6, 0), stamp = get32(at + 28), now;
	struct timespec ts;

	assert_int_equal(get32(at + 24), sack ? 0x0402080a : 0x0101080a);
	assert_int_equal(get32(at + 32), 0x11223344);
	assert_int_equal(get32(at + 36), scale == 15 ? 0x01010101 : 0x01030300 | SITE_SCALE);
	assert_int_equal(stamp & 0xf, scale);
	assert_int_equal(stamp >> 4 & 3, sack);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint32_t)(ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
	assert_true(now - stamp < 60000); /* not ahead of the host's own */
}

static int setup(void **unused)
{
	(void)unused;
	site_sysctl("tcp_syncookies", "2");
	site_syncookie(SLUICE_SYNCOOKIE_always, 1000000);
	site_says(true, true, true);
	return 0;
}

/* ---- stories -------------------------------------------------------------------------- */

static void what_a_syn_offers_is_answered(void **unused)
{
	(void)unused;
	BOTH(v6)
	{
		assert_string_equal(syn(v6, ALL), "syncookie");
		check_answer(v6, 0, 20);
		check_stamp(v6, 9, true);
		assert_string_equal(syn(v6, NO_SACK), "syncookie");
		check_answer(v6, 0, 20);
		check_stamp(v6, 9, false);
		assert_string_equal(syn(v6, NO_SCALE), "syncookie");
		check_answer(v6, 0, 20);
		check_stamp(v6, 15, true);
		assert_string_equal(syn(v6, NO_STAMP), "syncookie");
		check_answer(v6, 0, 4);
		assert_string_equal(syn(v6, MSS_ONLY), "syncookie");
		check_answer(v6, 0, 4);
		assert_string_equal(syn(v6, ""), "syncookie");
		check_answer(v6, 0, 4);
	}
}

static void what_the_host_cannot_is_not_offered(void **unused)
{
	(void)unused;
	BOTH(v6)
	{
		site_says(false, false, false);
		assert_string_equal(syn(v6, ALL), "syncookie");
		check_answer(v6, 0, 4);
		site_says(true, false, true);
		assert_string_equal(syn(v6, ALL), "syncookie");
		check_answer(v6, 0, 20);
		check_stamp(v6, 9, false);
		site_says(true, true, false);
		assert_string_equal(syn(v6, ALL), "syncookie");
		check_answer(v6, 0, 20);
		check_stamp(v6, 15, true);
	}
}

static void odd_options_are_passed_over(void **unused)
{
	static const struct {
		const char *options;
		size_t n;
		uint32_t answered;
	} rows[] = {
		{"\x00\x04\x05\xb4\x08\x0a\0\0\0\0\0\0", 12, 4},     /* they end at once */
		{"\x08\x00\x08\x0a\x11\x22\x33\x44\0\0\0\0", 12, 4}, /* of no length */
		{"\x01\x01\x08\x0a", 4, 4},                          /* beyond the header */
		{"\x05\xff\x08\x0a", 4, 4},
		{"\x08\x0b\x11\x22\x33\x44\0\0\0\0\0\x01", 12, 4}, /* a byte too long */
		{"\x1e\x04\xab\xcd\x08\x0a\x11\x22\x33\x44\0\0\0\0\0\0", 16, 20}, /* unknown */
		{"\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
		 "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x08\x0a\x11\x22\x33\x44\0\0\0\0",
		 40, 20},
	};

	(void)unused;
	BOTH(v6)
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_string_equal(syn_with(v6, rows[i].options, rows[i].n), "syncookie");
		check_answer(v6, 0, rows[i].answered);
	}
}

/* A frame that goes back is as short as the answer. */
static void data_tags_and_ip_options_do_not_come_back(void **unused)
{
	(void)unused;
	assert_string_equal(send_text("eth / ip4 client > site / tcp 1000 > 443 S / data 900"),
			    "syncookie");
	check_answer(false, 0, 4);
	assert_string_equal(
		send_text("eth / qinq 7 / vlan 5 / ip4 client > site / tcp 1000 > 443 S / data 9"),
		"syncookie");
	check_answer(false, 2, 4);
	assert_string_equal(
		send_text(
			"eth / vlan 5 / ip6 client > site tc 3 label 99 hop 2 / tcp 1000 > 443 S"),
		"syncookie");
	check_answer(true, 1, 4);
	assert_string_equal(
		send_text("eth / ip4 client > site options 8 / tcp 1000 > 443 S / data 30"),
		"syncookie");
	assert_int_equal(run.out.bytes, 60);
	assert_int_equal(run.out.b[14], 0x45);
	assert_true(tcp_sum_ok(false, 34, 24));
	assert_string_equal(send_text("eth / ip6 client > site / dst / tcp 1000 > 443 S"),
			    "syncookie");
	assert_int_equal(run.out.bytes, 14 + 40 + 24);
	assert_true(tcp_sum_ok(true, 54, 24));
}

static void a_cookie_is_known_again(void **unused)
{
	(void)unused;
	site_flooded(true);
	BOTH(v6)
	{
		uint32_t cookie;

		assert_string_equal(syn(v6, ALL), "syncookie");
		cookie = check_answer(v6, 0, 20);
		assert_string_equal(ack(v6, cookie, 0), "l7");
		assert_int_equal(noticed(SLUICE_N_syncookie_good), 1);
		assert_string_equal(ack(v6, cookie, 1000), "syncookie_bad");
		assert_string_equal(ack(v6, cookie, 1 << 24), "syncookie_bad");
		assert_int_equal(noticed(SLUICE_N_syncookie_good), 0);
		/* What is judged is what opens connections. */
		site_flooded(false);
		assert_string_equal(ack(v6, cookie, 1000), "l7");
		site_flooded(true);
	}
}

static void open_connections_are_nobodys_flood(void **unused)
{
	(void)unused;
	site_flooded(true);
	BOTH(v6)
	{
		struct sluice_flow flow;
		int fd = site_connect(v6, &flow);

		frame_printf(&in, "eth / ip%d site > site / tcp %u > 443 A / data 20", v6 ? 6 : 4,
			     ntohs(flow.sport));
		assert_string_equal(scene_reason_name(scene_reason(&in, 0, &run)), "l7");
		in.b[tcp_at(v6, 0) + 1] ^= 1; /* its neighbour is not open */
		assert_string_equal(scene_reason_name(scene_reason(&in, 0, &run)), "syncookie_bad");
		close(fd);
	}
	assert_string_equal(send_text("eth / ip4 client > site / tcp 1000 > 443 R"), "l7");
	assert_string_equal(send_text("eth / ip4 client > site / tcp 1000 > 443 SA"), "l7");
	assert_string_equal(send_text("eth / ip4 client > site / tcp 1000 > 443 F"), "l7");
}

static void auto_begins_with_a_flood(void **unused)
{
	(void)unused;
	for (int round = 0; round < 2; round++) {
		site_syncookie(SLUICE_SYNCOOKIE_auto, 3);
		for (int i = 0; i < 3; i++) {
			site_hold();
			assert_string_equal(syn(round, ALL), "l7");
		}
		site_hold();
		assert_string_equal(syn(round, ALL), "syncookie");
	}
	/* It goes on for a while, and then it is over. */
	bed.counters->syns[BED_L7].start_ns = 0;
	assert_string_equal(syn(0, ALL), "syncookie");
	bed.counters->syns[BED_L7].until_ns = 1;
	bed.counters->syns[BED_L7].start_ns = 0;
	assert_string_equal(syn(0, ALL), "l7");
	assert_int_equal(bed.counters->syns[BED_L7].until_ns, 0);
}

static void off_is_off(void **unused)
{
	(void)unused;
	site_syncookie(SLUICE_SYNCOOKIE_off, 0);
	site_flooded(true);
	assert_string_equal(syn(0, ALL), "l7");
	assert_string_equal(ack(0, 7, 0), "l7");
	assert_int_equal(noticed(SLUICE_N_syncookie_refused), 0);
}

/* The host's own stack goes on as it would without the gate. */
static void what_the_kernel_refuses_goes_up_as_it_came(void **unused)
{
	static const char *const odd[] = {
		"eth / ip4 client > site / tcp 1000 > 443 SF",
		"eth / ip6 client > site / tcp 1000 > 443 SF",
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_string_equal(send_text(odd[i]), "l7");
		assert_int_equal(noticed(SLUICE_N_syncookie_refused), 1);
		scene_frames_equal(&run.out, &in);
	}
	site_sysctl("tcp_syncookies", "1");
	BOTH(v6)
	{
		assert_string_equal(syn(v6, ALL), "l7");
		assert_int_equal(noticed(SLUICE_N_syncookie_refused), 1);
		scene_frames_equal(&run.out, &in);
	}
}

static void what_is_no_syn_of_a_connection_is_not_answered(void **unused)
{
	(void)unused;
	assert_string_equal(send_text("eth / ip4 client > site mf / tcp 1000 > 443 S / data 4"),
			    "l7");
	assert_string_equal(send_text("eth / ip4 router > site / icmp4 3 code 1 / "
				      "ip4 site > client / tcp8 443 > 1000"),
			    "l7");
	assert_string_equal(send_text("eth / ip4 site > site / tcp 443 > 443 S"), "land");
	assert_string_equal(send_text("eth / ip4 127.0.0.1 > site / tcp 1000 > 443 S"), "martian");
	assert_string_equal(send_text("eth / ip6 ff02::1 > site / tcp 1000 > 443 S"), "martian");
}

static void a_header_that_is_cut_goes_up(void **unused)
{
	(void)unused;
	frame_parse(&in, "eth / ip4 client > site / tcp 1000 > 443 S");
	in.b[34 + 12] = 0xf0; /* 60 bytes, and there are 20 */
	assert_string_equal(scene_reason_name(scene_reason(&in, 0, &run)), "l7");
	in.b[34 + 12] = 0x40;
	assert_string_equal(scene_reason_name(scene_reason(&in, 0, &run)), "l7");
	scene_frames_equal(&run.out, &in);
}

static void nobody_listens(void **unused)
{
	(void)unused;
	site_close();
	assert_string_equal(syn(0, ALL), "l7");
	assert_int_equal(noticed(SLUICE_N_syncookie_refused), 1);
}

static int open_site(void **state)
{
	site_open();
	return setup(state);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

static void where_the_kernel_makes_them(void **unused)
{
	(void)unused;
	puts("SKIP: the verifier of this kernel does not follow the gate to its SYN cookies");
	skip();
}

int main(void)
{
	static const struct CMUnitTest none[] = {
		cmocka_unit_test(where_the_kernel_makes_them),
	};
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_a_syn_offers_is_answered, open_site),
		TEST(what_the_host_cannot_is_not_offered),
		TEST(odd_options_are_passed_over),
		TEST(data_tags_and_ip_options_do_not_come_back),
		TEST(a_cookie_is_known_again),
		TEST(open_connections_are_nobodys_flood),
		TEST(auto_begins_with_a_flood),
		TEST(off_is_off),
		TEST(what_the_kernel_refuses_goes_up_as_it_came),
		TEST(what_is_no_syn_of_a_connection_is_not_answered),
		TEST(a_header_that_is_cut_goes_up),
		TEST(nobody_listens),
	};

	if (!cookies_possible())
		return cmocka_run_group_tests(none, NULL, NULL);
	return scenes_main("gate: SYN cookies", &(struct bed_tuning){1000000, 0, 0, 0, false}, NULL,
			   0, tests, sizeof(tests) / sizeof(tests[0]));
}
