/* SPDX-License-Identifier: BSD-2-Clause */
/* c-ares in an event loop: its sockets and its clock, and the servers that it asks. */
#ifndef RESOLVE_CHANNEL_H
#define RESOLVE_CHANNEL_H

#include <ares.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include <event2/event_struct.h>

#include "conf/resolver.h"

struct channel {
	const struct conf_resolver *conf;
	struct event_base *base;
	ares_channel ares;
	struct event clock;
	LIST_HEAD(, channel_socket) sockets;
	struct timespec read; /* the resolv.conf that is in use, by its times */
};

/* 0 or -errno; channel_fini either way. */
int channel_init(struct channel *c, const struct conf_resolver *conf, struct event_base *base);
/* What was asked ends with ARES_EDESTRUCTION. */
void channel_fini(struct channel *c);
/* Takes up another resolv.conf, if there is one; what was asked ends as above. */
void channel_look(struct channel *c);
/* Asks for the addresses of a name, AF_INET or AF_INET6. The callback may come at once. */
void channel_ask(struct channel *c, const char *name, int family, ares_addrinfo_callback done,
		 void *arg);

#endif
