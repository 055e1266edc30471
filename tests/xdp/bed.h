/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A gate to send frames through: the program loaded with nothing pinned and attached nowhere,
 * in a network namespace of the test's own with two interfaces, neighbours and routes, so
 * that its route lookups have answers. Frames go in by BPF_PROG_RUN on one CPU. All of it
 * ends with the process.
 *
 * Services, in both families of "shop", by TCP and UDP port; the id is the port minus 79:
 */
#ifndef TESTS_XDP_BED_H
#define TESTS_XDP_BED_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"

#define BED_SERVICES(X)                                                                            \
	X(TO_B1, 80, "b1", 4)   /* a backend with an IPv4 address */                               \
	X(TO_B1_6, 81, "b1", 6) /* the same with IPv6 */                                           \
	X(TO_FAR, 82, "far", 4) /* behind the other interface, whose MTU is 1280 */                \
	X(TO_FAR_6, 83, "far", 6)                                                                  \
	X(TO_SILENT, 84, "silent", 4) /* on the wire, but its MAC is unknown */                    \
	X(TO_SILENT_6, 85, "silent", 6)                                                            \
	X(TO_LOST, 86, "lost", 4) /* no route */                                                   \
	X(TO_LOST_6, 87, "lost", 6)                                                                \
	X(TO_B2, 88, "b2", 4)                                                                      \
	X(TO_GONE, 89, "b2", 4)      /* the backend is not in use */                               \
	X(TO_NOBODY, 90, NULL, 4)    /* a table of zeros */                                        \
	X(WITHOUT_RING, 91, NULL, 4) /* no table at all */                                         \
	X(TO_ASKED, 92, "asked", 4)  /* its MAC was asked for in vain */                           \
	X(TO_ASKED_6, 93, "asked", 6)

/* Service ids, and ids of their backends. */
enum {
	BED_NONE,
#define X(name, port, host, family) name,
	BED_SERVICES(X)
#undef X
		BED_L7, /* site: 443; mixed: 443, with TO_B1 on 80; every: 443, TO_B2 on the rest */
	BED_FREE,       /* ids from here on are the test's */
};

#define BED_SEED      0x0123456789abcdefULL /* of the connection table */
#define BED_STEP_MS   1000                  /* what the gate takes a step of its stamps for */
#define BED_NAT_FIRST 2000

struct bed_tuning {
	uint32_t conn_rate, event_every;
	uint32_t max_conns; /* 0 = 4096; of sources, there is room for as many */
	uint32_t nat_ports; /* from BED_NAT_FIRST on, of "nat" in both families; 0 = no nat */
	bool rates_on;      /* known flows are held to limits too */
};

struct bed {
	int prog;
	const char *ingress; /* interface that frames come in by */
	bool same_wire;      /* b1 and b2 are behind it: a forwarded frame leaves by XDP_TX */
	struct sluice_counters *counters; /* of the CPU that runs the frames */
	struct sluice_conns *conns;       /* the connection table */
	uint32_t n_conns;                 /* its buckets */
	struct sluice_sources *sources;   /* the table of sources; as many lines */
};

extern struct bed bed;

/* NULL, or why there can be none here (no root, no BPF); other failures end the process. */
const char *bed_open(const struct bed_tuning *tuning);
void bed_close(void);

int bed_map(const char *name); /* descriptor */
void bed_vip(const char *host, bool v6, uint16_t port, uint8_t proto, uint32_t service,
	     uint32_t kind);
void bed_backend(uint32_t id, const char *host, bool v6, uint32_t generation, bool in_use);
/* ipip unless set; ids are set anew by bed_backend */
void bed_mode(uint32_t id, enum sluice_mode mode);
void bed_mss(uint32_t id, uint16_t mss); /* 0 unless set, likewise */
/* A new table for the service, swapped in. The vips entries say how long it is. */
void bed_ring(uint32_t service, const uint32_t *table, uint32_t size);
/* What the service takes of each source, or NULL; masks are filled in. Its VIP entries say that
 * there is a limit; the table of sources is emptied. */
void bed_limit(uint32_t service, const struct sluice_limit *limit);
void bed_empty_sources(void);
/* "block 203.0.113.0/24,allow 2001:db8::7/128 expired,feed 192.0.2.1": forever unless it says
 * `expired` or `later` (in an hour). */
void bed_list(const char *text);
void bed_unlist(const char *text); /* takes the same entries off again; of `feed`, all */
/* As "feed 203.0.113.0/24" above: the gate's feeds name that too; NULL: nothing any more. */
void bed_feed(const char *line);
/* Puts a sieve in place of what bed_feed made. */
struct sieve;
void bed_sieve(const struct sieve *s);
void bed_empty_conns(void);
/* A nat service of the shop, by TCP and UDP, whose one backend listens on that port (0 = the
 * VIP's); and no flow of it. */
void bed_nat_service(uint32_t id, bool v6, uint16_t vport, const char *host, uint16_t port);
void bed_empty_nat(void);
/* Each byte of the filters of VIPs: 0xff, as it is at first, lets everything through. */
void bed_filters(int byte);
unsigned bed_conns(void);     /* entries in the connection table */
void bed_forwarding(bool on); /* of the ingress interface; remembered next hops are forgotten */

struct run {
	int verdict;
	struct frame out;
};

/* One frame through the gate. meta is the size of XDP metadata before it, 0 for none.
 * 0 or -errno. */
int bed_run(const struct frame *in, uint32_t meta, struct run *run);
int bed_repeat(const struct frame *in, uint32_t times);

#endif
