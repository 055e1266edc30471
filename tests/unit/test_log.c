// SPDX-License-Identifier: BSD-2-Clause
/*
 * Log lines: what stands in them, that each is one write(2), errno, and the bound for lines
 * that the network triggers. stderr is a socket here that keeps each write apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

static int there[2], kept_stderr;
static char line[4096];

static int setup(void **unused)
{
	(void)unused;
	log_init("test", LOG_LEVEL_INFO, false);
	kept_stderr = dup(STDERR_FILENO);
	if (kept_stderr < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, there) != 0)
		return -1;
	return dup2(there[1], STDERR_FILENO) < 0;
}

static int teardown(void **unused)
{
	(void)unused;
	dup2(kept_stderr, STDERR_FILENO);
	close(kept_stderr);
	close(there[0]);
	close(there[1]);
	return 0;
}

/* The next write to stderr as text, or NULL when there is none. */
static const char *written(void)
{
	ssize_t len = recv(there[0], line, sizeof(line) - 1, MSG_DONTWAIT);

	if (len < 0)
		return NULL;
	line[len] = '\0';
	assert_int_equal(strlen(line), len);
	return line;
}

static void test_a_line_has_program_level_and_text(void **unused)
{
	(void)unused;
	log_err("no %s: code=%d", "route", 7);
	log_warn("late");
	log_info("up");
	assert_string_equal(written(), "test: error: no route: code=7\n");
	assert_string_equal(written(), "test: warning: late\n");
	assert_string_equal(written(), "test: info: up\n");
	assert_null(written());
}

static void test_levels_that_are_not_wanted_are_silent(void **unused)
{
	static const char *const words[] = {"error", "warning", "info", "debug"};
	struct log_rate rate = {0};

	(void)unused;
	for (int most = LOG_LEVEL_ERR; most <= LOG_LEVEL_DEBUG; most++) {
		log_init("test", (enum log_level)most, false);
		log_err("x");
		log_warn("x");
		log_info("x");
		log_debug("x");
		for (int level = 0; level <= most; level++)
			assert_non_null(strstr(written(), words[level]));
		assert_null(written());
	}
	log_init("test", LOG_LEVEL_WARN, false);
	log_limited(&rate, LOG_LEVEL_INFO, "x");
	assert_null(written());
}

static void test_errno_is_kept(void **unused)
{
	struct log_rate rate = {0};
	int full;

	(void)unused;
	errno = EXDEV;
	log_err("%m");
	assert_int_equal(errno, EXDEV);
	assert_non_null(strstr(written(), strerror(EXDEV)));
	for (int i = 0; i < 3; i++) {
		errno = ENOTTY;
		log_limited(&rate, LOG_LEVEL_ERR, "%m");
		assert_int_equal(errno, ENOTTY);
	}
	assert_non_null(strstr(written(), strerror(ENOTTY)));
	errno = EXDEV;
	log_debug("not wanted");
	assert_int_equal(errno, EXDEV);
	/* The write fails. */
	full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(dup2(full, STDERR_FILENO), STDERR_FILENO);
	close(full);
	errno = EXDEV;
	log_err("lost");
	assert_int_equal(errno, EXDEV);
}

static void test_control_bytes_do_not_get_out(void **unused)
{
	char all[256], *p = all;

	(void)unused;
	for (int c = 1; c < 0x20; c++)
		*p++ = (char)c;
	*p++ = 0x7f;
	*p = '\0';
	log_err("path=%s", all);
	assert_string_equal(written(), "test: error: path=????????????????????????????????\n");
	log_err("two\nlines");
	assert_string_equal(written(), "test: error: two?lines\n");
	log_err("caf\xc3\xa9 ~!");
	assert_string_equal(written(), "test: error: caf\xc3\xa9 ~!\n");
}

static void test_long_lines_are_cut_and_end(void **unused)
{
	static char text[5000], name[200];
	size_t last = 0;

	(void)unused;
	for (size_t len = 1000; len < sizeof(text); len += 97) {
		memset(text, 'x', len);
		text[len] = '\0';
		log_err("%s", text);
		assert_non_null(written());
		assert_int_equal(line[strlen(line) - 1], '\n');
		assert_true(strlen(line) < 1100);
		assert_true(strlen(line) >= last);
		last = strlen(line);
	}
	assert_true(last > 1000);
	/* Also when the name of the program takes the room. */
	memset(name, 'n', sizeof(name) - 1);
	log_init(name, LOG_LEVEL_INFO, false);
	log_err("%s", text);
	assert_non_null(written());
	assert_int_equal(line[strlen(line) - 1], '\n');
}

