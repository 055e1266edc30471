// SPDX-License-Identifier: BSD-2-Clause
/* The store: found again, replaced, evicted, banned; memory to the byte; many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l7/store.h"

static struct store *store;
static struct http1_head request;

static int begin(void **state)
{
	const struct store_conf conf = {.memory = 1 << 20, .max_object = 1 << 18, .seed = 42};

	(void)state;
	store = store_new(&conf);
	request = (struct http1_head){.method = HTTP1_M_GET};
	return store ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	store_ban(store, STORE_BAN_ALL, SPAN(""), false);
	store_free(store);
	return 0;
}

static struct store_key key_of(const char *path)
{
	static _Thread_local char text[4][128];
	static _Thread_local unsigned turn;
	char *at = text[turn++ % 4];
	int n = snprintf(at, 128, "http%chost%c%s", 0, 0, path);

	return store_key(store, (struct span){at, (size_t)n});
}

/* As caching.c makes them. */
static struct object *object_new(const char *head, const char *vary, size_t vary_len, size_t size)
{
	size_t head_len = strlen(head);
	struct object *o = calloc(1, sizeof(*o) + head_len + vary_len);
	struct content *c = content_new(size, store_used(store));
	char *bytes = calloc(1, size + 1);

	assert_true(o && c && bytes);
	atomic_fetch_add(store_used(store), sizeof(*o) + head_len + vary_len);
	atomic_init(&o->refs, 1);
	o->store = store;
	o->status = 200;
	o->head_len = (uint32_t)head_len;
	o->vary_len = (uint32_t)vary_len;
	memcpy(o->text, head, head_len);
	memcpy(o->text + head_len, vary, vary_len);
	assert_true(content_add(c, (struct span){bytes, size}));
	content_end(c, CONTENT_WHOLE);
	o->content = content_settle(c);
	o->size = size;
	content_unref(c);
	free(bytes);
	return o;
}

static void put_varied(const char *path, const char *head, const char *vary, size_t vary_len,
		       size_t size)
{
	struct object *o;
	struct fill *f;
	bool lead;

	assert_true(store_room(store, size));
	f = store_fill(store, key_of(path), NULL, false, &lead);
	assert_true(f && lead);
	o = object_new(head, vary, vary_len, size);
	assert_true(store_put(store, key_of(path), o, f));
	fill_unlist(f, key_of(path));
	fill_unref(f);
	object_unref(o);
}

static void put(const char *path, const char *head, size_t size)
{
	put_varied(path, head, "", 0, size);
}

static bool has(const char *path)
{
	struct object *o = store_find(store, key_of(path), &request, false);

	object_unref(o);
	return o != NULL;
}

static void test_what_was_put_is_found(void **unused)
{
	struct object *o;

	(void)unused;
	assert_false(has("/a"));
	put("/a", "A: b\r\n", 100);
	assert_true(has("/a"));
	assert_false(has("/b"));
	o = store_find(store, key_of("/a"), &request, false);
	assert_true(store_remove(store, key_of("/a")));
	assert_false(store_remove(store, key_of("/a")));
	assert_false(has("/a"));
	/* Who holds it may go on. */
	assert_memory_equal(o->text, "A: b\r\n", 6);
	object_unref(o);
	assert_int_equal(atomic_load(store_used(store)), 0);
}

static void test_a_newer_one_takes_its_place(void **unused)
{
	struct store_stats stats;
	uint64_t once;

	(void)unused;
	put("/a", "A: b\r\n", 100);
	once = atomic_load(store_used(store));
	put("/a", "A: c\r\n", 100);
	assert_int_equal(atomic_load(store_used(store)), once);
	store_stats(store, &stats);
	assert_int_equal(stats.objects, 1);
	assert_int_equal(stats.inserted, 2);
}

/* What is put in the place of one that was purged meanwhile stays out; so does what a later ban
 * means. */
static void test_replacing(void **unused)
{
	struct object *old, *o;

	(void)unused;
	put("/a", "A: b\r\n", 100);
	old = store_find(store, key_of("/a"), &request, false);
	o = object_new("A: c\r\n", "", 0, 100);
	assert_true(store_replace(store, key_of("/a"), old, o));
	object_unref(old);
	old = store_find(store, key_of("/a"), &request, false);
	assert_ptr_equal(old, o);
	object_unref(o);

	o = object_new("A: d\r\n", "", 0, 100);
	store_ban(store, STORE_BAN_HOST, SPAN("host"), false);
	assert_true(store_replace(store, key_of("/a"), old, o));
	assert_false(has("/a"));
	object_unref(old);
	old = o;
	o = object_new("A: e\r\n", "", 0, 100);
	assert_false(store_replace(store, key_of("/a"), old, o));
	assert_false(has("/a"));
	object_unref(old);
	object_unref(o);
}

static void test_variants_are_told_apart(void **unused)
{
	struct object *o;

	(void)unused;
	put_varied("/a", "A: 1\r\n", "foo\0001\0", 6, 10);
	put_varied("/a", "A: 2\r\n", "foo\0002\0", 6, 10);
	assert_false(has("/a"));
	request.fields[0] = (struct http1_field){.name = SPAN("Foo"), .value = SPAN("1")};
	request.n_fields = 1;
	o = store_find(store, key_of("/a"), &request, false);
	assert_non_null(o);
	assert_memory_equal(o->text, "A: 1", 4);
	object_unref(o);
}

