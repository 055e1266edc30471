/* SPDX-License-Identifier: BSD-2-Clause */
/* Named feeds, as `sluice block` fills, shows and removes them. */
#ifndef CTL_NAMED_H
#define CTL_NAMED_H

#include "l4/feeds.h"

struct lists_import;

/* What a file's feed is called: its name without folders and the last dot's rest, other
 * characters than a name has as _; of "-", stdin. Returns buf. */
const char *named_after(const char *path, char buf[FEEDS_NAME]);

#define NAMED_TOLD 160

/* The merged feed under that name; told is filled with what was done. Refused like `block add`
 * is, and when it names nothing, unless forced. */
int named_import(const struct gate *g, const struct lists_import *w, const char *name,
		 const struct feed *f, char told[NAMED_TOLD], struct err *e);

/* Every feed: a table, or JSON. */
int named_print(const struct gate *g, bool json, struct err *e);
/* `"feeds": [...]`, as a part of an object. */
void named_print_json(const struct feeds *feeds);

/* What one feed names, a prefix in a line. */
int named_list(const char *name, bool json, struct err *e);

int named_flush(const struct gate *g, const char *name, struct err *e);

/* The feed that names the address, and by which prefix. False: none does. */
bool named_covering(const struct gate *g, const struct sluice_addr *addr, char name[FEEDS_NAME],
		    struct cidr *net);

#endif
