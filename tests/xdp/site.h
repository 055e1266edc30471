/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The l7 service "site" with somebody who listens, for tests of what the gate answers in the name
 * of the host's TCP stack: a socket on port 443 of its addresses in both families, which are the
 * host's own from site_open() on.
 */
#ifndef TESTS_XDP_SITE_H
#define TESTS_XDP_SITE_H

#include "scene.h"

#define SITE_MSS4  1460
#define SITE_MSS6  1440
#define SITE_SCALE 7 /* shift of windows */

/* Once; the host makes cookies, and its timestamps have no offset. */
void site_open(void);
void site_close(void); /* nobody listens any more */
/* What the service's entries say. */
void site_syncookie(enum sluice_syncookie mode, uint32_t rate);
/* What the gate takes the host's stack for. */
void site_says(bool timestamp, bool sack, bool scale);
void site_sysctl(const char *name, const char *value); /* of net.ipv4 */

/* Amid a flood, or not, from now on. */
void site_flooded(bool yes);
/* The second in which SYNs are counted goes on, however slow the machine. */
void site_hold(void);
/* The listener took a connection of its own: its descriptor, from the host to itself; with the
 * address that the client has. */
int site_connect(bool v6, struct sluice_flow *flow);

#endif
