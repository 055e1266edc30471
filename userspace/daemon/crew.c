// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: a worker process from fork to waitpid, and everything that it is given. Promises:
 * the worker inherits nothing of the keeper but its listening sockets, its end of the
 * control socket, the access log and stderr.
 */
#include "daemon/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "daemon/access_sink.h"
#include "daemon/title.h"
#include "l7/tickets.h"

#define PAUSE_FIRST_MS 1000
#define PAUSE_MOST_MS  30000
#define LONG_LIFE_MS   60000 /* after which a death is a new story */
/* The worker ends its connections itself when the time is over; then the keeper waits no
 * longer than this. */
#define DRAIN_GRACE_MS 1000

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- what a crew is made of ----------------------------------------------------------- */

static unsigned threads_wanted(const struct conf *c)
{
	cpu_set_t cpus;
	unsigned n = c->threads;

	if (n == 0)
		n = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
	return n < CONF_MAX_THREADS ? n : CONF_MAX_THREADS;
}

/* Two for each client connection, the pooled ones to backends (no more than clients, see
 * upstream.h), and a thread's own few. */
static rlim_t files_wanted(const struct conf *c, unsigned threads)
{
	uint64_t pooled = 0, sockets = 1;

	for (unsigned i = 0; i < c->n_services; i++) {
		const struct conf_service *s = &c->services[i];

		if (s->kind == SLUICE_L7)
			sockets += s->n_listens;
	}
	for (unsigned i = 0; i < c->n_pools; i++)
		pooled += (uint64_t)c->pools[i].n_backends * c->pools[i].upstream_idle_max;
	if (pooled > c->max_connections)
		pooled = c->max_connections;
	return threads * (2ULL * c->max_connections + pooled + sockets + 16) + 64 + CONF_MAX_ROOTS;
}

static bool has_l7(const struct conf *c)
{
	for (unsigned i = 0; i < c->n_services; i++)
		if (c->services[i].kind == SLUICE_L7)
			return true;
	return false;
}

static int nothing_to_do(const struct conf *c, struct err *e)
{
	return err_set(
		e, EINVAL,
		c->n_slots ? "%s has no l7 service, and l4 services are checked only where a gate "
			     "is attached (`sluice attach`)"
			   : "%s has no l7 service, so there is nothing to do here (l4 services "
			     "need no daemon but for health checks: `sluice apply`)",
		c->path);
}

static int caches_make(struct crew *crew, const struct conf *conf, struct err *e)
{
	if (!conf->n_caches)
		return 0;
	crew->caches_dir = conf->state_dir;
	if (crew->caches_dir &&
	    cache_page_make(&crew->caches, crew->caches_dir, conf->n_caches, e) == 0)
		return 0;
	if (crew->caches_dir)
		log_info("%s; `sluice cache stat` cannot show what caches count (daemon { state = "
			 "... })",
			 e->text);
	crew->caches_dir = NULL;
	return cache_page_make(&crew->caches, NULL, conf->n_caches, e);
}

void crew_publish(struct crew *crew)
{
	struct err e;

	if (crew->caches_dir && page_publish(crew->caches_dir, CACHE_PAGE_FILE, &e) != 0)
		log_err("%s", e.text);
}

int crew_make(struct crew **out, struct conf *conf, bool steered, const struct crew *old,
	      const struct tickets *tickets, struct err *e)
{
	struct crew *crew = calloc(1, sizeof(*crew));
	unsigned threads = threads_wanted(conf);
	int rc;

	*out = NULL;
	if (!crew)
		return err_set(e, ENOMEM, "out of memory");
	crew->control = crew->access_log = -1;
	crew->caches.fd = -1;
	crew->certs.keyring.fd = -1;
	crew->tickets = tickets;
	crew->threads = threads;
	crew->works = has_l7(conf);
	rc = names_make(&crew->names, conf, threads, old ? old->names : NULL, e);
	rc = rc ? rc
		: health_make(&crew->health, conf, steered, names_page(crew->names),
			      old ? old->health : NULL, e);
	rc = rc ? rc : caches_make(crew, conf, e);
	if (rc == 0 && crew->health)
		health_follow(crew->health, crew->names);
	if (rc == 0 && !crew->works && !(crew->health && steered))
		rc = nothing_to_do(conf, e);
	rc = rc ? rc : jail_prepare(&crew->jail, conf->user, files_wanted(conf, threads), e);
	crew->jail.unix_sockets = conf->has_unix;
	rc = rc ? rc : roots_open(&crew->roots, conf, e);
	crew->jail.roots = crew->roots.fds;
	crew->jail.n_roots = crew->roots.n;
	rc = rc ? rc : certs_read(&crew->certs, conf, old ? &old->certs : NULL, e);
	if (rc == 0) {
		crew->access_log =
			access_sink_again(conf->access_log, old ? old->conf->access_log : NULL,
					  old ? old->access_log : -1, e);
		if (crew->access_log < 0 && conf->access_log)
			rc = crew->access_log;
	}
	rc = rc ? rc
		: listeners_open(&crew->listeners, conf, threads, steered,
				 old ? &old->listeners : NULL, e);
	if (rc) {
		crew_free(crew);
		return rc;
	}
	crew->conf = conf;
	*out = crew;
	return 0;
}

