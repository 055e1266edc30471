// SPDX-License-Identifier: BSD-2-Clause
/* Import files: lines into ranges, ranges into the fewest prefixes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "l4/feed.h"

static struct feed feed;
static struct err err;
static char told[8192]; /* complaints of the last reading */

static int setup(void **unused)
{
	(void)unused;
	memset(&feed, 0, sizeof(feed));
	err.text[0] = '\0';
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	feed_fini(&feed);
	return 0;
}

static void read_bytes(const char *bytes, size_t len)
{
	FILE *in = fmemopen((void *)bytes, len, "r"), *out = fmemopen(told, sizeof(told), "w");

	assert_non_null(in);
	assert_non_null(out);
	told[0] = '\0';
	assert_int_equal(feed_read(&feed, in, "list", out, &err), 0);
	fclose(in);
	fclose(out);
}

static void read_text(const char *text)
{
	read_bytes(text, strlen(text));
}

/* The prefixes of both families in a row, separated by spaces. */
static const char *prefixes(void)
{
	static char text[65536];
	char one[ADDR_TEXT + 4];

	text[0] = '\0';
	feed_merge(&feed);
	for (int v6 = 0; v6 < 2; v6++) {
		size_t n = feed_prefixes(&feed, v6, NULL, 0);
		struct cidr *nets = calloc(n + 1, sizeof(*nets));

		assert_non_null(nets);
		assert_int_equal(feed_prefixes(&feed, v6, nets, n), n);
		for (size_t i = 0; i < n; i++) {
			strcat(text, text[0] ? " " : "");
			strcat(text, cidr_format(&nets[i], one));
		}
		free(nets);
	}
	return text;
}

/* ---- lines ---------------------------------------------------------------------------- */

static void test_each_form_of_a_line(void **unused)
{
	(void)unused;
	read_text("192.0.2.1\n"
		  "198.51.100.0/24\n"
		  "203.0.113.4-203.0.113.7\n"
		  "2001:db8::1\n"
		  "2001:db8:1::/48\n"
		  "2001:db8:2::-2001:db8:2:ffff:ffff:ffff:ffff:ffff\n");
	assert_string_equal(prefixes(), "192.0.2.1 198.51.100.0/24 203.0.113.4/30 "
					"2001:db8::1 2001:db8:1::/48 2001:db8:2::/48");
	assert_int_equal(feed.lines, 6);
	assert_int_equal(feed.named, 6);
	assert_int_equal(feed.bad, 0);
}

static void test_comments_blanks_and_line_ends(void **unused)
{
	(void)unused;
	read_text("# a feed\r\n"
		  "; another sign\r\n"
		  "\r\n"
		  "   \t\n"
		  "\t192.0.2.1 \r\n"
		  "192.0.2.3#why\n"
		  "192.0.2.5 ; SBL1 # both\n"
		  "192.0.2.8 - 192.0.2.9\n"
		  "192.0.2.20"); /* no newline at the end */
	assert_string_equal(told, "");
	assert_string_equal(prefixes(), "192.0.2.1 192.0.2.3 192.0.2.5 192.0.2.8/31 192.0.2.20");
	assert_int_equal(feed.lines, 9);
	assert_int_equal(feed.named, 5);
}

static void test_byte_order_mark_is_skipped_once(void **unused)
{
	(void)unused;
	read_text("\xef\xbb\xbf"
		  "192.0.2.1\n"
		  "\xef\xbb\xbf"
		  "192.0.2.2\n");
	assert_string_equal(prefixes(), "192.0.2.1");
	assert_int_equal(feed.bad, 1);
	assert_non_null(strstr(told, "list:2: "));
}

