// SPDX-License-Identifier: BSD-2-Clause
/* Arenas: alignment, zeroes, the limit, what a reset gives back, and sizes that overflow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/arena.h"

#define BLOCK 256

static struct arena arena;

/* A heap that says no is asked for here; under a sanitizer too it shall answer NULL. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static int setup(void **unused)
{
	(void)unused;
	arena_init(&arena, BLOCK, 0);
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	arena_fini(&arena);
	return 0;
}

static bool all_zero(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i])
			return false;
	}
	return true;
}

static void test_no_memory_is_taken_before_the_first_allocation(void **unused)
{
	(void)unused;
	assert_null(arena.block);
	assert_int_equal(arena.used, 0);
	arena_reset(&arena);
	assert_null(arena.block);
	arena_fini(&arena);
	arena_fini(&arena);
}

static void test_every_size_is_aligned_zeroed_and_apart(void **unused)
{
	char *last = NULL;
	size_t last_len = 0;

	(void)unused;
	for (size_t len = 0; len < 3 * BLOCK; len++) {
		char *p = arena_alloc(&arena, 1, len);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		assert_true(all_zero(p, len));
		memset(p, 0xee, len);
		/* Writing all of this one has left the one before as it was. */
		for (size_t i = 0; i < last_len; i++)
			assert_int_equal((unsigned char)last[i], 0xee);
		assert_ptr_not_equal(p, last);
		last = p;
		last_len = len;
	}
}

static void test_no_bytes_have_an_address_of_their_own(void **unused)
{
	void *a = arena_alloc(&arena, 0, 8), *b = arena_alloc(&arena, 8, 0),
	     *c = arena_alloc(&arena, 1, 1);

	(void)unused;
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	assert_ptr_not_equal(b, c);
}

static void test_a_block_is_filled_to_its_last_byte(void **unused)
{
	size_t one;

	(void)unused;
	assert_non_null(arena_alloc(&arena, 1, 16));
	one = arena.used;
	for (size_t i = 1; i < BLOCK / 16; i++)
		assert_non_null(arena_alloc(&arena, 1, 16));
	assert_int_equal(arena.used, one);
	assert_non_null(arena_alloc(&arena, 1, 1));
	assert_int_equal(arena.used, 2 * one);
}

static void test_what_is_larger_than_a_block_gets_its_own(void **unused)
{
	char *small = arena_alloc(&arena, 1, 16), *large = arena_alloc(&arena, 10, BLOCK);

	(void)unused;
	memset(small, 0x11, 16);
	memset(large, 0x22, (size_t)10 * BLOCK);
	assert_int_equal(small[15], 0x11);
	assert_true(arena.used >= (size_t)11 * BLOCK);
}

static void test_products_that_overflow_are_refused(void **unused)
{
	static const size_t bad[][2] = {
		{SIZE_MAX, 2},           {2, SIZE_MAX},
		{SIZE_MAX / 16 + 1, 16}, {(size_t)1 << 32, (size_t)1 << 32},
		{SIZE_MAX, SIZE_MAX},    {1, SIZE_MAX},
		{1, SIZE_MAX - 15},      {1, SIZE_MAX - 16},
		{1, SIZE_MAX - 64},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		assert_null(arena_alloc(&arena, bad[i][0], bad[i][1]));
		assert_int_equal(errno, ENOMEM);
	}
	assert_int_equal(arena.used, 0);
	assert_non_null(arena_alloc(&arena, 1, 1));
}

static void test_a_heap_that_refuses_is_told_and_survived(void **unused)
{
	char *p = arena_alloc(&arena, 1, 16);
	size_t used = arena.used;

	(void)unused;
	errno = 0;
	assert_null(arena_alloc(&arena, 1, SIZE_MAX / 2));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(arena.used, used);
	assert_ptr_equal(arena_alloc(&arena, 1, 16), p + 16);
}

static void test_the_limit_counts_all_that_is_taken(void **unused)
{
	size_t blocks = 0;

	(void)unused;
	arena_init(&arena, BLOCK, 4096);
	while (arena_alloc(&arena, 1, BLOCK))
		blocks++;
	assert_int_equal(errno, ENOMEM);
	assert_true(arena.used <= 4096);
	assert_true(arena.used + BLOCK + 64 > 4096); /* not refused too early */
	assert_true(blocks >= 4096 / (BLOCK + 64));
	errno = 0;
	assert_null(arena_strdup(&arena, "no room"));
	assert_int_equal(errno, ENOMEM);
}

static void test_a_limit_below_the_first_block_refuses_it(void **unused)
{
	(void)unused;
	arena_init(&arena, BLOCK, BLOCK);
	assert_null(arena_alloc(&arena, 1, 1));
	assert_int_equal(arena.used, 0);
}

static void test_the_exact_limit_is_allowed(void **unused)
{
	size_t one;

	(void)unused;
	assert_non_null(arena_alloc(&arena, 1, 1));
	one = arena.used;
	arena_fini(&arena);
	arena_init(&arena, BLOCK, one);
	assert_non_null(arena_alloc(&arena, 1, 1));
	arena_fini(&arena);
	arena_init(&arena, BLOCK, one - 1);
	assert_null(arena_alloc(&arena, 1, 1));
}

static void test_a_reset_keeps_the_first_block_and_zeroes_it(void **unused)
{
	char *first = arena_alloc(&arena, 1, BLOCK), *again;
	size_t one = arena.used;

	(void)unused;
	memset(first, 0xee, BLOCK);
	for (int i = 0; i < 10; i++)
		memset(arena_alloc(&arena, 1, BLOCK), 0xee, BLOCK);
	assert_int_equal(arena.used, 11 * one);
	arena_reset(&arena);
	assert_int_equal(arena.used, one);
	again = arena_alloc(&arena, 1, BLOCK);
	assert_ptr_equal(again, first);
	assert_true(all_zero(again, BLOCK));
	assert_int_equal(arena.used, one);
}

static void test_a_reset_makes_room_below_the_limit(void **unused)
{
	(void)unused;
	arena_init(&arena, BLOCK, 2048);
	for (int round = 0; round < 50; round++) {
		int n = 0;

		while (arena_alloc(&arena, 1, 100))
			n++;
		assert_in_range(n, 10, 20);
		arena_reset(&arena);
	}
}

static void test_text_is_copied_with_its_end(void **unused)
{
	char text[] = "a name", *copy = arena_strdup(&arena, text),
	     *empty = arena_strdup(&arena, "");

	(void)unused;
	text[0] = 'x';
	assert_string_equal(copy, "a name");
	assert_string_equal(empty, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_memory_is_taken_before_the_first_allocation),
		TEST(test_every_size_is_aligned_zeroed_and_apart),
		TEST(test_no_bytes_have_an_address_of_their_own),
		TEST(test_a_block_is_filled_to_its_last_byte),
		TEST(test_what_is_larger_than_a_block_gets_its_own),
		TEST(test_products_that_overflow_are_refused),
		TEST(test_a_heap_that_refuses_is_told_and_survived),
		TEST(test_the_limit_counts_all_that_is_taken),
		TEST(test_a_limit_below_the_first_block_refuses_it),
		TEST(test_the_exact_limit_is_allowed),
		TEST(test_a_reset_keeps_the_first_block_and_zeroes_it),
		TEST(test_a_reset_makes_room_below_the_limit),
		TEST(test_text_is_copied_with_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