static void control_close(struct crew *crew)
{
	if (crew->on_control)
		event_free(crew->on_control);
	if (crew->deadline)
		event_free(crew->deadline);
	crew->on_control = crew->deadline = NULL;
	if (crew->control >= 0)
		close(crew->control);
	crew->control = -1;
}

void crew_free(struct crew *crew)
{
	if (!crew)
		return;
	crew_kill(crew);
	control_close(crew);
	listeners_close(&crew->listeners);
	certs_fini(&crew->certs);
	roots_close(&crew->roots);
	if (crew->access_log >= 0)
		close(crew->access_log);
	cache_page_close(&crew->caches);
	names_free(crew->names);
	health_free(crew->health);
	conf_free(crew->conf);
	free(crew);
}

/* ---- the worker process --------------------------------------------------------------- */

/* Runs in the child. The keeper's event base is left alone: it shares its epoll instance. */
static int worker_main(const struct crew *crew, int control, bool trap)
{
	const struct listeners *l = &crew->listeners;
	struct health_page page = {.fd = -1};
	struct name_page names = {.fd = -1};
	size_t n_asking;
	const int *asking = names_asking(crew->names, &n_asking);
	const struct worker_start start = {
		.conf = crew->conf,
		.threads = crew->threads,
		.listeners = l->items,
		.n_listeners = l->n,
		.control = control,
		.access_log = crew->access_log,
		.health = &page,
		.names = &names,
		.caches = &crew->caches,
		.resolver = asking,
		.keyring = crew->certs.keyring.fd,
		.roots = crew->roots.fds,
		.tickets = crew->tickets->fd,
	};
	size_t n_keep = l->n + 4;
	int *keep = calloc(n_keep + crew->roots.n + n_asking, sizeof(*keep)), rc;
	struct err e;

	title_set("sluiced: worker");
	if (crew->health && health_page_map(&page, health_fd(crew->health)) != 0) {
		log_err("cannot see the states of backends");
		free(keep);
		return 1;
	}
	if (crew->names && name_page_map(&names, names_fd(crew->names)) != 0) {
		log_err("cannot see the addresses of names");
		free(keep);
		return 1;
	}
	if (!keep) {
		log_err("out of memory");
		return 1;
	}
	for (size_t i = 0; i < l->n; i++)
		keep[i] = l->items[i].fd;
	keep[l->n] = control;
	keep[l->n + 1] = crew->access_log;
	keep[l->n + 2] = start.keyring;
	keep[l->n + 3] = start.tickets;
	for (unsigned i = 0; i < crew->roots.n; i++)
		keep[n_keep++] = crew->roots.fds[i];
	for (size_t i = 0; i < n_asking; i++)
		keep[n_keep++] = asking[i];
	rc = jail_enter(&crew->jail, keep, n_keep, trap, &e);
	free(keep);
	if (rc) {
		log_err("%s", e.text);
		return 1;
	}
	return worker_run(&start);
}

/* A worker that talks nonsense is broken or somebody else's by now. */
static void control_read(evutil_socket_t fd, short what, void *arg)
{
	struct crew *crew = arg;
	struct worker_msg msg;
	ssize_t n = recv(fd, &msg, sizeof(msg), MSG_DONTWAIT | MSG_TRUNC);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		event_del(crew->on_control); /* waitpid tells the rest */
		return;
	}
	if (n != sizeof(msg) || msg.size != sizeof(msg) || msg.type != WORKER_MSG_READY) {
		log_err("a message that is none from worker pid=%d bytes=%zd; it is killed",
			(int)crew->pid, n);
		crew_kill(crew);
		return;
	}
	if (crew->ready)
		return;
	crew->ready = true;
	crew->on_ready(crew, crew->keeper);
}

static void deadline_over(evutil_socket_t fd, short what, void *arg)
{
	struct crew *crew = arg;

	(void)fd, (void)what;
	log_warn("worker pid=%d has not finished in time; it is killed", (int)crew->pid);
	crew_kill(crew);
}

