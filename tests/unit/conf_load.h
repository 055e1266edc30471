/* SPDX-License-Identifier: BSD-2-Clause */
/* Configurations from files and texts, with what is told about them. For tests of conf/. */
#ifndef UNIT_CONF_LOAD_H
#define UNIT_CONF_LOAD_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/read.h"

#define DATA "tests/data/conf/"

static char told[READ_MAX_COMPLAINTS * 700]; /* complaints of the last reading */

static inline struct conf *load(const char *path)
{
	FILE *out = fmemopen(told, sizeof(told), "w");
	struct conf *c;

	assert_non_null(out);
	told[0] = '\0';
	errno = 0;
	c = conf_load(path, out);
	fclose(out);
	return c;
}

/* As load, from a text; complaints stand in told without the path. */
static inline struct conf *load_text(const char *text)
{
	static char path[32];
	int fd = memfd_create("conf", MFD_CLOEXEC);
	struct conf *c;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	c = load(path);
	close(fd);
	if (told[0])
		memmove(told, told + strlen(path) + 1, strlen(told) - strlen(path));
	return c;
}

/* The file has no mistakes. */
static inline struct conf *load_good(const char *path)
{
	struct conf *c = load(path);

	if (!c)
		fail_msg("%s is refused:\n%s", path, told);
	assert_string_equal(told, "");
	return c;
}

#endif
