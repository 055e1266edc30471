/* SPDX-License-Identifier: BSD-2-Clause */
/* Names that workers ask for while requests wait: each question has one answer. */
#ifndef RESOLVE_QUESTIONS_H
#define RESOLVE_QUESTIONS_H

#include "base/lookup.h"
#include "resolve/channel.h"

struct questions {
	struct channel *channel;
	struct event *events; /* of the threads' sockets */
	unsigned n_events, running;
};

/* fds[0..n): one end of each thread's socketpair. 0 or -errno; questions_fini either way, after the
 * channel's end. */
int questions_init(struct questions *l, struct channel *channel, struct event_base *base,
		   const int *fds, unsigned n);
void questions_fini(struct questions *l);

#endif