static void test_memory_is_never_exceeded(void **unused)
{
	char path[32];

	(void)unused;
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		put(path, "A: b\r\n", 1000 + i % 5000);
		assert_true(atomic_load(store_used(store)) < (1 << 20) + 4096);
	}
	assert_true(atomic_load(store_used(store)) > 900000);
	assert_true(has(path));
}

/* A scan of things that nobody asks for again does not push out what is asked for. */
static void test_a_scan_leaves_what_is_hot(void **unused)
{
	char path[32];
	unsigned hot = 0;

	(void)unused;
	for (unsigned i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "/hot%u", i);
		put(path, "", 1000);
	}
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(path, sizeof(path), "/scan%u", i);
		put(path, "", 1000);
		snprintf(path, sizeof(path), "/hot%u", i % 50);
		has(path);
	}
	for (unsigned i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "/hot%u", i);
		hot += has(path);
	}
	assert_int_equal(hot, 50);
}

static void test_bans(void **unused)
{
	struct object *o;

	(void)unused;
	put("/a/1", "Cache-Tag: red, blue\r\n", 10);
	put("/a/2", "Surrogate-Key: blue green\r\n", 10);
	put("/b/1", "X: red\r\n", 10);
	store_ban(store, STORE_BAN_TAG, SPAN("red"), false);
	assert_false(has("/a/1"));
	assert_true(has("/a/2") && has("/b/1"));
	store_ban(store, STORE_BAN_PREFIX, key_of("/a/").text, false);
	assert_false(has("/a/2"));
	assert_true(has("/b/1"));
	put("/a/2", "", 10);
	assert_true(has("/a/2"));
	store_ban(store, STORE_BAN_HOST, SPAN("HOST"), true);
	o = store_find(store, key_of("/a/2"), &request, false);
	assert_true(atomic_load(&o->ask));
	object_unref(o);
	store_ban(store, STORE_BAN_HOST, SPAN("other"), false);
	assert_true(has("/a/2"));
	store_ban(store, STORE_BAN_ALL, SPAN(""), false);
	assert_false(has("/a/2"));
}

static void test_more_bans_than_are_remembered(void **unused)
{
	(void)unused;
	put("/a", "", 10);
	for (unsigned i = 0; i < STORE_BANS; i++)
		store_ban(store, STORE_BAN_TAG, SPAN("x"), false);
	assert_true(has("/a"));
	put("/b", "", 10);
	for (unsigned i = 0; i < STORE_BANS + 1; i++)
		store_ban(store, STORE_BAN_TAG, SPAN("x"), false);
	assert_false(has("/b"));
}

static void test_a_fetch_that_a_change_overtakes(void **unused)
{
	struct object *o = object_new("", "", 0, 10);
	struct fill *f, *other;
	bool lead;

	(void)unused;
	f = store_fill(store, key_of("/a"), NULL, false, &lead);
	assert_true(lead);
	other = store_fill(store, key_of("/a"), NULL, false, &lead);
	assert_false(lead);
	assert_ptr_equal(f, other);
	fill_unref(other);
	store_remove(store, key_of("/a"));
	assert_false(store_put(store, key_of("/a"), o, f));
	fill_unref(f);
	object_unref(o);
	assert_int_equal(atomic_load(store_used(store)), 0);
}

static void test_keys_that_pass(void **unused)
{
	(void)unused;
	store_pass_until(store, key_of("/a"), 100);
	assert_true(store_passes(store, key_of("/a"), 99));
	assert_false(store_passes(store, key_of("/a"), 100));
	assert_false(store_passes(store, key_of("/b"), 0));
}

/* ---- threads -------------------------------------------------------------------------- */

static void *works(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	char path[32];

	for (unsigned i = 0; i < 3000; i++) {
		seed = seed * 1103515245 + 12345;
		snprintf(path, sizeof(path), "/%u", (seed >> 16) % 300);
		if (has(path) || (seed >> 8) % 64 == 0) {
			if ((seed >> 8) % 16 == 0)
				store_remove(store, key_of(path));
			continue;
		}
		{
			struct object *o = object_new("A: b\r\n", "", 0, 5000);
			bool lead;
			struct fill *f = store_fill(store, key_of(path), NULL, false, &lead);

			store_room(store, 5000);
			if (lead) {
				store_put(store, key_of(path), o, f);
				fill_unlist(f, key_of(path));
			}
			fill_unref(f);
			object_unref(o);
		}
	}
	return NULL;
}

static void test_threads(void **unused)
{
	pthread_t ids[4];
	struct store_stats stats;

	(void)unused;
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&ids[i], NULL, works, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(ids[i], NULL);
	store_stats(store, &stats);
	for (unsigned i = 0; i < 300; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/%u", i);
		store_remove(store, key_of(path));
	}
	assert_int_equal(atomic_load(store_used(store)), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_was_put_is_found),
		TEST(test_a_newer_one_takes_its_place),
		TEST(test_replacing),
		TEST(test_variants_are_told_apart),
		TEST(test_memory_is_never_exceeded),
		TEST(test_a_scan_leaves_what_is_hot),
		TEST(test_bans),
		TEST(test_more_bans_than_are_remembered),
		TEST(test_a_fetch_that_a_change_overtakes),
		TEST(test_keys_that_pass),
		TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
