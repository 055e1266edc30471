// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: when which backend is checked. Each has a timer; when it fires, the check begins or
 * waits in line until another ends.
 * Cost: per backend 400 bytes, and while it is asked a socket and up to 33 KB.
 */
#include "health/checker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "health/state.h"

enum job_is { JOB_RESTS, JOB_WAITS, JOB_RUNS };

struct job {
	struct checker *owner;
	const struct check_target *target;
	struct check check;
	struct event due;
	TAILQ_ENTRY(job) line;
	uint64_t began_ms; /* CLOCK_MONOTONIC */
	enum job_is is;
	bool asking; /* for a socket */
};

struct checker {
	const struct checker_start *start;
	struct event_base *base;
	struct event control;
	struct job *jobs;
	TAILQ_HEAD(, job) waiting;
	uint32_t running, asking;
	uint64_t random;
	bool turning; /* the line is being served */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* xorshift64: for spreading checks in time, nothing else. */
static uint32_t random_next(struct checker *c)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return (uint32_t)(c->random >> 16);
}

static bool tell(const struct checker *c, const struct checker_msg *msg)
{
	if (send(c->start->control, msg, sizeof(*msg), MSG_NOSIGNAL) == sizeof(*msg))
		return true;
	event_base_loopbreak(c->base); /* there is no keeper */
	return false;
}

static uint32_t index_of(const struct job *j)
{
	return (uint32_t)(j - j->owner->jobs);
}

/* ---- a check --------------------------------------------------------------------------- */

static void serve(struct checker *c);

static void rest(struct job *j, uint32_t ms)
{
	const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	j->is = JOB_RESTS;
	evtimer_add(&j->due, &wait);
}

static void asked(struct job *j)
{
	j->owner->asking -= j->asking;
	j->asking = false;
}

static void on_done(struct check *check, bool ok, const char *why)
{
	struct job *j = (struct job *)((char *)check - offsetof(struct job, check));
	const struct conf_health *h = j->target->health;
	uint64_t took = now_ms() - j->began_ms;
	struct checker_msg msg = {.type = CHECKER_MSG_RESULT,
				  .size = sizeof(msg),
				  .target = index_of(j),
				  .ok = ok,
				  .ms = (uint32_t)took,
				  .moves = j->target->moves};
	uint32_t pause = health_pause_ms(h->interval_ms, h->jitter, random_next(j->owner));

	memcpy(msg.why, why, strnlen(why, sizeof(msg.why) - 1));
	asked(j);
	j->owner->running--;
	rest(j, took < pause ? pause - (uint32_t)took : 1);
	if (tell(j->owner, &msg))
		serve(j->owner);
}

static void begin(struct job *j)
{
	const struct checker_msg ask = {
		.type = CHECKER_MSG_SOCKET, .size = sizeof(ask), .target = index_of(j)};

	j->is = JOB_RUNS;
	j->owner->running++;
	j->began_ms = now_ms();
	if (j->target->marked) {
		j->asking = true;
		j->owner->asking++;
		tell(j->owner, &ask);
	}
	check_start(&j->check, j->owner->base, j->target, on_done);
}

/* One at a time, and not from within itself: a check may end as soon as it begins. */
static void serve(struct checker *c)
{
	struct job *j;

	if (c->turning)
		return;
	c->turning = true;
	while (c->running < c->start->most && (j = TAILQ_FIRST(&c->waiting)) &&
	       (!j->target->marked || c->asking < CHECKER_ASKING)) {
		TAILQ_REMOVE(&c->waiting, j, line);
		begin(j);
	}
	c->turning = false;
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
	struct job *j = arg;

	(void)fd, (void)what;
	j->is = JOB_WAITS;
	TAILQ_INSERT_TAIL(&j->owner->waiting, j, line);
	serve(j->owner);
}

/* ---- the keeper ------------------------------------------------------------------------ */

/* The descriptor beside a message, or -1. */
static int descriptor_of(struct msghdr *head)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(head);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void socket_here(struct checker *c, const struct checker_msg *msg, int fd)
{
	struct job *j = &c->jobs[msg->target];

	/* Its time may be over by now. */
	if (!j->asking) {
		if (fd >= 0)
			close(fd);
		return;
	}
	asked(j);
	if (fd >= 0)
		check_connect(&j->check, fd);
	else
		check_end(&j->check, false, "no socket for the way through the gate");
	serve(c);
}

