/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Backends that stand out: what their answers say of them, apart from checks. Pure. A backend is
 * put aside for a while when failures follow one another, and after each interval when it has
 * failed clearly more often than the others, or was several times slower.
 */
#ifndef L7_OUTLIER_H
#define L7_OUTLIER_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/pool.h"

#define OUTLIER_REQUESTS 50 /* in an interval; of fewer nothing is concluded */
#define OUTLIER_PEERS    3  /* with so many requests; likewise */

struct outlier {
	uint32_t row;           /* failures without a success between them */
	uint32_t total, failed; /* in this interval */
	uint64_t latency_us;    /* of all that were answered in it, together */
	uint32_t times;         /* that it was put aside lately: each lasts longer */
	uint64_t until_ms;      /* it is put aside; 0 = it is not */
};

/* An answer, or none. True: so many have failed in a row that it should be put aside. */
bool outlier_note(struct outlier *o, const struct conf_outlier *conf, bool failed,
		  uint64_t latency_us);

/* Puts it aside. */
void outlier_eject(struct outlier *o, const struct conf_outlier *conf, uint64_t now_ms);

/* What of others it is compared with. */
struct outlier_norm {
	double least_success; /* below that it stands out */
	double most_us;       /* above that; 0: nothing is concluded */
};

/* At the end of an interval: of n, spaced by `stride` bytes. */
void outlier_norm(struct outlier_norm *norm, const struct outlier *first, unsigned n,
		  unsigned stride, const struct conf_outlier *conf);
bool outlier_stands_out(const struct outlier *o, const struct outlier_norm *norm);
/* A new interval begins. */
void outlier_begin(struct outlier *o, uint64_t now_ms);

#endif
