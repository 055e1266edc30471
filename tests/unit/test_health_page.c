// SPDX-License-Identifier: BSD-2-Clause
/* The page of backends' states: written by one, read by others, refused when it is none. */
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
#include <sys/mman.h>
#include <unistd.h>

#include "base/health_page.h"

static char dir[] = "/tmp/sluice-page-XXXXXX";
static struct err e;

static void made(struct health_page *p, const char *where, uint32_t slots)
{
	if (health_page_make(p, where, slots, &e) != 0)
		fail_msg("%s", e.text);
}

static void test_a_reader_sees_what_is_written(void **unused)
{
	struct health_page writer, reader;
	struct health_record seen;

	(void)unused;
	made(&writer, NULL, 3);
	assert_int_equal(health_page_map(&reader, writer.fd), 0);
	assert_true(health_page_takes(&reader, 3));
	atomic_store(&writer.out[2], 1);
	assert_false(health_page_takes(&reader, 3));
	assert_true(health_page_takes(&reader, 2));
	health_record_begin(&writer.records[2]);
	strcpy(writer.records[2].backend, "b3");
	health_record_end(&writer.records[2]);
	health_record_read(&reader.records[2], &seen);
	assert_string_equal(seen.backend, "b3");
	health_page_close(&reader);
	health_page_close(&writer);
}

static void test_a_slot_that_is_none_takes_everything(void **unused)
{
	struct health_page none = {.fd = -1}, page;

	(void)unused;
	made(&page, NULL, 1);
	atomic_store(&page.out[0], 1);
	assert_true(health_page_takes(NULL, 1));
	assert_true(health_page_takes(&none, 1));
	assert_true(health_page_takes(&page, 0));
	assert_true(health_page_takes(&page, 2));
	health_page_close(&page);
}

static void test_a_reader_cannot_write(void **unused)
{
	struct health_page writer, reader;

	(void)unused;
	made(&writer, NULL, 1);
	assert_int_equal(health_page_map(&reader, writer.fd), 0);
	assert_int_equal(mprotect(reader.head, reader.bytes, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(errno, EACCES);
	health_page_close(&reader);
	health_page_close(&writer);
}

static void test_the_next_one_takes_the_name_and_the_old_one_stays_readable(void **unused)
{
	struct health_page first, second, old, found;

	(void)unused;
	made(&first, dir, 1);
	assert_int_equal(health_page_open(&found, dir, &e), -ENOENT);
	assert_int_equal(health_page_publish(&first, dir, &e), 0);
	assert_int_equal(health_page_open(&old, dir, &e), 0);
	made(&second, dir, 2);
	assert_int_equal(health_page_publish(&second, dir, &e), 0);
	assert_int_equal(health_page_open(&found, dir, &e), 0);
	assert_int_equal(found.head->slots, 2);
	assert_int_equal(old.head->slots, 1);
	health_page_close(&found);
	health_page_close(&old);
	health_page_close(&first);
	health_page_close(&second);
}

static void write_file(const void *bytes, size_t len)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/health", dir);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static void test_what_is_no_page_is_refused(void **unused)
{
	struct health_page page, found;
	static char bytes[65536];
	size_t len;

	(void)unused;
	made(&page, dir, 2);
	len = page.bytes;
	memcpy(bytes, page.head, len);
	health_page_close(&page);
	write_file(bytes, len);
	assert_int_equal(health_page_open(&found, dir, &e), 0);
	health_page_close(&found);
	for (size_t cut = 0; cut < len; cut += 7) {
		write_file(bytes, cut);
		assert_int_equal(health_page_open(&found, dir, &e), -EINVAL);
	}
	/* The magic word, the records' size, their number. */
	for (size_t at = 0; at < 16; at++) {
		bytes[at] ^= 1;
		write_file(bytes, len);
		assert_int_equal(health_page_open(&found, dir, &e), -EINVAL);
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
	char command[64];

	(void)unused;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_reader_sees_what_is_written),
		cmocka_unit_test(test_a_slot_that_is_none_takes_everything),
		cmocka_unit_test(test_a_reader_cannot_write),
		cmocka_unit_test(test_the_next_one_takes_the_name_and_the_old_one_stays_readable),
		cmocka_unit_test(test_what_is_no_page_is_refused),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
