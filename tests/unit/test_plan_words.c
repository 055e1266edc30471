// SPDX-License-Identifier: BSD-2-Clause
/* What words of an l4 service make of the gate's maps, and how a change of one is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "plan_scene.h"

#define SHOP(words)                                                                                \
	"service \"shop\" { kind = l4  ring_size = 251  " words "\n"                               \
	"  listen = { \"198.51.100.10:80\", \"[2001:db8::10]:80\" }\n"                             \
	"  backend \"b1\" { address = \"10.0.0.11\" }\n"                                           \
	"  backend \"b2\" { address = \"10.0.0.12\" } }\n"

/* From one file to the other, which is told like this. The same again changes nothing. */
static void change(const char *from, const char *to, const char *lines)
{
	struct scene s = {0};

	apply(&s, from);
	enact(&s);
	apply(&s, to);
	assert_string_equal(s.lines, lines);
	enact(&s);
	apply(&s, to);
	assert_string_equal(s.lines, "");
	assert_int_equal(s.plan.n, 0);
	scene_fini(&s);
}

static void test_track(void **unused)
{
	(void)unused;
	change(SHOP(""), SHOP("track = never"),
	       "~ service shop 198.51.100.10:80/tcp track auto -> never\n"
	       "~ service shop [2001:db8::10]:80/tcp track auto -> never\n");
	change(SHOP("track = always"), SHOP("hash = src"),
	       "~ service shop 198.51.100.10:80/tcp hash 5tuple -> src track always -> auto\n"
	       "~ service shop [2001:db8::10]:80/tcp hash 5tuple -> src track always -> auto\n");
}

static void test_udp_timeout(void **unused)
{
	(void)unused;
	change(SHOP(""), SHOP("udp_timeout = 1500ms"),
	       "~ backend shop/b1 udp_timeout 30s -> 1500ms\n"
	       "~ backend shop/b2 udp_timeout 30s -> 1500ms\n");
	change(SHOP("udp_timeout = 2m"), SHOP("udp_timeout = 1h"),
	       "~ backend shop/b1 udp_timeout 2m -> 1h\n"
	       "~ backend shop/b2 udp_timeout 2m -> 1h\n");
}

static void test_mss(void **unused)
{
	(void)unused;
	change(SHOP(""), SHOP("mss = 1400"),
	       "~ backend shop/b1 mss off -> 1400\n~ backend shop/b2 mss off -> 1400\n");
	change(SHOP("mss = 65495"), SHOP("mss = auto"),
	       "~ backend shop/b1 mss 65495 -> auto\n~ backend shop/b2 mss 65495 -> auto\n");
	change(SHOP("mss = auto"), SHOP("mss = off"),
	       "~ backend shop/b1 mss auto -> off\n~ backend shop/b2 mss auto -> off\n");
}

/* One entry for each address and protocol, of which people need not know. */
static void test_fragments(void **unused)
{
	struct scene s = {0};
	unsigned n = 0;

	(void)unused;
	change(SHOP(""), SHOP("fragments = yes"),
	       "~ service shop 198.51.100.10:80/tcp fragments no -> yes\n"
	       "~ service shop [2001:db8::10]:80/tcp fragments no -> yes\n");
	change(SHOP("fragments = yes"), SHOP("fragments = no track = never"),
	       "~ service shop 198.51.100.10:80/tcp track auto -> never fragments yes -> no\n"
	       "~ service shop [2001:db8::10]:80/tcp track auto -> never fragments yes -> no\n");
	apply(&s, "service \"dns\" { kind = l4  fragments = yes  proto = { tcp, udp }\n"
		  "  listen = { \"198.51.100.10:53\", \"198.51.100.10:5353\" }\n"
		  "  backend \"b1\" { address = \"10.0.0.11\" } }\n");
	for (size_t i = 0; i < s.want.n_vips; i++) {
		const struct plan_vip *v = &s.want.vips[i];

		if (v->key.proto != SLUICE_FRAGMENT)
			continue;
		assert_false(plan_is_listen(v));
		assert_true(v->key.port == htons(6) || v->key.port == htons(17));
		assert_int_equal(v->value.fragments, 1);
		assert_int_equal(v->value.id, s.want.services[0].id);
		n++;
	}
	assert_int_equal(n, 2);
	scene_fini(&s);
}

