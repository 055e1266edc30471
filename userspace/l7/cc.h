/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Cache-Control says (RFC 9111 section 5.2), and the fields that say the same to some
 * caches only: CDN-Cache-Control (RFC 9213, a structured field) and Surrogate-Control (Edge
 * Architecture). Pure; spans point into what was parsed.
 *
 * Of a directive that stands there twice the first counts. A lifetime that is no number is 0:
 * who cannot write it does not get long ones (RFC 9111 section 4.2.1).
 */
#ifndef L7_CC_H
#define L7_CC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define CC_NONE (-1LL)
#define CC_MOST (1LL << 31) /* seconds; more is cut to it (RFC 9111 section 1.2.2) */
#define CC_FIELDS                                                                                  \
	16                     /* names in no-cache="..." and private="..."; with more of them the \
				  directive is taken as one without names */
#define CC_TARGETED_BYTES 1024 /* of a targeted field in all; longer ones are ignored */

enum cc_flag {
	CC_NO_STORE = 1 << 0,
	CC_NO_CACHE = 1 << 1,
	CC_PRIVATE = 1 << 2,
	CC_PUBLIC = 1 << 3,
	CC_MUST_REVALIDATE = 1 << 4,
	CC_PROXY_REVALIDATE = 1 << 5,
	CC_MUST_UNDERSTAND = 1 << 6,
	CC_IMMUTABLE = 1 << 7,
	CC_ONLY_IF_CACHED = 1 << 8,
	CC_NO_TRANSFORM = 1 << 9,
};

struct cc {
	uint32_t flags;                     /* enum cc_flag */
	int64_t max_age, s_maxage;          /* seconds, CC_NONE = not there; so are all below */
	int64_t max_stale, min_fresh;       /* of requests */
	int64_t while_revalidate, if_error; /* RFC 5861 */
	struct span fields[CC_FIELDS];      /* that may not be stored, or not be used again */
	unsigned n_fields;
};

void cc_init(struct cc *cc);
/* A field line of Cache-Control; the first one first. */
void cc_add(struct cc *cc, struct span value);
/* All lines of CDN-Cache-Control. False when it is no valid structured field, or empty: then it
 * is to be ignored, and so is cc. */
bool cc_targeted(struct cc *cc, const struct span *lines, unsigned n, char text[CC_TARGETED_BYTES]);
/* A field line of Surrogate-Control, of which directives for another target are passed over.
 * True when one was for us. */
bool cc_surrogate(struct cc *cc, struct span value, struct span target);

/* Seconds as all these fields write them: digits alone; cut to CC_MOST. */
bool cc_delta(int64_t *out, struct span text);

/* The next element of a comma-separated list, without blanks around it; empty ones are skipped.
 * Commas within quotes do not separate. */
bool cc_list_next(struct span *list, struct span *element);

#endif
