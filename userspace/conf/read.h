/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the file's text and the snapshot: every value with the line it stood on, and the
 * list of mistakes. Private to conf/.
 */
#ifndef CONF_READ_H
#define CONF_READ_H

#include <stdbool.h>
#include <stdio.h>

#include "conf/conf.h"

/* What one value of the file was, as typed. */
struct value {
	unsigned line;
	char text[];
};

/* A file being read. */
struct reading {
	struct conf *conf;
	const char *path;
	FILE *complaints;
	unsigned mistakes;
	bool oom;
};

/* Prints `path:line: ...` and counts it. */
void complain(struct reading *r, unsigned line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Rules that join several settings (check.c); complains, and builds the index. */
void conf_check(struct reading *r);
/* Makes the table that conf_find looks into; false when memory ran out. */
bool conf_index(struct conf *c);

#endif