#define QUIC(a, b)                                                                                 \
	"service \"h3\" { kind = l4  ring_size = 251  proto = { udp }  hash = quic_cid\n"          \
	"  listen = { \"198.51.100.10:443\" }\n"                                                   \
	"  backend \"b1\" { address = \"10.0.0.11\"  server_id = { " a " } }\n"                    \
	"  backend \"b2\" { address = \"10.0.0.12\"  server_id = { " b " } } }\n"

static void test_server_ids(void **unused)
{
	struct scene s = {0};

	(void)unused;
	apply(&s, QUIC("01, \"1:C0FFEE\"", "02, \"6:000102030405060708090a0b0c0d0e\""));
	assert_non_null(strstr(s.lines, "\n+ h3/b1 server_id 0:01 and 1 more\n"
					"+ h3/b2 server_id 0:02 and 1 more\n"));
	for (size_t i = 0; i < s.want.n_vips; i++)
		if (!plan_is_marker(&s.want.vips[i]))
			assert_int_equal(s.want.vips[i].value.server_ids, 0xf000031);
	scene_fini(&s);
	/* One goes, one comes, one is another's from now on; one is longer. */
	change(QUIC("01, 02", "03, 04"), QUIC("01, 03", "02, 05"),
	       "+ h3/b1 server_id 0:03\n+ h3/b2 server_id 0:02 and 1 more\n- h3 server_id 0:04\n");
	change(QUIC("01", "02"), QUIC("0102", "0202"),
	       "+ h3/b1 server_id 0:0102\n+ h3/b2 server_id 0:0202\n"
	       "- h3 server_id 0:01 and 1 more\n");
}

static void test_previous_table(void **unused)
{
	(void)unused;
	change(SHOP(""), SHOP("previous_table = 0s"), "~ service shop previous_table 10m -> 0ms\n");
	change(SHOP("previous_table = 90s"), SHOP(""),
	       "~ service shop previous_table 90s -> 10m\n");
}

static void test_limits(void **unused)
{
	(void)unused;
	change(SHOP(""), SHOP("limit { packets = 1000 }"),
	       "~ service shop limit none -> 1000 packets, burst 1s, of each /32 and /64\n");
	change(SHOP("limit { packets = 1000 }"),
	       SHOP("limit { packets = 1000 connections = 20 burst = 250ms source_prefix6 = 56 }"),
	       "~ service shop limit 1000 packets, burst 1s, of each /32 and /64 -> 1000 packets, "
	       "20 connections, burst 250ms, of each /32 and /56\n");
	change(SHOP("limit { connections = 7 source_prefix4 = 24 } track = never"), SHOP(""),
	       "~ service shop limit 7 connections, burst 1s, of each /24 and /64 -> none\n"
	       "~ service shop 198.51.100.10:80/tcp track never -> auto\n"
	       "~ service shop [2001:db8::10]:80/tcp track never -> auto\n");
}

