// SPDX-License-Identifier: BSD-2-Clause
/* Changes by hand: what runs stays as it is but for the one thing, and the file has its way at
 * the next apply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan_scene.h"

#define RING 251

static const char file[] = "service \"site\" { kind = l7  listen = { \"198.51.100.20:80\" }\n"
			   "  backend \"w\" { address = \"10.0.0.9:80\" } }\n"
			   "service \"shop\" { kind = l4  ring_size = 251  hash = src\n"
			   "  track = never  udp_timeout = 10s  mss = 1400\n"
			   "  listen = { \"198.51.100.10:80\", \"[2001:db8::10]:80\" }\n"
			   "  backend \"b1\" { address = \"10.0.0.11\"  weight = 2\n"
			   "    pin = { \"192.0.2.0/24\", \"2001:db8::/32\" } }\n"
			   "  backend \"b2\" { address = \"10.0.0.12\"  weight = 1 } }\n"
			   "service \"mail\" { kind = l4  listen = { \"198.51.100.10:25\" }\n"
			   "  ring_size = 251  backend \"m\" { address = \"10.0.0.11\" } }\n";

static uint32_t *copy_ring(const struct plan_service *s)
{
	uint32_t *ring = s->ring ? calloc(s->ring_size, sizeof(*ring)) : NULL;

	if (ring)
		memcpy(ring, s->ring, s->ring_size * sizeof(*ring));
	return ring;
}

static uint32_t id_of(const struct scene *s, const char *service)
{
	for (size_t i = 0; i < s->actual.n_services; i++)
		if (strcmp(s->actual.services[i].name, service) == 0)
			return s->actual.services[i].id;
	fail_msg("no service %s runs", service);
	return 0;
}

static struct plan_backend *backend_of(struct plan_state *state, const char *name)
{
	for (size_t i = 0; i < state->n_backends; i++)
		if (strcmp(state->backends[i].name, name) == 0)
			return &state->backends[i];
	fail_msg("no backend %s", name);
	return NULL;
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	apply(s, file);
	enact(s);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	scene_fini(s);
	free(s);
	return 0;
}

static void test_nothing_changed_plans_nothing(void **state)
{
	struct scene *s = *state;

	assert_int_equal(plan_keep(&s->want, &s->actual, id_of(s, "shop"), &s->err), 0);
	make(s);
	assert_int_equal(s->plan.n, 0);
	assert_int_equal(s->actual.n_services, 1);
	assert_int_equal(s->actual.n_backends, 2);
	assert_int_equal(s->actual.n_vips, 2);
}

/* Others of the file are not in the plan, not even those at the same address. */
static void test_one_weight_alone(void **state)
{
	struct scene *s = *state;
	uint32_t *before, moved = 0;

	assert_int_equal(plan_keep(&s->want, &s->actual, id_of(s, "shop"), &s->err), 0);
	before = copy_ring(&s->actual.services[0]);
	backend_of(&s->want, "b1")->weight = 0;
	make(s);
	assert_int_equal(s->plan.n, 2);
	assert_int_equal(s->plan.edits[0].step, PLAN_CHANGE_BACKEND);
	assert_int_equal(s->plan.edits[1].step, PLAN_GROW_RING);
	assert_non_null(strstr(s->lines, "~ backend shop/b1 weight 2 -> 0\n"));
	for (uint32_t i = 0; i < RING; i++)
		moved += s->want.services[0].ring[i] != before[i];
	assert_int_equal(moved, s->plan.edits[1].slots_moved);
	free(before);
}

/* The table of the last weight is the one that it was: so flows come back where they were. */
static void test_drained_and_enabled_is_as_before(void **state)
{
	struct scene *s = *state;
	uint32_t *before, id = id_of(s, "shop");

	assert_int_equal(plan_keep(&s->want, &s->actual, id, &s->err), 0);
	before = copy_ring(&s->actual.services[0]);
	backend_of(&s->want, "b1")->weight = 0;
	backend_of(&s->want, "b2")->weight = 0;
	make(s);
	assert_null(s->want.services[0].ring);
	enact(s);
	/* No table is left to tell how long it was. */
	assert_int_equal(s->actual.services[0].ring_size, 0);
	assert_int_equal(plan_keep(&s->want, &s->actual, id, &s->err), 0);
	backend_of(&s->want, "b1")->weight = backend_of(&s->want, "b1")->configured;
	backend_of(&s->want, "b2")->weight = backend_of(&s->want, "b2")->configured;
	make(s);
	assert_int_equal(s->want.services[0].ring_size, RING);
	assert_memory_equal(s->want.services[0].ring, before, RING * sizeof(*before));
	assert_int_equal(s->want.vips[0].value.ring_size, RING);
	assert_int_equal(s->want.vips[0].value.hash, SLUICE_HASH_src);
	assert_int_equal(s->want.vips[0].value.track, SLUICE_TRACK_never);
	assert_int_equal(backend_of(&s->want, "b1")->udp_timeout_ms, 10000);
	assert_int_equal(backend_of(&s->want, "b1")->mss, 1400);
	free(before);
}

static void test_the_file_has_its_way_again(void **state)
{
	struct scene *s = *state;

	backend_of(&s->actual, "b1")->weight = 0;
	apply(s, file);
	assert_non_null(strstr(s->lines, "~ backend shop/b1 weight 0 -> 2\n"));
}

/* A drained one whose file now says 0 as well stays drained, but is not enabled to 2 any more. */
static void test_another_weight_in_the_file_is_remembered(void **state)
{
	struct scene *s = *state;
	char *text = strdup(file);

	memcpy(strstr(text, "weight = 2"), "weight = 0", 10);
	backend_of(&s->actual, "b1")->weight = 0;
	apply(s, text);
	assert_non_null(strstr(s->lines, "~ backend shop/b1 weight by the file 2 -> 0\n"));
	assert_int_equal(backend_of(&s->want, "b1")->configured, 0);
	free(text);
}

static void test_a_removed_backend_names_its_flows(void **state)
{
	struct scene *s = *state;
	char *text = strdup(file), *row = strstr(text, "backend \"b2\"");

	memset(row, ' ', strcspn(row, "}") + 1);
	backend_of(&s->actual, "b2")->flows = 12;
	apply(s, text);
	assert_non_null(
		strstr(s->lines, "- backend shop/b2 10.0.0.12; its 12 flows go to others\n"));
	free(text);
}

/* The daemon's service is known by name; the gate has no backends of it. */
static void test_an_l7_service_has_nothing_to_change(void **state)
{
	struct scene *s = *state;

	assert_int_equal(plan_keep(&s->want, &s->actual, id_of(s, "site"), &s->err), 0);
	make(s);
	assert_int_equal(s->plan.n, 0);
	assert_int_equal(s->want.n_backends, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_nothing_changed_plans_nothing),
		TEST(test_one_weight_alone),
		TEST(test_drained_and_enabled_is_as_before),
		TEST(test_the_file_has_its_way_again),
		TEST(test_another_weight_in_the_file_is_remembered),
		TEST(test_a_removed_backend_names_its_flows),
		TEST(test_an_l7_service_has_nothing_to_change),
	};

	return cmocka_run_group_tests_name("plan_keep", tests, NULL, NULL);
}
