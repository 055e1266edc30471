// SPDX-License-Identifier: BSD-2-Clause
/* The manual pages of section 5 against the grammar: every word, every default, every bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "conf/read.h"

static char manual[1 << 20];

/* All of them: where a topic is large, it has a page of its own. */
/* All pages of section 5: what fills a page of its own is not in sluice.conf(5). */
static void manual_read(void)
{
	size_t len = 0;
	glob_t found;

	assert_int_equal(glob("userspace/man/*.5", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		FILE *f = fopen(found.gl_pathv[i], "re");

		assert_non_null(f);
		len += fread(manual + len, 1, sizeof(manual) - 1 - len, f);
		fclose(f);
	}
	manual[len] = '\0';
	globfree(&found);
}

/* Every section and setting has its own item; a backend's are below its section's. */
static void check_words(const cfg_opt_t *opts)
{
	char item[64];

	for (; opts->name; opts++) {
		if (strcmp(opts->name, GRAMMAR_NAME) == 0)
			continue;
		snprintf(item, sizeof(item), opts->type == CFGT_SEC ? "\n.Ss %s" : "\n.It Ic %s",
			 opts->name);
		if (!strstr(manual, item))
			fail_msg("the manual has no `%s`", item + 1);
		if (opts->type == CFGT_SEC)
			check_words(opts->subopts);
	}
}

static void test_the_manual_has_every_word(void **unused)
{
	(void)unused;
	manual_read();
	check_words(grammar);
}

static void test_the_manual_has_defaults_and_bounds_as_they_are(void **unused)
{
	char least[SETTING_TEXT], most[SETTING_TEXT], initial[SETTING_TEXT], item[160];

	(void)unused;
	manual_read();
	for (unsigned i = 0; i < n_settings; i++) {
		const struct setting *s = &settings[i];

		if (s->kind == SETTING_YES)
			snprintf(item, sizeof(item),
				 "\n.It Ic %s No = Cm yes | no\n.Pq default %s\n", s->name,
				 setting_format(s->kind, s->initial, initial));
		else
			snprintf(item, sizeof(item),
				 "\n.It Ic %s No = Ar %s\n.Pq %s to %s; default %s\n", s->name,
				 s->kind == SETTING_MS      ? "duration"
				 : s->kind == SETTING_BYTES ? "size"
							    : "number",
				 setting_format(s->kind, s->least, least),
				 setting_format(s->kind, s->most, most),
				 setting_format(s->kind, s->initial, initial));
		if (!strstr(manual, item))
			fail_msg("the manual should have:%s", item);
	}
}

/* The pages of the access log and of routes have every name that their texts can hold. */
static void test_the_manual_has_every_name_of_a_text(void **unused)
{
	static const char *const names[] = {
#define FIELD(name, kind, sentence) "\n.It Li $" #name,
		LOG_FIELDS(FIELD)
#undef FIELD
#define NAME(name, sentence) "\n.It Li $" #name,
			TEMPLATE_NAMES(NAME)
#undef NAME
	};

	(void)unused;
	manual_read();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strstr(manual, names[i]))
			fail_msg("the manual has no `%s`", names[i] + 1);
}

static void test_numbers_are_shown_as_people_write_them(void **unused)
{
	static const struct {
		enum setting_kind kind;
		uint64_t n;
		const char *text;
	} rows[] = {
		{SETTING_MS, 0, "0ms"},
		{SETTING_MS, 1, "1ms"},
		{SETTING_MS, 1000, "1s"},
		{SETTING_MS, 75000, "75s"},
		{SETTING_MS, 60000, "1m"},
		{SETTING_MS, 3600000, "1h"},
		{SETTING_MS, 86400000, "1d"},
		{SETTING_BYTES, 0, "0"},
		{SETTING_BYTES, 1023, "1023"},
		{SETTING_BYTES, 1024, "1k"},
		{SETTING_BYTES, 1 << 30, "1g"},
		{SETTING_BYTES, 1ULL << 50, "1024t"},
		{SETTING_COUNT, 0, "0"},
		{SETTING_COUNT, 1000, "1000"},
		{SETTING_COUNT, UINT64_MAX, "18446744073709551615"},
	};
	char text[SETTING_TEXT];

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(setting_format(rows[i].kind, rows[i].n, text), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_manual_has_every_word),
		cmocka_unit_test(test_the_manual_has_defaults_and_bounds_as_they_are),
		cmocka_unit_test(test_the_manual_has_every_name_of_a_text),
		cmocka_unit_test(test_numbers_are_shown_as_people_write_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
