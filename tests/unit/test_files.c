// SPDX-License-Identifier: BSD-2-Clause
/* Names of files: from paths of requests, what they are, what is said of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "l7/file_name.h"
#include "l7/validate.h"

static struct span span_of(const char *text)
{
	return (struct span){text, strlen(text)};
}

static void test_names(void **unused)
{
	static const struct {
		const char *path, *name; /* NULL: nobody gets it */
	} rows[] = {
		{"/", ""},
		{"/a/b.txt", "a/b.txt"},
		{"//a//b", "a//b"},
		{"/a%20b%25", "a b%"},
		{"/a/", "a/"},
		{"/a..b/c.", "a..b/c."},
		{"/.well-known", ".well-known"},
		{"/.well-known/a", ".well-known/a"},
		{"/.well-known/.a", NULL},
		{"/.well-knowna", NULL},
		{"/a/.well-known/b", NULL},
		{"/.a", NULL},
		{"/a/.b/c", NULL},
		{"/..", NULL},
		{"/a/../b", NULL},
		{"//..", NULL},
		{"/a%2Fb", NULL},
		{"/a%00", NULL},
	};
	char buf[64];

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span name;
		bool ok = file_name(&name, span_of(rows[i].path), buf);

		if (ok != (rows[i].name != NULL) ||
		    (ok && !span_equal(name, span_of(rows[i].name))))
			fail_msg("%s", rows[i].path);
	}
}

static void test_a_name_that_no_system_takes(void **unused)
{
	static char path[FILE_NAME_MOST + 2], buf[sizeof(path)];
	struct span name;

	(void)unused;
	memset(path, 'a', FILE_NAME_MOST + 1);
	path[0] = '/';
	assert_true(file_name(&name, (struct span){path, FILE_NAME_MOST}, buf));
	assert_false(file_name(&name, (struct span){path, FILE_NAME_MOST + 1}, buf));
}

static const char *type_of(const struct conf_files *f, const char *name)
{
	return conf_file_type(f, span_of(name))->type.p;
}

static void test_types(void **unused)
{
	struct conf_file_type own[] = {{SPAN("html"), SPAN("text/own"), true}};
	const struct conf_files plain = {0}, with = {.types = own, .n_types = 1};

	(void)unused;
	assert_string_equal(type_of(&plain, "a.html"), "text/html");
	assert_string_equal(type_of(&plain, "a.b/c.HTML"), "text/html");
	assert_string_equal(type_of(&plain, "a.tar.7z"), "application/x-7z-compressed");
	assert_string_equal(type_of(&plain, "a.zst"), "application/zstd");
	assert_string_equal(type_of(&plain, "a.html/c"), "application/octet-stream");
	assert_string_equal(type_of(&plain, "html"), "application/octet-stream");
	assert_string_equal(type_of(&plain, "a."), "application/octet-stream");
	assert_string_equal(type_of(&plain, ""), "application/octet-stream");
	assert_string_equal(type_of(&with, "a.html"), "text/own");
}

/* A search by halves finds what stands in order only. */
static void test_every_known_type_is_found(void **unused)
{
	static const char *const some[] = {
		"7z",  "aac",  "avif", "c",   "css", "csv",  "gif",   "gz",  "h",    "htm",
		"ico", "jpeg", "jpg",  "js",  "map", "md",   "mjs",   "mp4", "mpd",  "ogg",
		"otf", "pdf",  "png",  "svg", "tar", "tgz",  "tif",   "ts",  "ttf",  "txt",
		"vtt", "wasm", "wav",  "xml", "zip", "woff", "woff2", "xz",  "webp", "json",
	};
	const struct conf_files plain = {0};
	char name[16];

	(void)unused;
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		snprintf(name, sizeof(name), "a.%s", some[i]);
		if (strcmp(type_of(&plain, name), "application/octet-stream") == 0)
			fail_msg("%s", name);
	}
}

static void test_etags_tell_files_apart(void **unused)
{
	const struct file_facts all[] = {
		{.modified = 1, .size = 1},
		{.modified = 2, .size = 1},
		{.modified = 1, .size = 2},
		{.modified = 1, .modified_ns = 1, .size = 1},
		{.modified = 1, .size = 1, .encoding = CONF_ENCODING_gzip},
		{.modified = -1,
		 .modified_ns = 999999999,
		 .size = UINT64_MAX,
		 .encoding = CONF_ENCODING_zstd},
	};
	char a[FILE_ETAG], b[FILE_ETAG];

	(void)unused;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (size_t j = 0; j < sizeof(all) / sizeof(all[0]); j++)
			assert_int_equal(
				validate_same_strong(file_etag(&all[i], a), file_etag(&all[j], b)),
				i == j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_a_name_that_no_system_takes),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_every_known_type_is_found),
		cmocka_unit_test(test_etags_tell_files_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
