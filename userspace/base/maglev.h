/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maglev consistent hashing (Eisenbud et al., NSDI 2016, section 3.4), with weights in
 * every pass. Pure: the same members give the same table on every host, whatever order
 * they come in, because they are sorted by key. The table that `sluice apply` loads into
 * the gate and the answer of `sluice flow` come from here.
 *
 * Promise: shares follow the weights within 1 % for size > 100 * members; removing one of
 * N equal members moves about 1/N of the slots, plus at most 1 %.
 */
#ifndef BASE_MAGLEV_H
#define BASE_MAGLEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct maglev_member {
	const char *key; /* stable name: "address" as addr_format prints it; unique, borrowed */
	uint32_t id;     /* what is written into the table; not 0 */
	uint32_t weight; /* 0 = takes no slot; at most MAGLEV_MAX_WEIGHT */
};

#define MAGLEV_MAX_WEIGHT 1000
#define MAGLEV_MAX_SIZE   131101 /* largest table: a prime above 131,071 */

/*
 * Fills table[0..size-1] with ids; all zero when no member has weight. size must be a
 * prime of at most MAGLEV_MAX_SIZE. Returns 0, -EINVAL (size, weight, id or doubled key)
 * or -ENOMEM. Cost: O(size) steps and one array of 24 bytes per member.
 */
int maglev_build(uint32_t *table, uint32_t size, const struct maglev_member *members, size_t n);

bool maglev_size_ok(uint32_t size);

#endif