/* What the gate reads of it. */
static void test_limits_as_the_gate_has_them(void **unused)
{
	static const struct sluice_addr all4 = {.w = {~0U, ~0U, ~0U, ~0U}};
	struct sluice_addr some = {.b = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}};
	const struct sluice_limit *l;
	struct scene s = {0};

	(void)unused;
	apply(&s, SHOP("limit { packets = 3 source_prefix6 = 55 }"));
	l = &s.want.services[0].limit;
	assert_int_equal(l->gap_ns[SLUICE_RATE_packets], 333333333);
	assert_int_equal(l->gap_ns[SLUICE_RATE_connections], 0);
	assert_int_equal(l->known, 1);
	assert_memory_equal(&l->mask[0], &all4, sizeof(all4));
	assert_memory_equal(&l->mask[1], &some, sizeof(some));
	for (size_t i = 0; i < s.want.n_vips; i++)
		assert_int_equal(s.want.vips[i].value.limited,
				 s.want.vips[i].service != PLAN_MARKER);
	apply(&s, SHOP("limit { connections = 1 source_prefix4 = 9 }"));
	l = &s.want.services[0].limit;
	some = (struct sluice_addr){.w = {~0U, ~0U, ~0U, htonl(0xff800000)}};
	assert_memory_equal(&l->mask[0], &some, sizeof(some));
	scene_fini(&s);
}

#define PINS(one, two)                                                                             \
	"service \"shop\" { kind = l4  ring_size = 251\n"                                          \
	"  listen = { \"198.51.100.10:80\", \"[2001:db8::10]:80\" }\n"                             \
	"  backend \"b1\" { address = \"10.0.0.11\"  pin = { " one " } }\n"                        \
	"  backend \"b2\" { address = \"10.0.0.12\"  pin = { " two " } } }\n"

static void test_pins(void **unused)
{
	(void)unused;
	/* The VIPs' entries change too, which the pins say. */
	change(PINS("", ""), PINS("\"192.0.2.0/24\"", ""), "+ pin shop/b1 192.0.2.0/24\n");
	change(PINS("", ""), PINS("\"192.0.2.0/24\", \"::/0\"", "\"0.0.0.0/0\""),
	       "+ pin shop/b1 ::/0 and 1 more\n+ pin shop/b2 0.0.0.0/0\n");
	/* To another backend. */
	change(PINS("\"192.0.2.7\", \"192.0.2.8\"", ""), PINS("\"192.0.2.7\"", "\"192.0.2.8\""),
	       "+ pin shop/b2 192.0.2.8\n");
	/* The same address, but more of it. */
	change(PINS("\"192.0.2.0/24\"", ""), PINS("\"192.0.2.0/23\"", "\"2001:db8::/32\""),
	       "+ pin shop/b1 192.0.2.0/23\n+ pin shop/b2 2001:db8::/32\n"
	       "- pin shop 192.0.2.0/24\n");
	change(PINS("\"192.0.2.0/24\"", "\"192.0.3.0/24\""), PINS("", ""),
	       "- pin shop 192.0.2.0/24 and 1 more\n");
}

/* Edits in an order in which no packet meets a pin of nobody. */
static void test_pins_go_before_their_backend(void **unused)
{
	struct scene s = {0};
	size_t n = 0;

	(void)unused;
	apply(&s, PINS("", "\"192.0.2.0/24\""));
	assert_int_equal(s.plan.edits[s.plan.n - 1].step, PLAN_ADD_VIP);
	enact(&s);
	apply(&s, "service \"shop\" { kind = l4  ring_size = 251\n"
		  "  listen = { \"198.51.100.10:80\", \"[2001:db8::10]:80\" }\n"
		  "  backend \"b1\" { address = \"10.0.0.11\"  pin = { \"192.0.3.0/24\" } } }\n");
	for (size_t i = 1; i < s.plan.n; i++)
		assert_true(s.plan.edits[i - 1].step <= s.plan.edits[i].step);
	for (size_t i = 0; i < s.plan.n; i++)
		n += s.plan.edits[i].step == PLAN_ADD_PIN ||
		     s.plan.edits[i].step == PLAN_REMOVE_PIN;
	assert_int_equal(n, 2);
	scene_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_track),
		cmocka_unit_test(test_udp_timeout),
		cmocka_unit_test(test_mss),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_server_ids),
		cmocka_unit_test(test_previous_table),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_limits_as_the_gate_has_them),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_pins_go_before_their_backend),
	};

	return cmocka_run_group_tests_name("plan_words", tests, NULL, NULL);
}
