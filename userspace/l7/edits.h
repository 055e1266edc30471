/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens to the fields of a head that is written (conf/route.h), with the values that it
 * has now. A value that came out empty adds nothing. Pure.
 */
#ifndef L7_EDITS_H
#define L7_EDITS_H

#include "conf/route.h"

struct edit {
	enum route_edit_kind kind;
	struct span name, value;
};

struct edits {
	struct edit items[ROUTE_EDITS];
	unsigned n;
};

/* The field of this name that is there does not go on, or not as it is. e NULL: nothing is
 * edited. */
static inline bool edits_take(const struct edits *e, struct span name)
{
	for (unsigned i = 0; e && i < e->n; i++)
		if (e->items[i].kind != ROUTE_ADD && span_equal_nocase(e->items[i].name, name))
			return true;
	return false;
}

/* Bytes that they add at most. */
static inline size_t edits_room(const struct edits *e)
{
	size_t n = 0;

	for (unsigned i = 0; e && i < e->n; i++)
		n += e->items[i].name.len + e->items[i].value.len + 4;
	return n;
}

#endif
