// SPDX-License-Identifier: BSD-2-Clause
/* Named feeds as they are typed: `sluice block import --name`, `feeds`, `flush --name`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <jansson.h>

#include "l4/feeds.h"
#include "l4/sieves.h"
#include "typed.h"

#define PINS "/sys/fs/bpf/sluice/"

/* ---- verbs ---------------------------------------------------------------------------- */

/* Would the gate drop it for a feed? */
static bool held(const char *text)
{
	struct sluice_addr addr;

	assert_true(addr_parse(&addr, text));
	return sieves_hold(&typed.gate, &addr);
}

/* What each CPU's packets are told: bit 0, there are feeds of IPv4; bit 1, of IPv6. */
static unsigned announced(void)
{
	static struct sluice_counters cpu;
	unsigned there = 0;

	for (__u32 i = 0; bpf_map_lookup_elem(typed.gate.counters, &i, &cpu) == 0; i++) {
		unsigned now = (cpu.sieves[0] != 0) | (cpu.sieves[1] != 0) << 1;

		assert_true(i == 0 || now == there);
		there = now;
	}
	return there;
}

static int open_host(void **state)
{
	assert_int_equal(typed_open(state), 0);
	typed_works("printf '10.0.0.0/25\\n10.0.0.128/25 # half\\n10.1.0.1-10.1.0.2\\n"
		    "2001:db8::/32\\n' >/mnt/drop.txt; "
		    "printf '10.0.0.7\\n192.0.2.1\\n' >/mnt/other.list");
	return 0;
}

/* ---- scenes: import ------------------------------------------------------------------- */

static void test_a_feed_is_made(void **unused)
{
	(void)unused;
	typed_works("sluice block import --name drop /mnt/drop.txt");
	typed_shows("4 lines name 4 entries, which make 3 IPv4 and 1 IPv6 prefixes\n"
		    "feed drop: new; the gate's feeds take 2.0 MiB, in ");
	assert_true(held("10.0.0.0") && held("10.0.0.255") && held("10.1.0.2"));
	assert_true(held("2001:db8::1"));
	assert_false(held("10.0.1.0") || held("10.1.0.3") || held("2001:db9::1"));
	assert_int_equal(announced(), 3);
	/* The tries are the operator's. */
	typed_works("bpftool -j map dump pinned " PINS "block4");
	typed_shows("[]");
}

static void test_a_feed_is_replaced(void **unused)
{
	(void)unused;
	typed_works("sluice block import --name drop /mnt/drop.txt");
	typed_works("sluice block import --name drop /mnt/other.list");
	typed_shows("feed drop: in place of 4 prefixes");
	assert_true(held("10.0.0.7") && held("192.0.2.1"));
	assert_false(held("10.0.0.8") || held("10.1.0.1") || held("2001:db8::1"));
	assert_int_equal(announced(), 1);
}

static void test_feeds_add_up(void **unused)
{
	(void)unused;
	typed_works("sluice block import --name drop /mnt/drop.txt");
	typed_works("sluice block import --name other /mnt/other.list");
	assert_true(held("10.0.0.8") && held("10.0.0.7") && held("192.0.2.1"));
	/* What two name stays as long as one does. */
	typed_works("sluice block flush --name drop");
	typed_shows("feed drop is gone, with 4 prefixes");
	assert_true(held("10.0.0.7") && held("192.0.2.1"));
	assert_false(held("10.0.0.8") || held("2001:db8::1"));
	typed_works("sluice block flush --name other");
	assert_false(held("10.0.0.7"));
	assert_int_equal(announced(), 0);
	typed_works("ls " PINS);
	typed_hides("feed");
	typed_ends(1, "sluice block flush --name other");
	typed_shows("there is no feed other");
}

static void test_several_files_make_one_feed(void **unused)
{
	(void)unused;
	typed_works("sluice block import --name all /mnt/drop.txt /mnt/other.list");
	typed_shows("6 lines name 6 entries, which make 4 IPv4 and 1 IPv6 prefixes");
	typed_works("echo 192.0.2.0/24 | sluice block import --name all -");
	typed_works("sluice block list --name all");
	typed_shows("192.0.2.0/24\n");
	typed_hides("10.");
}

