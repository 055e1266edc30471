/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Policy of names, pure: which address of a name sits where, when it is asked for again.
 */
#ifndef RESOLVE_SEATS_H
#define RESOLVE_SEATS_H

#include "base/name_page.h"
#include "conf/resolver.h"

/* What the last answers said: by family, IPv4 first. */
struct seats_known {
	struct sluice_addr addrs[2][CONF_MAX_SEATS];
	uint32_t n[2];
	uint32_t found[2]; /* with those for which there was no room */
};

/*
 * A family has these addresses now, at most CONF_MAX_SEATS; found is how many the answer had.
 * False, and nothing changes, if the name would be without any address by that: then it keeps the
 * last ones.
 */
bool seats_note(struct seats_known *k, unsigned family, const struct sluice_addr *addrs, uint32_t n,
		uint32_t found);

/*
 * Brings n seats to what is known: who has a seat keeps it, the others get one while there are
 * any, by turns of the families. True: something changed.
 */
bool seats_assign(struct name_seat *seats, uint32_t n, const struct seats_known *k);

/* Is it an address that a connection can go to? */
bool seats_fits(const struct sluice_addr *addr);

/* Until the next question: the answer's TTL within its bounds, less a random tenth. */
uint32_t seats_pause_ms(const struct conf_resolver *c, uint64_t ttl_ms, uint32_t random);
/* The same after failures in a row. */
uint32_t seats_retry_ms(const struct conf_resolver *c, uint32_t failures, uint32_t random);

#endif
