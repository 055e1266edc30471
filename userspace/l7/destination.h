/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a request through a service of kind forward wants to go, and whether it may. Pure.
 *
 * Hosts are names or addresses in their usual form, and nothing else: what other software reads as
 * an address ("2130706433", "0x7f.1", "127.1") is neither. The name is asked about first, and then
 * each of its addresses: one that no public host has (RFC 6890) is for those alone that a rule
 * names by its prefix.
 */
#ifndef L7_DESTINATION_H
#define L7_DESTINATION_H

#include "base/lookup.h"
#include "base/span.h"
#include "conf/outgoing.h"

struct destination {
	char name[LOOKUP_NAME]; /* lower case, no dot at its end; empty: it is an address */
	struct sluice_addr addr;
	uint16_t port;
};

/* port 0: the authority must have one. False: it is none. */
bool destination_parse(struct destination *d, struct span authority, uint16_t port);
/* May it be looked up? Of an address: is there any rule that could allow it? */
bool destination_known(const struct conf_outgoing *o, const struct destination *d);
/* May it be this address? */
bool destination_allowed(const struct conf_outgoing *o, const struct destination *d,
			 const struct sluice_addr *addr);
/* Can a host of the public network have it? */
bool destination_is_public(const struct sluice_addr *addr);

#endif
