// SPDX-License-Identifier: BSD-2-Clause
/*
 * `sluice block` and `sluice allow` as they are typed, and the same maps edited with the real
 * bpftool.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <jansson.h>

#include "l4/block.h"
#include "typed.h"

#define PINS    "/sys/fs/bpf/sluice/"
#define FOREVER "value 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"
#define NET4    "key 24 0 0 0 203 0 113 0"
#define NET6    "key 48 0 0 0 0x20 0x01 0x0d 0xb8 0x0b 0xad 0 0 0 0 0 0 0 0 0 0"

/* ---- bpftool -------------------------------------------------------------------------- */

/* The line of the manual and the README, to the letter. */
static void test_bpftool_blocks_a_network(void **unused)
{
	(void)unused;
	typed_works("bpftool map update pinned /sys/fs/bpf/sluice/block4 key 24 0 0 0 203 0 113 0 "
		    "value 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0");
	typed_works("sluice block list");
	typed_shows("203.0.113.0/24            forever     manual\n");
	typed_works("bpftool map delete pinned /sys/fs/bpf/sluice/block4 "
		    "key 24 0 0 0 203 0 113 0");
	typed_works("sluice block list");
	typed_shows("the blocklist is empty");
}

static void test_bpftool_blocks_a_network_of_ipv6(void **unused)
{
	(void)unused;
	typed_works("bpftool map update pinned " PINS "block6 " NET6 " " FOREVER);
	typed_works("sluice block list");
	typed_shows("2001:db8:bad::/48         forever     manual\n");
	typed_works("bpftool map delete pinned " PINS "block6 " NET6);
	typed_works("sluice block list");
	typed_shows("the blocklist is empty");
}

static void test_bpftool_allows(void **unused)
{
	(void)unused;
	typed_works("bpftool map update pinned " PINS "allow4 " NET4 " " FOREVER);
	typed_works("bpftool map update pinned " PINS "allow6 " NET6 " " FOREVER);
	typed_works("sluice allow list");
	typed_shows("203.0.113.0/24            forever     manual\n"
		    "2001:db8:bad::/48         forever     manual\n");
	typed_works("sluice block list");
	typed_shows("the blocklist is empty");
}

static void test_bpftool_sees_what_sluice_adds(void **unused)
{
	(void)unused;
	typed_works("sluice block add 203.0.113.0/24 2001:db8:bad::/48");
	typed_works("bpftool map lookup pinned " PINS "block4 " NET4);
	typed_shows("\"prefixlen\": 24");
	typed_works("bpftool -j map dump pinned " PINS "block4");
	typed_shows("\"key\":[\"0x18\",\"0x00\",\"0x00\",\"0x00\",\"0xcb\",\"0x00\",\"0x71\","
		    "\"0x00\"]");
	typed_shows("\"value\":[\"0x00\",\"0x00\",\"0x00\",\"0x00\",\"0x00\",\"0x00\",\"0x00\","
		    "\"0x00\",\"0x00\",\"0x00\",\"0x00\",\"0x00\",\"0x00\",\"0x00\",\"0x00\","
		    "\"0x00\"]");
	typed_works("bpftool map dump pinned " PINS "block6");
	typed_shows("\"prefixlen\": 48");
	typed_shows("\"addr\"");
	typed_shows("\"expires_ns\": 0");
	typed_works("bpftool map delete pinned " PINS "block6 " NET6);
	typed_works("sluice block list");
	typed_hides("2001:db8");
}

static void test_values_are_those_of_the_abi(void **unused)
{
	const struct sluice_lpm4 key = {24, {203, 0, 113, 0}};
	struct sluice_listed value;
	__u64 before = block_now(), minute = 60 * (__u64)1000000000;

	(void)unused;
	typed_works("sluice block add 203.0.113.0/24 --ttl 10m --reason scan");
	assert_int_equal(bpf_map_lookup_elem(typed.gate.block4, &key, &value), 0);
	assert_int_equal(value.reason, SLUICE_L_scan);
	assert_int_equal(value.flags, 0);
	assert_true(value.expires_ns >= before + 10 * minute);
	assert_true(value.expires_ns <= block_now() + 10 * minute);
}

