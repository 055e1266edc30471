/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's listening sockets. They belong to the keeper and outlive each worker: while
 * there is none, connections wait in the sockets' queues.
 */
#ifndef DAEMON_LISTENERS_H
#define DAEMON_LISTENERS_H

#include "base/err.h"
#include "conf/conf.h"
#include "l7/worker.h"

#define LISTENERS_BACKLOG                                                                          \
	4096 /* connections that wait for one thread; net.core.somaxconn caps it */

/*
 * items[0..n_steered) take what steer.h gives them, one for each thread, slot i is item i:
 * dual stack, on a loopback address and a port that nobody is told of. The rest are bound
 * to the configured addresses, one for each address and thread (SO_REUSEPORT).
 */
struct listeners {
	struct worker_listener *items;
	struct endpoint *bound; /* bound[i]: where items[i] is bound; any:0 for a steered one */
	size_t n, n_steered;
};

/*
 * Opens what the l7 services of c need. Steered: an address without a port of its own and
 * every address but the any-address need no socket of their own. What `old` (which may be
 * NULL) holds for the same place is shared with it, so that nothing queued is lost. 0 or
 * -errno, and then nothing is open.
 */
int listeners_open(struct listeners *l, const struct conf *c, unsigned threads, bool steered,
		   const struct listeners *old, struct err *e);
void listeners_close(struct listeners *l); /* a zeroed struct is fine */

#endif
