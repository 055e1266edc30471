/* SPDX-License-Identifier: BSD-2-Clause */
/* What lists.c, import.c and flow.c share about the operator's lists. */
#ifndef CTL_LISTS_H
#define CTL_LISTS_H

#include <stdbool.h>

#include "l4/block.h"
#include "l4/gate.h"

#define LISTS_VALUE 64

/* "forever (manual)", "for 9m 58s (abuse)", "expired (feed)"; returns buf. */
const char *lists_value(const struct sluice_listed *value, __u64 now, char buf[LISTS_VALUE]);

struct lists_import {
	char **paths; /* "-" = stdin */
	int n_paths;
	struct sluice_listed value;
	bool skip_bad, force;
};

/* Files into a list; prints what it did. 0 or -errno; nothing is written unless all of it can
 * be. */
int lists_import(const struct gate *g, const struct block_list *l, const struct lists_import *w,
		 struct err *e);

#endif
