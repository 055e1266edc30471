/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of hosts whose addresses are looked up while the daemon runs, and by whom. Part of the
 * snapshot, see conf.h.
 *
 * A backend with a name is read as a row of seats: max_addresses backends that differ in `seat`
 * alone. Which address sits where is known at run time only (base/name_page.h).
 */
#ifndef CONF_RESOLVER_H
#define CONF_RESOLVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define CONF_MAX_NAMES   256 /* different ones, in one file */
#define CONF_MAX_SEATS   256 /* of a name */
#define CONF_MAX_SERVERS 8
#define CONF_NAME_BYTES  254 /* with its NUL */

/* Which addresses of a name are wanted: bits. */
enum conf_family { CONF_IPV4 = 1, CONF_IPV6 = 2 };

struct conf_name {
	const char *name;  /* lower case, no dot at its end; each with its families once */
	uint32_t families; /* enum conf_family */
	uint32_t index;    /* position in conf.names */
	unsigned line;     /* where it stands first */
};

struct conf_resolver {
	struct endpoint *servers; /* none: those of the host's resolv.conf */
	unsigned n_servers;
	uint32_t timeout_ms;    /* for an answer of one server: 2s */
	uint32_t attempts;      /* each is asked so often: 2 */
	uint32_t min_ttl_ms;    /* an answer counts for so long at least: 5s */
	uint32_t max_ttl_ms;    /* and at most: 1h */
	uint32_t max_addresses; /* of a name that are used: 16 */
	bool hosts;             /* the host's /etc/hosts is looked into first: yes */
};

#endif