/* ---- add and del ---------------------------------------------------------------------- */

static void test_adding_and_removing(void **unused)
{
	(void)unused;
	typed_works("sluice block add 203.0.113.9 2001:db8::/32 --reason abuse --ttl 2h");
	typed_shows("+ block 203.0.113.9 for 2h (abuse)\n+ block 2001:db8::/32 for 2h (abuse)\n");
	typed_works("sluice block add 203.0.113.9");
	typed_shows("~ block 203.0.113.9 forever (manual), was for 2h (abuse)\n");
	typed_works("sluice block add 203.0.113.9");
	typed_shows("= block 203.0.113.9 forever (manual), was there\n");
	typed_works("sluice block del 203.0.113.9 2001:db8::/32");
	typed_shows("- block 203.0.113.9\n- block 2001:db8::/32\n");
	typed_works("sluice block list");
	typed_shows("the blocklist is empty");
}

static void test_removing_what_is_not_there(void **unused)
{
	(void)unused;
	typed_works("sluice block add 203.0.113.0/24 198.51.100.1");
	typed_ends(1, "sluice block del 203.0.113.7 198.51.100.1 192.0.2.1");
	typed_shows("203.0.113.7 itself is not on the blocklist: it is covered by 203.0.113.0/24");
	typed_shows("- block 198.51.100.1");
	typed_shows("192.0.2.1 is not on the blocklist");
	typed_works("sluice block list");
	typed_shows("203.0.113.0/24");
	typed_hides("198.51.100.1");
}

static void test_slips_change_nothing(void **unused)
{
	static const struct {
		const char *words, *told;
	} rows[] = {
		{"add 192.0.2.1 10.0.0.5/24", "10.0.0.0/24"},
		{"add 192.0.2.1 example.org", "example.org"},
		{"add 192.0.2.1/33", "192.0.2.1/33"},
		{"add", "usage"},
		{"add 192.0.2.1 --ttl 10", "10m"},
		{"add 192.0.2.1 --ttl 0s", "0s"},
		{"add 192.0.2.1 --reason moonphase", "manual, abuse"},
		{"add 192.0.2.1 --json", "--json"},
		{"del", "usage"},
		{"del 192.0.2.1 --ttl 1h", "--ttl"},
		{"list 192.0.2.1", "192.0.2.1"},
		{"list --ttl 1h", "--ttl"},
		{"flush everything", "everything"},
		{"import", "file"},
		{"burn 192.0.2.1", "burn"},
		{"", "usage"},
		{"add --sideways", "sideways"},
	};

	(void)unused;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		typed_ends(2, "sluice block %s", rows[i].words);
		typed_shows(rows[i].told);
	}
	typed_ends(2, "sluice allow import /dev/null");
	typed_ends(2, "sluice allow flush");
	typed_ends(1, "sluice block add 192.0.2.1 --ttl 9999999d");
	typed_works("sluice block list");
	typed_shows("the blocklist is empty");
}

/* ---- list ----------------------------------------------------------------------------- */

static void put(const char *text, __u64 expires_ns, __u32 reason)
{
	struct block_list list = block_of(&typed.gate);
	struct block_entry entry = {.value = {expires_ns, reason, 0}};
	bool host_bits;

	assert_true(cidr_parse(&entry.net, text, &host_bits));
	assert_int_equal(block_put(&list, &entry, NULL), 0);
}

