/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Backends and the pools that they form: a named one, which routes and services share, or an l7
 * service's own, which has the service's name. Part of the snapshot, see conf.h.
 */
#ifndef CONF_POOL_H
#define CONF_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "conf/health.h"

#define CONF_MAX_BACKENDS 1024 /* of one pool, or of one l4 service */
#define CONF_MAX_POOLS    1023 /* that have names */

struct conf_pin {
	struct cidr net; /* sources that have this backend */
	unsigned line;
};

struct conf_backend {
	const char *name;         /* unique within its service or pool */
	struct endpoint endpoint; /* where it listens; l4: port 0 = the VIP's, always but by nat */
	uint32_t weight;          /* 0..MAGLEV_MAX_WEIGHT; 0 = no new flows */
	struct conf_pin *pins;    /* l4; each prefix once in a service */
	unsigned n_pins;
	uint32_t slot; /* among all that are checked, from 1; 0: it is not (health_page.h) */
	unsigned line;
};

struct conf_pool {
	const char *name; /* unique among those that have names; else its service's */
	uint32_t index;   /* position in conf.pools */

	struct conf_backend *backends;
	unsigned n_backends;
	const struct conf_health *health; /* how they are checked; NULL: they are not */

	uint32_t connect_ms;        /* to reach a backend: 5s */
	uint32_t response_ms;       /* from the whole request sent to the response head: 60s */
	uint32_t upstream_idle_ms;  /* a pooled connection: 60s */
	uint32_t upstream_idle_max; /* pooled connections per backend and thread: 1024 */
	unsigned line;
};

struct conf;

/* The pool of that name, or NULL. */
const struct conf_pool *conf_pool_find(const struct conf *c, const char *name);

#endif
