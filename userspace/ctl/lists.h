/* SPDX-License-Identifier: BSD-2-Clause */
/* What lists.c, listing.c, import.c, named.c and flow.c share about the operator's lists. */
#ifndef CTL_LISTS_H
#define CTL_LISTS_H

#include <stdbool.h>

#include "l4/block.h"
#include "l4/gate.h"

#define LISTS_VALUE 64

/* "blocklist", "allow list" */
const char *lists_title(const struct block_list *l);
/* The two largest units: "6d 4h", "9m 58s", "1s"; returns buf. */
const char *lists_time(__u64 ns, char buf[LISTS_VALUE]);
/* "forever (manual)", "for 9m 58s (abuse)", "expired (feed)"; returns buf. */
const char *lists_value(const struct sluice_listed *value, __u64 now, char buf[LISTS_VALUE]);

/* All of a list, the blocklist with a line for each feed. 0 or -errno. */
int lists_print(const struct gate *g, const struct block_list *l, bool json, struct err *e);

/* Files that make more prefixes than this become a feed, if nothing says otherwise: a trie
 * takes longer for each packet the more it holds. */
#define LISTS_SMALL 1000

struct lists_import {
	char **paths; /* "-" = stdin */
	int n_paths;
	const char *name; /* of the feed; NULL: see lists_import */
	bool valued;      /* the value was asked for, so that it has to be entries of the list */
	struct sluice_listed value;
	bool skip_bad, force;
};

/*
 * Files into a list, or into a feed: the named one; without a name, the one that is called
 * like the first file if there is one or the files are not small. Prints what it did. 0 or
 * -errno; nothing is written unless all of it can be.
 */
int lists_import(const struct gate *g, const struct block_list *l, const struct lists_import *w,
		 struct err *e);

#endif
