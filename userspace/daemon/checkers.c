// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: a checker from fork to waitpid, and its end of the control socket. Promises: what it
 * says is looked at as if it came from the network; one that talks nonsense is killed.
 */
#include "daemon/checkers.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "daemon/title.h"

#define PAUSE_FIRST_MS 1000
#define PAUSE_MOST_MS  30000
#define LONG_LIFE_MS   60000
#define MESSAGES       64 /* read in one turn of the loop */
#define SPARE_FILES    64

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- which checks whose ---------------------------------------------------------------- */

static bool is_its(const struct checkers_process *p, const struct check_target *t)
{
	return t->health && (t->health->type == CONF_HEALTH_exec) == p->exec;
}

int checkers_make(struct checkers *c, const struct check_target *targets, size_t n, uint32_t most)
{
	c->most = most;
	for (int i = 0; i < CHECKERS; i++) {
		struct checkers_process *p = &c->all[i];

		p->owner = c;
		p->exec = i == 1;
		p->control = -1;
		p->targets = calloc(n + 1, sizeof(*p->targets));
		p->slots = calloc(n + 1, sizeof(*p->slots));
		if (!p->targets || !p->slots)
			return -ENOMEM;
		for (uint32_t slot = 0; slot < n; slot++) {
			if (!is_its(p, &targets[slot]))
				continue;
			p->targets[p->n] = targets[slot];
			p->slots[p->n++] = slot;
		}
	}
	return 0;
}

static void control_close(struct checkers_process *p)
{
	if (p->on_control)
		event_free(p->on_control);
	p->on_control = NULL;
	if (p->control >= 0)
		close(p->control);
	p->control = -1;
}

void checkers_free(struct checkers *c)
{
	checkers_end(c);
	for (int i = 0; i < CHECKERS; i++) {
		free(c->all[i].targets);
		free(c->all[i].slots);
	}
}

