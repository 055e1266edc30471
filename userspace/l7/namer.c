// SPDX-License-Identifier: BSD-2-Clause
#include "l7/namer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define IN_A_TURN 64 /* answers */

static struct namer_query **place_of(struct namer *n, uint32_t id)
{
	return &n->waiting[id % LOOKUP_THREAD];
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct namer *n = arg;
	struct lookup_answer answer;

	(void)what;
	for (int i = 0; i < IN_A_TURN; i++) {
		ssize_t len = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC);
		struct namer_query *q;

		if (len <= 0)
			return;
		if (len != sizeof(answer) || answer.size != sizeof(answer) ||
		    answer.n > LOOKUP_ADDRESSES)
			continue;
		q = *place_of(n, answer.id);
		/* The worker before this one asked, or its time is over. */
		if (!q || q->id != answer.id)
			continue;
		namer_stop(n, q);
		q->done(q, &answer);
	}
}

int namer_init(struct namer *n, struct event_base *base, int fd)
{
	n->fd = fd;
	if (fd < 0)
		return 0;
	/* Another worker's answers may be on their way still. */
	if (getrandom(&n->last, sizeof(n->last), 0) != sizeof(n->last))
		return -EIO;
	if (event_assign(&n->event, base, fd, EV_READ | EV_PERSIST, on_answer, n) != 0 ||
	    event_add(&n->event, NULL) != 0)
		return -ENOMEM;
	return 0;
}

void namer_fini(struct namer *n)
{
	if (n->event.ev_base)
		event_del(&n->event);
}

/* The next one whose place is free. */
static uint32_t id_find(struct namer *n)
{
	for (unsigned i = 0; i < LOOKUP_THREAD; i++)
		if (++n->last && !*place_of(n, n->last))
			return n->last;
	return 0;
}

bool namer_ask(struct namer *n, struct namer_query *q, const char *name)
{
	struct lookup_question question = {.size = sizeof(question), .id = id_find(n)};

	if (!question.id || n->fd < 0)
		return false;
	snprintf(question.name, sizeof(question.name), "%s", name);
	if (send(n->fd, &question, sizeof(question), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return false;
	q->id = question.id;
	*place_of(n, q->id) = q;
	return true;
}

void namer_stop(struct namer *n, struct namer_query *q)
{
	if (!q->id)
		return;
	*place_of(n, q->id) = NULL;
	q->id = 0;
}
