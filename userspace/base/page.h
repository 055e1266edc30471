/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that one process writes and others look into: a file in a folder, which the next daemon
 * and the CLI find, or without a folder memory alone. A new page has no name until it is
 * published, and takes the name of the one that was there; who looks into the old one may go on.
 *
 * A part that is changed while others read it has a sequence in front, which is odd meanwhile.
 */
#ifndef BASE_PAGE_H
#define BASE_PAGE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct page {
	void *at; /* NULL: there is none */
	size_t bytes;
	int fd; /* of the writer: read-only, for those who are to read. -1: none */
};

/* Zeroed and writable; child processes have it not. 0 or -errno. */
int page_make(struct page *p, const char *dir, const char *file, size_t bytes, struct err *e);
int page_publish(const char *dir, const char *file, struct err *e);
/* Read-only; fd stays the caller's. -EINVAL: too small or too large to be one. */
int page_map(struct page *p, int fd, size_t least, size_t most);
/* The one in a folder, as page_map. -ENOENT: there is none. */
int page_open(struct page *p, const char *dir, const char *file, size_t least, size_t most,
	      struct err *e);
void page_close(struct page *p); /* zeroed is fine, with fd -1 or 0 */

void page_write_begin(_Atomic uint32_t *sequence);
void page_write_end(_Atomic uint32_t *sequence);
/* Copies n bytes that a sequence guards. A writer that died in between is not waited for. */
void page_read(const _Atomic uint32_t *sequence, void *to, const void *from, size_t n);

#endif
