// SPDX-License-Identifier: BSD-2-Clause
/* Content that is written once and read by many, while it grows and after; memory to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "l7/content.h"

static atomic_ullong used;
static struct mailbox box;
static struct event_base *base;
static unsigned woken;

static void count(struct sleeper *s)
{
	(void)s;
	woken++;
}

static int begin(void **state)
{
	(void)state;
	base = event_base_new();
	box.fd = -1;
	woken = 0;
	return base ? mailbox_init(&box, base) : -1;
}

/* Whatever a test did, all memory was given back. */
static int end(void **state)
{
	(void)state;
	mailbox_fini(&box);
	event_base_free(base);
	return atomic_load(&used) == 0 ? 0 : -1;
}

static struct sleeper sleeper(void)
{
	return (struct sleeper){.mailbox = &box, .wake = count};
}

static void add(struct content *c, const char *text)
{
	assert_true(content_add(c, (struct span){text, strlen(text)}));
}

/* All that is there now. */
static size_t read_all(struct reader *r, char *out, enum content_state *state)
{
	size_t n = 0;

	for (;;) {
		struct span s = reader_peek(r, 7, state);

		if (s.len == 0)
			return n;
		memcpy(out + n, s.p, s.len);
		n += s.len;
		reader_skip(r, s.len);
	}
}

static void test_readers_see_what_was_written(void **unused)
{
	struct content *c = content_new(CONTENT_UNKNOWN, &used);
	struct sleeper s = sleeper();
	enum content_state state;
	struct reader early, late;
	char out[64];

	(void)unused;
	assert_true(reader_open(&early, c));
	assert_int_equal(read_all(&early, out, &state), 0);
	assert_int_equal(state, CONTENT_OPEN);
	add(c, "hello, ");
	assert_true(reader_open(&late, c));
	add(c, "world");
	assert_int_equal(read_all(&early, out, &state), 12);
	assert_memory_equal(out, "hello, world", 12);
	assert_int_equal(read_all(&late, out, &state), 12);
	assert_true(reader_wait(&early, &s));
	content_end(c, CONTENT_WHOLE);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(woken, 1);
	assert_false(reader_wait(&late, &s));
	assert_int_equal(read_all(&early, out, &state), 0);
	assert_int_equal(state, CONTENT_WHOLE);
	reader_close(&early, &s);
	reader_close(&late, &s);
	content_unref(c);
}

static void test_what_is_kept_outlives_the_writing(void **unused)
{
	static char text[300000], out[sizeof(text)];
	struct content *c = content_new(sizeof(text), &used), *kept;
	struct sleeper s = sleeper();
	enum content_state state;
	struct reader r;

	(void)unused;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7 + i / 255);
	for (size_t at = 0; at < sizeof(text); at += 12000)
		assert_true(content_add(c, (struct span){text + at, 12000}));
	content_end(c, CONTENT_WHOLE);
	kept = content_settle(c);
	content_unref(c);
	assert_true(reader_open(&r, kept));
	reader_skip(&r, 270000);
	assert_int_equal(read_all(&r, out, &state), 30000);
	assert_memory_equal(out, text + 270000, 30000);
	reader_close(&r, &s);
	/* The size was known: not a byte more than it. */
	assert_true(atomic_load(&used) < sizeof(text) + 200);
	content_unref(kept);
}

static void test_a_content_that_slides_keeps_a_window(void **unused)
{
	static char block[65536], out[sizeof(block)];
	struct content *c = content_new(CONTENT_UNKNOWN, &used);
	struct sleeper s = sleeper(), writer = sleeper();
	enum content_state state;
	struct reader r, late;
	bool alone;
	unsigned n = 0;

	(void)unused;
	assert_true(reader_open(&r, c));
	/* Nobody may be left in front of a beginning that is gone. */
	assert_false(content_slide(c, &writer));
	add(c, "x");
	assert_int_equal(read_all(&r, out, &state), 1);
	assert_true(content_slide(c, &writer));
	assert_false(reader_open(&late, c));
	while (content_may_add(c, &writer, &alone)) {
		assert_true(content_add(c, (struct span){block, sizeof(block)}));
		n++;
	}
	assert_true(n >= CONTENT_WINDOW / sizeof(block) - 8 && n < 64);
	woken = 0;
	for (size_t got = 0; got < (size_t)n * sizeof(block);) {
		struct span bytes = reader_peek(&r, sizeof(block), &state);

		got += bytes.len;
		reader_skip(&r, bytes.len);
	}
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_true(woken > 0);
	assert_true(content_may_add(c, &writer, &alone));
	assert_false(alone);
	reader_close(&r, &s);
	assert_true(content_may_add(c, &writer, &alone));
	assert_true(alone);
	content_end(c, CONTENT_BROKEN);
	content_writer_leaves(c, &writer);
	content_unref(c);
}

/* ---- threads -------------------------------------------------------------------------- */

#define READERS 4
#define ROUNDS  20000

static void *reads(void *arg)
{
	struct content *c = arg;
	struct sleeper s = sleeper();
	enum content_state state = CONTENT_OPEN;
	uintptr_t sum = 0;
	struct reader r;

	if (!reader_open(&r, c))
		return NULL;
	for (;;) {
		struct span bytes = reader_peek(&r, SIZE_MAX, &state);

		if (bytes.len == 0 && state != CONTENT_OPEN)
			break;
		if (bytes.len == 0)
			sched_yield();
		for (size_t i = 0; i < bytes.len; i++)
			sum = sum * 31 + (unsigned char)bytes.p[i];
		reader_skip(&r, bytes.len);
	}
	reader_close(&r, &s);
	return (void *)sum;
}

static void test_threads_read_the_same(void **unused)
{
	struct content *c = content_new(CONTENT_UNKNOWN, &used);
	pthread_t ids[READERS];
	uintptr_t sum = 0;

	(void)unused;
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&ids[i], NULL, reads, c), 0);
	for (unsigned n = 0; n < ROUNDS; n++) {
		char text[3] = {(char)n, (char)(n >> 8), 'x'};

		assert_true(content_add(c, (struct span){text, 3}));
		for (int i = 0; i < 3; i++)
			sum = sum * 31 + (unsigned char)text[i];
	}
	content_end(c, CONTENT_WHOLE);
	for (int i = 0; i < READERS; i++) {
		void *got;

		pthread_join(ids[i], &got);
		assert_int_equal((uintptr_t)got, sum);
	}
	content_unref(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_readers_see_what_was_written),
		TEST(test_what_is_kept_outlives_the_writing),
		TEST(test_a_content_that_slides_keeps_a_window),
		TEST(test_threads_read_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
