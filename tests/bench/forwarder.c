// SPDX-License-Identifier: BSD-2-Clause
/*
 * The floor of `scripts/bench l7`: what moving the bytes costs a process that looks at none
 * of them. One thread, one upstream connection for each client connection, edge-triggered,
 * no read beyond a short one, no buffer kept unless the other side stalls. A proxy that
 * pools its upstream connections may beat it where each request brings a new connection.
 *
 *   forwarder LISTEN_PORT ORIGIN_PORT     both on 127.0.0.1
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER (64 * 1024)
#define EVENTS 256

struct end {
	int fd;
	bool closed; /* sent its last byte */
	struct end *other;
	char *held; /* what the kernel would not take yet, on its way to fd */
	size_t held_len;
};

struct pair {
	struct end client, origin;
	struct pair *next_dead;
	bool dead;
};

static int loop;
static struct sockaddr_in origin_addr;
static struct pair *dead;
static char buffer[BUFFER];

static void pair_kill(struct pair *p)
{
	if (p->dead)
		return;
	p->dead = true;
	close(p->client.fd);
	close(p->origin.fd);
	/* Events of this turn may still name it. */
	p->next_dead = dead;
	dead = p;
}

static void bury(void)
{
	while (dead) {
		struct pair *p = dead;

		dead = p->next_dead;
		free(p->client.held);
		free(p->origin.held);
		free(p);
	}
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == ENOTCONN;
}

/* False when the connection is broken. */
static bool end_flush(struct end *to)
{
	ssize_t n;

	if (!to->held_len)
		return true;
	n = send(to->fd, to->held, to->held_len, MSG_NOSIGNAL);
	if (n < 0)
		return would_block();
	to->held_len -= (size_t)n;
	memmove(to->held, to->held + n, to->held_len);
	return true;
}

static bool end_send(struct end *to, const char *bytes, size_t len)
{
	ssize_t n = send(to->fd, bytes, len, MSG_NOSIGNAL);

	if (n < 0 && !would_block())
		return false;
	if (n < 0)
		n = 0;
	if ((size_t)n == len)
		return true;
	if (!to->held && !(to->held = malloc(BUFFER)))
		return false;
	to->held_len = len - (size_t)n;
	memcpy(to->held, bytes + n, to->held_len);
	return true;
}

/* Moves what has come in; false when the pair is done. */
static bool end_pump(struct end *from)
{
	struct end *to = from->other;

	while (!from->closed && !to->held_len) {
		ssize_t n = recv(from->fd, buffer, sizeof(buffer), 0);

		if (n < 0)
			return would_block();
		if (n == 0) {
			from->closed = true;
			shutdown(to->fd, SHUT_WR);
			break;
		}
		if (!end_send(to, buffer, (size_t)n))
			return false;
		if ((size_t)n < sizeof(buffer))
			return true; /* edge-triggered: more bytes bring another event */
	}
	return !(from->closed && to->closed);
}

static void end_ready(struct pair *p, struct end *e)
{
	if (p->dead)
		return;
	if (!end_flush(e) || !end_pump(e->other) || !end_pump(e))
		pair_kill(p);
}

/* The low bit of the event's pointer tells the origin's end from the client's. */
static int watch(struct pair *p, struct end *e)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	int one = 1;

	ev.data.u64 = (uintptr_t)p | (e == &p->origin);
	setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return epoll_ctl(loop, EPOLL_CTL_ADD, e->fd, &ev);
}

static void accept_all(int listener)
{
	for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
		struct pair *p = calloc(1, sizeof(*p));

		if (!p) {
			close(fd);
			return;
		}
		p->client = (struct end){.fd = fd, .other = &p->origin};
		p->origin = (struct end){.other = &p->client};
		p->origin.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if ((connect(p->origin.fd, (struct sockaddr *)&origin_addr, sizeof(origin_addr)) &&
		     errno != EINPROGRESS) ||
		    watch(p, &p->client) || watch(p, &p->origin))
			pair_kill(p);
	}
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct epoll_event ev = {.events = EPOLLIN};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 65535) ||
	    epoll_ctl(loop, EPOLL_CTL_ADD, fd, &ev)) {
		perror("forwarder");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	int listener;

	if (argc != 3) {
		fprintf(stderr, "usage: forwarder LISTEN_PORT ORIGIN_PORT\n");
		return 2;
	}
	loop = epoll_create1(0);
	origin_addr = (struct sockaddr_in){.sin_family = AF_INET,
					   .sin_port = htons((uint16_t)atoi(argv[2]))};
	origin_addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = listen_on((uint16_t)atoi(argv[1]));

	for (;;) {
		int n = epoll_wait(loop, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			uintptr_t u = (uintptr_t)events[i].data.u64;
			struct pair *p = (struct pair *)(u & ~(uintptr_t)1);

			if (!p)
				accept_all(listener);
			else
				end_ready(p, u & 1 ? &p->origin : &p->client);
		}
		bury();
	}
}
