// SPDX-License-Identifier: BSD-2-Clause
// Targets: what comes out is of the one spelling, and a second pass changes nothing.
// needs: userspace/base/target.c userspace/base/scan.c
#include <assert.h>
#include <stdlib.h>

#include "base/scan.h"
#include "base/target.h"

static void check_path(struct span path, bool merge)
{
	size_t from = 0;

	assert(path.len > 0 && path.p[0] == '/');
	for (size_t i = 0; i <= path.len; i++) {
		if (i < path.len && path.p[i] != '/') {
			assert(path.p[i] != '\\' && path.p[i] != '\0');
			continue;
		}
		if (i > 0) {
			struct span s = {path.p + from, i - from};

			assert(!span_equal(s, SPAN(".")) && !span_equal(s, SPAN("..")));
			assert(!merge || s.len || i == path.len);
		}
		from = i + 1;
	}
}

static void check(struct span target, bool merge)
{
	char *buf = malloc(TARGET_ROOM(target.len)), *decoded, *again;
	size_t query = target.len - target_path(target);
	struct span out, twice, plain;

	if (target_normalise(&out, target, merge, buf) && !span_equal(out, SPAN("*"))) {
		assert(out.len <= TARGET_ROOM(target.len) && out.len >= query);
		assert(memcmp(out.p + out.len - query, target.p + target.len - query, query) == 0);
		check_path((struct span){out.p, out.len - query}, merge);
		again = malloc(TARGET_ROOM(out.len));
		assert(target_normalise(&twice, out, merge, again) && span_equal(twice, out));
		decoded = malloc(out.len);
		if (target_decode(&plain, (struct span){out.p, out.len - query}, decoded))
			assert(!memchr(plain.p, '\0', plain.len));
		free(decoded);
		free(again);
	}
	free(buf);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	struct span target = {(const char *)data, len};

	if (scan_while(target.p, target.p + len, SCAN_TARGET) != target.p + len)
		return 0;
	check(target, true);
	check(target, false);
	return 0;
}
