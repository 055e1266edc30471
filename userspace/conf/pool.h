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
#include "conf/resolver.h"

#define CONF_MAX_BACKENDS 1024 /* of one pool, or of one l4 service */
#define CONF_MAX_POOLS    1023 /* that have names */

struct conf_pin {
	struct cidr net; /* sources that have this backend */
	unsigned line;
};

/* What QUIC's connection IDs have of a backend, in one of the configurations that there can be. */
struct conf_server_id {
	uint8_t rotation, length; /* of the configuration, in bytes */
	uint8_t id[16];           /* and zeroes */
	unsigned line;
};

struct conf_backend {
	const char *name;         /* unique within its service or pool */
	const char *path;         /* in a pool: of its UNIX socket; NULL = it has an endpoint */
	struct endpoint endpoint; /* where it listens; l4: port 0 = the VIP's, always but by nat */
	const struct conf_name *host; /* in a pool: its address is one of this name's; the
					 endpoint has the port alone. NULL: it is a number */
	uint32_t seat;                /* which one */
	uint32_t weight;              /* 0..MAGLEV_MAX_WEIGHT; 0 = no new flows */
	struct conf_pin *pins;        /* l4; each prefix once in a service */
	unsigned n_pins;
	struct conf_server_id *server_ids; /* l4, hash = quic_cid; each once in a service */
	unsigned n_server_ids;
	uint32_t slot;   /* among all that are checked, from 1; 0: it is not (health_page.h) */
	uint32_t number; /* in a pool: position among the backends of all pools */

	/* In a pool; 0 = no limit. All threads together. */
	uint32_t max_conns;      /* connections with a request */
	uint32_t max_connecting; /* connections that are being made */
	uint32_t backup;         /* 1: takes requests only when no other one does */
	unsigned line;
};

/* Ways to choose a backend, see l7/balance.h. */
#define CONF_BALANCES(BALANCE)                                                                     \
	BALANCE(round_robin)                                                                       \
	BALANCE(least_conn)                                                                        \
	BALANCE(p2c)                                                                               \
	BALANCE(random)                                                                            \
	BALANCE(hash)

enum conf_balance {
#define BALANCE(name) CONF_BALANCE_##name,
	CONF_BALANCES(BALANCE)
#undef BALANCE
		CONF_BALANCE_COUNT
};

/* What of a request the balance hash goes by. */
enum conf_hash_by { CONF_HASH_ADDRESS, CONF_HASH_URI, CONF_HASH_HEADER, CONF_HASH_COOKIE };

/* What a request is sent to another backend for: bits. */
enum conf_retry_on {
	CONF_RETRY_CONNECT = 1, /* no connection */
	CONF_RETRY_CLOSED = 2,  /* it ended before there was a response */
	CONF_RETRY_TIMEOUT = 4, /* no response in time */
	CONF_RETRY_429 = 8,     /* and statuses */
	CONF_RETRY_500 = 16,
	CONF_RETRY_502 = 32,
	CONF_RETRY_503 = 64,
	CONF_RETRY_504 = 128,
	CONF_RETRY_5XX = 256,
};

#define CONF_HEDGE_P95 UINT32_MAX

struct conf_retry {
	uint32_t attempts; /* backends asked beyond the first: 3 */
	uint32_t budget;   /* percent of the requests */
	uint32_t on;       /* enum conf_retry_on; connect and closed */
	uint32_t hedge_ms; /* 0 = never; CONF_HEDGE_P95 = what 95 of 100 are faster than */
};

struct conf_outlier {
	bool on;
	uint32_t consecutive;      /* failures in a row: 5; 0 = any number */
	uint32_t interval_ms;      /* rates are compared each: 10s */
	uint32_t latency;          /* so many times that of the others: 3; 0 = any */
	uint32_t time_ms, most_ms; /* of an ejection, growing: 30s, 5m */
	uint32_t share;            /* percent of the backends that may be put aside: 50 */
};
struct conf_upstream_tls;

struct conf_pool {
	const char *name; /* unique among those that have names; else its service's */
	uint32_t index;   /* position in conf.pools */

	struct conf_backend *backends;
	unsigned n_backends;
	const struct conf_health *health;    /* how they are checked; NULL: they are not */
	const struct conf_upstream_tls *tls; /* NULL: they are spoken with in clear */

	enum conf_balance balance;
	enum conf_hash_by hash_by;
	const char *hash_name;  /* of the header or cookie, or NULL */
	uint32_t slow_start_ms; /* in so long a backend that comes back has its whole share; 0 */

	uint32_t proxy; /* version of the PROXY header ahead of each connection; 0 = none */
	struct conf_retry retry;
	struct conf_outlier outlier;

	uint32_t queue;          /* requests of a thread that wait for a backend: 0 = none */
	uint32_t queue_ms;       /* for so long: 1s */
	uint32_t retry_after_ms; /* what those are told who cannot wait: 1s */

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
