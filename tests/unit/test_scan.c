// SPDX-License-Identifier: BSD-2-Clause
/*
 * Scanning loops against naive ones: every alignment, every length around 16, every byte
 * value at every place; text ends where the page ends, so that a read beyond it is a crash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/scan.h"

#define LONGEST 70 /* four strides of 16 and a rest */

static char *page_end; /* the byte here cannot be read */
static size_t page;

static int map_pages(void **unused)
{
	char *p;

	(void)unused;
	page = (size_t)sysconf(_SC_PAGESIZE);
	p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -1;
	page_end = p + page;
	return mprotect(page_end, page, PROT_NONE);
}

static int unmap_pages(void **unused)
{
	(void)unused;
	return munmap(page_end - page, 2 * page);
}

static bool value_byte(unsigned char c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static const char *naive_value(const char *p, const char *end)
{
	while (p < end && value_byte((unsigned char)*p))
		p++;
	return p;
}

/* ---- field values --------------------------------------------------------------------- */

static void test_value_every_byte_at_every_place(void **unused)
{
	(void)unused;
	for (size_t len = 0; len <= LONGEST; len++) {
		char *text = page_end - len;

		memset(text, 'a', len);
		assert_ptr_equal(scan_value(text, page_end), page_end);
		for (size_t at = 0; at < len; at++) {
			for (int c = 0; c < 256; c++) {
				text[at] = (char)c;
				if (scan_value(text, page_end) != naive_value(text, page_end))
					fail_msg("byte 0x%02x at %zu of %zu", c, at, len);
			}
			text[at] = 'a';
		}
	}
}

static void test_value_every_alignment_and_length(void **unused)
{
	(void)unused;
	for (size_t align = 0; align < 32; align++) {
		char *text = page_end - 256 + align;

		for (size_t len = 0; len <= LONGEST; len++) {
			/* What stands around must not matter. */
			memset(page_end - 256, '\n', 256);
			memset(text, 0xe9, len);
			assert_ptr_equal(scan_value(text, text + len), text + len);
			for (size_t at = 0; at < len; at++) {
				text[at] = '\r';
				assert_ptr_equal(scan_value(text, text + len), text + at);
				text[at] = 0x7f;
				assert_ptr_equal(scan_value(text, text + len), text + at);
				text[at] = '\t';
				assert_ptr_equal(scan_value(text, text + len), text + len);
			}
		}
	}
}

static void test_value_the_first_of_several_counts(void **unused)
{
	char *text = page_end - LONGEST;

	(void)unused;
	for (size_t first = 0; first < LONGEST; first++) {
		memset(text, ' ', first);
		memset(text + first, '\0', LONGEST - first);
		assert_ptr_equal(scan_value(text, page_end), text + first);
		if (first + 1 < LONGEST) {
			memset(text + first + 1, 'x', LONGEST - first - 1);
			assert_ptr_equal(scan_value(text, page_end), text + first);
		}
	}
}

/* xorshift: the same bytes each time. */
static void test_value_in_a_jumble_of_bytes(void **unused)
{
	uint32_t x = 2463534242;

	(void)unused;
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)round % (LONGEST + 1);
		char *text = page_end - len;

		for (size_t i = 0; i < len; i++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			/* Mostly text, or each jumble would end at once. */
			text[i] = (char)(x % 64 ? 0x20 + x / 64 % 95 : x / 64);
		}
		assert_ptr_equal(scan_value(text, page_end), naive_value(text, page_end));
	}
}

/* ---- classes -------------------------------------------------------------------------- */

#define ALPHA "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

/* As the RFCs list them, not as the table does. */
static const char *const members[] = {
	[SCAN_TOKEN] = ALPHA DIGIT "!#$%&'*+-.^_`|~", /* RFC 9110 section 5.6.2 */
	[SCAN_TARGET] = ALPHA DIGIT "!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
	[SCAN_HOST] = ALPHA DIGIT "-._~!$&'()*+,;=%", /* RFC 3986 section 3.2.2 */
	[SCAN_HEX] = DIGIT "abcdefABCDEF",
};

static void test_each_class_has_these_bytes_and_no_other(void **unused)
{
	(void)unused;
	for (unsigned class = SCAN_TOKEN; class <= SCAN_HEX; class <<= 1) {
		for (int c = 0; c < 256; c++) {
			bool in = c && strchr(members[class], c);

			if (scan_is((unsigned char)c, (enum scan_class) class) != in)
				fail_msg("byte 0x%02x of class %u", c, class);
		}
	}
}

static void test_while_stops_at_the_first_other_byte(void **unused)
{
	(void)unused;
	for (unsigned class = SCAN_TOKEN; class <= SCAN_HEX; class <<= 1) {
		for (size_t len = 0; len <= 40; len++) {
			char *text = page_end - len;

			memset(text, 'a', len);
			assert_ptr_equal(scan_while(text, page_end, (enum scan_class) class),
					 page_end);
			for (size_t at = 0; at < len; at++) {
				text[at] = ' ';
				assert_ptr_equal(
					scan_while(text, page_end, (enum scan_class) class),
					text + at);
				text[at] = 'a';
			}
		}
	}
}

static void test_nothing_is_read_of_no_bytes(void **unused)
{
	(void)unused;
	assert_ptr_equal(scan_value(page_end, page_end), page_end);
	assert_ptr_equal(scan_while(page_end, page_end, SCAN_TOKEN), page_end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value_every_byte_at_every_place),
		cmocka_unit_test(test_value_every_alignment_and_length),
		cmocka_unit_test(test_value_the_first_of_several_counts),
		cmocka_unit_test(test_value_in_a_jumble_of_bytes),
		cmocka_unit_test(test_each_class_has_these_bytes_and_no_other),
		cmocka_unit_test(test_while_stops_at_the_first_other_byte),
		cmocka_unit_test(test_nothing_is_read_of_no_bytes),
	};

	return cmocka_run_group_tests(tests, map_pages, unmap_pages);
}