/* A feed has no time and no reasons; a list that asks for one is entries. */
static void test_what_becomes_a_feed(void **unused)
{
	(void)unused;
	typed_works("sluice block import /mnt/drop.txt"); /* small: entries, as ever */
	typed_shows("block: 4 new");
	typed_works("seq 1001 | sed 's/.*/2001:db8:&::1/' >/mnt/big.example.netset");
	typed_works("sluice block import /mnt/big.example.netset --ttl 1h");
	typed_shows("block: 1001 new");
	typed_works("sluice block flush --yes");
	typed_works("sluice block import /mnt/big.example.netset");
	typed_shows("feed big_example: new");
	typed_works("sluice block list");
	typed_shows("feed big_example: 0 IPv4 and 1001 IPv6 prefixes\n");
	typed_hides("forever");
	/* However small it is the next time. */
	typed_works("echo 192.0.2.1 >/mnt/big.example.netset; "
		    "sluice block import /mnt/big.example.netset");
	typed_shows("feed big_example: in place of 1001 prefixes");
	typed_works("seq 0 5 | sed 's/.*/192.0.&.0\\/24/' | sluice block import -");
	typed_shows("block: ");
}

static void test_wrong_files_leave_the_feed(void **unused)
{
	(void)unused;
	typed_works("sluice block import --name drop /mnt/drop.txt");
	typed_works("printf '192.0.2.1\\n\\n300.1.1.1\\n' >/mnt/wrong");
	typed_ends(1, "sluice block import --name drop /mnt/wrong");
	typed_shows("/mnt/wrong:3: `300.1.1.1`");
	typed_shows("nothing was imported");
	typed_ends(1, "sluice block import --name drop /mnt/none");
	typed_shows("/mnt/none: No such file");
	typed_works("echo '# soon' >/mnt/empty");
	typed_ends(1, "sluice block import --name drop /mnt/empty");
	typed_shows("nothing is named there, so feed drop was left as it is");
	assert_true(held("10.0.0.7"));
	assert_false(held("192.0.2.1"));
	typed_works("sluice block import --name drop --skip-bad /mnt/wrong");
	typed_shows("(1 wrong ones left out)");
	assert_true(held("192.0.2.1"));
	typed_works("sluice block import --name drop --force /mnt/empty");
	assert_false(held("192.0.2.1"));
	assert_int_equal(announced(), 0);
}

static void test_nobody_locks_themselves_out(void **unused)
{
	static const char ssh[] = "SSH_CONNECTION='198.51.100.7 50000 192.0.2.2 22'";

	(void)unused;
	typed_works("echo 198.51.100.0/25 >/mnt/mine; printf '0.0.0.0/1\\n128.0.0.0/1\\n' "
		    ">/mnt/all4; echo ::/0 >/mnt/all6");
	typed_ends(1, "%s sluice block import --name f /mnt/mine", ssh);
	typed_shows("198.51.100.0/25 would block 198.51.100.7, the other end of your SSH session");
	typed_ends(1, "sluice block import --name f /mnt/all4");
	typed_shows("0.0.0.0/0 is every address there is");
	typed_ends(1, "sluice block import --name f /mnt/all6");
	typed_shows("::/0 is every address there is");
	typed_works("sluice block feeds");
	typed_shows("there are no feeds");
	typed_works("sluice allow add 198.51.100.7");
	typed_works("%s sluice block import --name f /mnt/mine", ssh);
	typed_works("sluice block import --name f /mnt/all4 /mnt/all6 --force");
	assert_true(held("8.8.8.8") && held("2001:db8::1"));
}

static void test_slips(void **unused)
{
	static const struct {
		const char *words, *told;
	} rows[] = {
		{"import --name a/b /mnt/drop.txt", "a/b"},
		{"import --name '' /mnt/drop.txt", "name"},
		{"import --name a.b /mnt/drop.txt", "letters, digits, - and _"},
		{"import --name 12345678901234567890123456789012 /mnt/drop.txt", "up to 31"},
		{"import --name a --ttl 1h /mnt/drop.txt", "--ttl"},
		{"import --name a --reason scan /mnt/drop.txt", "--reason"},
		{"import --name a", "file"},
		{"import --watch --name a -", "stdin"},
		{"flush --name a --expired", "--expired"},
		{"flush --watch", "--watch"},
		{"feeds now", "now"},
		{"feeds --name a", "--name"},
		{"add --name a 192.0.2.1", "--name"},
	};

	(void)unused;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		typed_ends(2, "sluice block %s", rows[i].words);
		typed_shows(rows[i].told);
	}
	typed_ends(2, "sluice allow feeds");
	typed_ends(2, "sluice allow list --name a");
	typed_works("sluice block feeds");
	typed_shows("there are no feeds");
	typed_works("sluice block import --name 1234567890123456789012345678901 /mnt/drop.txt");
}