static void test_list_tells_time_and_reason(void **unused)
{
	const __u64 second = 1000000000;

	(void)unused;
	put("10.0.0.1", 1, SLUICE_L_flood);
	put("10.0.0.2", 0, 77); /* of a later version, or typed with bpftool */
	put("10.0.0.3", block_now() + (4 * 86400 + 3 * 3600) * second - second / 2, SLUICE_L_feed);
	put("10.0.0.4", block_now() + 86400 * second + 90 * second, SLUICE_L_feed);
	typed_works("sluice block list");
	typed_shows("10.0.0.1                  expired     flood\n");
	typed_shows("10.0.0.2                  forever     reason 77\n");
	typed_shows("10.0.0.3                  4d ");
	typed_shows("10.0.0.4                  1d          feed\n");
}

static void test_list_for_programs(void **unused)
{
	const char *net, *reason;
	json_t *root, *entries;
	double left;
	int expired;

	(void)unused;
	typed_works("sluice block list --json");
	root = json_loads(typed.out, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(root, "entries")), 0);
	json_decref(root);
	put("10.0.0.1", 1, SLUICE_L_flood);
	put("10.0.0.2", block_now() + 50 * (__u64)1000000000, SLUICE_L_feed);
	put("2001:db8::/32", 0, SLUICE_L_manual);
	typed_works("sluice block list --json");
	root = json_loads(typed.out, 0, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "list")), "block");
	entries = json_object_get(root, "entries");
	assert_int_equal(json_array_size(entries), 3);
	assert_int_equal(json_unpack(json_array_get(entries, 0), "{s:s, s:b}", "net", &net,
				     "expired", &expired),
			 0);
	assert_string_equal(net, "10.0.0.1");
	assert_true(expired);
	assert_int_equal(json_unpack(json_array_get(entries, 1), "{s:s, s:f, s:b}", "reason",
				     &reason, "seconds_left", &left, "expired", &expired),
			 0);
	assert_string_equal(reason, "feed");
	assert_true(left > 0 && left <= 50 && !expired);
	assert_true(json_is_null(json_object_get(json_array_get(entries, 2), "seconds_left")));
	json_decref(root);
}

/* ---- flush ---------------------------------------------------------------------------- */

static void test_flush_takes_what_is_asked_for(void **unused)
{
	(void)unused;
	put("10.0.0.1", 1, SLUICE_L_flood);
	put("10.0.0.2", 0, SLUICE_L_feed);
	put("10.0.0.3", 1, SLUICE_L_feed);
	put("2001:db8::/32", 0, SLUICE_L_manual);
	typed_works("sluice block flush --expired --reason feed");
	typed_shows("1 removed from the blocklist, 3 stay");
	typed_works("sluice block flush --expired");
	typed_shows("1 removed from the blocklist, 2 stay");
	typed_works("sluice block flush --reason manual");
	typed_shows("1 removed from the blocklist, 1 stay");
	typed_works("sluice block list");
	typed_shows("10.0.0.2");
	typed_works("sluice allow add 10.9.9.9");
	typed_works("sluice block flush");
	typed_works("sluice block flush --yes");
	typed_shows("0 removed from the blocklist, 0 stay");
	typed_works("sluice allow list");
	typed_shows("10.9.9.9");
}

/* On a terminal it asks; script(1) is one. */
static void test_flush_asks_who_can_answer(void **unused)
{
	(void)unused;
	put("10.0.0.1", 0, 0);
	typed_ends(1, "echo n | script -qec 'sluice block flush' /dev/null");
	typed_shows("Remove 1 entries from the blocklist? [y/N]");
	typed_shows("nothing was removed");
	typed_works("echo y | script -qec 'sluice block flush' /dev/null");
	typed_shows("1 removed");
	put("10.0.0.1", 0, 0);
	typed_works("script -qec 'sluice block flush --yes' /dev/null </dev/null");
	typed_hides("[y/N]");
}

/* ---- import --------------------------------------------------------------------------- */

