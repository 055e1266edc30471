/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys that session tickets are made with: random, made by the keeper and changed in time, in
 * memory that all workers read. The newest makes tickets; the two before it still open them.
 * A key that is older is gone, and with it the way back to what was encrypted under it.
 */
#ifndef L7_TICKETS_H
#define L7_TICKETS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"
#include "l7/keyring.h"

#define TICKETS_KEYS 3

struct tickets_page {
	_Atomic uint32_t sequence; /* odd while it is written */
	uint32_t n;
	unsigned char keys[TICKETS_KEYS][KEYRING_TICKET_KEY]; /* the newest first */
};

struct tickets {
	struct tickets_page *page; /* NULL: none */
	int fd;                    /* read-only, for workers; or -1 */
};

/* ---- the keeper ----------------------------------------------------------------------- */

int tickets_make(struct tickets *t, struct err *e);
/* A new key; the oldest goes. 0 or -errno. */
int tickets_rotate(struct tickets *t);

/* ---- a worker ------------------------------------------------------------------------- */

int tickets_map(struct tickets *t, int fd);
/* A copy of all keys, the newest first; returns how many. */
unsigned tickets_read(const struct tickets *t,
		      unsigned char keys[TICKETS_KEYS][KEYRING_TICKET_KEY]);

void tickets_fini(struct tickets *t);

#endif
