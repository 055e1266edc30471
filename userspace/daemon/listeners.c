// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: opening listening sockets, and saying what would mend it when one cannot be opened.
 * Promises: two daemons never share an address by accident, although SO_REUSEPORT would let
 * them; every socket is non-blocking and closed on exec.
 */
#include "daemon/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int set_on(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) == 0 ? 0 : -errno;
}

/* ---- bound to configured addresses ---------------------------------------------------- */

static int socket_bind(const struct endpoint *at, bool shared)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(at, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int rc = fd < 0 ? -errno : set_on(fd, SOL_SOCKET, SO_REUSEADDR);

	if (rc == 0 && shared)
		rc = set_on(fd, SOL_SOCKET, SO_REUSEPORT);
	if (rc == 0 && ss.ss_family == AF_INET6)
		rc = set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (rc == 0 && bind(fd, (struct sockaddr *)&ss, len) != 0)
		rc = -errno;
	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Accepted sockets inherit TCP_NODELAY, which spares a call for each. */
static int socket_listen(int fd)
{
	int rc = set_on(fd, IPPROTO_TCP, TCP_NODELAY);

	if (rc == 0 && listen(fd, LISTENERS_BACKLOG) != 0)
		rc = -errno;
	return rc;
}

static int bind_failed(const struct conf *c, const struct conf_listen *l, int errnum, struct err *e)
{
	const char *mend = "";
	char text[ENDPOINT_TEXT];

	switch (errnum) {
	case EADDRNOTAVAIL:
		mend = "; it is not an address of this host: add it (`ip address add`), or attach "
		       "the "
		       "gate, which makes it local";
		break;
	case EADDRINUSE:
		mend = "; another program listens there (`ss -ltnp` shows it)";
		break;
	case EACCES:
		mend = "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
		break;
	case EAFNOSUPPORT:
		mend = "; this host has no IPv6";
		break;
	}
	return err_set(e, errnum, "%s:%u: cannot listen on %s: %s%s", c->path, l->line,
		       endpoint_format(&l->endpoint, text), strerror(errnum), mend);
}

/* SO_REUSEPORT would also let in a second daemon of the same account. */
static int check_free(const struct endpoint *at)
{
	int fd = socket_bind(at, false);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* The same socket once more, for a second owner. */
static int socket_share(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy >= 0 ? copy : -errno;
}

static int find_old(const struct listeners *old, const struct endpoint *at, unsigned thread)
{
	for (size_t i = old ? old->n_steered : 0; old && i < old->n; i++)
		if (old->items[i].thread == thread && old->bound[i].port == at->port &&
		    addr_equal(&old->bound[i].addr, &at->addr))
			return old->items[i].fd;
	return -1;
}

static void listeners_add(struct listeners *l, int fd, unsigned thread, const struct endpoint *at)
{
	l->items[l->n] = (struct worker_listener){.fd = fd, .thread = thread};
	if (!addr_is_any(&at->addr))
		l->items[l->n].at = *at;
	l->bound[l->n] = *at;
	l->n++;
}

static int open_bound(struct listeners *l, const struct conf_listen *listen, unsigned threads,
		      const struct listeners *old)
{
	const struct endpoint *at = &listen->endpoint;
	bool known = find_old(old, at, 0) >= 0;
	int rc = known ? 0 : check_free(at);

	for (unsigned t = 0; rc == 0 && t < threads; t++) {
		int fd = find_old(old, at, t);

		fd = fd >= 0 ? socket_share(fd) : socket_bind(at, true);
		if (fd < 0)
			return fd;
		listeners_add(l, fd, t, at);
		rc = socket_listen(fd);
	}
	return rc;
}

/* ---- steered -------------------------------------------------------------------------- */

/*
 * Bound to a v4-mapped loopback address: an AF_INET6 socket on ::1 would turn v6-only, and
 * one on :: could be reached from outside at its port. The address does not matter to
 * steering. Without IPv6 in the kernel, IPv4 alone is steered.
 */
static int steered_socket(void)
{
	static const struct sockaddr_in6 mapped = {
		.sin6_family = AF_INET6,
		.sin6_addr.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1},
	};
	static const struct sockaddr_in plain = {.sin_family = AF_INET,
						 .sin_addr.s_addr = __builtin_bswap32(0x7f000001)};
	const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
	int fd = socket(AF_INET6, type, IPPROTO_TCP), off = 0, rc;

	if (fd >= 0) {
		rc = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		rc = rc ? rc : bind(fd, (const struct sockaddr *)&mapped, sizeof(mapped));
	} else {
		fd = socket(AF_INET, type, IPPROTO_TCP);
		if (fd < 0)
			return -errno;
		rc = bind(fd, (const struct sockaddr *)&plain, sizeof(plain));
	}
	rc = rc ? -errno : socket_listen(fd);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

static int open_steered(struct listeners *l, unsigned threads, const struct listeners *old,
			struct err *e)
{
	static const struct endpoint none;

	for (unsigned t = 0; t < threads; t++) {
		int fd = old && t < old->n_steered ? socket_share(old->items[t].fd)
						   : steered_socket();

		if (fd < 0)
			return err_set(e, -fd, "cannot open a socket for steering: %s",
				       strerror(-fd));
		listeners_add(l, fd, t, &none);
		l->n_steered++;
	}
	return 0;
}

/* ---- all ------------------------------------------------------------------------------ */

static int open_service(struct listeners *l, const struct conf *c, const struct conf_service *s,
			unsigned threads, const struct listeners *old, struct err *e)
{
	char text[ENDPOINT_TEXT];

	for (unsigned i = 0; i < s->n_listens; i++) {
		const struct conf_listen *listen = &s->listens[i];
		int rc;

		if (l->n_steered && !addr_is_any(&listen->endpoint.addr))
			continue;
		if (listen->endpoint.port == 0)
			return err_set(e, EINVAL,
				       "%s:%u: cannot listen on %s: every port can only be served "
				       "through the gate; name a port, or run `sluice attach`",
				       c->path, listen->line,
				       endpoint_format(&listen->endpoint, text));
		rc = open_bound(l, listen, threads, old);
		if (rc)
			return bind_failed(c, listen, -rc, e);
	}
	return 0;
}

static size_t count_sockets(const struct conf *c, unsigned threads)
{
	size_t listens = 1; /* the steered one */

	for (unsigned i = 0; i < c->n_services; i++)
		if (c->services[i].kind == SLUICE_L7)
			listens += c->services[i].n_listens;
	return listens * threads;
}

int listeners_open(struct listeners *l, const struct conf *c, unsigned threads, bool steered,
		   const struct listeners *old, struct err *e)
{
	size_t most = count_sockets(c, threads);
	int rc = 0;

	*l = (struct listeners){.items = calloc(most, sizeof(*l->items)),
				.bound = calloc(most, sizeof(*l->bound))};
	if (!l->items || !l->bound)
		rc = err_set(e, ENOMEM, "out of memory");
	else if (steered)
		rc = open_steered(l, threads, old, e);
	for (unsigned i = 0; rc == 0 && i < c->n_services; i++)
		if (c->services[i].kind == SLUICE_L7)
			rc = open_service(l, c, &c->services[i], threads, old, e);
	if (rc)
		listeners_close(l);
	return rc;
}

void listeners_close(struct listeners *l)
{
	for (size_t i = 0; i < l->n; i++)
		close(l->items[i].fd);
	free(l->items);
	free(l->bound);
	*l = (struct listeners){0};
}
