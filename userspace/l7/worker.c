// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the worker's threads. The main thread carries no traffic: it waits for the keeper's
 * word and for the threads. They share nothing but the configuration and two flags.
 */
#include "l7/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "l7/caching.h"
#include "l7/listen.h"

struct crewman {
	struct thread thread;
	struct requests requests;
	struct listen listen;
	struct event wake, tick;
	int wake_fd; /* eventfd: drain, or something for those who wait */
	uint64_t drain_end;
	pthread_t id;
	bool started;
	struct worker *worker;
};

struct worker {
	const struct worker_start *start;
	struct crewman *crew;
	struct pool_shared shared;
	int *wake_fds; /* of the crew */
	struct caches caches;
	uint64_t reported_ms; /* the first thread's: when it last told what they count */
	atomic_bool drain;
	struct tls_shared tls;
	int done_fd; /* eventfd: each thread that ends adds one */
};

/* ---- a thread ------------------------------------------------------------------------- */

static void end_if_done(struct crewman *m)
{
	if (m->thread.draining && (m->requests.n == 0 || m->thread.now_ms >= m->drain_end))
		event_base_loopbreak(m->thread.base);
}

#define REPORT_MS 1000

static void report(struct crewman *m)
{
	struct worker *w = m->worker;

	if (m->thread.index || m->thread.now_ms - w->reported_ms < REPORT_MS)
		return;
	w->reported_ms = m->thread.now_ms;
	caches_report(&w->caches, w->start->conf, w->start->caches);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct crewman *m = arg;

	(void)fd, (void)what;
	thread_clock(&m->thread);
	wheel_turn(&m->thread.wheel, m->thread.now_ms);
	upstreams_serve(&m->requests.upstreams);
	access_flush(&m->thread.access);
	report(m);
	end_if_done(m);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct crewman *m = arg;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) < 0)
		return;
	thread_clock(&m->thread);
	upstreams_serve(&m->requests.upstreams);
	if (!atomic_load(&m->worker->drain) || m->thread.draining)
		return;
	m->drain_end = m->thread.now_ms + m->thread.conf->drain_ms;
	listen_drain(&m->listen);
	requests_drain(&m->requests);
	end_if_done(m);
}

static void *thread_main(void *arg)
{
	struct crewman *m = arg;
	const uint64_t one = 1;

	event_base_dispatch(m->thread.base);
	requests_fini(&m->requests);
	access_flush(&m->thread.access);
	if (write(m->worker->done_fd, &one, sizeof(one)) < 0)
		log_err("a thread cannot tell that it has ended: %s", strerror(errno));
	return NULL;
}

static int crewman_init(struct crewman *m, struct worker *w, unsigned index)
{
	static const struct timeval period = {.tv_usec = WHEEL_MS * 1000};
	const struct worker_start *s = w->start;
	int rc;

	m->worker = w;
	m->wake_fd = w->wake_fds[index] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	m->thread.shared = &w->shared;
	m->thread.index = index;
	rc = m->wake_fd < 0 ? -errno : thread_init(&m->thread, s->conf, s->access_log);
	m->thread.names = s->names;
	m->thread.namer.fd = -1;
	rc = rc ? rc
		: namer_init(&m->thread.namer, m->thread.base,
			     s->resolver ? s->resolver[index] : -1);
	rc = rc ? rc : tls_thread_init(&m->thread.tls, &m->thread, &w->tls);
	rc = rc ? rc : requests_init(&m->requests, &m->thread);
	rc = rc ? rc : listen_init(&m->listen, &m->requests, s->listeners, s->n_listeners, index);
	if (rc)
		return rc;
	m->thread.health = s->health;
	m->thread.roots = s->roots;
	m->thread.caches = &w->caches;
	if (event_assign(&m->wake, m->thread.base, m->wake_fd, EV_READ | EV_PERSIST, on_wake, m) ||
	    event_assign(&m->tick, m->thread.base, -1, EV_PERSIST, on_tick, m) ||
	    event_add(&m->wake, NULL) || event_add(&m->tick, &period))
		return -ENOMEM;
	return 0;
}

static void crewman_fini(struct crewman *m)
{
	if (m->started)
		pthread_join(m->id, NULL);
	if (m->requests.thread) {
		requests_fini(&m->requests);
		listen_fini(&m->listen);
	}
	namer_fini(&m->thread.namer);
	tls_thread_fini(&m->thread.tls);
	thread_fini(&m->thread);
	if (m->worker && m->wake_fd >= 0)
		close(m->wake_fd);
}

/* ---- the process ---------------------------------------------------------------------- */

static int shared_init(struct worker *w)
{
	const struct conf *conf = w->start->conf;
	struct pool_shared *s = &w->shared;
	unsigned n = w->start->threads;

	s->n_threads = n;
	s->used = calloc((size_t)conf->n_pool_backends + 1, sizeof(*s->used));
	s->waiting = calloc(((size_t)conf->n_pools + 1) * n, sizeof(*s->waiting));
	s->wake_fds = w->wake_fds = calloc(n, sizeof(*w->wake_fds));
	return s->used && s->waiting && s->wake_fds ? 0 : -ENOMEM;
}

