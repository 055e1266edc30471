// SPDX-License-Identifier: BSD-2-Clause
/*
 * Promises: answers are taken from whom was asked only, with the number and the question that
 * was sent (c-ares looks at these, RFC 5452); what does not fit a datagram is asked for by TCP.
 */
#include "resolve/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"

#define RESOLV_CONF "/etc/resolv.conf"

struct channel_socket {
	LIST_ENTRY(channel_socket) entry;
	struct channel *channel;
	struct event event;
	ares_socket_t fd;
};

/* ---- events --------------------------------------------------------------------------- */

static void clock_set(struct channel *c)
{
	struct timeval room, *wait = ares_timeout(c->ares, NULL, &room);

	if (wait)
		evtimer_add(&c->clock, wait);
	else
		evtimer_del(&c->clock);
}

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;

	(void)fd, (void)what;
	ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	clock_set(c);
}

/* The socket may be gone after that. */
static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = ((struct channel_socket *)arg)->channel;

	ares_process_fd(c->ares, what & EV_READ ? fd : ARES_SOCKET_BAD,
			what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	clock_set(c);
}

static struct channel_socket *socket_find(struct channel *c, ares_socket_t fd)
{
	struct channel_socket *s;

	LIST_FOREACH(s, &c->sockets, entry)
	if (s->fd == fd)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	*s = (struct channel_socket){.channel = c, .fd = fd};
	event_assign(&s->event, c->base, fd, 0, on_socket, s);
	LIST_INSERT_HEAD(&c->sockets, s, entry);
	return s;
}

/* Without memory nobody listens: the question ends by its clock. */
static void on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct channel_socket *s = socket_find(arg, fd);
	short what = (short)(EV_PERSIST | (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));

	if (!s)
		return;
	event_del(&s->event);
	if (readable || writable) {
		event_assign(&s->event, s->channel->base, fd, what, on_socket, s);
		event_add(&s->event, NULL);
		return;
	}
	LIST_REMOVE(s, entry);
	free(s);
}

/* ---- servers -------------------------------------------------------------------------- */

static int servers_set(const struct conf_resolver *conf, ares_channel ares)
{
	char all[CONF_MAX_SERVERS * (ENDPOINT_TEXT + 1)] = "", one[ENDPOINT_TEXT];

	for (unsigned i = 0; i < conf->n_servers; i++) {
		strcat(all, i ? "," : "");
		strcat(all, endpoint_format(&conf->servers[i], one));
	}
	return conf->n_servers ? ares_set_servers_ports_csv(ares, all) : ARES_SUCCESS;
}

static struct timespec resolv_conf_time(void)
{
	int fd = open(RESOLV_CONF, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st = {0};

	if (fd < 0 || fstat(fd, &st) != 0)
		st.st_mtim.tv_sec = 0;
	if (fd >= 0)
		close(fd);
	return st.st_mtim;
}

/* Names are whole: no list of domains is tried. */
static int ares_make(struct channel *c, ares_channel *ares)
{
	char files_first[] = "fb", servers_only[] = "b";
	struct ares_options o = {
		.flags = ARES_FLAG_NOSEARCH,
		.timeout = (int)c->conf->timeout_ms,
		.tries = (int)c->conf->attempts,
		.lookups = c->conf->hosts ? files_first : servers_only,
		.sock_state_cb = on_state,
		.sock_state_cb_data = c,
	};
	int rc = ares_init_options(ares, &o,
				   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
					   ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);

	if (rc != ARES_SUCCESS)
		return rc;
	rc = servers_set(c->conf, *ares);
	if (rc != ARES_SUCCESS)
		ares_destroy(*ares);
	return rc;
}

int channel_init(struct channel *c, const struct conf_resolver *conf, struct event_base *base)
{
	*c = (struct channel){.conf = conf, .base = base};
	LIST_INIT(&c->sockets);
	evtimer_assign(&c->clock, base, on_clock, c);
	c->read = resolv_conf_time();
	if (ares_make(c, &c->ares) == ARES_SUCCESS)
		return 0;
	c->ares = NULL;
	return -ENOMEM;
}

void channel_fini(struct channel *c)
{
	if (c->ares)
		ares_destroy(c->ares);
	if (c->base)
		evtimer_del(&c->clock);
	c->ares = NULL;
}

void channel_look(struct channel *c)
{
	struct timespec now = resolv_conf_time();
	ares_channel other, old = c->ares;

	if (c->conf->n_servers || (now.tv_sec == c->read.tv_sec && now.tv_nsec == c->read.tv_nsec))
		return;
	c->read = now;
	if (ares_make(c, &other) != ARES_SUCCESS)
		return;
	log_info("%s has changed and is read again", RESOLV_CONF);
	c->ares = other;
	ares_destroy(old);
	clock_set(c);
}

void channel_ask(struct channel *c, const char *name, int family, ares_addrinfo_callback done,
		 void *arg)
{
	const struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NOSORT, .ai_family = family, .ai_socktype = SOCK_STREAM};

	ares_getaddrinfo(c->ares, name, NULL, &hints, done, arg);
	clock_set(c);
}