/* ---- lines that the network triggers -------------------------------------------------- */

static unsigned held_back(void)
{
	const char *mark = strstr(line, " held_back=");

	return mark ? (unsigned)strtoul(mark + 11, NULL, 10) : 0;
}

static void test_the_first_limited_line_is_written_as_it_is(void **unused)
{
	struct log_rate rate = {0};

	(void)unused;
	log_limited(&rate, LOG_LEVEL_WARN, "slow client=%s", "192.0.2.1");
	assert_string_equal(written(), "test: warning: slow client=192.0.2.1\n");
}

/* The clock may strike during the test: each line and each one held back is counted. */
static void test_a_flood_is_held_back_and_counted(void **unused)
{
	struct log_rate rate = {0};
	unsigned lines = 0, held = 0;

	(void)unused;
	for (int i = 0; i < 10000; i++) {
		log_limited(&rate, LOG_LEVEL_WARN, "flood");
		for (; written(); lines++)
			held += held_back();
	}
	assert_true(lines >= 1 && lines < 5000);
	rate.second = 0; /* as if long ago */
	log_limited(&rate, LOG_LEVEL_WARN, "flood");
	assert_non_null(written());
	held += held_back();
	assert_int_equal(lines + 1 + held, 10001);
	/* What was told is not told again. */
	rate.second = 0;
	log_limited(&rate, LOG_LEVEL_WARN, "flood");
	assert_string_equal(written(), "test: warning: flood\n");
}

static void test_a_long_line_still_tells_what_was_held_back(void **unused)
{
	struct log_rate rate = {.held = 41};
	static char text[3000];

	(void)unused;
	memset(text, 'x', sizeof(text) - 1);
	log_limited(&rate, LOG_LEVEL_WARN, "%s", text);
	assert_non_null(written());
	assert_int_equal(held_back(), 41);
}

static void test_each_place_has_its_own_bound(void **unused)
{
	struct log_rate one = {0}, two = {0};

	(void)unused;
	log_limited(&one, LOG_LEVEL_WARN, "one");
	log_limited(&two, LOG_LEVEL_WARN, "two");
	assert_string_equal(written(), "test: warning: one\n");
	assert_string_equal(written(), "test: warning: two\n");
}

#define THREADS 4
#define LINES   200

static void *shout(void *name)
{
	for (int i = 0; i < LINES; i++)
		log_info("thread=%s line=%d", (const char *)name, i);
	return NULL;
}

static void test_threads_do_not_mix_their_lines(void **unused)
{
	static char names[THREADS][2] = {"a", "b", "c", "d"};
	pthread_t threads[THREADS];
	int next[THREADS] = {0};

	(void)unused;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, shout, names[i]), 0);
	for (int i = 0; i < THREADS * LINES; i++) {
		ssize_t len = recv(there[0], line, sizeof(line) - 1, 0);
		char want[64], who;

		assert_true(len > 0);
		line[len] = '\0';
		assert_int_equal(sscanf(line, "test: info: thread=%c", &who), 1);
		assert_in_range(who, 'a', 'a' + THREADS - 1);
		snprintf(want, sizeof(want), "test: info: thread=%c line=%d\n", who,
			 next[who - 'a']++);
		assert_string_equal(line, want);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_line_has_program_level_and_text),
		TEST(test_levels_that_are_not_wanted_are_silent),
		TEST(test_errno_is_kept),
		TEST(test_control_bytes_do_not_get_out),
		TEST(test_long_lines_are_cut_and_end),
		TEST(test_the_first_limited_line_is_written_as_it_is),
		TEST(test_a_flood_is_held_back_and_counted),
		TEST(test_a_long_line_still_tells_what_was_held_back),
		TEST(test_each_place_has_its_own_bound),
		TEST(test_threads_do_not_mix_their_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