static void test_a_bounded_number_of_feeds(void **unused)
{
	(void)unused;
	typed_works("for i in $(seq %d); do echo 10.2.0.$i | sluice block import --name f$i - "
		    ">/mnt/said || exit 1; done",
		    FEEDS_MAX);
	typed_ends(1, "echo 10.2.1.1 | sluice block import --name more -");
	typed_shows("there are 64 feeds");
	assert_false(held("10.2.1.1"));
	assert_true(held("10.2.0.1") && held("10.2.0.64"));
	typed_works("echo 10.2.1.1 | sluice block import --name f7 -");
	assert_true(held("10.2.1.1"));
	assert_false(held("10.2.0.7"));
}

/* ---- scenes: asking ------------------------------------------------------------------- */

static void test_feeds_are_listed(void **unused)
{
	const char *name;
	json_int_t ipv4, ipv6, bytes, imported, gate4, gate6;
	json_t *root;

	(void)unused;
	typed_works("sluice block import --name drop /mnt/drop.txt; "
		    "sluice block import --name other /mnt/other.list");
	typed_works("sluice block feeds");
	typed_shows("FEED                                 IPV4      IPV6    MEMORY  IMPORTED\n"
		    "drop                                    3         1   4.0 KiB  ");
	typed_shows("\nother                                   2         0   4.0 KiB  ");
	typed_shows("at the gate, together: 1.0 MiB for IPv4, ");
	typed_works("sluice block feeds --json");
	root = json_loads(typed.out, 0, NULL);
	assert_int_equal(json_unpack(root, "{s:[{s:s, s:I, s:I, s:I, s:I}, {}], s:{s:I, s:I}}",
				     "feeds", "name", &name, "ipv4", &ipv4, "ipv6", &ipv6, "bytes",
				     &bytes, "imported", &imported, "gate_bytes", "ipv4", &gate4,
				     "ipv6", &gate6),
			 0);
	assert_string_equal(name, "drop");
	assert_true(ipv4 == 3 && ipv6 == 1 && bytes == 4096);
	assert_true(imported > time(NULL) - 300 && imported <= time(NULL));
	assert_true(gate4 == 1 << 20 && gate6 == 1 << 20);
	json_decref(root);
	typed_works("sluice block list --json");
	root = json_loads(typed.out, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(root, "feeds")), 2);
	assert_int_equal(json_array_size(json_object_get(root, "entries")), 0);
	json_decref(root);
}

static void test_status_tells_of_feeds(void **unused)
{
	json_int_t ipv4, bytes;
	const char *name;
	json_t *root;

	(void)unused;
	typed_works("sluice status");
	typed_hides("feeds");
	typed_works("sluice block import --name drop /mnt/drop.txt; "
		    "sluice block import --name other /mnt/other.list");
	typed_works("sluice status");
	typed_shows("\nfeeds  2 with 5 IPv4 and 1 IPv6 prefixes, in 2.0 MiB\n");
	typed_works("sluice status --json");
	root = json_loads(typed.out, 0, NULL);
	assert_int_equal(json_unpack(root, "{s:[{}, {s:s, s:I}], s:I}", "feeds", "name", &name,
				     "ipv4", &ipv4, "feeds_gate_bytes", &bytes),
			 0);
	assert_string_equal(name, "other");
	assert_true(ipv4 == 2 && bytes == 2 << 20);
	json_decref(root);
}