/* What was heard of the old address is forgotten. */
static void move(struct checker *c, const struct checker_msg *msg)
{
	struct check_target *t = &c->start->targets[msg->target];
	struct job *j = &c->jobs[msg->target];

	if (j->is == JOB_RUNS) {
		check_stop(&j->check);
		asked(j);
		c->running--;
	} else if (j->is == JOB_WAITS) {
		TAILQ_REMOVE(&c->waiting, j, line);
	}
	j->is = JOB_RESTS;
	event_del(&j->due);
	t->to = msg->to;
	t->moves = msg->moves;
	if (!addr_is_any(&t->to.addr))
		rest(j, health_first_ms(t->health->interval_ms, random_next(c)));
	serve(c);
}

static void on_control(evutil_socket_t fd, short what, void *arg)
{
	struct checker *c = arg;
	struct checker_msg msg;
	char room[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&msg, sizeof(msg)};
	struct msghdr head = {.msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = room,
			      .msg_controllen = sizeof(room)};
	ssize_t n = recvmsg(fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* Without a keeper, and when it talks nonsense, there is nothing to stay for. */
	if (n != sizeof(msg) || msg.size != sizeof(msg) || msg.target >= c->start->n ||
	    (msg.type != CHECKER_MSG_SOCKET && msg.type != CHECKER_MSG_MOVE))
		event_base_loopbreak(c->base);
	else if (msg.type == CHECKER_MSG_MOVE)
		move(c, &msg);
	else
		socket_here(c, &msg, descriptor_of(&head));
}

/* ---- the process ----------------------------------------------------------------------- */

int checker_prepare(const struct checker_start *start, struct err *e)
{
	const struct conf_health *last = NULL;
	struct tls *tls = NULL;

	/* Backends of one section stand together. */
	for (size_t i = 0; i < start->n; i++) {
		struct check_target *t = &start->targets[i];

		if (t->health->type != CONF_HEALTH_https)
			continue;
		if (t->health != last)
			tls = tls_new(t->health, e);
		if (!tls)
			return -EINVAL;
		last = t->health;
		t->tls = tls;
	}
	return 0;
}

static void tls_free_all(const struct checker_start *start)
{
	struct tls *last = NULL;

	for (size_t i = 0; i < start->n; i++) {
		if (start->targets[i].tls != last)
			tls_free(start->targets[i].tls);
		last = start->targets[i].tls;
	}
}

static int jobs_make(struct checker *c)
{
	const struct checker_start *s = c->start;

	c->jobs = calloc(s->n + 1, sizeof(*c->jobs));
	if (!c->jobs)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		struct job *j = &c->jobs[i];

		j->owner = c;
		j->target = &s->targets[i];
		j->check.fd = -1;
		evtimer_assign(&j->due, c->base, on_due, j);
		if (!addr_is_any(&j->target->to.addr))
			rest(j, health_first_ms(j->target->health->interval_ms, random_next(c)));
	}
	return 0;
}

static int checker_init(struct checker *c)
{
	struct event_config *config = event_config_new();

	TAILQ_INIT(&c->waiting);
	if (getrandom(&c->random, sizeof(c->random), 0) != sizeof(c->random) || !c->random)
		c->random = 1;
	if (config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
	    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0)
		c->base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	if (!c->base)
		return -ENOMEM;
	event_assign(&c->control, c->base, c->start->control, EV_READ | EV_PERSIST, on_control, c);
	return event_add(&c->control, NULL) == 0 ? jobs_make(c) : -ENOMEM;
}

int checker_run(const struct checker_start *start)
{
	struct checker c = {.start = start};
	int rc = checker_init(&c);

	if (rc == 0 && event_base_dispatch(c.base) < 0)
		rc = -EIO;
	if (rc)
		log_err("backends cannot be checked: %s", strerror(-rc));
	for (size_t i = 0; c.jobs && i < start->n; i++) {
		check_stop(&c.jobs[i].check);
		event_del(&c.jobs[i].due);
	}
	free(c.jobs);
	tls_free_all(start);
	if (c.base)
		event_base_free(c.base);
	return rc ? 1 : 0;
}
