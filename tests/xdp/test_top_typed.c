// SPDX-License-Identifier: BSD-2-Clause
/* `sluice top` as it is typed, while frames go through the gate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <jansson.h>

#include "typed_gate.h"

static char said[65536];

static void send_some(void)
{
	static unsigned port = 1000;
	char text[128];

	snprintf(text, sizeof(text), "eth / ip4 10.9.9.9 > shop / tcp %u > 80 S",
		 1000 + port++ % 60000);
	typed_send(text);
	typed_send("eth / ip4 bad > gate / udp 1 > 2 / data 58");
	typed_send("eth / ip4 bad > gate / udp 1 > 2 / data 58");
	typed_send("eth / ip4 203.0.113.9 > gate / udp 1 > 2 / data 58");
}

/* Frames keep coming until it has ended. What it says comes at its end, in one piece. */
static void look(const char *line)
{
	struct pollfd fd = {.events = POLLIN};
	size_t len;
	FILE *f = popen(line, "re");

	assert_non_null(f);
	fd.fd = fileno(f);
	do
		send_some();
	while (poll(&fd, 1, 0) == 0);
	len = fread(said, 1, sizeof(said) - 1, f);
	said[len] = '\0';
	assert_int_equal(pclose(f), 0);
}

static void shows(const char *text)
{
	if (!strstr(said, text))
		fail_msg("\"%s\" is not in:\n%s", text, said);
}

/* Frames come in by lo, and the backends are behind a wire that nobody listens to. */
static int open_host(void **unused)
{
	if (typed_host(unused) != 0)
		return -1;
	typed_works("ip link set lo up && ip link add v0 type veth peer name v1"
		    " && ip link set v0 up && ip link set v1 up"
		    " && ip address add 10.83.0.2/24 dev v0"
		    " && ip neigh add 10.83.0.11 lladdr 02:00:00:00:00:11 dev v0"
		    " && ip neigh add 10.83.0.12 lladdr 02:00:00:00:00:12 dev v0"
		    " && sysctl -qw net.ipv4.conf.all.forwarding=1");
	return 0;
}

static int open_shop(void **unused)
{
	if (typed_gate_open(unused) != 0)
		return -1;
	typed_shop(2);
	typed_works("sluice block add 203.0.113.0/24");
	return 0;
}

static double real_at(const json_t *root, const char *a, const char *b, const char *c)
{
	const json_t *o = json_object_get(root, a);

	o = b ? json_object_get(o, b) : o;
	o = json_object_get(o, c);
	if (!json_is_real(o))
		fail_msg("no number %s %s %s in:\n%s", a, b ? b : "", c, said);
	return json_real_value(o);
}

static void test_one_look(void **unused)
{
	(void)unused;
	look("sluice top -n 1 -i 0.3");
	assert_memory_equal(said, "sluice top  ", 12);
	shows("the last 0.");
	shows("\nall    ");
	shows("\ndropped  ");
	shows("\n  DROP block  ");
	shows("\n  TX   forward  ");
	shows("conn_miss ");
	shows("\nSERVICE\n  shop   ");
	shows("\n    b1   ");
	shows("\n    b2   ");
	shows("\nSOURCE of sampled drops\n  203.0.113.7  ");
	shows("\n  203.0.113.9  ");
	shows(" samples  block\n");
	/* No terminal, no escapes. */
	assert_null(strchr(said, '\033'));
	/* Nothing that did not happen meanwhile. */
	assert_null(strstr(said, "martian"));
}

