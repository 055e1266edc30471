// SPDX-License-Identifier: BSD-2-Clause
/* What words of an l4 service make of the gate's maps, and how a change of one is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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

static void test_previous_table(void **unused)
{
	(void)unused;
	change(SHOP(""), SHOP("previous_table = 0s"), "~ service shop previous_table 10m -> 0ms\n");
	change(SHOP("previous_table = 90s"), SHOP(""),
	       "~ service shop previous_table 90s -> 10m\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_track),
		cmocka_unit_test(test_udp_timeout),
		cmocka_unit_test(test_previous_table),
	};

	return cmocka_run_group_tests_name("plan_words", tests, NULL, NULL);
}
