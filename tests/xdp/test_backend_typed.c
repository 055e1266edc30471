// SPDX-License-Identifier: BSD-2-Clause
/* `sluice backend` as it is typed, and what `apply` and `status` say of drained backends; frames
 * through the gate tell who takes new flows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "typed_gate.h"

#define FLOWS 16 /* two backends have some each, and the table room for many more */

/* A configuration in /mnt, applied. */
static void apply(const char *name, unsigned b1, unsigned b2)
{
	typed_works("printf '%%s\\n' 'gate { interfaces = { \"lo\" }"
		    "  tunnel_source = { \"192.0.2.1\", \"2001:db8::1\" } }'"
		    " 'service \"shop\" { kind = l4  ring_size = 251  hash = 5tuple'"
		    " 'listen = { \"198.51.100.10:80\" }'"
		    " 'backend \"b1\" { address = \"10.83.0.11\"  weight = %u }'"
		    " 'backend \"b2\" { address = \"10.83.0.12\"  weight = %u } }'"
		    " 'service \"site\" { kind = l7  listen = { \"198.51.100.20:80\" }'"
		    " 'backend \"w1\" { address = \"10.83.0.13:80\" } }' >/mnt/%s.conf",
		    b1, b2, name);
	typed_works("sluice apply -c /mnt/%s.conf", name);
}

static int open_shop(void **unused)
{
	if (typed_gate_open(unused) != 0)
		return -1;
	typed_works("ip link set lo up");
	apply("shop", 2, 1);
	return 0;
}

static int close_shop(void **unused)
{
	typed_works("sluice detach --all --keep-maps");
	return typed_gate_close(unused);
}

static void send_packets(unsigned first, const char *flags)
{
	char text[128];

	for (unsigned i = 0; i < FLOWS; i++) {
		snprintf(text, sizeof(text), "eth / ip4 10.9.9.9 > shop / tcp %u > 80 %s",
			 1000 + first + i, flags);
		typed_send(text);
	}
}

static void send_flows(unsigned first)
{
	send_packets(first, "S");
	send_packets(first, "A");
}

static unsigned flows_of(const char *backend)
{
	typed_works("sluice flows --backend shop/%s | grep -c '^10.9.9.9' || true", backend);
	return (unsigned)atoi(typed.out);
}

static void test_a_drained_backend_keeps_its_flows(void **unused)
{
	char left[64];
	unsigned b1, b2;

	(void)unused;
	send_flows(0);
	b1 = flows_of("b1");
	b2 = flows_of("b2");
	assert_true(b1 > 0 && b2 > 0);
	typed_works("sluice backend drain shop/b1");
	snprintf(left, sizeof(left), "%u flows left, %u with a packet in the last minute", b1, b1);
	typed_shows("~ backend shop/b1 weight 2 -> 0\n");
	typed_shows(" % of 251 slots change backend\n");
	typed_shows("shop/b1 takes no new flows; ");
	typed_shows(left);
	send_flows(0);
	assert_int_equal(flows_of("b1"), b1);
	send_flows(FLOWS);
	assert_int_equal(flows_of("b1"), b1);
	assert_int_equal(flows_of("b2"), b2 + FLOWS);
	/* Asked again, it says how many are left now. */
	typed_works("sluice backend drain shop/b1");
	typed_shows("shop/b1 has weight 0 already\n");
	typed_shows(left);
}

static void test_enabled_it_takes_the_flows_that_it_took(void **unused)
{
	unsigned b1;

	(void)unused;
	send_flows(0);
	b1 = flows_of("b1");
	typed_works("sluice backend drain shop/b1");
	typed_works("sluice backend enable shop/b1");
	typed_shows("~ backend shop/b1 weight 0 -> 2\n");
	typed_hides("no new flows");
	typed_works("sluice backend enable shop/b1");
	typed_shows("shop/b1 has weight 2 already\n");
	/* A second apply finds all as the file has it. */
	typed_works("sluice apply -c /mnt/shop.conf");
	assert_string_equal(typed.out, "nothing to change\n");
	assert_int_equal(flows_of("b1"), b1);
}

/* The table that is gone with its last backend comes back as long as it was. */
static void test_all_drained_and_enabled_again(void **unused)
{
	(void)unused;
	typed_works("sluice backend drain shop/b1");
	typed_hides("no backend of shop");
	typed_works("sluice backend drain shop/b2");
	typed_shows("no backend of shop does: new flows to it are dropped (no_backend)\n");
	send_packets(0, "S");
	assert_int_equal(flows_of("b1") + flows_of("b2"), 0);
	typed_works("sluice why no_backend");
	typed_shows("DROP    no_backend             16 ");
	typed_works("sluice backend enable shop/b2");
	typed_works("sluice backend enable shop/b1");
	typed_works("sluice status --json | grep ring_size");
	typed_shows(" 251");
	typed_works("sluice apply -c /mnt/shop.conf");
	assert_string_equal(typed.out, "nothing to change\n");
	send_flows(0);
	assert_int_equal(flows_of("b1") + flows_of("b2"), FLOWS);
}