static void shared_fini(struct worker *w)
{
	free(w->shared.used);
	free(w->shared.waiting);
	free(w->wake_fds);
}

static int threads_start(struct worker *w)
{
	unsigned n = w->start->threads;
	int rc = shared_init(w);

	for (unsigned i = 0; rc == 0 && i < n; i++)
		rc = crewman_init(&w->crew[i], w, i);
	/* None runs before all can: a queue that nobody reads would hold connections back. */
	for (unsigned i = 0; rc == 0 && i < n; i++) {
		rc = -pthread_create(&w->crew[i].id, NULL, thread_main, &w->crew[i]);
		w->crew[i].started = rc == 0;
	}
	return rc;
}

static void drain(struct worker *w)
{
	const uint64_t one = 1;

	if (atomic_exchange(&w->drain, true))
		return;
	for (unsigned i = 0; i < w->start->threads; i++)
		if (w->crew[i].started && write(w->crew[i].wake_fd, &one, sizeof(one)) < 0)
			log_err("cannot wake a thread: %s", strerror(errno));
}

/* What came with a message, or -1. */
static int message_file(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* The descriptor keeps its number, so no thread is asked; each line goes into either file. */
static void log_replace(const struct worker *w, int fd)
{
	if (fd < 0)
		return;
	if (w->start->access_log >= 0 && dup3(fd, w->start->access_log, O_CLOEXEC) < 0)
		log_err("cannot go on in the new access log: %s", strerror(errno));
	close(fd);
}

/* Threads take it up with their next handshake. */
static void keyring_replace(struct worker *w, int fd)
{
	int rc;

	if (fd < 0)
		return;
	rc = tls_shared_set(&w->tls, fd);
	if (rc)
		log_err("cannot use the new certificates: %s", strerror(-rc));
	close(fd);
}

static int tls_start(struct worker *w)
{
	const struct worker_start *s = w->start;
	int rc = s->keyring >= 0 ? tls_shared_set(&w->tls, s->keyring) : 0;

	return rc == 0 && s->tickets >= 0 ? tickets_map(&w->tls.tickets, s->tickets) : rc;
}

/* False: there is nothing more to be heard. */
static bool hear_keeper(struct worker *w)
{
	struct worker_msg body;
	struct iovec iov = {&body, sizeof(body)};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(w->start->control, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n == sizeof(body) && body.size == sizeof(body) && body.type == WORKER_MSG_LOG) {
		log_replace(w, message_file(&msg));
		return true;
	}
	if (n == sizeof(body) && body.size == sizeof(body) && body.type == WORKER_MSG_KEYRING) {
		keyring_replace(w, message_file(&msg));
		return true;
	}
	/* Without a keeper, and when it talks nonsense, there is nothing to stay for. */
	if (n != sizeof(body) || body.size != sizeof(body) || body.type != WORKER_MSG_DRAIN) {
		log_debug("the keeper is gone: draining");
		drain(w);
		return false;
	}
	drain(w);
	return true; /* the log may be opened again until the end */
}

/* Until all threads have ended. */
static void follow_keeper(struct worker *w)
{
	struct pollfd fds[2] = {{.fd = w->done_fd, .events = POLLIN},
				{.fd = w->start->control, .events = POLLIN}};
	uint64_t ended = 0, n;

	while (ended < w->start->threads) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents && read(w->done_fd, &n, sizeof(n)) == sizeof(n))
			ended += n;
		if (fds[1].revents && !hear_keeper(w))
			fds[1].fd = -1;
	}
}

int worker_run(const struct worker_start *start)
{
	const struct worker_msg ready = {.type = WORKER_MSG_READY, .size = sizeof(ready)};
	struct worker w = {.start = start,
			   .crew = calloc(start->threads, sizeof(*w.crew)),
			   .done_fd = eventfd(0, EFD_CLOEXEC)};
	int rc = w.crew && w.done_fd >= 0 ? caches_init(&w.caches, start->conf) : -ENOMEM;

	tls_shared_init(&w.tls);
	rc = rc ? rc : tls_start(&w);
	rc = rc ? rc : threads_start(&w);
	if (rc == 0 && send(start->control, &ready, sizeof(ready), MSG_NOSIGNAL) != sizeof(ready))
		log_debug("the keeper is gone: draining");
	if (rc == 0)
		follow_keeper(&w);
	else
		log_err("cannot start: %s", strerror(-rc));
	drain(&w);
	for (unsigned i = 0; w.crew && i < start->threads; i++)
		crewman_fini(&w.crew[i]);
	free(w.crew);
	shared_fini(&w);
	tls_shared_fini(&w.tls);
	caches_fini(&w.caches);
	if (w.done_fd >= 0)
		close(w.done_fd);
	return rc ? 1 : 0;
}
