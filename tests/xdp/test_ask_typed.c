// SPDX-License-Identifier: BSD-2-Clause
/*
 * `sluice why`, `events` and `flow` as they are typed, of a gate that runs on the pinned maps
 * and is given frames by BPF_PROG_RUN.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <bpf/bpf.h>

#include "frame.h"
#include "l4/rates.h"
#include "typed_gate.h"

/* ---- why ------------------------------------------------------------------------------ */

static void test_why_before_the_first_packet(void **unused)
{
	(void)unused;
	typed_works("sluice why");
	typed_shows("no packet has met the gate yet");
	typed_works("sluice why block");
	typed_shows("DROP    block");
	typed_shows("the source address is on the blocklist");
	typed_works("sluice why --all | grep -c -E '^(PASS|DROP|TX) '");
	assert_int_equal(atoi(typed.out), SLUICE_R_COUNT);
}

static void test_why_counts_what_happened(void **unused)
{
	(void)unused;
	typed_works("sluice block add 203.0.113.0/24 && sluice allow add 203.0.113.8");
	for (int i = 0; i < 3; i++)
		typed_send("eth / ip4 bad > gate / udp 1 > 2 / data 958");
	typed_send("eth / ip4 203.0.113.8 > gate / udp 1 > 2");
	typed_send("eth type 0x806 / data 28");
	typed_works("sluice why");
	typed_shows("DROP    block                   3    2.9 KiB  the source address is on the "
		    "blocklist\n");
	typed_shows("PASS    not_ip                  1       42 B  ");
	typed_shows("        allowed                 1             packets of a blocked or limited "
		    "source");
	typed_hides("martian");
	typed_works("sluice why allowed");
	typed_shows("allowed");
	typed_hides("block ");
	typed_ends(2, "sluice why moonphase");
	typed_shows("moonphase");
	typed_ends(2, "sluice why block allowed");
}

static void test_why_for_programs(void **unused)
{
	json_int_t packets, bytes;
	const char *action;
	json_t *root;

	(void)unused;
	typed_works("sluice block add 203.0.113.0/24");
	typed_send("eth / ip4 bad > gate / udp 1 > 2 / data 58");
	typed_works("sluice why --json");
	root = json_loads(typed.out, 0, NULL);
	assert_int_equal(json_object_size(json_object_get(root, "reasons")), 1);
	assert_int_equal(json_unpack(root, "{s:{s:{s:s, s:I, s:I}}}", "reasons", "block", "action",
				     &action, "packets", &packets, "bytes", &bytes),
			 0);
	assert_string_equal(action, "DROP");
	assert_int_equal(packets, 1);
	assert_int_equal(bytes, 100);
	json_decref(root);
	typed_works("sluice why --json --all");
	root = json_loads(typed.out, 0, NULL);
	assert_int_equal(json_object_size(json_object_get(root, "reasons")), SLUICE_R_COUNT);
	assert_int_equal(json_object_size(json_object_get(root, "notices")), SLUICE_N_COUNT);
	json_decref(root);
}

/* One packet an hour, and another a connection, of the shop. */
static void limit_shop(void)
{
	struct sluice_limit l = {.rate = {1, 1},
				 .burst_ms = 2 * 3600000,
				 .prefix4 = 32,
				 .prefix6 = 64,
				 .gap_ns = {3600 * 1000000000ULL, 3600 * 1000000000ULL}};
	const struct sluice_vip key = {
		.addr = frame_addr("shop", false), .port = htons(80), .proto = IPPROTO_TCP};
	struct sluice_service s;

	rates_masks(&l);
	assert_int_equal(rates_write(&typed.gate, 1, &l), 0);
	assert_int_equal(bpf_map_lookup_elem(typed.gate.vips, &key, &s), 0);
	s.limited = 1;
	assert_int_equal(bpf_map_update_elem(typed.gate.vips, &key, &s, 0), 0);
}

static void test_why_of_a_source(void **unused)
{
	(void)unused;
	typed_shop(1);
	typed_works("sluice why 203.0.113.9");
	typed_shows("no service has a limit\n");
	limit_shop();
	typed_works("sluice why 203.0.113.9");
	typed_shows("shop             packets             1/s      2h 100.0 %  within its limit\n");
	typed_shows("shop             connections         1/s      2h 100.0 %  within its limit\n");
	typed_send("eth / ip4 203.0.113.9 > shop / tcp 1000 > 80 A");
	typed_send("eth / ip4 203.0.113.9 > shop / tcp 1001 > 80 A");
	typed_send("eth / ip4 203.0.113.9 > shop / tcp 1002 > 80 A");
	typed_works("sluice why 203.0.113.9");
	typed_shows("shop             packets             1/s      2h   0.0 %  over its limit: "
		    "dropped (rate_packets), the next in 35");
	typed_shows("shop             connections         1/s      2h 100.0 %  within its limit\n");
	typed_works("sluice why 203.0.113.10");
	typed_hides("over");
	typed_works("sluice allow add 203.0.113.0/24");
	typed_works("sluice why 203.0.113.9");
	typed_shows("  0.0 %  on the allow list: no limit\n");
	typed_works("sluice why 203.0.113.9 --json");
	typed_shows("\"allowed\": true");
	typed_shows("\"counts\": \"packets\"");
	typed_shows("\"prefix\": 32");
	typed_works("sluice why rate_packets");
	typed_shows("DROP    rate_packets            1 ");
	typed_ends(2, "sluice why 203.0.113.9/32");
}

