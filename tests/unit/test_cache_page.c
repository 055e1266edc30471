// SPDX-License-Identifier: BSD-2-Clause
/* The page of caches: written by a child process, read by anybody, whatever is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cache_page.h"

static char dir[] = "/tmp/cache_page.XXXXXX";
static struct err e;

static void test_a_child_writes_and_others_read(void **unused)
{
	struct cache_page page, found;
	struct cache_record seen;
	int status;
	pid_t pid;

	(void)unused;
	assert_int_equal(cache_page_make(&page, dir, 2, &e), 0);
	assert_int_equal(cache_page_open(&found, dir, &e), -ENOENT);
	assert_int_equal(page_publish(dir, CACHE_PAGE_FILE, &e), 0);
	pid = fork();
	if (pid == 0) {
		page_write_begin(&page.records[1].sequence);
		page.records[1].hits = 7;
		page_write_end(&page.records[1].sequence);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(cache_page_open(&found, dir, &e), 0);
	assert_int_equal(found.head->caches, 2);
	cache_page_record(&found, 1, &seen);
	assert_int_equal(seen.hits, 7);
	cache_page_close(&found);
	cache_page_close(&page);
}

static void test_texts_end_and_numbers_have_bounds(void **unused)
{
	struct cache_page page;
	struct cache_record seen;

	(void)unused;
	assert_int_equal(cache_page_make(&page, NULL, 1, &e), 0);
	memset(&page.records[0], 'x', sizeof(page.records[0]));
	atomic_store(&page.records[0].sequence, 3); /* it died while it wrote */
	cache_page_record(&page, 0, &seen);
	assert_int_equal(strlen(seen.name), sizeof(seen.name) - 1);
	assert_int_equal(seen.n_refused, CACHE_PAGE_REASONS);
	for (unsigned i = 0; i < seen.n_refused; i++)
		assert_int_equal(strlen(seen.refused[i].name), sizeof(seen.refused[i].name) - 1);
	cache_page_close(&page);
}

static void write_file(const void *bytes, size_t len)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/" CACHE_PAGE_FILE, dir);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static void test_what_is_no_page_is_refused(void **unused)
{
	struct cache_page page, found;
	static char bytes[65536];
	size_t len;

	(void)unused;
	assert_int_equal(cache_page_make(&page, NULL, 2, &e), 0);
	len = page.bytes;
	memcpy(bytes, page.head, len);
	cache_page_close(&page);
	write_file(bytes, len);
	assert_int_equal(cache_page_open(&found, dir, &e), 0);
	cache_page_close(&found);
	for (size_t cut = 0; cut < len; cut += 7) {
		write_file(bytes, cut);
		assert_int_equal(cache_page_open(&found, dir, &e), -EINVAL);
	}
	/* The magic word, the records' size, their number. */
	for (size_t at = 0; at < 16; at++) {
		bytes[at] ^= 1;
		write_file(bytes, len);
		assert_int_equal(cache_page_open(&found, dir, &e), -EINVAL);
		bytes[at] ^= 1;
	}
}

static int folder_make(void **unused)
{
	(void)unused;
	return mkdtemp(dir) ? 0 : -1;
}

static int folder_remove(void **unused)
{
	char path[64];

	(void)unused;
	snprintf(path, sizeof(path), "%s/" CACHE_PAGE_FILE, dir);
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_child_writes_and_others_read),
		cmocka_unit_test(test_texts_end_and_numbers_have_bounds),
		cmocka_unit_test(test_what_is_no_page_is_refused),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
