// SPDX-License-Identifier: BSD-2-Clause
/* Buffers: what is kept, what moves, what the pool keeps, and a heap that is exhausted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The module itself, with a heap that can say no. */
static unsigned taken;
static bool exhausted;

static void *heap(size_t size)
{
	taken++;
	return exhausted ? NULL : malloc(size);
}
#define malloc heap
#include "l7/buf.c"
#undef malloc

static struct buf_pool pool;

static int setup(void **unused)
{
	(void)unused;
	exhausted = false;
	taken = 0;
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	buf_pool_fini(&pool);
	return 0;
}

static void add(struct buf *b, const char *text)
{
	uint32_t len = (uint32_t)strlen(text);

	assert_true(buf_room(b) >= len);
	memcpy(b->data + b->end, text, len);
	b->end += len;
}

static void assert_holds(const struct buf *b, const char *text)
{
	assert_int_equal(buf_len(b), strlen(text));
	assert_memory_equal(buf_at(b), text, strlen(text));
}

/* ---- one buffer ----------------------------------------------------------------------- */

static void test_sizes(void **unused)
{
	static const struct {
		uint32_t asked, size;
	} rows[] = {
		{100, 100},           {BUF_NOTE, BUF_NOTE},         {BUF_NOTE + 1, BUF_HEAD},
		{BUF_HEAD, BUF_HEAD}, {BUF_HEAD + 1, BUF_SIZE},     {BUF_SIZE - 1, BUF_SIZE},
		{BUF_SIZE, BUF_SIZE}, {BUF_SIZE + 1, BUF_SIZE + 1}, {4 * BUF_SIZE, 4 * BUF_SIZE},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = {0};

		assert_true(buf_reserve(&pool, &b, rows[i].asked));
		assert_int_equal(b.size, rows[i].size);
		assert_int_equal(buf_len(&b), 0);
		assert_int_equal(buf_room(&b), rows[i].size);
		memset(b.data, 'x', b.size);
		buf_release(&pool, &b);
	}
}

static void test_nothing_is_owned_before_and_after(void **unused)
{
	struct buf b = {0};

	(void)unused;
	buf_release(&pool, &b);
	assert_int_equal(pool.n_free[0] + pool.n_free[1] + pool.n_free[2], 0);
	assert_true(buf_reserve(&pool, &b, BUF_SIZE));
	add(&b, "x");
	buf_release(&pool, &b);
	assert_null(b.data);
	assert_int_equal(b.size, 0);
	assert_int_equal(buf_len(&b), 0);
	buf_release(&pool, &b);
	assert_int_equal(pool.n_free[0], 1);
}

static void test_consume_takes_off_the_front(void **unused)
{
	struct buf b = {0};
	char *data;

	(void)unused;
	assert_true(buf_reserve(&pool, &b, BUF_SIZE));
	data = b.data;
	add(&b, "hello");
	buf_consume(&b, 0);
	assert_holds(&b, "hello");
	buf_consume(&b, 2);
	assert_holds(&b, "llo");
	assert_int_equal(buf_room(&b), BUF_SIZE - 5);
	buf_consume(&b, 3);
	assert_int_equal(buf_len(&b), 0);
	assert_int_equal(buf_room(&b), BUF_SIZE);
	assert_ptr_equal(b.data, data);
	buf_release(&pool, &b);
}

static void test_reserve_moves_bytes_to_the_front(void **unused)
{
	struct buf b = {0};
	char *data;

	(void)unused;
	assert_true(buf_reserve(&pool, &b, BUF_SIZE));
	data = b.data;
	memset(b.data, 'a', BUF_SIZE);
	b.end = BUF_SIZE;
	b.data[BUF_SIZE - 1] = 'z';
	buf_consume(&b, 10);
	assert_int_equal(buf_room(&b), 0);
	assert_true(buf_reserve(&pool, &b, BUF_SIZE));
	assert_ptr_equal(b.data, data);
	assert_int_equal(b.start, 0);
	assert_int_equal(buf_len(&b), BUF_SIZE - 10);
	assert_int_equal(buf_room(&b), 10);
	assert_int_equal(b.data[BUF_SIZE - 11], 'z');
	assert_int_equal(b.data[0], 'a');
	assert_int_equal(taken, 1);
	buf_release(&pool, &b);
}

