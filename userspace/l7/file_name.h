/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the path of a request to a name below a directory, and what is said of the file there.
 * Pure: bytes into the caller's buffer. That a name stays below its directory, whatever links are
 * on the way, is the kernel's promise (openat2(2), RESOLVE_BENEATH).
 */
#ifndef L7_FILE_NAME_H
#define L7_FILE_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/compress.h"
#include "conf/files.h"

#define FILE_NAME_MOST 4000 /* bytes; the kernel takes no path of more than 4095 */
#define FILE_ETAG      64

/* path: "/...", in its one spelling, without a query; buf: of path.len bytes. The name has no
 * slash in front; empty: the directory itself. False: no file can have it, or it is hidden: one of
 * its parts begins with a dot. Those below /.well-known (RFC 8615) are seen. */
bool file_name(struct span *out, struct span path, char *buf);

struct file_facts {
	int64_t modified; /* seconds since 1970 */
	uint32_t modified_ns;
	uint64_t size;
	enum conf_encoding encoding; /* of its content */
};

/* A strong one: time of change and size, and the encoding. */
struct span file_etag(const struct file_facts *f, char text[FILE_ETAG]);

/* ".br"; empty for what is not encoded. */
struct span file_suffix(enum conf_encoding e);

#endif