static int by_slot(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* One that does not listen, or runs no more, is told by its targets when it starts again. */
static void move(struct checkers_process *p, uint32_t target, const struct endpoint *to)
{
	struct check_target *t = &p->targets[target];
	struct checker_msg msg = {.type = CHECKER_MSG_MOVE,
				  .size = sizeof(msg),
				  .target = target,
				  .to = *to,
				  .moves = ++t->moves};

	t->to = *to;
	if (p->pid == 0 || send(p->control, &msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL) ==
				   (ssize_t)sizeof(msg))
		return;
	log_err("checker pid=%d does not listen; another one is started", (int)p->pid);
	kill(p->pid, SIGKILL);
}

void checkers_move(struct checkers *c, uint32_t slot, const struct endpoint *to)
{
	for (int i = 0; i < CHECKERS; i++) {
		struct checkers_process *p = &c->all[i];
		const uint32_t *found =
			p->n ? bsearch(&slot, p->slots, p->n, sizeof(slot), by_slot) : NULL;

		if (found)
			move(p, (uint32_t)(found - p->slots), to);
	}
}

/* ---- what they say --------------------------------------------------------------------- */

static bool send_with(int control, const struct checker_msg *msg, int fd)
{
	char room[CMSG_SPACE(sizeof(fd))] = {0};
	struct iovec iov = {(void *)msg, sizeof(*msg)};
	struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (fd >= 0) {
		head.msg_control = room;
		head.msg_controllen = sizeof(room);
		c = CMSG_FIRSTHDR(&head);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(control, &head, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*msg);
}

/* It asks for few at a time (CHECKER_ASKING), so that there is room for the answers. */
static void socket_give(struct checkers_process *p, const struct checker_msg *asked)
{
	struct checker_msg answer = {
		.type = CHECKER_MSG_SOCKET, .size = sizeof(answer), .target = asked->target};
	int fd = p->owner->on_socket(p->owner->user, p->slots[asked->target]);

	answer.ok = fd >= 0;
	if (!send_with(p->control, &answer, fd))
		log_debug("checker pid=%d does not listen: %s", (int)p->pid, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static bool is_sound(const struct checkers_process *p, const struct checker_msg *msg, ssize_t n)
{
	return n == sizeof(*msg) && msg->size == sizeof(*msg) && msg->target < p->n &&
	       (msg->type == CHECKER_MSG_RESULT ||
		(msg->type == CHECKER_MSG_SOCKET && p->targets[msg->target].marked));
}

static void on_control(evutil_socket_t fd, short what, void *arg)
{
	struct checkers_process *p = arg;
	struct checker_msg msg;

	(void)what;
	for (int i = 0; i < MESSAGES; i++) {
		ssize_t n = recv(fd, &msg, sizeof(msg), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			event_del(p->on_control); /* waitpid tells the rest */
			return;
		}
		if (!is_sound(p, &msg, n)) {
			log_err("a message that is none from checker pid=%d bytes=%zd; it is "
				"killed",
				(int)p->pid, n);
			kill(p->pid, SIGKILL);
			event_del(p->on_control);
			return;
		}
		msg.why[sizeof(msg.why) - 1] = '\0';
		if (msg.type == CHECKER_MSG_SOCKET)
			socket_give(p, &msg);
		else if (msg.moves == p->targets[msg.target].moves)
			p->owner->on_result(p->owner->user, p->slots[msg.target], msg.ok, msg.ms,
					    msg.why);
	}
}

/* ---- a process ------------------------------------------------------------------------- */

/* Runs in the child. */
static int checker_main(const struct checkers_process *p, int control)
{
	const struct checkers *c = p->owner;
	const struct checker_start start = {
		.targets = p->targets, .n = p->n, .most = c->most, .control = control};
	struct jail jail = c->jail;
	int keep = control, rc;
	struct err e;

	title_set(p->exec ? "sluiced: programs that check" : "sluiced: checks");
	jail.files = c->most + SPARE_FILES;
	jail.any_call = p->exec;
	jail.n_roots = 0;
	rc = checker_prepare(&start, &e);
	rc = rc ? rc : jail_enter(&jail, &keep, 1, c->trap, &e);
	if (rc) {
		log_err("%s", e.text);
		return 1;
	}
	return checker_run(&start);
}

static int process_start(struct checkers_process *p, struct err *e)
{
	int pair[2];

	if (p->n == 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return err_set(e, errno, "cannot make a control socket: %s", strerror(errno));
	p->control = pair[0];
	p->on_control = event_new(p->owner->base, p->control, EV_READ | EV_PERSIST, on_control, p);
	p->pid = p->on_control && event_add(p->on_control, NULL) == 0 ? jail_fork() : -1;
	if (p->pid == 0)
		exit(checker_main(p, pair[1]));
	close(pair[1]);
	p->started_ms = now_ms();
	if (p->pid > 0)
		return 0;
	p->pid = 0;
	control_close(p);
	return err_set(e, EAGAIN, "cannot start a checker of backends");
}

static void restart_in(struct checkers_process *p, uint32_t ms)
{
	const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(p->restart, &wait);
}

static void restart_now(evutil_socket_t fd, short what, void *arg)
{
	struct checkers_process *p = arg;
	struct err e;

	(void)fd, (void)what;
	if (process_start(p, &e) == 0)
		return;
	log_err("%s", e.text);
	restart_in(p, PAUSE_MOST_MS);
}

int checkers_start(struct checkers *c, struct err *e)
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < CHECKERS; i++) {
		c->all[i].restart = evtimer_new(c->base, restart_now, &c->all[i]);
		rc = c->all[i].restart ? process_start(&c->all[i], e)
				       : err_set(e, ENOMEM, "out of memory");
	}
	return rc;
}

void checkers_end(struct checkers *c)
{
	c->ending = true;
	for (int i = 0; i < CHECKERS; i++) {
		struct checkers_process *p = &c->all[i];

		control_close(p); /* which it hears */
		if (p->restart)
			event_free(p->restart);
		p->restart = NULL;
	}
}

bool checkers_ended(struct checkers *c, pid_t pid, int status)
{
	for (int i = 0; i < CHECKERS; i++) {
		struct checkers_process *p = &c->all[i];
		bool long_life = now_ms() - p->started_ms >= LONG_LIFE_MS;
		uint32_t pause = long_life ? 0 : p->pause_ms;

		if (p->pid != pid)
			continue;
		p->pid = 0;
		control_close(p);
		if (c->ending)
			return true;
		log_err("checker pid=%d ended with %s=%d; states stay until another one has asked",
			(int)pid, WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		p->pause_ms = pause == 0                  ? PAUSE_FIRST_MS
			      : pause * 2 < PAUSE_MOST_MS ? pause * 2
							  : PAUSE_MOST_MS;
		restart_in(p, pause);
		return true;
	}
	return false;
}
