/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the gate's maps hold, what a configuration asks for, and the list of edits between
 * the two. Pure: nothing here reads a map or the network (sync.h does).
 *
 * Identity: a service is its name, a backend is (service, address), a VIP entry is its key.
 * What keeps its identity keeps its id, so that counters and running flows stay true.
 */
#ifndef L4_PLAN_H
#define L4_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"
#include "conf/conf.h"

struct plan_service {
	char name[SLUICE_NAME];
	__u32 id;   /* 0 until plan_make has chosen one */
	__u32 kind; /* SLUICE_L7 | SLUICE_L4; 0 when no VIP entry tells (actual only) */
	__u32 mode; /* enum sluice_mode; actual: nat, or not known, since each backend has it */
	struct sluice_service entry; /* what its VIP entries say; not kind, id and ring_size */
	struct sluice_limit limit;   /* of each source */
	__u32 previous_ms;           /* how long its table is kept after a change */
	__u32 ring_size; /* wanted: as configured. Actual: length of `ring`; 0 = there is none */
	__u32 slots;     /* actual only: ring_size as it was configured, ring or not */
	__u32 *ring;     /* owned; wanted: filled by plan_make */
};

struct plan_backend {
	char name[SLUICE_NAME]; /* empty: an entry without label, left by a crash */
	__u32 id;
	__u32 service; /* wanted: index into services; actual: service id */
	__u32 weight;
	__u32 configured; /* weight by the file; `sluice backend` makes it differ */
	bool down;        /* as checks found it: no new flows, whatever its weight */
	bool keep_down;   /* wanted: as it runs; the file has it checked, but does not know */
	__u32 mode;       /* enum sluice_mode */
	__u32 udp_timeout_ms;
	__u16 mss;   /* 0 = any; SLUICE_MSS_AUTO */
	__be16 port; /* nat: that it listens on; 0 = the VIP's */
	__u32 flows; /* actual only: in the connection table, if the caller has counted */
	struct sluice_addr addr, src;
};

struct plan_vip {
	struct sluice_vip key;
	struct sluice_service value; /* wanted: id and ring_size are filled by plan_make */
	__u32 service;               /* wanted: index into services, or PLAN_MARKER */
};

/* What leads packets to a backend by themselves: their source, or the server ID of QUIC. */
struct plan_pin {
	struct cidr net; /* sources; or the ID, with its bits as prefix */
	__u8 server_id;  /* 0: sources; else the ID's rotation, + 1 */
	__u32 service;   /* wanted: index into services; actual: service id */
	__u32 backend;   /* wanted: index into backends; actual: backend id, 0 = gone */
};

/* An address that nat sends from. */
struct plan_source {
	struct sluice_addr addr;
	__u32 number; /* wanted: chosen by plan_make */
	bool pooled;  /* actual only: nat sends from it, and not only takes answers to it */
};

/* What nat's maps are made for; wanted: what they should be. */
struct plan_nat {
	__u32 sources, first, ports; /* addresses, and of each so many ports from the first on */
};

#define PLAN_MARKER UINT32_MAX /* the VIP's own entry, which stands for no one service */

/* Both the wanted and the actual state. Arrays are owned. */
struct plan_state {
	struct plan_service *services;
	size_t n_services;
	struct plan_backend *backends;
	size_t n_backends;
	struct plan_vip *vips;
	size_t n_vips;
	struct plan_pin *pins;
	size_t n_pins;
	struct sluice_addr *decap;
	size_t n_decap;
	struct plan_source sources[SLUICE_NAT_SOURCES];
	size_t n_sources;
	struct plan_nat nat;
};

void plan_state_fini(struct plan_state *s);
/* "ipip", "5tuple", ...; "?" for what is none. */
const char *plan_mode_name(__u32 mode);
const char *plan_hash_name(__u32 hash);
const char *plan_track_name(__u32 track);
#define PLAN_PIN_TEXT (ADDR_TEXT + 4)
/* "192.0.2.0/24" or "server_id 0:c0ffee" */
const char *plan_pin_text(const struct plan_pin *pin, char buf[PLAN_PIN_TEXT]);
const char *plan_syncookie_name(__u32 syncookie);
/* "10.0.0.11", or with its port where it has one: a backend's address, and its key in Maglev. */
const char *plan_backend_text(const struct plan_backend *b, char buf[ENDPOINT_TEXT]);
/* The VIP's own entry, by its key (abi.h). */
bool plan_is_marker(const struct plan_vip *vip);
/* An address and port that the file names, and not an entry beside those. */
bool plan_is_listen(const struct plan_vip *vip);

/*
 * The state that a file asks for. Sources of tunnels are left "any" where the file names
 * none: the caller finds them (sync.h). Refuses what the maps cannot hold. Listens on any
 * address are left out: the gate and steer work by address.
 */
int plan_want(struct plan_state *want, const struct conf *c, struct err *e);

/*
 * For a change that no file asks for: reduces what was read to one service, and fills `want`
 * with the very same. What the caller then changes in `want` is all that plan_make plans.
 */
int plan_keep(struct plan_state *want, struct plan_state *actual, __u32 service, struct err *e);

/* In the order in which they are safe to make: the gate never sees an entry that points to
 * something not yet there or already gone. */
enum plan_step {
	PLAN_ADD_SERVICE,
	PLAN_CHANGE_SERVICE, /* what is remembered of its file */
	PLAN_ADD_BACKEND,
	PLAN_CHANGE_BACKEND,
	PLAN_ADD_PIN,   /* or lead it elsewhere */
	PLAN_GROW_RING, /* longer, or of the same length */
	PLAN_ADD_SOURCE,
	PLAN_SET_POOL, /* of all sources: when the new can be answered, while the old still can */
	PLAN_ADD_VIP,
	PLAN_CHANGE_VIP,
	PLAN_ADD_DECAP,
	PLAN_SHRINK_RING, /* after the VIP entries have the smaller size */
	PLAN_REMOVE_DECAP,
	PLAN_REMOVE_VIP,
	PLAN_REMOVE_SOURCE,
	PLAN_REMOVE_PIN, /* after the VIP entries say that there is none */
	PLAN_REMOVE_RING,
	PLAN_REMOVE_BACKEND,
	PLAN_REMOVE_SERVICE,
};

struct plan_edit {
	enum plan_step step;
	const struct plan_service *service; /* NULL for decap, markers and orphans */
	const struct plan_service *old_service;
	const struct plan_backend *backend, *old_backend;
	const struct plan_vip *vip, *old_vip;
	const struct plan_pin *pin;
	const struct sluice_addr *decap;
	const struct plan_source *source;
	const struct plan_state *pool; /* whose sources are the pool's */
	__u32 slots_moved;             /* of a ring */
};

/* Edits borrow from the two states. */
struct plan {
	struct plan_edit *edits;
	size_t n;
};

/*
 * Gives ids to what `want` holds, builds its rings, and lists the edits from `actual` to
 * `want`, sorted by step. -E2BIG when ids run out; then nothing is planned.
 */
int plan_make(struct plan *p, struct plan_state *want, const struct plan_state *actual,
	      struct err *e);
void plan_fini(struct plan *p);

/* One line per edit that a person cares about: `+ service shop ...`, `~`, `-`. */
void plan_print(const struct plan *p, FILE *out);

#endif
