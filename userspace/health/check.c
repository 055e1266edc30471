// SPDX-License-Identifier: BSD-2-Clause
#include "health/check.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_stream(const struct conf_health *h)
{
	return h->type != CONF_HEALTH_dns && h->type != CONF_HEALTH_udp;
}

static bool is_http(const struct conf_health *h)
{
	return h->type == CONF_HEALTH_http || h->type == CONF_HEALTH_https;
}

int check_socket(const struct conf_health *h, const struct endpoint *to)
{
	int family = addr_is_v4(&to->addr) ? AF_INET : AF_INET6;
	int kind = is_stream(h) ? SOCK_STREAM : SOCK_DGRAM;
	int fd = socket(family, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd >= 0 ? fd : -errno;
}

/* ---- the end --------------------------------------------------------------------------- */

/* Reset, not closed in order: thousands of checks would leave as many ports behind in
 * TIME_WAIT, and what is to be known is known. */
static void socket_close(struct check *c)
{
	static const struct linger at_once = {.l_onoff = 1};

	tls_close(c->ssl);
	c->ssl = NULL;
	if (c->fd >= 0 && is_stream(c->target->health))
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void check_stop(struct check *c)
{
	if (!c->target)
		return;
	event_del(&c->deadline);
	if (c->fd >= 0)
		event_del(&c->io);
	if (c->target->health->type == CONF_HEALTH_exec)
		exec_stop(c);
	else
		socket_close(c);
	if (c->fd >= 0)
		close(c->fd);
	free(c->question);
	free(c->answer);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

void check_end(struct check *c, bool ok, const char *why)
{
	void (*done)(struct check *, bool, const char *) = c->done;
	char text[EXPECT_WHY];

	snprintf(text, sizeof(text), "%s", ok ? "" : why);
	check_stop(c);
	done(c, ok, text);
}

static void end_errno(struct check *c, const char *what, int errnum)
{
	char why[EXPECT_WHY];

	snprintf(why, sizeof(why), "%s: %s", what, strerror(errnum));
	check_end(c, false, why);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	static const char *const late[] = {
		[CHECK_CONNECTS] = "timed out while connecting",
		[CHECK_SHAKES] = "timed out in the TLS handshake",
		[CHECK_ASKS] = "timed out while asking",
		[CHECK_LISTENS] = "timed out without the expected answer",
		[CHECK_RUNS] = "timed out; it was killed",
	};
	struct check *c = arg;

	(void)fd, (void)what;
	check_end(c, false, late[c->phase]);
}

/* ---- the steps: each goes on to the next until one has to wait -------------------------- */

/* A socket that is connecting is asked by connecting again. */
static int step_connect(struct check *c)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&c->target->to, &ss);

	if (connect(c->fd, (struct sockaddr *)&ss, len) == 0 || errno == EISCONN)
		return 0;
	if (errno == EINPROGRESS || errno == EALREADY)
		return -EAGAIN;
	end_errno(c, "connect", errno);
	return -EPIPE;
}

static int step_shake(struct check *c)
{
	char why[TLS_WHY] = "TLS: closed in the handshake";
	int rc = tls_shake(c->ssl, why);

	if (rc > 0)
		return 0;
	if (rc == -EAGAIN)
		return rc;
	check_end(c, false, why);
	return -EPIPE;
}

static int bytes_send(struct check *c, const char *p, size_t len, char why[TLS_WHY])
{
	ssize_t n;

	if (c->ssl)
		return tls_write(c->ssl, p, len, why);
	n = send(c->fd, p, len, MSG_NOSIGNAL);
	if (n >= 0)
		return (int)n;
	if (errno == EAGAIN)
		return -EAGAIN;
	snprintf(why, TLS_WHY, "send: %s", strerror(errno));
	return -EPROTO;
}

static int step_ask(struct check *c)
{
	char why[TLS_WHY] = "closed before it was asked";

	while (c->sent < c->question_len) {
		int n = bytes_send(c, c->question + c->sent, c->question_len - c->sent, why);

		if (n == -EAGAIN)
			return n;
		if (n <= 0) {
			check_end(c, false, why);
			return -EPIPE;
		}
		c->sent += (size_t)n;
	}
	return 0;
}

static int bytes_receive(struct check *c, char *to, size_t room, char why[TLS_WHY])
{
	ssize_t n;

	if (c->ssl)
		return tls_read(c->ssl, to, room, why);
	n = recv(c->fd, to, room, 0);
	if (n >= 0)
		return (int)n;
	if (errno == EAGAIN)
		return -EAGAIN;
	snprintf(why, TLS_WHY, "no answer: %s", strerror(errno));
	return -EPROTO;
}

static enum expect_word judge(struct check *c, bool ended, char why[EXPECT_WHY])
{
	const struct conf_health *h = c->target->health;

	if (h->type == CONF_HEALTH_dns)
		return expect_dns(h, c->id, c->answer, c->answer_len, why);
	if (h->type == CONF_HEALTH_udp)
		return expect_udp(h, c->answer, c->answer_len, why);
	return expect_http(h, c->answer, c->answer_len, ended, why);
}

static int step_listen(struct check *c)
{
	bool stream = is_stream(c->target->health);
	char why[EXPECT_WHY];

	for (;;) {
		size_t at = stream ? c->answer_len : 0; /* a datagram stands by itself */
		int n = bytes_receive(c, c->answer + at, EXPECT_ANSWER - at, why);
		enum expect_word word;

		if (n == -EAGAIN)
			return n;
		if (n < 0) {
			check_end(c, false, why);
			return -EPIPE;
		}
		c->answer_len = at + (size_t)n;
		word = judge(c, stream && n == 0, why);
		if (word == EXPECT_MORE)
			continue;
		check_end(c, word == EXPECT_YES, why);
		return -EPIPE;
	}
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	static int (*const steps[])(struct check *) = {
		[CHECK_CONNECTS] = step_connect,
		[CHECK_SHAKES] = step_shake,
		[CHECK_ASKS] = step_ask,
		[CHECK_LISTENS] = step_listen,
	};
	struct check *c = arg;

	(void)fd, (void)what;
	while (steps[c->phase](c) == 0) {
		const struct conf_health *h = c->target->health;

		if (h->type == CONF_HEALTH_tcp) {
			check_end(c, true, "");
			return;
		}
		c->phase++;
		if (c->phase != CHECK_SHAKES)
			continue;
		if (h->type != CONF_HEALTH_https) {
			c->phase = CHECK_ASKS;
		} else if (!(c->ssl = tls_open(c->target->tls, c->fd))) {
			check_end(c, false, "out of memory");
			return;
		}
	}
}

/* ---- the beginning --------------------------------------------------------------------- */

static bool question_make(struct check *c)
{
	const struct conf_health *h = c->target->health;
	char host[ENDPOINT_TEXT];

	if (h->type == CONF_HEALTH_tcp)
		return true;
	c->question = malloc(EXPECT_QUESTION);
	c->answer = malloc(EXPECT_ANSWER);
	if (!c->question || !c->answer)
		return false;
	if (is_http(h)) {
		endpoint_format(&c->target->to, host);
		c->question_len = expect_http_ask(h, host, c->question);
	} else if (h->type == CONF_HEALTH_dns) {
		if (getrandom(&c->id, sizeof(c->id), 0) != sizeof(c->id))
			return false;
		c->question_len = expect_dns_ask(h, c->id, c->question);
	} else {
		memcpy(c->question, h->send.p, h->send.len);
		c->question_len = h->send.len;
	}
	return true;
}

void check_connect(struct check *c, int fd)
{
	int on = 1;

	c->fd = fd;
	if (is_stream(c->target->health))
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	event_assign(&c->io, event_get_base(&c->deadline), fd,
		     EV_READ | EV_WRITE | EV_ET | EV_PERSIST, on_io, c);
	if (!question_make(c) || event_add(&c->io, NULL) != 0)
		check_end(c, false, "out of memory");
	else
		on_io(fd, 0, c);
}

void check_start(struct check *c, struct event_base *base, const struct check_target *target,
		 void (*done)(struct check *, bool, const char *))
{
	const struct conf_health *h = target->health;
	const struct timeval wait = {.tv_sec = h->timeout_ms / 1000,
				     .tv_usec = h->timeout_ms % 1000 * 1000};
	int rc;

	*c = (struct check){.target = target, .done = done, .fd = -1};
	evtimer_assign(&c->deadline, base, on_deadline, c);
	evtimer_add(&c->deadline, &wait);
	if (target->marked)
		return;
	if (h->type == CONF_HEALTH_exec) {
		c->phase = CHECK_RUNS;
		rc = exec_start(c);
	} else {
		rc = check_socket(h, &target->to);
	}
	if (rc < 0)
		end_errno(c, h->type == CONF_HEALTH_exec ? h->command[0] : "socket", -rc);
	else if (h->type != CONF_HEALTH_exec)
		check_connect(c, rc);
}