static void test_a_feed_is_printed(void **unused)
{
	json_t *root;

	(void)unused;
	typed_works("sluice block import --name drop /mnt/drop.txt");
	typed_works("sluice block list --name drop");
	assert_string_equal(typed.out, "10.0.0.0/24\n10.1.0.1\n10.1.0.2\n2001:db8::/32\n");
	/* It can be read in again. */
	typed_works("sluice block list --name drop | sluice block import --name copy -");
	typed_works("sluice block list --name copy");
	assert_string_equal(typed.out, "10.0.0.0/24\n10.1.0.1\n10.1.0.2\n2001:db8::/32\n");
	typed_works("sluice block list --name drop --json");
	root = json_loads(typed.out, 0, NULL);
	assert_string_equal(json_string_value(json_array_get(json_object_get(root, "nets"), 3)),
			    "2001:db8::/32");
	json_decref(root);
	typed_ends(1, "sluice block list --name none");
	typed_shows("there is no feed none");
}

static void test_who_names_an_address(void **unused)
{
	(void)unused;
	typed_works("sluice block import --name drop /mnt/drop.txt; "
		    "sluice block import --name other /mnt/other.list");
	typed_ends(1, "sluice block del 10.0.0.9");
	typed_shows("feed drop names 10.0.0.0/24; `sluice allow add 10.0.0.9` lets it in");
	typed_works("sluice flow 192.0.2.1:1000 198.51.100.10:80");
	typed_shows("lists    feed other names 192.0.2.1\n");
	typed_shows("verdict  DROP feed: ");
	typed_works("sluice flow 192.0.2.1:1000 198.51.100.10:80 --json");
	typed_shows("\"feed\": {\n    \"name\": \"other\",\n    \"net\": \"192.0.2.1\"\n  }");
	typed_works("sluice allow add 192.0.2.0/24; sluice flow 192.0.2.1:1000 198.51.100.10:80");
	typed_shows("on the allow list, which wins: 192.0.2.0/24");
	typed_shows("verdict  PASS no_service");
	typed_works("sluice flow 192.0.2.2:1000 198.51.100.10:80 --json");
	typed_shows("\"feed\": null");
	typed_works("sluice why feed --all");
	typed_shows("the source address is named by an imported feed");
}

/* ---- scenes: what others leave -------------------------------------------------------- */

/* An import that was killed between its steps leaves a pin, and is done again. */
static void test_a_cut_short_import_is_taken_up_again(void **unused)
{
	(void)unused;
	typed_works("sluice block import --name drop /mnt/drop.txt");
	typed_works("mv " PINS "feed_drop " PINS "new-feed");
	typed_works("sluice block feeds");
	typed_shows("there are no feeds");
	typed_works("sluice block import --name drop /mnt/drop.txt");
	assert_true(held("10.0.0.7"));
	typed_works("ls " PINS);
	typed_hides("new-feed");
}

static void test_a_feed_of_another_version_is_not_read(void **unused)
{
	__u32 first = 0;
	__u64 layout = 99;
	int fd;

	(void)unused;
	typed_works("sluice block import --name drop /mnt/drop.txt");
	fd = bpf_obj_get(PINS "feed_drop");
	assert_true(fd > 0);
	assert_int_equal(bpf_map_update_elem(fd, &first, &layout, BPF_ANY), 0);
	close(fd);
	typed_works("sluice block feeds");
	typed_shows("drop                            another version wrote it");
	typed_ends(1, "sluice block import --name other /mnt/other.list");
	typed_shows(PINS "feed_drop");
	assert_true(held("10.0.0.7"));
	assert_false(held("192.0.2.1"));
	typed_works("sluice block import --name drop /mnt/other.list");
	assert_true(held("192.0.2.1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_setup_teardown(name, open_host, typed_close)
		SCENE(test_a_feed_is_made),
		SCENE(test_a_feed_is_replaced),
		SCENE(test_feeds_add_up),
		SCENE(test_several_files_make_one_feed),
		SCENE(test_what_becomes_a_feed),
		SCENE(test_wrong_files_leave_the_feed),
		SCENE(test_nobody_locks_themselves_out),
		SCENE(test_slips),
		SCENE(test_a_bounded_number_of_feeds),
		SCENE(test_feeds_are_listed),
		SCENE(test_status_tells_of_feeds),
		SCENE(test_a_feed_is_printed),
		SCENE(test_who_names_an_address),
		SCENE(test_a_cut_short_import_is_taken_up_again),
		SCENE(test_a_feed_of_another_version_is_not_read),
	};

	return cmocka_run_group_tests(tests, typed_host, NULL);
}
