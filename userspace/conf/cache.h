/* SPDX-License-Identifier: BSD-2-Clause */
/* What is kept of responses, and for whom. Part of the snapshot (conf.h). */
#ifndef CONF_CACHE_H
#define CONF_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define CONF_MAX_CACHES  16
#define CONF_CACHE_RULES 16 /* statuses with a lifetime of their own, of one service */
#define CONF_CACHE_NAMES 16 /* headers or cookies in a list */

/* A store. */
struct conf_cache {
	const char *name;
	uint32_t index; /* position in conf.caches */
	uint64_t memory, max_object;
	unsigned line;
};

struct conf_cache_rule {
	unsigned status;
	uint64_t ttl_ms;
};

/* How a service uses one. */
struct conf_caching {
	const struct conf_cache *cache; /* NULL: it does not */
	uint32_t index;                 /* among all uses */
	uint32_t default_ttl_ms;        /* of responses that say nothing */
	uint32_t heuristic_ms;          /* a guess from Last-Modified is no longer than this */
	uint32_t stale_if_error_ms, stale_while_ms; /* of responses that say nothing */
	uint32_t wait_ms;            /* for an answer that another request has asked for */
	uint32_t pass_ms;            /* so long nobody waits where an answer was for one alone */
	bool cookie_never;           /* responses that set cookies are not kept */
	uint32_t request_directives; /* yes: Cache-Control of requests is heeded */
	uint32_t cache_status;       /* yes: answers have Cache-Status */
	uint32_t query;              /* yes: the query is part of the key */
	struct conf_cache_rule rules[CONF_CACHE_RULES];
	unsigned n_rules;
	const char **key_headers, **key_cookies, **allow_headers, **bypass_cookies;
	unsigned n_key_headers, n_key_cookies, n_allow_headers, n_bypass_cookies;
	struct cidr *purge_from; /* who may use the method PURGE */
	unsigned n_purge_from;
	unsigned line;
};

#endif