static int control_watch(struct crew *crew, struct event_base *base)
{
	crew->on_control = event_new(base, crew->control, EV_READ | EV_PERSIST, control_read, crew);
	crew->deadline = evtimer_new(base, deadline_over, crew);
	if (!crew->on_control || !crew->deadline || event_add(crew->on_control, NULL) != 0)
		return -ENOMEM;
	return 0;
}

int crew_start(struct crew *crew, struct event_base *base, bool trap, struct err *e)
{
	int pair[2], rc = names_begin(crew->names, base, &crew->jail, trap, e);

	if (rc)
		return rc;
	if (!crew->works) {
		crew->ready = true;
		crew->on_ready(crew, crew->keeper);
		return 0;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return err_set(e, errno, "cannot make a control socket: %s", strerror(errno));
	crew->control = pair[0];
	rc = control_watch(crew, base);
	crew->pid = rc ? 0 : jail_fork();
	if (crew->pid == 0 && rc == 0)
		exit(worker_main(crew, pair[1], trap));
	close(pair[1]);
	if (rc == 0 && crew->pid > 0) {
		crew->ready = crew->draining = false;
		crew->started_ms = now_ms();
		log_debug("worker started pid=%d threads=%u", (int)crew->pid, crew->threads);
		return 0;
	}
	rc = rc ? rc : -errno;
	crew->pid = 0;
	control_close(crew);
	return err_set(e, -rc, "cannot start a worker: %s", strerror(-rc));
}

void crew_drain(struct crew *crew)
{
	const struct worker_msg msg = {.type = WORKER_MSG_DRAIN, .size = sizeof(msg)};
	uint64_t ms = (uint64_t)crew->conf->drain_ms + DRAIN_GRACE_MS;
	struct timeval wait = {.tv_sec = (time_t)(ms / 1000), .tv_usec = ms % 1000 * 1000};

	if (crew->pid == 0 || crew->draining)
		return;
	crew->draining = true;
	if (send(crew->control, &msg, sizeof(msg), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(msg))
		log_debug("worker pid=%d does not listen: %s", (int)crew->pid, strerror(errno));
	event_add(crew->deadline, &wait);
}

/* SCM_RIGHTS: the message and the descriptor arrive together or not at all. */
static bool file_send(const struct crew *crew, uint32_t type, int fd)
{
	struct worker_msg body = {.type = type, .size = sizeof(body)};
	struct iovec iov = {&body, sizeof(body)};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(fd))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(crew->control, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(body);
}

int crew_reopen(struct crew *crew, struct err *e)
{
	int fd = access_sink_open(crew->conf->access_log, e);

	if (fd < 0)
		return crew->conf->access_log ? fd : 0;
	if (crew->pid && !file_send(crew, WORKER_MSG_LOG, fd))
		log_warn("worker pid=%d does not listen: %s", (int)crew->pid, strerror(errno));
	close(crew->access_log);
	crew->access_log = fd;
	return 0;
}

void crew_look(struct crew *crew)
{
	if (!certs_look(&crew->certs, crew->conf))
		return;
	if (crew->pid && !file_send(crew, WORKER_MSG_KEYRING, crew->certs.keyring.fd))
		log_warn("worker pid=%d does not listen: %s", (int)crew->pid, strerror(errno));
	else
		log_info("certificates read again");
}

void crew_kill(struct crew *crew)
{
	if (crew->pid > 0)
		kill(crew->pid, SIGKILL);
}

/* ---- its end -------------------------------------------------------------------------- */

static void log_end(const struct crew *crew, int status)
{
	if (WIFSIGNALED(status))
		log_err("worker pid=%d was ended by signal=%d (%s)%s", (int)crew->pid,
			WTERMSIG(status), strsignal(WTERMSIG(status)),
			WTERMSIG(status) == SIGSYS
				? ": a system call that it must not make; the kernel log names it, "
				  "and so does sluiced -d"
				: "");
	else if (WEXITSTATUS(status) || !crew->draining)
		log_err("worker pid=%d ended with status=%d", (int)crew->pid, WEXITSTATUS(status));
	else
		log_debug("worker pid=%d has drained", (int)crew->pid);
}

uint32_t crew_ended(struct crew *crew, int status)
{
	bool long_life = now_ms() - crew->started_ms >= LONG_LIFE_MS;
	uint32_t pause = long_life ? 0 : crew->pause_ms;

	log_end(crew, status);
	crew->pid = 0;
	control_close(crew);
	/* At once, 1 s, 2 s, ... */
	crew->pause_ms = pause == 0 ? PAUSE_FIRST_MS : pause * 2;
	if (crew->pause_ms > PAUSE_MOST_MS)
		crew->pause_ms = PAUSE_MOST_MS;
	return pause;
}