/* ---- events --------------------------------------------------------------------------- */

static void test_events_are_shown_as_they_come(void **unused)
{
	(void)unused;
	typed_shop(1);
	typed_works("sluice block add 203.0.113.0/24 2001:db8:bad::/48");
	typed_send("eth / ip4 bad > gate / udp 1 > 2");
	typed_send("eth / ip6 bad > gate / udp 1 > 2");
	typed_send("eth / ip4 127.0.0.1 > shop / tcp 1000 > 80 S");
	typed_works("sluice events --count 3");
	typed_shows(" lo DROP block 203.0.113.7 -> 10.83.0.2");
	typed_shows(" lo DROP block 2001:db8:bad::7 -> fd83::2");
	typed_shows(" lo DROP martian 127.0.0.1:1000 -> 198.51.100.10:80/tcp 54 bytes\n");
}

static void test_events_for_programs(void **unused)
{
	const char *reason, *source, *time, *interface, *backend;
	json_t *root;
	int bytes;

	(void)unused;
	typed_works("sluice block add 203.0.113.0/24");
	typed_send("eth / ip4 bad > gate / udp 1 > 2 / data 8");
	typed_works("sluice events --count 1 --json");
	assert_non_null(strchr(typed.out, '\n'));
	assert_string_equal(strchr(typed.out, '\n'), "\n"); /* one line */
	root = json_loads(typed.out, 0, NULL);
	assert_int_equal(json_unpack(root, "{s:s, s:s, s:s, s:s, s:i, s:s}", "reason", &reason,
				     "source", &source, "time", &time, "interface", &interface,
				     "bytes", &bytes, "backend", &backend),
			 0);
	assert_string_equal(reason, "block");
	assert_string_equal(source, "203.0.113.7");
	assert_string_equal(interface, "lo");
	assert_string_equal(backend, "");
	assert_int_equal(bytes, 50);
	assert_int_equal(strlen(time), strlen("2026-01-01T00:00:00.000000Z"));
	json_decref(root);
}

/* Its time is the wall's, not the one since boot. */
static void test_events_tell_the_time_of_day(void **unused)
{
	char before[32], after[32];

	(void)unused;
	typed_works("sluice block add 203.0.113.0/24");
	typed_works("date -u +%%Y-%%m-%%dT%%H:%%M:%%S.%%6NZ");
	snprintf(before, sizeof(before), "%.27s", typed.out);
	typed_send("eth / ip4 bad > gate / udp 1 > 2");
	typed_works("date -u +%%Y-%%m-%%dT%%H:%%M:%%S.%%6NZ");
	snprintf(after, sizeof(after), "%.27s", typed.out);
	typed_works("sluice events --count 1 --json | sed 's/.*\"time\":\"\\([^\"]*\\)\".*/\\1/'");
	typed.out[27] = '\0';
	assert_true(strcmp(before, typed.out) <= 0);
	assert_true(strcmp(typed.out, after) <= 0);
}

/* It waits for events, shows the next at once, and ends in peace when it is told to. */
static void test_events_are_followed_until_interrupted(void **unused)
{
	char line[512];
	FILE *f;

	(void)unused;
	typed_works("sluice block add 203.0.113.0/24");
	/* Should this test die before it, neither the shell nor the program outlives it. */
	f = popen("exec setpriv --pdeathsig KILL sh -c 'setpriv --pdeathsig KILL sluice events & "
		  "pid=$!; echo $pid; wait $pid; echo ended $?'",
		  "re");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	for (int i = 0; i < 3; i++) {
		char next[512];

		typed_send("eth / ip4 bad > gate / udp 1 > 2");
		assert_non_null(fgets(next, sizeof(next), f));
		assert_non_null(strstr(next, "DROP block 203.0.113.7"));
	}
	/* A shell without job control makes SIGINT ignored in the background; TERM is not. */
	typed_works("kill -TERM %d", atoi(line));
	assert_non_null(fgets(line, sizeof(line), f));
	assert_string_equal(line, "ended 0\n");
	assert_int_equal(pclose(f), 0);
}

static void test_events_are_told_when_the_output_is_gone(void **unused)
{
	(void)unused;
	typed_works("sluice block add 203.0.113.0/24");
	typed_send("eth / ip4 bad > gate / udp 1 > 2");
	typed_ends(1, "sluice events >/dev/full");
	typed_shows("cannot write the output");
	typed_ends(2, "sluice events --count 0");
	typed_ends(2, "sluice events --count -1");
	typed_ends(2, "sluice events now");
}

/* ---- flow ----------------------------------------------------------------------------- */

