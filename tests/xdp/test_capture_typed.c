// SPDX-License-Identifier: BSD-2-Clause
/* `sluice capture` as it is typed, and what tcpdump makes of its files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "typed_gate.h"

static void block_bad(void)
{
	typed_works("sluice block add 203.0.113.0/24");
}

static bool no_tcpdump(void)
{
	if (system("command -v tcpdump >/dev/null") == 0)
		return false;
	print_message("SKIP: tcpdump is not installed\n");
	return true;
}

static void test_packets_are_shown_in_hex(void **unused)
{
	(void)unused;
	block_bad();
	typed_send("eth / ip4 bad > gate / udp 1 > 2 / data 5");
	typed_works("sluice capture --count 1");
	typed_shows(" lo DROP block 203.0.113.7 -> 10.83.0.2 47 bytes\n");
	typed_shows("\t0x0000:  ");
	typed_shows(" cb00 7107 "); /* 203.0.113.7, 12 bytes into the IP header */
	typed_shows("\t0x0020:  ");
	typed_hides("\t0x0030:  ");
}

static void test_tcpdump_reads_the_file(void **unused)
{
	(void)unused;
	if (no_tcpdump())
		skip();
	block_bad();
	typed_send("eth / ip4 bad > gate / udp 1234 > 53 / data 5");
	typed_send("eth / ip4 bad > gate / udp 1235 > 53 / data 1000");
	typed_works("sluice capture -w /mnt/drops.pcapng -c 2");
	assert_string_equal(typed.out, "2 packets captured\n");
	typed_works("tcpdump -n -e -r /mnt/drops.pcapng 2>/dev/null");
	typed_shows("203.0.113.7.1234 > 10.83.0.2.53: ");
	typed_shows(", length 47: ");
	/* More than an event holds: the length is the frame's all the same. */
	typed_shows(", length 1042: ");
	typed_works("tcpdump -n -tt -r /mnt/drops.pcapng 2>/dev/null | head -1 | cut -d. -f1;"
		    " date +%%s");
	assert_in_range(atol(strchr(typed.out, '\n')) - atol(typed.out), 0, 60);
	/* The file is nobody else's to read. */
	typed_works("stat -c %%a /mnt/drops.pcapng");
	assert_string_equal(typed.out, "600\n");
}

static void test_a_capture_tells_the_verdict(void **unused)
{
	(void)unused;
	block_bad();
	typed_send("eth / ip4 bad > gate / udp 1 > 2");
	typed_works("sluice capture -w - -c 1 2>/dev/null >/mnt/one && grep -ac "
		    "'DROP block: the source address is on the blocklist' /mnt/one");
	assert_int_equal(atoi(typed.out), 1);
	typed_works("od -An -tx4 -N4 /mnt/one");
	typed_shows(" 0a0d0d0a\n");
}

static void test_into_a_pipe(void **unused)
{
	(void)unused;
	if (no_tcpdump())
		skip();
	block_bad();
	typed_send("eth / ip4 bad > gate / udp 1 > 2");
	typed_works("sluice capture -w - -c 1 2>/dev/null | tcpdump -n -r - 2>/dev/null");
	typed_shows("203.0.113.7.1 > 10.83.0.2.2: ");
}

static void test_one_reason_alone(void **unused)
{
	(void)unused;
	typed_shop(1);
	block_bad();
	typed_send("eth / ip4 bad > gate / udp 1 > 2");
	typed_send("eth / ip4 127.0.0.1 > shop / tcp 1000 > 80 S");
	typed_send("eth / ip4 client > shop ttl 1 / tcp 1000 > 80 S");
	typed_works("sluice capture --reason martian --reason ttl --count 2");
	typed_shows(" DROP martian ");
	typed_shows(" DROP ttl ");
	typed_hides(" block ");
}

/* The gate's own words: which reasons are asked for beyond drops. */
static uint64_t asked(void)
{
	static struct sluice_counters c;
	uint32_t cpu = 0;

	assert_int_equal(bpf_map_lookup_elem(typed.gate.counters, &cpu, &c), 0);
	return c.capture;
}

static void wait_until_asked(void)
{
	for (int i = 0; i < 1000 && !asked(); i++)
		usleep(10000);
	assert_true(asked() != 0);
}

static void test_packets_that_pass_are_sampled_on_request(void **unused)
{
	char line[512];
	FILE *f;

	(void)unused;
	block_bad();
	typed_send("eth / ip4 client > gate / udp 1 > 2");
	f = popen("exec setpriv --pdeathsig KILL sluice capture --reason no_service -c 1", "re");
	assert_non_null(f);
	wait_until_asked();
	assert_int_equal(asked(), 1ULL << SLUICE_R_no_service);
	typed_send("eth / ip4 bad > gate / udp 3 > 2");
	typed_send("eth / ip4 client > gate / udp 3 > 2");
	assert_non_null(fgets(line, sizeof(line), f));
	assert_non_null(strstr(line, " PASS no_service "));
	assert_non_null(strstr(line, ":3 -> "));
	while (fgets(line, sizeof(line), f))
		assert_int_equal(line[0], '\t');
	assert_int_equal(pclose(f), 0);
	/* Once it has ended, the gate goes on as before. */
	assert_int_equal(asked(), 0);
}

static void test_each_event_has_one_reader(void **unused)
{
	FILE *f;

	(void)unused;
	f = popen("exec setpriv --pdeathsig KILL sluice capture --reason all -c 1", "re");
	assert_non_null(f);
	wait_until_asked();
	typed_ends(1, "sluice events");
	typed_shows("another sluice reads the events");
	typed_ends(1, "sluice capture -w /mnt/x");
	typed_shows("another sluice reads the events");
	typed_send("eth / ip4 client > gate / udp 1 > 2");
	while (fgetc(f) != EOF)
		;
	assert_int_equal(pclose(f), 0);
}

static void test_words_that_are_none(void **unused)
{
	(void)unused;
	typed_ends(2, "sluice capture --reason moonphase");
	typed_shows("no such reason: moonphase; `sluice why --all`");
	typed_ends(2, "sluice capture --reason block --reason moonphase");
	typed_ends(2, "sluice capture -c 0");
	typed_ends(2, "sluice capture now");
	typed_shows("usage: sluice capture");
	typed_ends(1, "sluice capture -w /mnt/none/x");
	typed_shows("cannot write /mnt/none/x: No such file");
	block_bad();
	typed_send("eth / ip4 bad > gate / udp 1 > 2");
	typed_ends(1, "sluice capture -w /dev/full -c 1");
	typed_shows("cannot write /dev/full: No space left");
	typed_ends(1, "script -qec 'sluice capture -w -' /dev/null");
	typed_shows("stdout is a terminal; `| tcpdump -r -`, or -w FILE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_setup_teardown(name, typed_gate_open, typed_gate_close)
		SCENE(test_packets_are_shown_in_hex),
		SCENE(test_tcpdump_reads_the_file),
		SCENE(test_a_capture_tells_the_verdict),
		SCENE(test_into_a_pipe),
		SCENE(test_one_reason_alone),
		SCENE(test_packets_that_pass_are_sampled_on_request),
		SCENE(test_each_event_has_one_reader),
		SCENE(test_words_that_are_none),
	};

	return cmocka_run_group_tests(tests, typed_host, NULL);
}