static void test_growth_keeps_what_is_there(void **unused)
{
	struct buf b = {0};

	(void)unused;
	assert_true(buf_reserve(&pool, &b, BUF_NOTE));
	add(&b, "gone, kept");
	buf_consume(&b, 6);
	assert_true(buf_reserve(&pool, &b, BUF_SIZE));
	assert_int_equal(b.start, 0);
	assert_holds(&b, "kept");
	assert_true(buf_reserve(&pool, &b, 2 * BUF_SIZE));
	assert_holds(&b, "kept");
	assert_int_equal(pool.n_free[0], 1);
	assert_int_equal(pool.n_free[2], 1);
	/* Less than it has: nothing changes. */
	assert_true(buf_reserve(&pool, &b, 1));
	assert_int_equal(b.size, 2 * BUF_SIZE);
	assert_holds(&b, "kept");
	buf_release(&pool, &b);
}

/* ---- the pool ------------------------------------------------------------------------- */

static void test_what_was_released_is_taken_again(void **unused)
{
	struct buf a = {0}, b = {0}, note = {0};
	char *first;

	(void)unused;
	assert_true(buf_reserve(&pool, &a, BUF_SIZE));
	first = a.data;
	buf_release(&pool, &a);
	assert_true(buf_reserve(&pool, &note, BUF_NOTE)); /* of another size */
	assert_int_equal(taken, 2);
	assert_true(buf_reserve(&pool, &b, BUF_HEAD + 1));
	assert_ptr_equal(b.data, first);
	assert_int_equal(taken, 2);
	assert_int_equal(pool.n_free[0], 0);
	buf_release(&pool, &b);
	buf_release(&pool, &note);
}

static void test_odd_sizes_go_back_to_the_heap(void **unused)
{
	struct buf b = {0};

	(void)unused;
	assert_true(buf_reserve(&pool, &b, BUF_SIZE + 1));
	buf_release(&pool, &b);
	assert_true(buf_reserve(&pool, &b, 1));
	buf_release(&pool, &b);
	assert_int_equal(pool.n_free[0] + pool.n_free[1] + pool.n_free[2], 0);
}

static void test_the_pool_is_bounded(void **unused)
{
	static struct buf many[BUF_SPARE + 5];

	(void)unused;
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < BUF_SPARE + 5; i++)
			assert_true(buf_reserve(&pool, &many[i], BUF_NOTE));
		for (size_t i = 0; i < BUF_SPARE + 5; i++)
			buf_release(&pool, &many[i]);
		assert_int_equal(pool.n_free[2], BUF_SPARE);
	}
	assert_int_equal(taken, BUF_SPARE + 5 + 5);
	buf_pool_fini(&pool);
	assert_int_equal(pool.n_free[2], 0);
	assert_null(pool.free[2]);
}

static void test_what_waits_is_bounded(void **unused)
{
	struct buf a = {0}, b = {0};

	(void)unused;
	pool.large_most = 8 * BUF_SIZE;
	assert_true(buf_grow(&pool, &a, BUF_HEAD + 1));
	assert_int_equal(a.size, BUF_SIZE);
	assert_int_equal(pool.large, 0);
	add(&a, "hello");
	assert_true(buf_grow(&pool, &a, BUF_SIZE + 1));
	assert_int_equal(a.size, 2 * BUF_SIZE); /* it doubles */
	assert_true(buf_grow(&pool, &b, 6 * BUF_SIZE));
	assert_int_equal(pool.large, 8 * BUF_SIZE);
	assert_false(buf_grow(&pool, &a, 2 * BUF_SIZE + 1));
	assert_holds(&a, "hello");
	buf_release(&pool, &b);
	assert_true(buf_grow(&pool, &a, 2 * BUF_SIZE + 1));
	assert_holds(&a, "hello");
	buf_release(&pool, &a);
	assert_int_equal(pool.large, 0);
}

