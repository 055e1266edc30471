/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steering: the sk_lookup program (bpf/steer.bpf.c) that hands every connection to an l7
 * VIP:port to one of the daemon's listening sockets, through the pinned SOCKMAP `workers`.
 * `sluice attach` loads it and pins its link, one per network namespace; sluiced only puts
 * sockets into the map.
 */
#ifndef L4_STEER_H
#define L4_STEER_H

#include "l4/gate.h"

/* Attaches the program to the caller's network namespace and pins program and link next to
 * the maps of the gate. Done before: replaces the program in the link. 0 or -errno. */
int steer_attach(struct err *e);
/* Unpins the link, which detaches. 0 also when there was none. */
int steer_detach(struct err *e);
/* Whether the link is pinned and steers the caller's network namespace. */
bool steer_attached(void);

/* Puts listeners[0..n) into slots 0..n-1 of `workers` and then publishes n in `meta`; slots
 * beyond are cleared. New connections go to them from then on; n = 0: to nobody. 0 or
 * -errno. Listening sockets alone, SLUICE_MAX_WORKERS at most. */
int steer_publish(const struct gate *g, const int *listeners, unsigned n, struct err *e);
/* Whether `workers` holds exactly these, as steer_publish left it. */
bool steer_holds(const struct gate *g, const int *listeners, unsigned n);
/* How many slots of `workers` hold an open socket, whosoever it is. */
unsigned steer_taken(const struct gate *g);

#endif
