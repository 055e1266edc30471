// SPDX-License-Identifier: BSD-2-Clause
#include "resolve/questions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "resolve/seats.h"

#define IN_A_TURN 64 /* questions read, before other threads have theirs */

/* One question, while it runs. */
struct lookup {
	struct questions *owner;
	struct lookup_answer answer;
	struct sluice_addr addrs[2][LOOKUP_ADDRESSES]; /* IPv6, IPv4 */
	unsigned n[2], pending;
	int fd;
	bool late;
};

/* A thread that does not read has given up. */
static void answer_send(int fd, const struct lookup_answer *answer)
{
	if (send(fd, answer, sizeof(*answer), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

static void finish(struct lookup *l)
{
	struct lookup_answer *a = &l->answer;

	for (unsigned i = 0; i < LOOKUP_ADDRESSES; i++)
		for (unsigned k = 0; k < 2; k++)
			if (i < l->n[k] && a->n < LOOKUP_ADDRESSES)
				a->addrs[a->n++] = l->addrs[k][i];
	a->outcome = a->n ? LOOKUP_FOUND : l->late ? LOOKUP_TIMEOUT : LOOKUP_NONE;
	answer_send(l->fd, a);
	l->owner->running--;
	free(l);
}

static void addresses_take(struct lookup *l, const struct ares_addrinfo *info)
{
	struct endpoint ep;

	for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next) {
		unsigned k = n->ai_family == AF_INET;

		if (endpoint_from_sockaddr(&ep, n->ai_addr) && l->n[k] < LOOKUP_ADDRESSES)
			l->addrs[k][l->n[k]++] = ep.addr;
	}
}

static void on_found(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct lookup *l = arg;

	(void)timeouts;
	if (status == ARES_SUCCESS)
		addresses_take(l, info);
	ares_freeaddrinfo(info);
	l->late |= status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED ||
		   status == ARES_EDESTRUCTION;
	if (--l->pending == 0)
		finish(l);
}

static void ask(struct questions *ls, int fd, const struct lookup_question *q)
{
	struct lookup *l = ls->running < LOOKUP_MOST ? calloc(1, sizeof(*l)) : NULL;
	const struct lookup_answer busy = {
		.size = sizeof(busy), .id = q->id, .outcome = LOOKUP_BUSY};

	if (!l) {
		answer_send(fd, &busy);
		return;
	}
	*l = (struct lookup){.owner = ls,
			     .answer = {.size = sizeof(l->answer), .id = q->id},
			     .fd = fd,
			     .pending = 2};
	ls->running++;
	channel_ask(ls->channel, q->name, AF_INET6, on_found, l);
	channel_ask(ls->channel, q->name, AF_INET, on_found, l);
}

/* What is no question is passed over: who asks may be somebody else's by now. */
static void on_question(evutil_socket_t fd, short what, void *arg)
{
	struct questions *ls = arg;
	struct lookup_question q;

	(void)what;
	for (int i = 0; i < IN_A_TURN; i++) {
		ssize_t n = recv(fd, &q, sizeof(q), MSG_DONTWAIT | MSG_TRUNC);

		if (n <= 0)
			return;
		if (n == sizeof(q) && q.size == sizeof(q) && memchr(q.name, '\0', sizeof(q.name)))
			ask(ls, fd, &q);
	}
}

int questions_init(struct questions *l, struct channel *channel, struct event_base *base,
		   const int *fds, unsigned n)
{
	*l = (struct questions){.channel = channel, .events = calloc(n + 1, sizeof(*l->events))};
	if (!l->events)
		return -ENOMEM;
	for (; l->n_events < n; l->n_events++) {
		struct event *e = &l->events[l->n_events];

		if (event_assign(e, base, fds[l->n_events], EV_READ | EV_PERSIST, on_question, l) ||
		    event_add(e, NULL))
			return -ENOMEM;
	}
	return 0;
}

void questions_fini(struct questions *l)
{
	for (unsigned i = 0; i < l->n_events; i++)
		event_del(&l->events[i]);
	free(l->events);
	*l = (struct questions){0};
}
