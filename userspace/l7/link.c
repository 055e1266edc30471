// SPDX-License-Identifier: BSD-2-Clause
#include "l7/link.h"

#include <assert.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "l7/tls.h"

int link_open(struct link *l, int fd, struct event_base *base, event_callback_fn callback,
	      void *arg)
{
	*l = (struct link){.fd = fd};
	if (event_assign(&l->event, base, fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST,
			 callback, arg) != 0 ||
	    event_add(&l->event, NULL) != 0) {
		close(fd);
		l->fd = -1;
		return -ENOMEM;
	}
	return 0;
}

void link_close(struct link *l, struct buf_pool *pool, bool reset)
{
	buf_release(pool, &l->in);
	buf_release(pool, &l->out);
	if (l->fd < 0)
		return;
	if (l->tls)
		tls_link_close(l, reset);
	event_del(&l->event);
	if (reset)
		link_break(l);
	close(l->fd);
	l->fd = -1;
}

void link_break(struct link *l)
{
	static const struct linger abort_now = {.l_onoff = 1, .l_linger = 0};

	if (l->tls)
		l->tls->cut = true;
	setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &abort_now, sizeof(abort_now));
}

void link_finish(struct link *l)
{
	if (l->tls)
		tls_link_finish(l);
	else
		shutdown(l->fd, SHUT_WR);
}

void link_ready(struct link *l, short what)
{
	if (l->tls) {
		tls_link_ready(l, what);
		return;
	}
	if (what & (EV_READ | EV_CLOSED))
		l->readable = true;
	if (what & EV_CLOSED)
		l->hangup = true;
	if (what & EV_WRITE)
		l->writable = true;
}

static void link_fail(struct link *l)
{
	l->failed = true;
	l->error = errno;
	l->readable = l->writable = false;
}

void link_probe(struct link *l)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error) {
		errno = error;
		link_fail(l);
	}
}

uint64_t link_acked(const struct link *l)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return 0;
	return info.tcpi_bytes_acked;
}

