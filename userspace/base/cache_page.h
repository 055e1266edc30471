/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the caches of a worker count, for `sluice cache stat`: the keeper makes the page, the
 * worker writes into it each second, and whoever asks reads it.
 *
 *   | head | records: one for each cache |
 *
 * The worker talks to the network: readers believe nothing of it but numbers.
 */
#ifndef BASE_CACHE_PAGE_H
#define BASE_CACHE_PAGE_H

#include "base/page.h"
#include "sluice/abi.h"

#define CACHE_PAGE_FILE    "caches"
#define CACHE_PAGE_MOST    1024 /* caches: a file with more is none of ours */
#define CACHE_PAGE_REASONS 24   /* for which responses are not kept */

struct cache_head {
	char magic[8]; /* with the layout's version */
	uint32_t record_bytes, caches;
	uint8_t pad[48];
};

struct cache_record {
	_Atomic uint32_t sequence; /* odd while it is written */
	uint32_t n_refused;
	char name[SLUICE_NAME];
	uint64_t written_ms; /* CLOCK_REALTIME; 0 = not yet */
	uint64_t memory, used, objects;
	uint64_t hits, stale_hits, misses, validations, collapsed, passes;
	uint64_t stored, evicted, purged;
	struct {
		char name[24];
		uint64_t n;
	} refused[CACHE_PAGE_REASONS];
};

struct cache_page {
	struct cache_head *head; /* NULL: there is no page */
	struct cache_record *records;
	size_t bytes;
	int fd; /* see page.h */
};

/* Writable, by child processes too. 0 or -errno. */
int cache_page_make(struct cache_page *p, const char *dir, uint32_t caches, struct err *e);
/* The one in a folder, read-only. -ENOENT: there is none. */
int cache_page_open(struct cache_page *p, const char *dir, struct err *e);
void cache_page_close(struct cache_page *p); /* zeroed is fine, with fd -1 or 0 */

/* A copy that is whole, with its texts ended and its numbers within bounds. */
void cache_page_record(const struct cache_page *p, uint32_t cache, struct cache_record *to);

#endif