/* Long bodies get more, until they have half of what may wait. */
static void test_long_bodies_get_more(void **unused)
{
	struct buf b[4] = {{0}};

	(void)unused;
	pool.large_most = 4 * BUF_BULK + 1;
	for (int i = 0; i < 4; i++) {
		assert_true(buf_bulk(&pool, &b[i]));
		assert_int_equal(b[i].size, i < 2 ? BUF_BULK : BUF_SIZE);
	}
	assert_int_equal(pool.large, 2 * BUF_BULK);
	assert_true(buf_bulk(&pool, &b[0])); /* has it */
	assert_int_equal(b[0].size, BUF_BULK);
	buf_release(&pool, &b[1]);
	assert_int_equal(pool.large, BUF_BULK);
	assert_true(buf_bulk(&pool, &b[3])); /* room again, and memory that was used before */
	assert_int_equal(b[3].size, BUF_BULK);
	assert_int_equal(pool.large, 2 * BUF_BULK);
	for (int i = 0; i < 4; i++)
		buf_release(&pool, &b[i]);
	assert_int_equal(pool.large, 0);
	assert_int_equal(pool.n_free[3], 2);
}

static void test_few_bytes_move_to_a_small_buffer(void **unused)
{
	struct buf b = {0};

	(void)unused;
	buf_shrink(&pool, &b);
	assert_null(b.data);
	assert_true(buf_reserve(&pool, &b, BUF_SIZE));
	add(&b, "hello");
	buf_consume(&b, 2);
	buf_shrink(&pool, &b);
	assert_int_equal(b.size, BUF_NOTE);
	assert_holds(&b, "llo");
	buf_release(&pool, &b);
	assert_true(buf_reserve(&pool, &b, BUF_SIZE));
	b.end = BUF_NOTE + 1;
	buf_shrink(&pool, &b);
	assert_int_equal(b.size, BUF_SIZE);
	buf_release(&pool, &b);
}

/* ---- an exhausted heap ---------------------------------------------------------------- */

static void test_no_memory_leaves_all_as_it_was(void **unused)
{
	struct buf b = {0}, was;

	(void)unused;
	exhausted = true;
	assert_false(buf_reserve(&pool, &b, BUF_SIZE));
	assert_null(b.data);
	exhausted = false;
	assert_true(buf_reserve(&pool, &b, BUF_SIZE));
	add(&b, "hello");
	buf_consume(&b, 1);
	was = b;
	exhausted = true;
	assert_false(buf_reserve(&pool, &b, BUF_SIZE + 1));
	assert_memory_equal(&b, &was, sizeof(b));
	assert_holds(&b, "ello");
	/* Moving and the pool need no heap. */
	assert_true(buf_reserve(&pool, &b, BUF_SIZE));
	buf_release(&pool, &b);
	assert_true(buf_reserve(&pool, &b, BUF_SIZE));
	buf_release(&pool, &b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		SCENE(test_sizes),
		SCENE(test_nothing_is_owned_before_and_after),
		SCENE(test_consume_takes_off_the_front),
		SCENE(test_reserve_moves_bytes_to_the_front),
		SCENE(test_growth_keeps_what_is_there),
		SCENE(test_what_was_released_is_taken_again),
		SCENE(test_odd_sizes_go_back_to_the_heap),
		SCENE(test_the_pool_is_bounded),
		SCENE(test_what_waits_is_bounded),
		SCENE(test_long_bodies_get_more),
		SCENE(test_few_bytes_move_to_a_small_buffer),
		SCENE(test_no_memory_leaves_all_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
