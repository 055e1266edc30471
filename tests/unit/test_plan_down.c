// SPDX-License-Identifier: BSD-2-Clause
/* Backends that checks found down: without slots, whatever their weight, until somebody says that
 * they are up, or that nobody checks them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_scene.h"

#define SHOP(health, b1, b2)                                                                       \
	"service \"shop\" { kind = l4  ring_size = 251  listen = { \"198.51.100.10:80\" "          \
	"}\n" health "  backend \"b1\" { address = \"10.0.0.11\"  weight = " b1 " }\n"             \
	"  backend \"b2\" { address = \"10.0.0.12\"  weight = " b2 " } }\n"
#define CHECKED "  health { }\n"

static struct plan_backend *backend_of(struct plan_state *state, const char *name)
{
	for (size_t i = 0; i < state->n_backends; i++)
		if (strcmp(state->backends[i].name, name) == 0)
			return &state->backends[i];
	fail_msg("no backend %s", name);
	return NULL;
}

/* Slots of the wanted ring that lead to it. */
static uint32_t slots_of(struct scene *s, const char *name)
{
	uint32_t id = backend_of(&s->want, name)->id, n = 0;
	const struct plan_service *svc = &s->want.services[0];

	for (uint32_t i = 0; svc->ring && i < svc->ring_size; i++)
		n += svc->ring[i] == id;
	return n;
}

/* As the daemon does: all stays as it is but for this. */
static void found(struct scene *s, const char *name, bool down)
{
	plan_state_fini(&s->want);
	assert_int_equal(plan_keep(&s->want, &s->actual, s->actual.services[0].id, &s->err), 0);
	backend_of(&s->want, name)->down = down;
	make(s);
}

static struct scene running(const char *file)
{
	struct scene s = {0};

	apply(&s, file);
	enact(&s);
	return s;
}

static void test_one_that_is_down_has_no_slot_and_keeps_its_weight(void **unused)
{
	struct scene s = running(SHOP(CHECKED, "3", "1"));

	(void)unused;
	found(&s, "b1", true);
	assert_int_equal(slots_of(&s, "b1"), 0);
	assert_int_equal(slots_of(&s, "b2"), 251);
	assert_int_equal(backend_of(&s.want, "b1")->weight, 3);
	assert_non_null(strstr(s.lines, "down by checks"));
	enact(&s);
	found(&s, "b1", false);
	assert_true(slots_of(&s, "b1") > 251 / 2);
	scene_fini(&s);
}

static void test_a_file_that_has_it_checked_keeps_what_was_found(void **unused)
{
	struct scene s = running(SHOP(CHECKED, "1", "1"));

	(void)unused;
	found(&s, "b1", true);
	enact(&s);
	apply(&s, SHOP(CHECKED, "1", "1"));
	assert_string_equal(s.lines, "");
	assert_int_equal(slots_of(&s, "b1"), 0);
	apply(&s, SHOP(CHECKED, "5", "1"));
	assert_int_equal(slots_of(&s, "b1"), 0);
	scene_fini(&s);
}

static void test_a_file_that_does_not_has_it_used_again(void **unused)
{
	struct scene s = running(SHOP(CHECKED, "1", "1"));

	(void)unused;
	found(&s, "b1", true);
	enact(&s);
	apply(&s, SHOP("", "1", "1"));
	assert_true(slots_of(&s, "b1") > 0);
	assert_non_null(strstr(s.lines, "not down by checks any more"));
	scene_fini(&s);
}

static void test_a_weight_by_hand_does_not_bring_it_up(void **unused)
{
	struct scene s = running(SHOP(CHECKED, "1", "1"));

	(void)unused;
	found(&s, "b1", true);
	enact(&s);
	plan_state_fini(&s.want);
	assert_int_equal(plan_keep(&s.want, &s.actual, s.actual.services[0].id, &s.err), 0);
	backend_of(&s.want, "b1")->weight = 9;
	make(&s);
	assert_true(backend_of(&s.want, "b1")->down);
	assert_int_equal(slots_of(&s, "b1"), 0);
	scene_fini(&s);
}

static void test_with_all_down_there_is_no_table(void **unused)
{
	struct scene s = running(SHOP(CHECKED, "1", "0"));

	(void)unused;
	found(&s, "b1", true);
	assert_null(s.want.services[0].ring);
	scene_fini(&s);
}

static void test_a_new_backend_is_up(void **unused)
{
	struct scene s = running("service \"shop\" { kind = l4  ring_size = 251\n"
				 "  listen = { \"198.51.100.10:80\" }\n" CHECKED
				 "  backend \"b1\" { address = \"10.0.0.11\" } }\n");

	(void)unused;
	found(&s, "b1", true);
	enact(&s);
	apply(&s, SHOP(CHECKED, "1", "1"));
	assert_int_equal(slots_of(&s, "b2"), 251);
	scene_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_that_is_down_has_no_slot_and_keeps_its_weight),
		cmocka_unit_test(test_a_file_that_has_it_checked_keeps_what_was_found),
		cmocka_unit_test(test_a_file_that_does_not_has_it_used_again),
		cmocka_unit_test(test_a_weight_by_hand_does_not_bring_it_up),
		cmocka_unit_test(test_with_all_down_there_is_no_table),
		cmocka_unit_test(test_a_new_backend_is_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