static void test_every_mistake_is_told_with_its_line(void **unused)
{
	static const char *const bad[] = {
		"example.org",   "192.0.2",    "192.0.2.256", "192.0.2.01",     "192.0.2.1/33",
		"192.0.2.1/",    "/24",        "-",           "192.0.2.1-",     "-192.0.2.1",
		"192.0.2.1-2",   "1.1.1.1 2",  "192.0.2.1,",  "2001:db8::/129", "fe80::1%eth0",
		"1.1.1.1-::1",   "10.0.0.1/8", "::1-::",      "[::1]",          "192.0.2.1:80",
		"2001:db8::1/64"};
	const size_t n = sizeof(bad) / sizeof(bad[0]);
	char text[1024] = "", mark[32], *at = told;

	(void)unused;
	for (size_t i = 0; i < n; i++) {
		strcat(text, bad[i]);
		strcat(text, "\n");
	}
	read_text(text);
	assert_int_equal(feed.bad, n);
	assert_int_equal(feed.named, 0);
	for (size_t i = 1; i <= n; i++) {
		snprintf(mark, sizeof(mark), "list:%zu: ", i);
		at = strstr(at, mark);
		assert_non_null(at);
	}
	assert_string_equal(prefixes(), "");
}

static void test_host_bits_are_told_with_what_would_be_right(void **unused)
{
	(void)unused;
	read_text("10.0.0.5/24\n2001:db8::1/32\n");
	assert_non_null(strstr(told, "10.0.0.0/24"));
	assert_non_null(strstr(told, "2001:db8::/32"));
}

static void test_junk_reaches_no_terminal_as_it_is(void **unused)
{
	static const char junk[] = "\033[31mred\a\n192.0.2.1\0x\n";

	(void)unused;
	read_bytes(junk, sizeof(junk) - 1);
	assert_int_equal(feed.bad, 2);
	assert_null(strchr(told, '\033'));
	assert_null(strchr(told, '\a'));
}

static void test_long_lines(void **unused)
{
	char text[2048];

	(void)unused;
	memset(text, ' ', sizeof(text));
	memcpy(text, "192.0.2.1 #", 11);
	text[1000] = '\n';
	memcpy(text + 1001, "192.0.2.3", 9);
	text[1500] = 'x'; /* far to the right, in place of a comment */
	text[1501] = '\n';
	memcpy(text + 1502, "192.0.2.5\n", 10);
	read_bytes(text, 1512);
	assert_int_equal(feed.bad, 1);
	assert_non_null(strstr(told, "list:2: "));
	assert_string_equal(prefixes(), "192.0.2.1 192.0.2.5");
}

/* The longest line that fits, after a mark or not, and the shortest that does not. */
static void test_line_at_the_bound(void **unused)
{
	char text[FEED_LINE + 16];

	(void)unused;
	for (int over = 0; over < 2; over++) {
		for (size_t mark = 0; mark <= 3; mark += 3) {
			setup(NULL);
			memcpy(text, "\xef\xbb\xbf", mark);
			memset(text + mark, ' ', FEED_LINE + 1);
			memcpy(text + mark + FEED_LINE - 9 + over, "192.0.2.1\n", 10);
			read_bytes(text, mark + FEED_LINE + (size_t)over + 1);
			assert_int_equal(feed.bad, over);
			assert_int_equal(feed.named, !over);
			feed_fini(&feed);
		}
	}
}

static void test_mapped_addresses_are_ipv4(void **unused)
{
	(void)unused;
	read_text("::ffff:192.0.2.1\n::ffff:198.51.100.0/120\n");
	assert_string_equal(prefixes(), "192.0.2.1 198.51.100.0/24");
}

static void test_reading_twice_adds_up(void **unused)
{
	(void)unused;
	read_text("192.0.2.0/25\n");
	read_text("192.0.2.128/25\njunk\n");
	assert_string_equal(prefixes(), "192.0.2.0/24");
	assert_int_equal(feed.lines, 3);
	assert_int_equal(feed.bad, 1);
	assert_non_null(strstr(told, "list:2: "));
}

static void test_a_stream_that_cannot_be_read_is_an_error(void **unused)
{
	FILE *folder = fopen("/", "r");

	(void)unused;
	assert_non_null(folder);
	assert_int_equal(feed_read(&feed, folder, "/", stderr, &err), -EISDIR);
	assert_non_null(strstr(err.text, "directory"));
	fclose(folder);
}

