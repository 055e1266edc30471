// SPDX-License-Identifier: BSD-2-Clause
/*
 * Configurations. tests/data/conf holds files and, beside each that is wrong, what is said
 * about it. Run it in the root of the tree, where those paths are.
 *
 * Environment: GOLDEN=write writes what is said now; read the difference before you keep it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "conf_load.h"

/* ---- golden complaints ---------------------------------------------------------------- */

static bool ends(const char *text, const char *with)
{
	size_t len = strlen(text), n = strlen(with);

	return len >= n && strcmp(text + len - n, with) == 0;
}

/* The golden file of a configuration; returns buf. */
static char *golden_path(const char *path, char buf[256])
{
	snprintf(buf, 256, "%.*s.err", (int)(strlen(path) - strlen(".conf")), path);
	return buf;
}

static void each_file(const char *pattern, void (*each)(const char *path))
{
	glob_t found;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		each(found.gl_pathv[i]);
	globfree(&found);
}

static unsigned n_good, n_bad;

static void compare(const char *path)
{
	static char want[sizeof(told)];
	char golden[256];
	FILE *f = fopen(golden_path(path, golden), "re");

	if (!f) {
		conf_free(load_good(path));
		n_good++;
		return;
	}
	want[fread(want, 1, sizeof(want) - 1, f)] = '\0';
	fclose(f);
	n_bad++;
	assert_null(load(path));
	assert_int_equal(errno, EINVAL);
	if (strcmp(told, want) != 0)
		fail_msg("%s is told:\n%s-- and not:\n%s", path, told, want);
}

static void write_golden(const char *path)
{
	struct conf *c = load(path);
	char golden[256];
	FILE *f;

	conf_free(c);
	if (c)
		return;
	f = fopen(golden_path(path, golden), "we");
	assert_non_null(f);
	fputs(told, f);
	fclose(f);
}

static void test_what_is_told_about_each_file(void **unused)
{
	const char *golden = getenv("GOLDEN");

	(void)unused;
	if (golden && strcmp(golden, "write") == 0)
		each_file(DATA "*.conf", write_golden);
	each_file(DATA "*.conf", compare);
	assert_true(n_bad >= 80);
	assert_true(n_good >= 8);
}

static void has_file(const char *path)
{
	char conf[256];

	snprintf(conf, sizeof(conf), "%.*s.conf", (int)(strlen(path) - strlen(".err")), path);
	assert_int_equal(access(conf, R_OK), 0);
	/* A file that is called good must not be given complaints by GOLDEN=write. */
	assert_null(strstr(path, "/good-"));
}

/* `file:line: what is wrong; what would be right`, in the order of lines. */
static void check_form(const char *path)
{
	char line[1024], prefix[256];
	unsigned long last = 1;
	FILE *f = fopen(path, "re");
	int n = 0;

	assert_non_null(f);
	snprintf(prefix, sizeof(prefix), "%.*s.conf:", (int)(strlen(path) - strlen(".err")), path);
	for (; fgets(line, sizeof(line), f); n++) {
		char *rest = line + strlen(prefix);
		unsigned long number;

		assert_int_equal(strncmp(line, prefix, strlen(prefix)), 0);
		assert_true(ends(line, "\n") && strlen(line) < 500);
		assert_non_null(strstr(line, "; "));
		if (n == READ_MAX_COMPLAINTS)
			continue; /* the number of others */
		number = strtoul(rest, &rest, 10);
		assert_true(number >= last && strncmp(rest, ": ", 2) == 0);
		assert_int_not_equal(strcmp(rest + 2, READ_IMPOSSIBLE "\n"), 0);
		last = number;
	}
	assert_in_range(n, 1, READ_MAX_COMPLAINTS + 1);
	fclose(f);
}

static void test_golden_complaints_belong_to_files_and_have_the_form(void **unused)
{
	(void)unused;
	each_file(DATA "*.err", has_file);
	each_file(DATA "*.err", check_form);
}

static void test_examples_are_without_mistakes(void **unused)
{
	(void)unused;
	each_file("examples/*.conf", compare);
}

static void test_a_file_cut_anywhere_is_told_or_taken(void **unused)
{
	static char text[16384];
	FILE *f = fopen("examples/lab.conf", "re");
	size_t len;

	(void)unused;
	assert_non_null(f);
	len = fread(text, 1, sizeof(text), f);
	fclose(f);
	for (; len > 0; len--) {
		struct conf *c;

		text[len] = '\0';
		c = load_text(text);
		assert_true((c == NULL) == (told[0] != '\0'));
		assert_null(strstr(told, READ_IMPOSSIBLE));
		conf_free(c);
	}
}

/* ---- files that cannot be read -------------------------------------------------------- */

static void assert_unreadable(const char *path, int errnum, const char *why)
{
	char want[256];

	assert_null(load(path));
	assert_int_equal(errno, errnum);
	snprintf(want, sizeof(want), "%s: cannot be read: %s\n", path, why);
	assert_string_equal(told, want);
}

static void test_no_such_file(void **unused)
{
	(void)unused;
	assert_unreadable(DATA "no-such-file", ENOENT, "No such file or directory");
	assert_unreadable("", ENOENT, "No such file or directory");
	assert_unreadable("examples/lab.conf/", ENOTDIR, "Not a directory");
}

static void test_what_is_no_file(void **unused)
{
	(void)unused;
	assert_unreadable("tests/data/conf", EISDIR, "it is a directory; write the path of a file");
	assert_unreadable("/dev/null", EINVAL, "it is not a regular file; write the path of one");
}

static void test_a_pipe_is_refused_at_once(void **unused)
{
	char folder[] = "/tmp/test_conf.XXXXXX", path[64];

	(void)unused;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/pipe", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	/* Not waited for: nobody writes. */
	assert_null(load(path));
	assert_int_equal(errno, EINVAL);
	unlink(path);
	rmdir(folder);
}

static void test_a_file_that_is_too_large(void **unused)
{
	int fd = memfd_create("conf", MFD_CLOEXEC);
	char path[32];

	(void)unused;
	assert_int_equal(ftruncate(fd, (4 << 20) + 1), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_unreadable(path, EFBIG, "it has more than 4 MiB; a configuration has less");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_told_about_each_file),
		cmocka_unit_test(test_golden_complaints_belong_to_files_and_have_the_form),
		cmocka_unit_test(test_examples_are_without_mistakes),
		cmocka_unit_test(test_a_file_cut_anywhere_is_told_or_taken),
		cmocka_unit_test(test_no_such_file),
		cmocka_unit_test(test_what_is_no_file),
		cmocka_unit_test(test_a_pipe_is_refused_at_once),
		cmocka_unit_test(test_a_file_that_is_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
