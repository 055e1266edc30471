// SPDX-License-Identifier: BSD-2-Clause
/* Owns: how a subcommand's complaint reaches the terminal, numbers that they take, how
 * they are interrupted, and the lock between two of them. */
#include "ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>

#include <jansson.h>

int ctl_fail(const struct err *e)
{
	fflush(stdout);
	fprintf(stderr, "sluice: %s\n", e->text);
	return CTL_FAIL;
}

int ctl_usage(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("sluice: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return CTL_USAGE;
}

int ctl_print_json(struct json_t *root, bool oom, struct err *e)
{
	int rc = 0;

	if (oom || json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) != 0)
		rc = err_set(e, ENOMEM, "cannot print JSON: out of memory");
	else
		putchar('\n');
	json_decref(root);
	return rc;
}

bool ctl_parse_count(uint64_t *out, const char *text)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return !errno && end != text && !*end && text[0] != '-' && *out;
}

int ctl_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int ctl_lock(struct err *e)
{
	int fd = gate_lock(true, e);

	/* Never closed: the lock lasts as long as the process. */
	return fd < 0 ? fd : 0;
}
