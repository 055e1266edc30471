/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes that belong to somebody else: a borrowed view, not NUL-terminated. */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *p;
	size_t len;
};

#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* ASCII case-insensitive. */
static inline bool span_equal_nocase(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.p, b.p, a.len) == 0);
}

#endif
