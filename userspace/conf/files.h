/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes that answer with files of a directory: which one, and what is said of its files. Part of
 * the snapshot, see conf.h. The directory is named here and opened by the daemon's keeper.
 */
#ifndef CONF_FILES_H
#define CONF_FILES_H

#include <stdbool.h>

#include "base/span.h"

#define CONF_MAX_ROOTS    64 /* different directories of a file */
#define CONF_FILE_INDEXES 8  /* of one route */
#define CONF_FILE_TYPES   256

struct conf_file_type {
	struct span extension; /* in small letters, without its dot */
	struct span type;
	bool text; /* a charset says how to read it */
};

struct conf_files {
	unsigned root;        /* place in conf.roots */
	struct span *indexes; /* names that are looked for in a directory: index.html */
	unsigned n_indexes;
	struct conf_file_type *types; /* of the route's own, before those that are known */
	unsigned n_types;
	struct span charset; /* of text: utf-8; empty: none is said */
	bool precompressed;  /* NAME.br, NAME.zst and NAME.gz answer for NAME: no */
};

/* What a file of this name is; never NULL. */
const struct conf_file_type *conf_file_type(const struct conf_files *files, struct span name);

#endif
