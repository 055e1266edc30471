/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which addresses the names of backends have: the keeper writes it as answers come in, workers
 * read from it where to connect to, `sluice health` shows it.
 *
 *   | head | records: one for each name | seats: so many for each name |
 *
 * An address keeps its seat as long as the name has it, so that who uses it need not care about
 * the others. Another address in a seat has another turn.
 * Cost: as long as nothing changes a worker reads one number.
 */
#ifndef BASE_NAME_PAGE_H
#define BASE_NAME_PAGE_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/page.h"

#define NAME_PAGE_FILE  "names"
#define NAME_PAGE_MOST  (1U << 16) /* names, and seats of each: a file with more is none of ours */
#define NAME_PAGE_BYTES (1U << 26)
#define NAME_PAGE_ERROR 64

struct name_head {
	char magic[8]; /* with the layout's version */
	uint32_t record_bytes, names, seats;
	_Atomic uint32_t turn;               /* of the whole page: something has changed */
	uint64_t answers, failures, ignored; /* of this daemon's life */
	uint8_t pad[80];
};

struct name_record {
	_Atomic uint32_t sequence; /* odd while it or one of its seats is written */
	uint32_t families;         /* enum conf_family */
	char name[256];
	uint32_t taken;  /* seats with an address */
	uint32_t found;  /* addresses that the name had at last, those without a seat too */
	uint32_t ttl_ms; /* how long that counts */
	uint8_t known;   /* there was an answer once */
	uint8_t failing; /* enum conf_family: whose last question got none; error says why */
	uint8_t pad[2];
	uint64_t since_ms; /* CLOCK_REALTIME: of the last answer; 0 = none yet */
	uint64_t answers, failures, changes;
	char error[NAME_PAGE_ERROR];
};

struct name_seat {
	struct sluice_addr addr;
	uint32_t taken; /* 0: nobody sits there */
	uint32_t turn;  /* grows with each other address */
};

struct name_page {
	struct name_head *head; /* NULL: there is no page */
	struct name_record *records;
	struct name_seat *seats;
	size_t bytes;
	int fd; /* see page.h */
};

int name_page_make(struct name_page *p, const char *dir, uint32_t names, uint32_t seats,
		   struct err *e);
int name_page_map(struct name_page *p, int fd);
/* The one in a folder, read-only. -ENOENT: there is none. */
int name_page_open(struct name_page *p, const char *dir, struct err *e);
void name_page_close(struct name_page *p); /* zeroed is fine, with fd -1 or 0 */

static inline struct name_seat *name_page_seats(const struct name_page *p, uint32_t name)
{
	return p->seats + (size_t)name * p->head->seats;
}

/* A copy of one seat, or of a record with its texts ended, that is whole. */
struct name_seat name_page_seat(const struct name_page *p, uint32_t name, uint32_t seat);
void name_page_record(const struct name_page *p, uint32_t name, struct name_record *to);

#endif
