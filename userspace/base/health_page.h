/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known of the backends that are checked, in memory that several processes look into:
 * the keeper writes it, workers read from it who takes requests, `sluice health` shows it. It
 * is a file, so that the next daemon begins with what the last one knew; where none can be
 * made it lives in memory alone, and is forgotten with the daemon.
 *
 *   | head | out: a byte for each slot | records: one for each slot |
 *
 * A backend's slot is its number in the configuration, from 1; 0 is one that is not checked.
 * Another configuration has another file, which takes the old one's name: who looks into the
 * old one may go on.
 * Cost: a worker reads one byte, of a cache line that it shares with 63 other backends.
 */
#ifndef BASE_HEALTH_PAGE_H
#define BASE_HEALTH_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/page.h"

#define HEALTH_PAGE_DIR   "/run/sluice" /* where the daemon keeps it, unless told otherwise */
#define HEALTH_PAGE_FILE  "health"
#define HEALTH_PAGE_SLOTS (1U << 17) /* a file that names more is none of ours */
#define HEALTH_PAGE_ERROR 96

struct health_head {
	char magic[8]; /* with the layout's version */
	uint32_t record_bytes;
	uint32_t slots;
	uint64_t renewed_ms; /* CLOCK_REALTIME: the last result that came in; 0 = none yet */
	/* Of this daemon's life. */
	uint64_t checks, failures;
	uint64_t downs, ups; /* transitions */
	uint64_t panics;     /* times that a pool had too few left, so that all were used */
	uint8_t pad[64];
};

struct health_record {
	_Atomic uint32_t sequence;     /* odd while it is written */
	char pool[SLUICE_NAME];        /* the service's name, or the pool's */
	char backend[SLUICE_NAME];     /* its name there */
	char address[ENDPOINT_TEXT];   /* that is checked */
	char type[8];                  /* of check */
	uint8_t kind;                  /* SLUICE_L4 or SLUICE_L7 */
	uint8_t up, known;             /* known: as a check said, and not only as assumed */
	uint8_t panic;                 /* its pool uses all, the down ones too */
	uint8_t way;                   /* enum health_way */
	uint32_t row;                  /* results in a row that speak against `up` */
	uint32_t last_ms;              /* the last check took */
	uint64_t since_ms;             /* CLOCK_REALTIME: so for how long */
	uint64_t checked_ms;           /* the last result; 0 = none in this daemon's life */
	uint64_t checks, failures;     /* taken over from daemon to daemon */
	char error[HEALTH_PAGE_ERROR]; /* of the last failure; empty: there was none */
};

/* What a check goes through. */
enum health_way {
	HEALTH_WAY_PLAIN,   /* an ordinary connection, as its requests are */
	HEALTH_WAY_FORWARD, /* to the VIP, by the way that the gate forwards */
	HEALTH_WAY_BESIDE,  /* to the backend's own address, though the gate forwards by another */
};

struct health_page {
	struct health_head *head; /* NULL: there is no page */
	_Atomic uint8_t *out;     /* [slot - 1]: 1 takes no new requests */
	struct health_record *records;
	size_t bytes;
	int fd; /* read-only; of the writer, for those who are to read. -1: none */
};

/*
 * A new page, writable, that no child process inherits; dir NULL: in memory. It has no name
 * until it is published. 0 or -errno.
 */
int health_page_make(struct health_page *p, const char *dir, uint32_t slots, struct err *e);
/* It takes the place of the one that was there. */
int health_page_publish(struct health_page *p, const char *dir, struct err *e);
/* Read-only; fd stays the caller's. -EINVAL: it is no page. */
int health_page_map(struct health_page *p, int fd);
/* The one in a folder, read-only. -ENOENT: there is none. */
int health_page_open(struct health_page *p, const char *dir, struct err *e);
void health_page_close(struct health_page *p); /* zeroed is fine, with fd -1 or 0 */

/* May it be given new requests? Slot 0 always. */
static inline bool health_page_takes(const struct health_page *p, uint32_t slot)
{
	return slot == 0 || !p || !p->head || slot > p->head->slots ||
	       !atomic_load_explicit(&p->out[slot - 1], memory_order_relaxed);
}

/* A record is changed between these two. */
void health_record_begin(struct health_record *r);
void health_record_end(struct health_record *r);
/* A copy that is whole, with its texts ended. */
void health_record_read(const struct health_record *from, struct health_record *to);

#endif
