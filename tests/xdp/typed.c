// SPDX-License-Identifier: BSD-2-Clause
/* See typed.h. */
#include "typed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "l4/chatter.h"
#include "l4/counters.h"
#include "l4/load.h"

struct typed typed;

/* BUILD/tests/xdp/test_x, so BUILD is two folders up. */
static int put_build_on_path(void)
{
	char self[PATH_MAX], path[PATH_MAX * 2], *build;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len < 0)
		return -1;
	self[len] = '\0';
	build = dirname(dirname(dirname(self)));
	snprintf(path, sizeof(path), "%s/sluice", build);
	if (access(path, X_OK) != 0) {
		fprintf(stderr, "%s is not built; `make build`\n", path);
		return -1;
	}
	snprintf(path, sizeof(path), "%s:/usr/sbin:/usr/bin:/sbin:/bin", build);
	return setenv("PATH", path, 1);
}

int typed_host(void **unused)
{
	(void)unused;
	chatter_catch();
	unsetenv("SSH_CONNECTION");
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") != 0 ||
	    mount("files", "/mnt", "tmpfs", 0, NULL) != 0) {
		perror("namespaces of its own with bpffs (needs root)");
		return -1;
	}
	return put_build_on_path();
}

int typed_open(void **unused)
{
	/* Small tables: the tests are about words. */
	static const struct load_tuning tuning = {.given = true, .event_every = 1, .max_conns = 64};
	__u64 all[SLUICE_FILTER_WORDS];
	struct load_sizes sizes;
	struct err e;
	bool made;

	(void)unused;
	/* Services are written past sync, which would open the filters for them. */
	memset(all, 0xff, sizeof(all));
	if (load_maps(&tuning, &made, &sizes, &e) == 0 && gate_open(&typed.gate, &e) == 0 &&
	    counters_filter(&typed.gate, all, all) == 0)
		return 0;
	fprintf(stderr, "%s\n", e.text);
	chatter_print(stderr);
	return -1;
}

int typed_close(void **unused)
{
	struct err e;

	(void)unused;
	gate_close(&typed.gate);
	return load_unpin(&e);
}

static void run(const char *line)
{
	size_t len;
	FILE *f;

	/* What it says is a part of what it does: both streams, in their order. */
	char *both;

	if (asprintf(&both, "exec 2>&1; %s", line) < 0)
		abort();
	f = popen(both, "re");
	assert_non_null(f);
	len = fread(typed.out, 1, sizeof(typed.out) - 1, f);
	typed.out[len] = '\0';
	typed.status = pclose(f);
	typed.status = WIFEXITED(typed.status) ? WEXITSTATUS(typed.status) : -1;
	free(both);
}

static void ends(int status, const char *format, va_list args)
{
	char line[4096];

	vsnprintf(line, sizeof(line), format, args);
	run(line);
	if (typed.status != status)
		fail_msg("%s\nended with %d, not %d:\n%s", line, typed.status, status, typed.out);
}

void typed_ends(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ends(status, format, args);
	va_end(args);
}

void typed_works(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ends(0, format, args);
	va_end(args);
}

void typed_shows(const char *text)
{
	if (!strstr(typed.out, text))
		fail_msg("\"%s\" is not in:\n%s", text, typed.out);
}

void typed_hides(const char *text)
{
	if (strstr(typed.out, text))
		fail_msg("\"%s\" is in:\n%s", text, typed.out);
}