static void test_a_weight_by_hand_holds_until_apply(void **unused)
{
	(void)unused;
	typed_works("sluice backend weight shop/b2 6");
	typed_shows("~ backend shop/b2 weight 1 -> 6\n");
	typed_works("sluice backend list");
	typed_shows("shop/b2                  10.83.0.12                6      1   7");
	typed_works("sluice status");
	typed_shows("(by hand; the file says 1)");
	typed_works("sluice apply -c /mnt/shop.conf --dry-run");
	typed_shows("~ backend shop/b2 weight 6 -> 1\n");
	typed_works("sluice apply -c /mnt/shop.conf");
	typed_works("sluice backend list shop");
	typed_shows("shop/b2                  10.83.0.12                1      1   33.");
	typed_works("sluice status");
	typed_hides("by hand");
}

static void test_what_is_drained_shows(void **unused)
{
	char left[64];
	unsigned b1;

	(void)unused;
	send_flows(0);
	b1 = flows_of("b1");
	snprintf(left, sizeof(left), "%u flows left", b1);
	typed_works("sluice backend drain shop/b1");
	typed_works("sluice status");
	typed_shows("weight 0      0.0 %");
	typed_shows("  drained, ");
	typed_shows(left);
	typed_shows("(by hand; the file says 2)\n");
	typed_works("sluice backend list");
	typed_shows("  drained\n");
	/* The file may say so too. */
	apply("drained", 0, 1);
	typed_shows("~ backend shop/b1 weight by the file 2 -> 0\n");
	typed_shows("  backend shop/b1 is drained; ");
	typed_shows(left);
	typed_works("sluice apply -c /mnt/drained.conf");
	typed_shows("  backend shop/b1 is drained; ");
	typed_shows("nothing to change\n");
	typed_ends(1, "sluice backend enable shop/b1");
	typed_shows("the file gives shop/b1 weight 0; `sluice backend weight shop/b1 N`");
	apply("shop", 2, 1);
	typed_shows("~ backend shop/b1 weight 0 -> 2\n");
	/* Removed, its flows are told. */
	typed_works(
		"grep -v b1 /mnt/shop.conf >/mnt/less.conf && sluice apply -c /mnt/less.conf -n");
	snprintf(left, sizeof(left), "- backend shop/b1 10.83.0.11; its %u flows go to others\n",
		 b1);
	typed_shows(left);
}

static void test_backends_for_programs(void **unused)
{
	const char *service, *backend, *address;
	json_int_t weight, configured, flows, recent;
	json_t *root;

	(void)unused;
	send_flows(0);
	typed_works("sluice backend weight shop/b1 7");
	typed_works("sluice backend list --json");
	root = json_loads(typed.out, 0, NULL);
	assert_int_equal(json_unpack(root, "{s:[{s:s, s:s, s:s, s:I, s:I, s:I, s:I}, {}]}",
				     "backends", "service", &service, "backend", &backend,
				     "address", &address, "weight", &weight, "configured_weight",
				     &configured, "flows", &flows, "recent_flows", &recent),
			 0);
	assert_string_equal(service, "shop");
	assert_string_equal(backend, "b1");
	assert_string_equal(address, "10.83.0.11");
	assert_int_equal(weight, 7);
	assert_int_equal(configured, 2);
	assert_in_range(flows, 1, FLOWS - 1);
	assert_int_equal(flows, recent);
	json_decref(root);
	typed_works("sluice status --json");
	root = json_loads(typed.out, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(root, "connections")), FLOWS);
	json_decref(root);
}

static void test_words_that_are_none(void **unused)
{
	(void)unused;
	typed_ends(2, "sluice backend");
	typed_shows("backend what? list, drain, enable or weight\n");
	typed_ends(2, "sluice backend stop shop/b1");
	typed_shows("no such word after backend: stop");
	typed_ends(2, "sluice backend drain");
	typed_shows("backend drain needs a backend: SERVICE/BACKEND\n");
	typed_ends(2, "sluice backend drain b1");
	typed_shows("`b1` names no backend; SERVICE/BACKEND, as shop/b1\n");
	typed_ends(2, "sluice backend drain shop/");
	typed_ends(2, "sluice backend drain shop/b1 --json");
	typed_ends(2, "sluice backend weight shop/b1");
	typed_ends(2, "sluice backend weight shop/b1 1001");
	typed_shows("no weight: 1001; a number from 0 to 1000\n");
	typed_ends(2, "sluice backend weight shop/b1 half");
	typed_shows("usage: sluice backend list");
	typed_ends(1, "sluice backend drain shop/b7");
	typed_shows("no backend is called shop/b7; there are: shop/b1, shop/b2\n");
	typed_ends(1, "sluice backend drain mail/b1");
	typed_shows("no service is called mail; there are: shop, site\n");
	typed_ends(1, "sluice backend drain site/w1");
	typed_shows("the gate knows no backends of site");
	typed_ends(1, "sluice backend list mail");
	typed_works("sluice backend list site");
	typed_shows("no l4 service has a backend here");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_setup_teardown(name, open_shop, close_shop)
		SCENE(test_a_drained_backend_keeps_its_flows),
		SCENE(test_enabled_it_takes_the_flows_that_it_took),
		SCENE(test_all_drained_and_enabled_again),
		SCENE(test_a_weight_by_hand_holds_until_apply),
		SCENE(test_what_is_drained_shows),
		SCENE(test_backends_for_programs),
		SCENE(test_words_that_are_none),
	};

	return cmocka_run_group_tests(tests, typed_host, NULL);
}
