// SPDX-License-Identifier: BSD-2-Clause
/* The one place where a subcommand's complaint reaches the terminal. */
#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>

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