/* ---- merging -------------------------------------------------------------------------- */

static void test_doubled_covered_and_touching_become_one(void **unused)
{
	(void)unused;
	read_text("10.0.0.128/25\n10.0.0.0/25\n10.0.0.7\n10.0.0.7\n10.0.1.0/24\n"
		  "2001:db8::/33\n2001:db8:8000::/33\n2001:db8:1::5\n");
	assert_string_equal(prefixes(), "10.0.0.0/23 2001:db8::/32");
}

static void test_a_range_becomes_the_fewest_prefixes(void **unused)
{
	(void)unused;
	read_text("10.0.0.1-10.0.0.14\n");
	assert_string_equal(prefixes(), "10.0.0.1 10.0.0.2/31 10.0.0.4/30 10.0.0.8/30 "
					"10.0.0.12/31 10.0.0.14");
}

static void test_whole_families(void **unused)
{
	(void)unused;
	read_text("0.0.0.0-255.255.255.255\n::/0\n1.2.3.4\nffff::1\n");
	assert_string_equal(prefixes(), "0.0.0.0/0 ::/0");
}

static void test_families_do_not_touch(void **unused)
{
	(void)unused;
	/* As numbers, the end of one and the beginning of the other are neighbours. */
	read_text("255.255.255.255\n::1:0:0\n0.0.0.0\n::\n");
	assert_string_equal(prefixes(), "0.0.0.0 255.255.255.255 :: ::1:0:0");
}

