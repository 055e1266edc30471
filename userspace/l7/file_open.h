/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening files of a route's directory. Promises: nothing outside the directory is opened, nothing
 * but a regular file is read, and nobody waits for a pipe or a device. A disk may be waited for.
 */
#ifndef L7_FILE_OPEN_H
#define L7_FILE_OPEN_H

#include "l7/file_name.h"
#include "l7/http1.h"

struct file_opened {
	int fd;
	struct span name; /* with that of an index */
	struct file_facts facts;
};

/* The file that answers for a name below root: itself, or an index of the directory that it
 * names with a slash at its end. buf: the name, with room for one of FILE_NAME_ROOM. 0; or the
 * status that answers: 301 for a directory without that slash, 403, 404, 500, 503. */
#define FILE_NAME_ROOM (FILE_NAME_MOST + 320)
unsigned file_open(struct file_opened *out, int root, const struct conf_files *files, char *buf,
		   size_t len);

/* The file that was opened is replaced by a compressed one beside it which is not older, if the
 * client likes one better. The name in buf is as it was afterwards. */
void file_precompressed(struct file_opened *f, int root, const struct http1_head *request,
			char *buf);

#endif