static void test_flow_names_service_and_backend(void **unused)
{
	(void)unused;
	typed_shop(1);
	typed_works("sluice flow 10.9.9.9:1000 198.51.100.10:80");
	typed_shows("flow     10.9.9.9:1000 -> 198.51.100.10:80/tcp\n");
	typed_shows("service  shop (l4)\n");
	typed_shows("backend  b1 10.83.0.11\n");
	typed_shows(" of 3 in the Maglev table says so; the flow is not in the connection table\n");
	typed_shows("lists    the source is not on the blocklist\n");
	typed_shows("verdict  TX forward: ");
	typed_works("sluice flow 10.9.9.9:1000 198.51.100.10:80/udp");
	typed_shows("service  none there");
	typed_shows("verdict  PASS no_service: ");
}

static void test_flow_of_a_blocked_source(void **unused)
{
	(void)unused;
	typed_shop(1);
	typed_works("sluice block add 10.9.0.0/16 --reason scan --ttl 2h");
	typed_works("sluice flow 10.9.9.9:1000 198.51.100.10:80/tcp");
	typed_shows("lists    on the blocklist: 10.9.0.0/16, for 2h (scan)\n");
	typed_shows("verdict  DROP block: ");
	typed_works("sluice allow add 10.9.9.9");
	typed_works("sluice flow 10.9.9.9:1000 198.51.100.10:80/tcp");
	typed_shows("on the allow list, which wins: 10.9.9.9, forever (manual)\n");
	typed_shows("verdict  TX forward: ");
}

static void test_flow_in_the_connection_table(void **unused)
{
	const struct sluice_flow flow = {.src = frame_addr("10.9.9.9", false),
					 .dst = frame_addr("shop", false),
					 .sport = htons(1000),
					 .dport = htons(80),
					 .proto = IPPROTO_TCP};

	(void)unused;
	typed_shop(1);
	typed_enter(&flow, 1, TYPED_GENERATION, 0);
	typed_works("sluice flow 10.9.9.9:1000 198.51.100.10:80");
	typed_shows("because  the connection table says so (generation 4)\n");
	typed_hides("a new flow would take");
	typed_enter(&flow, 1, TYPED_GENERATION - 1, 0);
	typed_works("sluice flow 10.9.9.9:1000 198.51.100.10:80");
	typed_shows("the backend in the connection table is gone\n");
	typed_shows("backend  b1 ");
}

static void test_flow_for_programs(void **unused)
{
	const char *backend, *service, *reason;
	json_t *root;
	int generation;

	(void)unused;
	typed_shop(1);
	typed_works("sluice flow 10.9.9.9:1000 198.51.100.10:80 --json");
	root = json_loads(typed.out, 0, NULL);
	assert_non_null(root);
	assert_int_equal(json_unpack(root, "{s:s, s:{s:s, s:i}, s:{s:s}}", "reason", &reason,
				     "backend", "name", &backend, "generation", &generation,
				     "service", "name", &service),
			 0);
	assert_string_equal(reason, "forward");
	assert_string_equal(backend, "b1");
	assert_string_equal(service, "shop");
	assert_int_equal(generation, 4);
	assert_true(json_is_null(json_object_get(root, "connection")));
	json_decref(root);
	typed_works("sluice block add 10.9.0.0/16 --ttl 1h");
	typed_works("sluice flow 10.9.9.9:1000 198.51.100.99:80 --json");
	root = json_loads(typed.out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(root, "reason")), "block");
	assert_true(json_is_null(json_object_get(root, "service")));
	assert_true(json_real_value(
			    json_object_get(json_object_get(root, "block"), "seconds_left")) > 0);
	json_decref(root);
}

static void test_ends_that_are_none(void **unused)
{
	static const char *const rows[] = {
		"here 198.51.100.10:80",
		"10.9.9.9 198.51.100.10:80",
		"10.9.9.9:* 198.51.100.10:80",
		"10.9.9.9:0 198.51.100.10:80",
		"10.9.9.9:1000 198.51.100.10",
		"10.9.9.9:1000 198.51.100.10:80/sctp",
		"10.9.9.9:1000 '[2001:db8::1]:80'",
		"10.9.9.9:1000",
		"10.9.9.9:1000 198.51.100.10:80 more",
		"2001:db8::1:1000 198.51.100.10:80",
	};

	(void)unused;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		typed_ends(2, "sluice flow %s", rows[i]);
		typed_shows("sluice: ");
		typed_shows("usage: sluice flow");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_setup_teardown(name, typed_gate_open, typed_gate_close)
		SCENE(test_why_before_the_first_packet),
		SCENE(test_why_counts_what_happened),
		SCENE(test_why_for_programs),
		SCENE(test_why_of_a_source),
		SCENE(test_events_are_shown_as_they_come),
		SCENE(test_events_for_programs),
		SCENE(test_events_tell_the_time_of_day),
		SCENE(test_events_are_followed_until_interrupted),
		SCENE(test_events_are_told_when_the_output_is_gone),
		SCENE(test_flow_names_service_and_backend),
		SCENE(test_flow_of_a_blocked_source),
		SCENE(test_flow_in_the_connection_table),
		SCENE(test_flow_for_programs),
		SCENE(test_ends_that_are_none),
	};

	return cmocka_run_group_tests(tests, typed_host, NULL);
}