static void test_the_last_addresses_of_all(void **unused)
{
	(void)unused;
	read_text("255.255.255.254-255.255.255.255\n"
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n"
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe\n");
	assert_string_equal(prefixes(),
			    "255.255.255.254/31 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
}

/* ::ffff:0:0/96 would mean every IPv4 address. */
static void test_a_range_of_ipv6_never_becomes_ipv4(void **unused)
{
	(void)unused;
	read_text("::fffe:ffff:ffff-::1:0:0:0\n");
	assert_string_equal(prefixes(), "::fffe:ffff:ffff ::1:0:0:0");
}

/* The worst range: a prefix for each bit, twice. */
static void test_worst_range(void **unused)
{
	(void)unused;
	read_text("0.0.0.1-255.255.255.254\n::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe\n");
	feed_merge(&feed);
	assert_int_equal(feed_prefixes(&feed, false, NULL, 0), 62);
	assert_int_equal(feed_prefixes(&feed, true, NULL, 0), 254);
}

static void test_room_is_respected(void **unused)
{
	struct cidr nets[3] = {0};

	(void)unused;
	read_text("10.0.0.1\n10.0.0.3\n10.0.0.5\n");
	feed_merge(&feed);
	assert_int_equal(feed_prefixes(&feed, false, nets, 2), 3);
	assert_int_equal(nets[1].addr.b[15], 3);
	assert_int_equal(nets[2].prefix, 0);
}

/* Against a picture of 64 Ki addresses, one byte each. */
static void test_random_lists_keep_every_address(void **unused)
{
	static unsigned char wanted[65536], got[65536];
	unsigned seed = 12345;

	(void)unused;
	for (int round = 0; round < 50; round++) {
		struct cidr *nets;
		size_t n;

		setup(NULL);
		memset(wanted, 0, sizeof(wanted));
		memset(got, 0, sizeof(got));
		for (int i = 0; i < 200; i++) {
			unsigned first = (seed = seed * 1103515245 + 12345) >> 8 & 0xffff;
			unsigned last = first + ((seed = seed * 1103515245 + 12345) >> 8) % 97;
			struct feed_range r;

			last = last > 0xffff ? 0xffff : last;
			r = (struct feed_range){0x0a000000 + first, 0x0a000000 + last};
			assert_int_equal(feed_add(&feed, false, &r, &err), 0);
			memset(wanted + first, 1, last - first + 1);
		}
		feed_merge(&feed);
		n = feed_prefixes(&feed, false, NULL, 0);
		nets = calloc(n, sizeof(*nets));
		assert_non_null(nets);
		feed_prefixes(&feed, false, nets, n);
		for (size_t i = 0; i < n; i++) {
			unsigned at = nets[i].addr.b[14] * 256U + nets[i].addr.b[15];

			for (unsigned k = 0; k < 1U << (32 - nets[i].prefix); k++)
				assert_int_equal(got[at + k]++, 0); /* no address twice */
		}
		assert_memory_equal(got, wanted, sizeof(got));
		free(nets);
		feed_fini(&feed);
	}
}

static void test_more_ranges_than_the_first_room(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 5000; i++) {
		struct feed_range r = {i * 2, i * 2};

		assert_int_equal(feed_add(&feed, false, &r, &err), 0);
	}
	feed_merge(&feed);
	assert_int_equal(feed.n[0], 5000);
}

/* Each address of each prefix is found in that one, its neighbours are not. */
static void test_who_is_in_a_feed(void **unused)
{
	struct sluice_addr addr;
	struct cidr nets[64], net;
	size_t n;

	(void)unused;
	assert_true(addr_parse(&addr, "192.0.2.1"));
	assert_false(feed_covering(&feed, &addr, &net));
	read_text("192.0.2.3-192.0.2.77\n10.0.0.0/8\n0.0.0.0-0.0.0.2\n255.255.255.255\n"
		  "2001:db8::1-2001:db8::ff\n8000::/1\n");
	feed_merge(&feed);
	for (int v6 = 0; v6 < 2; v6++) {
		n = feed_prefixes(&feed, v6, nets, 64);
		for (size_t i = 0; i < n; i++) {
			for (unsigned bit = nets[i].prefix; bit <= (v6 ? 128U : 32U); bit++) {
				addr = nets[i].addr;
				if (bit < (v6 ? 128U : 32U))
					addr.b[(v6 ? bit : bit + 96) / 8] |=
						(uint8_t)(0x80 >> bit % 8);
				assert_true(feed_covering(&feed, &addr, &net));
				assert_true(addr_equal(&net.addr, &nets[i].addr));
				assert_int_equal(net.prefix, nets[i].prefix);
			}
		}
	}
	for (size_t i = 0; i < 7; i++) {
		static const char *const outside[] = {"192.0.2.2", "192.0.2.78", "9.255.255.255",
						      "11.0.0.0",  "0.0.0.3",    "255.255.255.254",
						      "2001:db8::"};

		assert_true(addr_parse(&addr, outside[i]));
		assert_false(feed_covering(&feed, &addr, &net));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		SCENE(test_each_form_of_a_line),
		SCENE(test_comments_blanks_and_line_ends),
		SCENE(test_byte_order_mark_is_skipped_once),
		SCENE(test_every_mistake_is_told_with_its_line),
		SCENE(test_host_bits_are_told_with_what_would_be_right),
		SCENE(test_junk_reaches_no_terminal_as_it_is),
		SCENE(test_long_lines),
		SCENE(test_line_at_the_bound),
		SCENE(test_mapped_addresses_are_ipv4),
		SCENE(test_reading_twice_adds_up),
		SCENE(test_a_stream_that_cannot_be_read_is_an_error),
		SCENE(test_doubled_covered_and_touching_become_one),
		SCENE(test_a_range_becomes_the_fewest_prefixes),
		SCENE(test_whole_families),
		SCENE(test_families_do_not_touch),
		SCENE(test_the_last_addresses_of_all),
		SCENE(test_a_range_of_ipv6_never_becomes_ipv4),
		SCENE(test_worst_range),
		SCENE(test_room_is_respected),
		SCENE(test_random_lists_keep_every_address),
		SCENE(test_more_ranges_than_the_first_room),
		SCENE(test_who_is_in_a_feed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
