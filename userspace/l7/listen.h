/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking connections from listening sockets, for one thread: a few per turn of the loop,
 * none while the thread has as many as it may have or the process is out of descriptors;
 * then they wait in the kernel's queue (its bound is the backlog).
 */
#ifndef L7_LISTEN_H
#define L7_LISTEN_H

#include "l7/request.h"
#include "l7/worker.h"

#define LISTEN_TURN     16  /* connections taken in one go */
#define LISTEN_PAUSE_MS 100 /* until it is tried again, when there is no descriptor */

struct listener {
	int fd; /* owned; -1 = closed */
	struct listen *owner;
	const struct conf_service *service; /* of all its connections; NULL: each is asked */
	struct event event;
};

struct listen {
	struct requests *requests;
	struct listener *listeners;
	unsigned n;
	bool paused;
	struct event resume;
};

/* Takes over those of all[0..n) that are of this thread. 0 or -ENOMEM; listen_fini either way. */
int listen_init(struct listen *l, struct requests *rs, const struct worker_listener *all, size_t n,
		unsigned thread);
/* Takes what waits in the queues, then closes them. */
void listen_drain(struct listen *l);
void listen_fini(struct listen *l);

#endif
