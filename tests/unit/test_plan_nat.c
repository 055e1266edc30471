// SPDX-License-Identifier: BSD-2-Clause
/* Addresses that nat sends from come and go: those that stay keep their number, in which their
 * flows are, and the pool is written when the new can be answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>

#include "plan_scene.h"

#define SERVICE                                                                                    \
	"service \"shop\" { kind = l4 forward = nat ring_size = 307 listen = { "                   \
	"\"198.51.100.10:80\" }\n"                                                                 \
	"  backend \"a\" { address = \"10.0.0.11:8080\" }\n"                                       \
	"  backend \"b\" { address = \"10.0.0.11:8081\" } }\n"
#define SOURCES(list) "gate { nat_ports = \"2000-2999\" nat_source = { " list " } }\n" SERVICE

/* A gate that was attached for so many sources. */
static void attached(struct scene *s, uint32_t sources)
{
	memset(s, 0, sizeof(*s));
	s->actual.nat = (struct plan_nat){.sources = sources, .first = 2000, .ports = 1000};
}

/* As enact(), with what nat's maps would say. */
static void done(struct scene *s)
{
	struct plan_nat made = s->actual.nat;

	enact(s);
	s->actual.nat = made;
	for (size_t i = 0; i < s->actual.n_sources; i++)
		s->actual.sources[i].pooled = true;
}

static uint32_t number_of(const struct scene *s, const char *text)
{
	struct sluice_addr addr;

	addr_parse(&addr, text);
	for (size_t i = 0; i < s->want.n_sources; i++)
		if (addr_equal(&s->want.sources[i].addr, &addr))
			return s->want.sources[i].number;
	fail_msg("%s is no source", text);
	return 0;
}

static void test_sources_keep_their_numbers(void **unused)
{
	struct scene s;

	(void)unused;
	attached(&s, 3);
	apply(&s, SOURCES("\"10.0.0.3\", \"10.0.0.2\""));
	assert_int_equal(number_of(&s, "10.0.0.3"), 0);
	assert_int_equal(number_of(&s, "10.0.0.2"), 1);
	assert_non_null(strstr(s.lines, "+ nat_source 10.0.0.3\n"));
	done(&s);
	apply(&s, SOURCES("\"10.0.0.3\", \"10.0.0.4\""));
	assert_int_equal(number_of(&s, "10.0.0.3"), 0);
	assert_int_equal(number_of(&s, "10.0.0.4"), 2); /* 1 is still the old one's */
	assert_string_equal(s.lines, "+ nat_source 10.0.0.4\n"
				     "- nat_source 10.0.0.2; its flows end\n");
	done(&s);
	apply(&s, SOURCES("\"10.0.0.3\", \"10.0.0.4\""));
	assert_string_equal(s.lines, "");
	assert_int_equal(s.plan.n, 0);
	scene_fini(&s);
}

/* Answers must be known before anything is sent that they answer, and as long. */
static void test_the_order_of_edits(void **unused)
{
	size_t added = 0, pooled = 0, removed = 0, listens = 0;
	struct scene s;

	(void)unused;
	attached(&s, 2);
	apply(&s, SOURCES("\"10.0.0.2\""));
	done(&s);
	apply(&s,
	      "gate { nat_ports = \"2000-2999\" nat_source = { \"10.0.0.3\" } }\n" SERVICE
	      "service \"more\" { kind = l4 forward = nat ring_size = 307\n"
	      "  listen = { \"198.51.100.11:80\" } backend \"a\" { address = \"10.0.0.11\" } }\n");
	for (size_t i = 0; i < s.plan.n; i++) {
		enum plan_step step = s.plan.edits[i].step;

		added = step == PLAN_ADD_SOURCE ? i : added;
		pooled = step == PLAN_SET_POOL ? i : pooled;
		listens = step == PLAN_ADD_VIP ? i : listens;
		removed = step == PLAN_REMOVE_SOURCE ? i : removed;
	}
	assert_true(added < pooled && pooled < listens && listens < removed);
	scene_fini(&s);
}

static void refused(uint32_t sources, const char *text, const char *why)
{
	struct conf *c = load_text(text);
	struct scene s;

	if (!c)
		fail_msg("%s", told);
	attached(&s, sources);
	assert_int_equal(plan_want(&s.want, c, &s.err), 0);
	assert_int_equal(plan_make(&s.plan, &s.want, &s.actual, &s.err), -ENOSPC);
	assert_int_equal(s.plan.n, 0);
	if (!strstr(s.err.text, why))
		fail_msg("%s", s.err.text);
	conf_free(c);
	scene_fini(&s);
}

static void test_what_the_maps_were_not_made_for(void **unused)
{
	(void)unused;
	refused(0, SOURCES("\"10.0.0.2\""), "the gate was attached without nat_source");
	refused(1, SOURCES("\"10.0.0.2\", \"10.0.0.3\""),
		"is for 1 addresses and ports 2000-2999, and the file asks for 2 and 2000-2999");
	refused(1, "gate { nat_source = { \"10.0.0.2\" } }\n" SERVICE,
		"the file asks for 1 and 1024-32767");
}

/* Left by a table of another size: answered, but not sent from. */
static void test_a_source_that_the_pool_has_lost(void **unused)
{
	struct scene s;

	(void)unused;
	attached(&s, 2);
	apply(&s, SOURCES("\"10.0.0.2\""));
	done(&s);
	s.actual.sources[0].number = 7;
	s.actual.sources[0].pooled = false;
	apply(&s, SOURCES("\"10.0.0.2\""));
	assert_int_equal(number_of(&s, "10.0.0.2"), 0);
	assert_string_equal(s.lines, "+ nat_source 10.0.0.2\n");
	assert_int_equal(s.plan.n, 2);
	scene_fini(&s);
}

/* Two ports of one address are two backends, and the gate knows which kind of service it is. */
static void test_backends_are_told_by_their_ports(void **unused)
{
	struct scene s;

	(void)unused;
	attached(&s, 1);
	apply(&s, SOURCES("\"10.0.0.2\""));
	assert_non_null(strstr(s.lines, "+ backend shop/a 10.0.0.11:8080 weight 1\n"));
	assert_non_null(strstr(s.lines, "+ backend shop/b 10.0.0.11:8081 weight 1\n"));
	assert_int_equal(s.want.backends[1].port, htons(8081));
	assert_int_not_equal(s.want.backends[0].id, s.want.backends[1].id);
	for (size_t i = 0; i < s.want.n_vips; i++)
		assert_int_equal(s.want.vips[i].value.kind, SLUICE_NAT);
	scene_fini(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sources_keep_their_numbers),
		cmocka_unit_test(test_the_order_of_edits),
		cmocka_unit_test(test_what_the_maps_were_not_made_for),
		cmocka_unit_test(test_a_source_that_the_pool_has_lost),
		cmocka_unit_test(test_backends_are_told_by_their_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
