// SPDX-License-Identifier: BSD-2-Clause
#include "l7/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

/* ---- one connection ------------------------------------------------------------------- */

static const struct conf_service *service_at(const struct conf *conf, const struct endpoint *local)
{
	const struct conf_service *s = conf_find(conf, local, IPPROTO_TCP);

	return s && s->kind == SLUICE_L7 ? s : NULL;
}

static const struct conf_service *service_of(const struct conf *conf, int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint local;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0 ||
	    !endpoint_from_sockaddr(&local, (struct sockaddr *)&ss))
		return NULL;
	return service_at(conf, &local);
}

static void welcome(const struct listener *at, int fd, const struct sockaddr *from)
{
	struct requests *rs = at->owner->requests;
	const struct conf_service *s = at->service ? at->service : service_of(rs->thread->conf, fd);
	struct endpoint peer;

	if (!s || !endpoint_from_sockaddr(&peer, from)) {
		close(fd);
		return;
	}
	request_accept(rs, fd, &peer, s);
}

/* ---- the queue ------------------------------------------------------------------------ */

static void pause_all(struct listen *l)
{
	static const struct timeval pause = {.tv_usec = LISTEN_PAUSE_MS * 1000};

	for (unsigned i = 0; i < l->n; i++)
		if (l->listeners[i].fd >= 0)
			event_del(&l->listeners[i].event);
	l->paused = true;
	evtimer_add(&l->resume, &pause);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct listen *l = arg;

	(void)fd, (void)what;
	l->paused = false;
	for (unsigned i = 0; i < l->n; i++)
		if (l->listeners[i].fd >= 0)
			event_add(&l->listeners[i].event, NULL);
}

/* Errors of one connection that was in the queue (accept(2)): the next one may be fine. */
static bool passing(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case ENETDOWN:
	case EPROTO:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case EPERM: /* a firewall's word */
		return true;
	default:
		return false;
	}
}

static bool full(const struct requests *rs)
{
	return rs->n >= rs->thread->conf->max_connections;
}

/* Takes at most `most` connections. False when there is none left, or no way to take it. */
static bool take(struct listener *from, unsigned most)
{
	static struct log_rate waiting, failed;
	struct listen *l = from->owner;
	struct requests *rs = l->requests;

	while (most) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		int fd;

		if (full(rs) && !requests_idle(rs)) {
			log_limited(&waiting, LOG_LEVEL_WARN,
				    "all connections are in use; new ones wait (max_connections)");
			pause_all(l);
			return false;
		}
		fd = accept4(from->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			if (full(rs))
				requests_reclaim(rs);
			welcome(from, fd, (struct sockaddr *)&ss);
			most--;
		} else if (errno == EAGAIN) {
			return false;
		} else if (!passing(errno)) {
			log_limited(&failed, LOG_LEVEL_ERR, "cannot accept connections: %s",
				    strerror(errno));
			pause_all(l);
			return false;
		}
	}
	return true;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct listener *from = arg;

	(void)fd, (void)what;
	thread_clock(from->owner->requests->thread);
	take(from, LISTEN_TURN);
}

/* ---- all ------------------------------------------------------------------------------ */

int listen_init(struct listen *l, struct requests *rs, const struct worker_listener *all, size_t n,
		unsigned thread)
{
	struct event_base *base = rs->thread->base;

	l->requests = rs;
	l->listeners = calloc(n ? n : 1, sizeof(l->listeners[0]));
	if (!l->listeners || evtimer_assign(&l->resume, base, on_resume, l) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct listener *one = &l->listeners[l->n];

		if (all[i].thread != thread)
			continue;
		one->fd = all[i].fd;
		one->owner = l;
		if (all[i].at.port)
			one->service = service_at(rs->thread->conf, &all[i].at);
		if (event_assign(&one->event, base, one->fd, EV_READ | EV_PERSIST, on_event, one) !=
			    0 ||
		    event_add(&one->event, NULL) != 0)
			return -ENOMEM;
		l->n++;
	}
	return 0;
}

void listen_drain(struct listen *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		while (!l->paused && take(&l->listeners[i], LISTEN_TURN))
			;
	}
	listen_fini(l);
}

void listen_fini(struct listen *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		event_del(&l->listeners[i].event);
		close(l->listeners[i].fd);
	}
	if (l->listeners && l->requests)
		event_del(&l->resume);
	l->n = 0;
	free(l->listeners);
	l->listeners = NULL;
}
