// SPDX-License-Identifier: BSD-2-Clause
/* The page of names' addresses: written by one, read by others, refused when it is none. */
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

#include "base/name_page.h"

static struct err e;

static void made(struct name_page *p, const char *where, uint32_t names, uint32_t seats)
{
	if (name_page_make(p, where, names, seats, &e) != 0)
		fail_msg("%s", e.text);
}

static void test_a_reader_sees_what_is_written(void **unused)
{
	struct name_page writer, reader;
	struct name_record record;
	struct name_seat seat;

	(void)unused;
	made(&writer, NULL, 2, 3);
	assert_int_equal(name_page_map(&reader, writer.fd), 0);
	assert_int_equal(name_page_seat(&reader, 1, 2).taken, 0);
	page_write_begin(&writer.records[1].sequence);
	memset(writer.records[1].name, 'x', sizeof(writer.records[1].name));
	name_page_seats(&writer, 1)[2] = (struct name_seat){.taken = 1, .turn = 7};
	assert_true(addr_parse(&name_page_seats(&writer, 1)[2].addr, "10.0.0.1"));
	page_write_end(&writer.records[1].sequence);
	seat = name_page_seat(&reader, 1, 2);
	assert_true(seat.taken && seat.turn == 7 && addr_is_v4(&seat.addr));
	/* A text without an end has one in a copy. */
	name_page_record(&reader, 1, &record);
	assert_int_equal(strlen(record.name), sizeof(record.name) - 1);
	/* What is not there is empty. */
	assert_int_equal(name_page_seat(&reader, 2, 0).taken, 0);
	assert_int_equal(name_page_seat(&reader, 1, 3).taken, 0);
	name_page_close(&reader);
	name_page_close(&writer);
}

/* A file of these bytes, of that size. */
static int file_of(const void *bytes, size_t n, size_t size)
{
	int fd = memfd_create("page", MFD_CLOEXEC);

	assert_true(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void test_what_is_no_page(void **unused)
{
	struct name_page page, reader;
	struct name_head head;
	size_t whole;

	(void)unused;
	made(&page, NULL, 2, 3);
	whole = page.bytes;
	for (unsigned i = 0; i < 8; i++) {
		size_t size = whole;
		int fd;

		memcpy(&head, page.head, sizeof(head));
		head.magic[0] ^= i == 0;
		head.record_bytes += i == 1;
		head.names += i == 2;
		head.seats += i == 3;
		head.names = i == 4 ? UINT32_MAX : head.names;
		head.seats = i == 5 ? UINT32_MAX : head.seats;
		size -= i == 6;
		size = i == 7 ? 10 : size;
		fd = file_of(&head, sizeof(head), size);
		assert_int_equal(name_page_map(&reader, fd), -EINVAL);
		assert_null(reader.head);
		name_page_close(&reader);
		close(fd);
	}
	name_page_close(&page);
}

static void test_the_next_daemon_finds_it(void **unused)
{
	char dir[] = "/tmp/sluice-names-XXXXXX", path[64];
	struct name_page page, found;

	(void)unused;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(name_page_open(&found, dir, &e), -ENOENT);
	made(&page, dir, 1, 1);
	assert_int_equal(name_page_open(&found, dir, &e), -ENOENT);
	assert_int_equal(page_publish(dir, NAME_PAGE_FILE, &e), 0);
	assert_int_equal(name_page_open(&found, dir, &e), 0);
	assert_int_equal(found.head->names, 1);
	name_page_close(&found);
	name_page_close(&page);
	snprintf(path, sizeof(path), "%s/%s", dir, NAME_PAGE_FILE);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(name_page_open(&found, dir, &e), -EINVAL);
	assert_non_null(strstr(e.text, "not"));
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_reader_sees_what_is_written),
		cmocka_unit_test(test_what_is_no_page),
		cmocka_unit_test(test_the_next_daemon_finds_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