static void test_import_merges_and_counts(void **unused)
{
	(void)unused;
	typed_works("printf '10.0.0.0/25\\n# feed\\n10.0.0.128/25\\r\\n10.1.0.1-10.1.0.2\\n"
		    "2001:db8::/32 ; why\\n' | sluice block import -");
	typed_shows("5 lines name 4 entries, which make 3 IPv4 and 1 IPv6 prefixes");
	typed_shows("block: 4 new, 0 renewed, 0 kept as they were, in ");
	typed_works("sluice block list");
	typed_shows("10.0.0.0/24               forever     feed\n"
		    "10.1.0.1                  forever     feed\n"
		    "10.1.0.2                  forever     feed\n"
		    "2001:db8::/32             forever     feed\n");
}

static void test_import_of_wrong_lines_imports_nothing(void **unused)
{
	(void)unused;
	typed_works("printf '10.0.0.1\\nwrong\\n' >/mnt/a; "
		    "printf '10.0.0.2\\n\\n10.0.0.9/24\\n' >/mnt/b");
	typed_ends(1, "sluice block import /mnt/a /mnt/b");
	typed_shows("/mnt/a:2: `wrong`");
	typed_shows("/mnt/b:3: `10.0.0.9/24`");
	typed_shows("2 of 5 lines are wrong, so nothing was imported; --skip-bad");
	typed_works("sluice block list");
	typed_shows("the blocklist is empty");
	typed_works("sluice block import --skip-bad /mnt/a /mnt/b");
	typed_shows("(2 wrong ones left out)");
	typed_shows("2 new");
	typed_ends(1, "sluice block import /mnt/a /mnt/none");
	typed_shows("/mnt/none: No such file");
}

static void test_import_leaves_the_rest_alone(void **unused)
{
	(void)unused;
	typed_works("sluice block add 10.0.0.1");
	typed_works("sluice block add 10.0.0.2 --ttl 1m");
	typed_works("sluice block add 10.0.0.9");
	typed_works("printf '10.0.0.1\\n10.0.0.2\\n10.0.0.4\\n' | sluice block import - --ttl 1h "
		    "--reason abuse");
	typed_shows("1 new, 1 renewed, 1 kept as they were");
	typed_works("sluice block list");
	typed_shows("10.0.0.1                  forever     manual\n");
	typed_shows("10.0.0.2                  1h          abuse\n");
	typed_shows("10.0.0.4                  1h          abuse\n");
	typed_shows("10.0.0.9                  forever     manual\n");
	/* The same feed an hour later: what it entered is renewed. */
	typed_works("printf '10.0.0.1\\n10.0.0.2\\n10.0.0.4\\n' | sluice block import - --ttl 2h "
		    "--reason abuse");
	typed_shows("0 new, 2 renewed, 1 kept as they were");
}

static void test_import_that_does_not_fit_changes_nothing(void **unused)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	int small = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "block4", sizeof(struct sluice_lpm4),
				   sizeof(struct sluice_listed), 3, &opts);

	(void)unused;
	assert_true(small > 0);
	assert_int_equal(unlink(PINS "block4"), 0);
	assert_int_equal(bpf_obj_pin(small, PINS "block4"), 0);
	close(small);
	typed_works("sluice block add 10.0.0.1 10.0.0.3");
	typed_ends(1, "printf '10.0.0.5\\n10.0.0.7\\n10.0.0.1\\n' | sluice block import -");
	typed_shows("block4 has 2 entries, and 2 new ones do not fit into its 3");
	typed_shows("flush");
	typed_works("sluice block list | wc -l");
	typed_shows("2");
	typed_works("printf '10.0.0.5\\n10.0.0.1\\n' | sluice block import -");
	typed_ends(1, "sluice block add 10.0.0.7");
	typed_shows("block4 is full (3 entries)");
}

/* ---- nobody locks themselves out ------------------------------------------------------ */

