/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One file for the CLI and the daemon, read into an immutable snapshot. A snapshot owns
 * everything it points to (one arena); it is shared read-only by all threads and freed
 * when its last reader is done.
 *
 * conf_load checks everything that can be checked without touching the system and reports
 * all mistakes in the order of lines, each as `file:line: what is wrong; what would be right`
 * (beyond a hundred they are only counted). One file at a time in a process: libConfuse's
 * scanner has state of its own.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/arena.h"
#include "conf/cache.h"
#include "conf/compress.h"
#include "conf/files.h"
#include "conf/log_format.h"
#include "conf/outgoing.h"
#include "conf/pool.h"
#include "conf/resolver.h"
#include "conf/route.h"
#include "conf/tls.h"
#include "sluice/nat.h"

#define CONF_MAX_THREADS SLUICE_MAX_WORKERS

struct conf_slot;

enum conf_mode { CONF_MODE_AUTO, CONF_MODE_NATIVE, CONF_MODE_GENERIC };

struct conf_nat_source {
	struct sluice_addr addr;
	unsigned line;
};

struct conf_listen {
	struct endpoint endpoint; /* port 0 = every port */
	uint8_t proto;            /* IPPROTO_TCP or IPPROTO_UDP; l7 is TCP */
	unsigned line;
};

/* What is taken of each source; 0: as many as there are. */
struct conf_limit {
	uint32_t packets, connections;           /* per second; new connections */
	uint32_t burst_ms;                       /* so much of a rate can be saved up: 1s */
	uint32_t source_prefix4, source_prefix6; /* that are one source: 32, 64 */
	unsigned line;                           /* 0: there is none */
};

struct conf_service {
	const char *name; /* unique; letters, digits, '-', '_', '.'; < SLUICE_NAME */
	uint32_t kind;    /* SLUICE_L7 or SLUICE_L4 */
	uint32_t index;   /* position in conf.services */

	struct conf_listen *listens;
	unsigned n_listens;
	struct conf_limit limit;

	struct conf_backend *backends; /* l4 */
	unsigned n_backends;
	const struct conf_health *health; /* l4: how they are checked; NULL: they are not */
	uint32_t ring_size;               /* l4: Maglev table size, a prime */
	uint32_t forward;                 /* l4: enum sluice_mode: how packets go to the backends */
	uint32_t hash;                    /* l4: enum sluice_hash: what of a flow chooses */
	uint32_t track;          /* l4: enum sluice_track: who enters the connection table */
	uint32_t previous_ms;    /* l4: how long a table is kept after a change: 10m; 0 = not */
	uint32_t udp_timeout_ms; /* l4: silence after which a UDP flow is a new one: 30s */
	bool fragments;          /* l4: taken; its flows have no ports */
	uint32_t mss;            /* l4: TCP segments at most; SLUICE_MSS_AUTO; 0 = any */

	uint32_t syncookie;      /* l7: enum sluice_syncookie: which SYNs the gate answers */
	uint32_t syncookie_rate; /* l7: SYNs per CPU and second, beyond which they are a flood */

	/* l7. Each limit has a default that suits a public site. */
	uint32_t accept_proxy; /* 1: trusted sources send a PROXY header */
	struct cidr *trusted;
	unsigned n_trusted;
	const struct conf_pool *pool; /* its own backends; NULL: l4 */
	uint32_t header_ms;           /* for a client to send a request head: 10s */
	uint32_t body_ms;             /* the longest silence within a body, either side: 60s */
	uint32_t idle_ms;             /* a kept-alive client connection without a request: 75s */
	uint32_t max_head;            /* bytes of a request or response head: 32k, at most 64k */
	uint32_t max_target;          /* bytes of a request's target: 16k */
	uint32_t max_fields;          /* header fields of a message: 100, at most 256 */
	uint32_t tunnel_ms;           /* silence after which a tunnel ends: 1h */
	uint32_t request_buffer;      /* bytes of a body read before a backend is asked: 0 */
	uint32_t response_buffer;     /* bytes that may wait for a slow client: 256k */
	bool websocket;               /* may be upgraded to */
	bool request_trailers;        /* go on to the backend */
	uint32_t max_requests;        /* on a client's connection; 0 = no limit */
	uint32_t min_rate;            /* bytes/s that a client gives and takes at least: 100 */
	uint64_t max_body;            /* bytes of a request body: 1g; 0 = no limit */
	bool trace;                   /* requests belong to traces (W3C Trace Context): no */
	bool merge_slashes;           /* empty segments of a path are gone: yes */
	struct cidr *id_from;         /* clients whose X-Request-ID is taken */
	unsigned n_id_from;
	struct conf_routes routes;
	const struct conf_tls *tls;           /* NULL: clients speak plain HTTP */
	const struct conf_outgoing *outgoing; /* kind = forward; NULL: it is none */
	struct conf_compress compress;

