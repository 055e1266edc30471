// SPDX-License-Identifier: BSD-2-Clause
/* Owns: the memory that the kernel shows as the command line. */
#include "daemon/title.h"

#include <stddef.h>
#include <string.h>

static struct {
	char *start;
	size_t size;
} area;

void title_init(int argc, char **argv)
{
	area.start = argv[0];
	for (int i = 0; i < argc && argv[i] == area.start + area.size; i++)
		area.size += strlen(argv[i]) + 1;
}

void title_set(const char *text)
{
	if (area.size == 0)
		return;
	memset(area.start, 0, area.size);
	memcpy(area.start, text, strnlen(text, area.size - 1));
}