static void test_a_look_for_programs(void **unused)
{
	double all, dropped, forwarded, bits, b1, b2;
	const char *source, *second;
	json_t *root, *services;
	json_int_t n, m;

	(void)unused;
	look("sluice top -n 1 -i 0.3 --json");
	assert_string_equal(strchr(said, '\n'), "\n");
	root = json_loads(said, 0, NULL);
	assert_non_null(root);
	all = real_at(root, "all", NULL, "packets_per_second");
	dropped = real_at(root, "dropped", NULL, "packets_per_second");
	forwarded = real_at(root, "reasons", "forward", "packets_per_second");
	/* One of four goes on, whatever cut the interval makes into the last four. */
	assert_true(forwarded > 0 && dropped > 2 * forwarded && dropped < 4 * forwarded);
	assert_true(all > dropped &&
		    dropped == real_at(root, "reasons", "block", "packets_per_second"));
	/* Frames of 100 bytes. */
	bits = real_at(root, "dropped", NULL, "bits_per_second");
	assert_true(bits > 799 * dropped && bits < 801 * dropped);
	services = json_object_get(root, "services");
	assert_int_equal(json_unpack(services, "[{s:[{s:f}, {s:f}]}]", "backends",
				     "packets_per_second", &b1, "packets_per_second", &b2),
			 0);
	assert_true(b1 > 0 && b2 > 0);
	assert_int_equal(json_unpack(root, "{s:[{s:s, s:I}, {s:s, s:I}]}", "sources", "source",
				     &source, "samples", &n, "source", &second, "samples", &m),
			 0);
	assert_string_equal(source, "203.0.113.7");
	assert_string_equal(second, "203.0.113.9");
	assert_true(n > m);
	assert_int_equal(json_integer_value(json_object_get(root, "samples")), n + m);
	json_decref(root);
}

static void test_looks_come_one_after_the_other(void **unused)
{
	(void)unused;
	typed_works("sluice top -n 3 -i 0.1 | grep -c '^sluice top  '");
	assert_int_equal(atoi(typed.out), 3);
	typed_works("sluice top -n 2 -i 0.1 --json | wc -l");
	assert_int_equal(atoi(typed.out), 2);
}

/* A terminal of a few lines: as much as fits, from the top each time. */
static void test_on_a_terminal(void **unused)
{
	(void)unused;
	typed_works("script -qec 'stty rows 8; sluice top -n 2 -i 0.1' /dev/null");
	typed_shows("\033[Hsluice top  ");
	typed_shows("\ndropped ");
	typed_hides("SERVICE");
	typed_shows("\033[J");
}

/* What was dropped before is not of the interval. */
static void test_old_samples_are_not_counted(void **unused)
{
	(void)unused;
	for (int i = 0; i < 10; i++)
		send_some();
	typed_works("sluice top -n 1 -i 0.1 --json | grep -c '\"samples\":0,\"sources\":\\[\\]'");
	assert_int_equal(atoi(typed.out), 1);
}

static void test_while_another_reads_the_events(void **unused)
{
	int lock = open(SLUICE_PIN_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)unused;
	assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
	typed_works("sluice top -n 1 -i 0.1");
	typed_shows("another sluice reads the samples");
	typed_works("sluice top -n 1 -i 0.1 --json | grep -c '\"sources\":null'");
	close(lock);
}

static void test_words_that_are_none(void **unused)
{
	(void)unused;
	typed_ends(2, "sluice top -i 0");
	typed_shows("no interval: 0; seconds, from 0.1 to 3600");
	typed_ends(2, "sluice top -i soon");
	typed_ends(2, "sluice top -i nan");
	typed_ends(2, "sluice top -i 1s");
	typed_ends(2, "sluice top -n 0");
	typed_ends(2, "sluice top now");
	typed_shows("usage: sluice top");
	typed_ends(1, "sluice top -n 1 -i 0.1 >/dev/full");
	typed_shows("cannot write the output");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_setup_teardown(name, open_shop, typed_gate_close)
		SCENE(test_one_look),
		SCENE(test_a_look_for_programs),
		SCENE(test_looks_come_one_after_the_other),
		SCENE(test_on_a_terminal),
		SCENE(test_old_samples_are_not_counted),
		SCENE(test_while_another_reads_the_events),
		SCENE(test_words_that_are_none),
	};

	return cmocka_run_group_tests(tests, open_host, NULL);
}