	struct conf_caching caching;

	unsigned line;
};

struct conf {
	struct arena arena;
	const char *path;

	/* gate */
	const char **interfaces;
	unsigned n_interfaces;
	enum conf_mode mode;
	uint32_t priority;    /* libxdp run priority: 50 */
	uint32_t max_conns;   /* connection table entries */
	uint32_t max_sources; /* sources that limits are counted for */
	uint32_t conn_rate;   /* new entries per CPU and second; more are hashed only */
	uint32_t event_every; /* one of this many dropped packets is sampled; 0 = none */
	struct sluice_addr source4, source6; /* outer source of tunnels; any = by route */
	struct sluice_addr *decap_from;      /* balancers whose tunnels are unwrapped here */
	unsigned n_decap_from;
	struct conf_nat_source nat_sources[SLUICE_NAT_SOURCES]; /* what nat sends from */
	unsigned n_nat_sources;
	uint32_t nat_first, nat_last; /* and its ports: 1024 to 32767 */

	/* daemon */
	const char *user;         /* account of the worker; "nobody" unless set */
	uint32_t threads;         /* 0 = number of CPUs */
	uint32_t max_connections; /* client connections per thread */
	uint64_t buffer_memory;   /* of bodies that wait, per thread: 64m */
	uint32_t drain_ms;        /* on SIGTERM, how long running requests may take: 30s */
	const char *access_log;   /* path, "stdout", "syslog", or NULL = off */
	struct log_format access_format;
	const char *hop_name;  /* pseudonym in Via: "sluice" */
	uint32_t max_checks;   /* of backends, at a time */
	const char *state_dir; /* of what outlives the daemon; NULL = off */

	/* The named ones, in the order of the file, and behind them those of l7 services. */
	struct conf_pool *pools;
	unsigned n_pools, n_named_pools;
	unsigned n_pool_backends; /* of all of them */
	bool has_unix;            /* one of them is a UNIX socket */
	struct conf_resolver resolver;
	struct conf_name *names; /* of backends */
	unsigned n_names;
	unsigned n_outgoing; /* services that look names up as clients ask for them */
	struct conf_cache *caches;
	unsigned n_caches, n_cachings; /* cachings: uses of caches */
	struct conf_service *services;
	unsigned n_services;
	uint32_t n_slots; /* backends that are checked */

	struct regex **regexes; /* of all routes */
	unsigned n_regexes;
	uint64_t template_names; /* in texts of all routes, see TEMPLATE_BIT */
	struct conf_file *roots; /* directories of all routes, each once */
	unsigned n_roots;

	/* conf_find's own */
	struct conf_slot *slots;
	uint32_t slots_mask;
};

/*
 * Reads path. On success returns the snapshot, which the caller frees. On any mistake
 * prints all of them to `complaints` (stderr usually) and returns NULL with errno
 * (EINVAL for content, else why the file could not be read).
 */
struct conf *conf_load(const char *path, FILE *complaints);
void conf_free(struct conf *c); /* NULL is fine */

/* The service that takes (addr, port, proto): exact, then any address, then every port of the
 * address, or NULL. O(1): a hash built at load. */
const struct conf_service *conf_find(const struct conf *c, const struct endpoint *local,
				     uint8_t proto);

#endif