bool link_quiet(struct link *l)
{
	char byte;

	if (l->tls)
		return tls_link_quiet(l);
	if (l->readable && recv(l->fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN)
		l->readable = false;
	return !l->readable;
}

size_t link_read(struct link *l)
{
	uint32_t room = buf_room(&l->in);
	ssize_t n;

	assert(room > 0);
	if (l->tls)
		return tls_link_read(l);
	do {
		n = recv(l->fd, l->in.data + l->in.end, room, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		l->in.end += (uint32_t)n;
		/* A short read has taken all there was; the next byte makes an event. A FIN that
		 * came before made its event already, so then reading goes on to the end. A reset
		 * that came before looks like any event (libevent does not tell EPOLLERR): who
		 * needs more bytes than there were asks again. */
		if ((size_t)n < room && !l->hangup)
			l->readable = false;
		l->unsure = true;
		return (size_t)n;
	}
	l->readable = l->unsure = false;
	if (n == 0)
		l->eof = true;
	else if (errno != EAGAIN)
		link_fail(l);
	return 0;
}

bool link_flushed(const struct link *l)
{
	return buf_len(&l->out) == 0 && (!l->tls || buf_len(&l->tls->pending) == 0);
}

static void send_failed(struct link *l)
{
	l->writable = false;
	if (errno == EAGAIN)
		return;
	l->broken = l->readable = true;
	l->error = errno;
}

/* One piece is spared the description of pieces, which costs the kernel more than it looks. */
static ssize_t send_pieces(int fd, struct iovec *iov, size_t n)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t sent;

	do {
		sent = n == 1 ? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
			      : sendmsg(fd, &msg, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent;
}

size_t link_send(struct link *l, const char *extra, size_t n, bool keep)
{
	uint32_t own = buf_len(&l->out);
	struct iovec iov[2] = {{own ? buf_at(&l->out) : NULL, own}, {(char *)extra, n}};
	ssize_t sent;
	uint32_t of_own;

	if (l->tls)
		return tls_link_send(l, extra, n, keep);
	if (own + n == 0 || !l->writable)
		return 0;
	sent = send_pieces(l->fd, own ? iov : iov + 1, own && n ? 2 : 1);
	if (sent < 0) {
		send_failed(l);
		return 0;
	}
	l->sent += (uint64_t)sent;
	if ((size_t)sent < own + n)
		l->writable = false;
	of_own = (size_t)sent < own ? (uint32_t)sent : own;
	if (keep)
		l->out.start += of_own;
	else
		buf_consume(&l->out, of_own);
	return (size_t)sent - of_own;
}

/* ---- files ---------------------------------------------------------------------------- */

#define FILE_COPY (4U * BUF_SIZE) /* bytes that one call copies where the kernel does not */

/* What waits, with a word that more follows. */
static bool out_send(struct link *l)
{
	uint32_t own = buf_len(&l->out);
	ssize_t sent;

	if (own == 0 || !l->writable)
		return own == 0;
	do {
		sent = send(l->fd, buf_at(&l->out), own, MSG_NOSIGNAL | MSG_MORE);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0) {
		send_failed(l);
		return false;
	}
	l->sent += (uint64_t)sent;
	buf_consume(&l->out, (uint32_t)sent);
	l->writable = (uint32_t)sent == own;
	return l->writable;
}

/* Through a buffer, which is given back: what was not taken is read again. */
static ssize_t file_copy(struct link *l, int fd, uint64_t at, size_t n, struct buf_pool *pool)
{
	struct buf b = {0};
	ssize_t got;

	if (!l->writable)
		return 0;
	if (!buf_reserve(pool, &b, n < FILE_COPY ? (uint32_t)n : FILE_COPY))
		return -1;
	do {
		got = pread(fd, b.data, n < b.size ? n : b.size, (off_t)at);
	} while (got < 0 && errno == EINTR);
	if (got > 0)
		got = (ssize_t)link_send(l, b.data, (size_t)got, false);
	else
		got = -1;
	buf_release(pool, &b);
	return got;
}

ssize_t link_send_file(struct link *l, int fd, uint64_t at, size_t n, struct buf_pool *pool)
{
	off_t from = (off_t)at;
	ssize_t sent;

	if (l->tls)
		return file_copy(l, fd, at, n, pool);
	if (!out_send(l) || !l->writable)
		return 0;
	do {
		sent = sendfile(l->fd, fd, &from, n);
	} while (sent < 0 && errno == EINTR);
	if (sent > 0) {
		l->sent += (uint64_t)sent;
		return sent;
	}
	/* Some file systems know no such call. */
	if (sent < 0 && (errno == EINVAL || errno == ENOSYS))
		return file_copy(l, fd, at, n, pool);
	if (sent == 0 || errno == EIO || errno == ENOMEM || errno == EOVERFLOW)
		return -1;
	send_failed(l);
	return 0;
}

void link_local(const struct link *l, struct endpoint *local)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(l->fd, (struct sockaddr *)&ss, &len) != 0 ||
	    !endpoint_from_sockaddr(local, (struct sockaddr *)&ss))
		*local = (struct endpoint){0};
}

ssize_t link_peek(struct link *l, char *buf, size_t room)
{
	ssize_t n;

	do {
		n = recv(l->fd, buf, room, MSG_PEEK);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	l->readable = false;
	if (n == 0)
		l->eof = true;
	else if (errno != EAGAIN)
		link_fail(l);
	return -1;
}

void link_skip(struct link *l, size_t n)
{
	char buf[256];
	ssize_t got = 1;

	for (; n > 0 && got > 0; n -= (size_t)got)
		got = recv(l->fd, buf, n < sizeof(buf) ? n : sizeof(buf), 0);
	l->readable = true;
}
