// SPDX-License-Identifier: BSD-2-Clause
/* From a target to a file's name: below its directory, and with no part that is hidden. */
// needs: userspace/l7/file_name.c userspace/conf/*.c userspace/base/*.c
// links: -lconfuse -lpcre2-8
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/scan.h"
#include "base/target.h"
#include "l7/file_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_part(struct span part, bool first)
{
	assert(part.len == 0 || part.p[0] != '.' ||
	       (first && span_equal(part, SPAN(".well-known"))));
}

static void check_name(struct span name)
{
	bool first = true;

	assert(name.len <= FILE_NAME_MOST && (name.len == 0 || name.p[0] != '/'));
	while (name.len) {
		const char *slash = memchr(name.p, '/', name.len);
		size_t len = slash ? (size_t)(slash - name.p) : name.len;

		assert(!memchr(name.p, '\0', len));
		check_part((struct span){name.p, len}, first);
		first = false;
		name.p += len + (slash != NULL);
		name.len -= len + (slash != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span target, name, came = {(const char *)data, size};
	char *turned = malloc(TARGET_ROOM(size)), *buf = malloc(size + 2);

	/* As the parser of requests lets it through. */
	for (size_t i = 0; i < size; i++)
		if (!scan_is(data[i], SCAN_TARGET))
			came.len = 0;
	if (turned && buf && target_normalise(&target, came, size & 1, turned)) {
		target.len = target_path(target);
		if (target.len && target.p[0] == '/' && file_name(&name, target, buf))
			check_name(name);
	}
	free(turned);
	free(buf);
	return 0;
}
