// SPDX-License-Identifier: BSD-2-Clause
/* Capture files, read back block by block as the format's description has it. That tcpdump reads
 * them too is shown where packets are captured (tests/xdp/test_capture_typed.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/pcapng.h"

static char *file;
static size_t file_bytes, at;

static void read_back(void (*write)(FILE *out))
{
	FILE *out;

	free(file);
	file = NULL;
	out = open_memstream(&file, &file_bytes);
	write(out);
	assert_int_equal(ferror(out), 0);
	fclose(out);
	at = 0;
}

static uint32_t get(unsigned bytes)
{
	uint32_t n = 0;

	assert_true(at + bytes <= file_bytes);
	memcpy(&n, file + at, bytes); /* the writer's byte order is ours */
	at += bytes;
	return n;
}

/* Enters a block: its type is the wanted one and its length stands at both ends. Returns where it
 * ends. */
static size_t enter(uint32_t type)
{
	size_t start = at, length;
	uint32_t again;

	assert_int_equal(get(4), type);
	length = get(4);
	assert_int_equal(length % 4, 0);
	assert_true(start + length <= file_bytes);
	memcpy(&again, file + start + length - 4, 4);
	assert_int_equal(again, length);
	return start + length;
}

/* The next option has this value; NULL: there is none any more, and the block ends. */
static void option(uint16_t code, const char *value, size_t end)
{
	uint32_t n;

	if (!value) {
		assert_int_equal(get(4), 0);
		assert_int_equal(at + 4, end);
		at = end;
		return;
	}
	assert_int_equal(get(2), code);
	n = get(2);
	assert_int_equal(n, strlen(value));
	assert_memory_equal(file + at, value, n);
	for (at += n; at % 4; at++)
		assert_int_equal(file[at], 0);
}

static void write_all(FILE *out)
{
	static const char frame[] = "abcdefghijklm";

	pcapng_begin(out, "sluice");
	pcapng_interface(out, "eth0", 128);
	pcapng_write(out, &(struct pcapng_frame){.interface = 0,
						 .time_ns = 0x123456789abcdef0,
						 .head = frame,
						 .held = 13,
						 .bytes = 1500,
						 .comment = "DROP block",
						 .xdp_verdict = 1});
	pcapng_interface(out, "if7", 128);
	pcapng_write(out, &(struct pcapng_frame){.interface = 1, .head = frame, .bytes = 60});
}

static void test_blocks_in_their_order(void **unused)
{
	size_t end;

	(void)unused;
	read_back(write_all);
	end = enter(0x0a0d0d0a);
	assert_int_equal(get(4), 0x1a2b3c4d);
	assert_int_equal(get(2), 1);
	assert_int_equal(get(2), 0);
	assert_int_equal(get(4), UINT32_MAX);
	assert_int_equal(get(4), UINT32_MAX);
	option(4, "sluice", end);
	option(0, NULL, end);
	end = enter(1);
	assert_int_equal(get(2), 1);
	assert_int_equal(get(2), 0);
	assert_int_equal(get(4), 128);
	option(2, "eth0", end);
	option(9, "\t", end); /* 10^-9 s */
	option(0, NULL, end);
	end = enter(6);
	assert_int_equal(get(4), 0);
	assert_int_equal(get(4), 0x12345678);
	assert_int_equal(get(4), 0x9abcdef0);
	assert_int_equal(get(4), 13);
	assert_int_equal(get(4), 1500);
	assert_memory_equal(file + at, "abcdefghijklm\0\0\0", 16);
	at += 16;
	option(1, "DROP block", end);
	assert_int_equal(get(2), 7);
	assert_int_equal(get(2), 9);
	assert_memory_equal(file + at, "\2\1\0\0\0\0\0\0\0\0\0\0", 12); /* XDP: drop */
	at += 12;
	option(0, NULL, end);
	end = enter(1);
	at += 8;
	option(2, "if7", end);
	option(9, "\t", end);
	option(0, NULL, end);
	end = enter(6);
	assert_int_equal(get(4), 1);
	at += 8;
	assert_int_equal(get(4), 0);
	assert_int_equal(get(4), 60);
	option(0, NULL, end);
	assert_int_equal(at, file_bytes);
}

static void write_long(FILE *out)
{
	static char text[100000];

	memset(text, 'x', sizeof(text) - 1);
	pcapng_write(out, &(struct pcapng_frame){.head = "", .comment = text});
}

static void test_a_long_comment_is_cut(void **unused)
{
	size_t end;

	(void)unused;
	read_back(write_long);
	end = enter(6);
	assert_int_equal(end, file_bytes);
	at += 20;
	assert_int_equal(get(2), 1);
	assert_int_equal(get(2), PCAPNG_TEXT);
}

/* Every rest of a word. */
static uint32_t held;

static void write_held(FILE *out)
{
	pcapng_write(out, &(struct pcapng_frame){
				  .head = "12345678", .held = held, .bytes = held, .comment = "c"});
}

static void test_frames_are_filled_up(void **unused)
{
	(void)unused;
	for (held = 0; held <= 8; held++) {
		size_t end;

		read_back(write_held);
		end = enter(6);
		at += 20;
		assert_memory_equal(file + at, "12345678", held);
		at += (held + 3) / 4 * 4;
		option(1, "c", end);
		option(0, NULL, end);
		assert_int_equal(at, file_bytes);
	}
}

static int forget(void **unused)
{
	(void)unused;
	free(file);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_in_their_order),
		cmocka_unit_test(test_a_long_comment_is_cut),
		cmocka_unit_test(test_frames_are_filled_up),
	};

	return cmocka_run_group_tests_name("pcapng", tests, NULL, forget);
}