static void test_the_ssh_session_is_not_blocked(void **unused)
{
	static const char ssh[] = "SSH_CONNECTION='198.51.100.7 50000 192.0.2.2 22'";

	(void)unused;
	typed_ends(1, "%s sluice block add 203.0.113.1 198.51.100.0/24", ssh);
	typed_shows("198.51.100.0/24 would block 198.51.100.7, the other end of your SSH session");
	typed_ends(1, "echo 198.51.100.7 | %s sluice block import -", ssh);
	/* sudo cleans the environment of what it runs, not that of the shell before it. */
	typed_ends(1,
		   "%s sh -c 'env -i PATH=\"$PATH\" sh -c \"sluice block add 198.51.100.7; "
		   "exit \\$?\"; exit $?'",
		   ssh);
	typed_shows("SSH session");
	typed_ends(1, "SSH_CONNECTION='fe80::7%%eth0 5 fe80::1%%eth0 22' "
		      "sluice block add fe80::/10");
	typed_works("sluice block list");
	typed_shows("the blocklist is empty");
	typed_works("%s sluice block add 198.51.101.0/24", ssh);
	typed_works("%s sluice block add 198.51.100.0/24 --force", ssh);
}

static void test_who_is_allowed_is_not_locked_out(void **unused)
{
	static const char ssh[] = "SSH_CONNECTION='198.51.100.7 50000 192.0.2.2 22'";

	(void)unused;
	typed_works("sluice allow add 198.51.100.7");
	typed_works("%s sluice block add 198.51.100.0/24 198.51.100.7", ssh);
	typed_shows("note: 198.51.100.7 is on the allow list (198.51.100.7), which wins");
	typed_hides("note: 198.51.100.0/24");
}

static void test_everybody_is_not_blocked(void **unused)
{
	(void)unused;
	typed_ends(1, "sluice block add 0.0.0.0/0");
	typed_shows("--force");
	typed_ends(1, "sluice block add ::/0");
	typed_ends(1, "echo 0.0.0.0-255.255.255.255 | sluice block import -");
	typed_works("sluice block add 0.0.0.0/0 ::/0 --force");
	typed_works("sluice allow add 0.0.0.0/0");
}

static void test_the_default_gateway_is_not_blocked(void **unused)
{
	(void)unused;
	typed_works("ip link add wan type veth peer name isp && ip link set wan up && "
		    "ip link set isp up && ip addr add 192.0.2.2/24 dev wan && "
		    "ip route add default via 192.0.2.1 && "
		    "ip -6 route add default via fe80::1 dev wan");
	typed_ends(1, "sluice block add 192.0.2.0/28");
	typed_shows("192.0.2.0/28 would block 192.0.2.1, the default gateway");
	typed_ends(1, "sluice block add fe80::1");
	typed_shows("the default gateway");
	typed_ends(1, "echo 192.0.0.0/16 | sluice block import -");
	typed_works("sluice block add 192.0.2.128/25");
	typed_works("ip link del wan");
	typed_works("sluice block add 192.0.2.0/28 fe80::1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_setup_teardown(name, typed_open, typed_close)
		SCENE(test_bpftool_blocks_a_network),
		SCENE(test_bpftool_blocks_a_network_of_ipv6),
		SCENE(test_bpftool_allows),
		SCENE(test_bpftool_sees_what_sluice_adds),
		SCENE(test_values_are_those_of_the_abi),
		SCENE(test_adding_and_removing),
		SCENE(test_removing_what_is_not_there),
		SCENE(test_slips_change_nothing),
		SCENE(test_list_tells_time_and_reason),
		SCENE(test_list_for_programs),
		SCENE(test_flush_takes_what_is_asked_for),
		SCENE(test_flush_asks_who_can_answer),
		SCENE(test_import_merges_and_counts),
		SCENE(test_import_of_wrong_lines_imports_nothing),
		SCENE(test_import_leaves_the_rest_alone),
		SCENE(test_import_that_does_not_fit_changes_nothing),
		SCENE(test_the_ssh_session_is_not_blocked),
		SCENE(test_who_is_allowed_is_not_locked_out),
		SCENE(test_everybody_is_not_blocked),
		SCENE(test_the_default_gateway_is_not_blocked),
	};

	return cmocka_run_group_tests(tests, typed_host, NULL);
}
