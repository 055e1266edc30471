// SPDX-License-Identifier: BSD-2-Clause
/* Deadlines: they fire once, never early, and not much late, however they were set before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "l7/wheel.h"

#define ROUND_MS ((uint64_t)WHEEL_MS * WHEEL_SLOTS)

struct alarm {
	struct timer timer;
	unsigned fired;
};

static struct wheel wheel;
static uint64_t now_ms;

static void on_fire(struct timer *t)
{
	struct alarm *a = (struct alarm *)((char *)t - offsetof(struct alarm, timer));

	assert_int_equal(t->when, 0);
	a->fired++;
}

static int set_up(void **unused)
{
	(void)unused;
	now_ms = 1000000;
	wheel_init(&wheel, now_ms);
	return 0;
}

static void go_to(uint64_t then)
{
	for (; now_ms < then; now_ms += WHEEL_MS)
		wheel_turn(&wheel, now_ms);
	now_ms = then;
	wheel_turn(&wheel, now_ms);
}

static void test_fires_once_and_not_early(void **unused)
{
	static const uint64_t after[] = {1,        WHEEL_MS,     WHEEL_MS + 1,      ROUND_MS - 1,
					 ROUND_MS, ROUND_MS + 1, 10 * ROUND_MS + 77};

	(void)unused;
	for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		struct alarm a = {.timer.fire = on_fire};
		uint64_t when = now_ms + after[i];

		wheel_set(&wheel, &a.timer, when);
		go_to(when - 1);
		assert_int_equal(a.fired, 0);
		go_to(when + WHEEL_MS);
		assert_int_equal(a.fired, 1);
		go_to(when + 2 * ROUND_MS);
		assert_int_equal(a.fired, 1);
	}
}

static void test_the_last_word_counts(void **unused)
{
	struct alarm a = {.timer.fire = on_fire};
	uint64_t begin = now_ms;

	(void)unused;
	wheel_set(&wheel, &a.timer, begin + 20 * ROUND_MS);
	wheel_set(&wheel, &a.timer, begin + 10 * ROUND_MS); /* looked at in time anyway */
	wheel_set(&wheel, &a.timer, begin + WHEEL_MS);      /* it is not */
	wheel_set(&wheel, &a.timer, begin + 3 * ROUND_MS);
	go_to(begin + 3 * ROUND_MS - 1);
	assert_int_equal(a.fired, 0);
	go_to(begin + 3 * ROUND_MS + WHEEL_MS);
	assert_int_equal(a.fired, 1);
}

static void test_stopped_or_at_rest(void **unused)
{
	struct alarm stopped = {.timer.fire = on_fire}, rests = {.timer.fire = on_fire};

	(void)unused;
	wheel_stop(&stopped.timer);
	for (int i = 0; i < 2; i++) {
		wheel_set(&wheel, &stopped.timer, now_ms + 1000);
		wheel_set(&wheel, &rests.timer, now_ms + 1000);
		wheel_stop(&stopped.timer);
		wheel_rest(&rests.timer);
		if (i == 0)
			go_to(now_ms + 2 * ROUND_MS);
	}
	assert_int_equal(stopped.fired + rests.fired, 0);
	wheel_set(&wheel, &rests.timer, now_ms + 2000); /* while it is in its slot still */
	go_to(now_ms + 2000 + WHEEL_MS);
	assert_int_equal(rests.fired, 1);
	wheel_set(&wheel, &rests.timer, now_ms + 2000);
	wheel_rest(&rests.timer);
	wheel_stop(&rests.timer); /* and is free to go */
	rests.timer.entry.le_prev = NULL;
	go_to(now_ms + 2 * ROUND_MS);
	assert_int_equal(rests.fired, 1);
}

/* The loop stood still for longer than a round. */
static void test_after_a_stall(void **unused)
{
	struct alarm a = {.timer.fire = on_fire}, b = {.timer.fire = on_fire};

	(void)unused;
	wheel_set(&wheel, &a.timer, now_ms + 1000);
	wheel_set(&wheel, &b.timer, now_ms + 9 * ROUND_MS);
	now_ms += 5 * ROUND_MS + 3;
	wheel_turn(&wheel, now_ms);
	assert_int_equal(a.fired, 1);
	assert_int_equal(b.fired, 0);
	go_to(now_ms + 4 * ROUND_MS + WHEEL_MS);
	assert_int_equal(b.fired, 1);
}

/* Against a list that is searched. */
static void test_at_random(void **unused)
{
	static struct alarm alarms[50];
	uint64_t due[50] = {0};

	(void)unused;
	srand(7);
	for (size_t i = 0; i < 50; i++)
		alarms[i].timer.fire = on_fire;
	for (int step = 0; step < 20000; step++) {
		size_t i = (size_t)rand() % 50;

		if (rand() % 4 == 0) {
			wheel_rest(&alarms[i].timer);
			due[i] = 0;
		} else if (rand() % 8 == 0) {
			wheel_stop(&alarms[i].timer);
			due[i] = 0;
		} else {
			due[i] = now_ms + 1 + (uint64_t)rand() % (3 * ROUND_MS);
			wheel_set(&wheel, &alarms[i].timer, due[i]);
		}
		now_ms += (uint64_t)rand() % 100;
		wheel_turn(&wheel, now_ms);
		for (i = 0; i < 50; i++) {
			if (alarms[i].fired) {
				assert_true(due[i] && due[i] <= now_ms);
				alarms[i].fired = 0;
				due[i] = 0;
			}
			assert_true(due[i] == 0 || due[i] + WHEEL_MS > now_ms);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_fires_once_and_not_early, set_up),
		cmocka_unit_test_setup(test_the_last_word_counts, set_up),
		cmocka_unit_test_setup(test_stopped_or_at_rest, set_up),
		cmocka_unit_test_setup(test_after_a_stall, set_up),
		cmocka_unit_test_setup(test_at_random, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
