// SPDX-License-Identifier: BSD-2-Clause
/* Which address of a name has which seat, and when names are asked for again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "resolve/seats.h"

static struct seats_known known;
static struct name_seat seats[CONF_MAX_SEATS];

static int begin(void **unused)
{
	(void)unused;
	memset(&known, 0, sizeof(known));
	memset(seats, 0, sizeof(seats));
	return 0;
}

static bool note(unsigned family, ...)
{
	struct sluice_addr addrs[8];
	const char *text;
	uint32_t n = 0;
	va_list ap;

	va_start(ap, family);
	while ((text = va_arg(ap, const char *)))
		assert_true(addr_parse(&addrs[n++], text));
	va_end(ap);
	return seats_note(&known, family, addrs, n, n);
}

/* Who sits there, or "" */
static const char *in(uint32_t seat)
{
	static char text[ADDR_TEXT];

	return seats[seat].taken ? addr_format(&seats[seat].addr, text) : "";
}

static void test_who_has_a_seat_keeps_it(void **unused)
{
	uint32_t turn;

	(void)unused;
	note(0, "10.0.0.1", "10.0.0.2", NULL);
	assert_true(seats_assign(seats, 4, &known));
	turn = seats[1].turn;
	note(0, "10.0.0.3", "10.0.0.2", NULL);
	assert_true(seats_assign(seats, 4, &known));
	assert_string_equal(in(0), "10.0.0.3");
	assert_string_equal(in(1), "10.0.0.2");
	assert_int_equal(seats[1].turn, turn);
	assert_string_equal(in(2), "");
	assert_false(seats_assign(seats, 4, &known));
}

static void test_another_address_is_another_turn(void **unused)
{
	uint32_t turn;

	(void)unused;
	note(0, "10.0.0.1", NULL);
	seats_assign(seats, 1, &known);
	turn = seats[0].turn;
	note(0, "10.0.0.2", NULL);
	seats_assign(seats, 1, &known);
	assert_int_not_equal(seats[0].turn, turn);
	/* And back: it is not the one that was there all the time. */
	turn = seats[0].turn;
	note(0, "10.0.0.1", NULL);
	seats_assign(seats, 1, &known);
	assert_int_not_equal(seats[0].turn, turn);
}

static void test_families_take_turns(void **unused)
{
	(void)unused;
	note(0, "10.0.0.1", "10.0.0.2", "10.0.0.3", NULL);
	note(1, "fd00::1", "fd00::2", NULL);
	seats_assign(seats, 4, &known);
	assert_string_equal(in(0), "10.0.0.1");
	assert_string_equal(in(1), "fd00::1");
	assert_string_equal(in(2), "10.0.0.2");
	assert_string_equal(in(3), "fd00::2");
	/* One that waits has the seat that becomes free. */
	note(1, "fd00::2", NULL);
	seats_assign(seats, 4, &known);
	assert_string_equal(in(1), "10.0.0.3");
}

static void test_nothing_takes_the_last_address_away(void **unused)
{
	(void)unused;
	assert_true(note(0, NULL));
	assert_true(note(0, "10.0.0.1", NULL));
	assert_false(note(0, NULL));
	assert_int_equal(known.n[0], 1);
	assert_true(note(1, "fd00::1", NULL));
	assert_true(note(0, NULL));
	assert_int_equal(known.n[0], 0);
	assert_false(note(1, NULL));
}

static void test_twice_the_same(void **unused)
{
	(void)unused;
	note(0, "10.0.0.1", "10.0.0.1", "10.0.0.1", NULL);
	seats_assign(seats, 4, &known);
	assert_string_equal(in(0), "10.0.0.1");
	assert_string_equal(in(1), "");
}

static void test_what_fits(void **unused)
{
	static const char *const fit[] = {"10.0.0.1", "127.0.0.1", "fd00::1", "::1", "223.0.0.1"},
				 *const unfit[] = {"0.0.0.0",         "0.1.2.3", "224.0.0.1",
						   "255.255.255.255", "::",      "ff02::1"};
	struct sluice_addr addr;

	(void)unused;
	for (size_t i = 0; i < sizeof(fit) / sizeof(fit[0]); i++)
		assert_true(addr_parse(&addr, fit[i]) && seats_fits(&addr));
	for (size_t i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++)
		assert_true(addr_parse(&addr, unfit[i]) && !seats_fits(&addr));
}

static void test_pauses(void **unused)
{
	const struct conf_resolver c = {.min_ttl_ms = 1000, .max_ttl_ms = 3600000};

	(void)unused;
	assert_int_equal(seats_pause_ms(&c, 60000, 0), 60000);
	assert_int_equal(seats_pause_ms(&c, 0, 0), 1000);
	assert_int_equal(seats_pause_ms(&c, UINT64_MAX, 0), 3600000);
	for (uint32_t random = 0; random < 20000; random += 7)
		assert_in_range(seats_pause_ms(&c, 60000, random), 54000, 60000);
	assert_int_equal(seats_retry_ms(&c, 1, 0), 1000);
	assert_int_equal(seats_retry_ms(&c, 2, 0), 2000);
	assert_int_equal(seats_retry_ms(&c, 6, 0), 32000);
	assert_int_equal(seats_retry_ms(&c, 7, 0), 60000);
	assert_int_equal(seats_retry_ms(&c, UINT32_MAX, 0), 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_who_has_a_seat_keeps_it, begin),
		cmocka_unit_test_setup(test_another_address_is_another_turn, begin),
		cmocka_unit_test_setup(test_families_take_turns, begin),
		cmocka_unit_test_setup(test_nothing_takes_the_last_address_away, begin),
		cmocka_unit_test_setup(test_twice_the_same, begin),
		cmocka_unit_test(test_what_fits),
		cmocka_unit_test(test_pauses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
