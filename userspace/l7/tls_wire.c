// SPDX-License-Identifier: BSD-2-Clause
#include "l7/tls_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/ssl.h>

#include "l7/thread.h"

/* ---- out ------------------------------------------------------------------------------ */

static void wire_break(struct link *l, int error)
{
	l->broken = l->readable = true;
	l->writable = l->tls->writable = false;
	l->error = l->error ? l->error : error; /* the first says why: after it, all is EPIPE */
	l->tls->thread->wire_len = 0;
	buf_release(&l->tls->thread->thread->pool, &l->tls->pending);
}

/* How much of it the socket took. */
static size_t socket_send(struct link *l, const char *p, size_t len)
{
	struct tls *t = l->tls;
	ssize_t n;

	if (!t->writable || l->broken)
		return 0;
	do {
		n = send(l->fd, p, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)len)
		return len;
	t->writable = false;
	if (n < 0 && errno != EAGAIN)
		wire_break(l, errno);
	return n > 0 ? (size_t)n : 0;
}

static void pending_add(struct link *l, const char *p, size_t len)
{
	struct tls *t = l->tls;
	struct buf_pool *pool = &t->thread->thread->pool;
	size_t size = buf_len(&t->pending) + len;

	if (size > TLS_PENDING) {
		wire_break(l, ENOBUFS);
		return;
	}
	if ((!t->pending.data || buf_room(&t->pending) < len) &&
	    !buf_reserve(pool, &t->pending, (uint32_t)size)) {
		wire_break(l, ENOMEM);
		return;
	}
	memcpy(t->pending.data + t->pending.end, p, len);
	t->pending.end += (uint32_t)len;
}

void wire_flush(struct link *l)
{
	struct tls *t = l->tls;
	struct tls_thread *th = t->thread;
	size_t sent = 0;

	if (buf_len(&t->pending)) {
		buf_consume(&t->pending,
			    (uint32_t)socket_send(l, buf_at(&t->pending), buf_len(&t->pending)));
		if (buf_len(&t->pending) == 0)
			buf_release(&th->thread->pool, &t->pending);
	}
	if (th->wire_len && wire_clear(t))
		sent = socket_send(l, th->wire, th->wire_len);
	if (sent < th->wire_len)
		pending_add(l, th->wire + sent, th->wire_len - sent);
	th->wire_len = 0;
	if (t->closing && wire_clear(t))
		shutdown(l->fd, SHUT_WR);
}

static int wire_write(BIO *bio, const char *p, int n)
{
	struct link *l = BIO_get_data(bio);
	struct tls_thread *th = l->tls->thread;

	BIO_clear_retry_flags(bio);
	if (l->broken || n < 0 || (uint32_t)n > TLS_WIRE)
		return -1;
	if (th->wire_len + (uint32_t)n > TLS_WIRE)
		wire_flush(l);
	if (l->broken)
		return -1;
	memcpy(th->wire + th->wire_len, p, (size_t)n);
	th->wire_len += (uint32_t)n;
	return n;
}

/* ---- in ------------------------------------------------------------------------------- */

/* A handshake begins with byte 22; HTTP with a letter. */
static bool looks_plain(struct tls *t, const char *p)
{
	bool first = !t->began;

	t->began = true;
	return first && SSL_is_server(t->ssl) &&
	       ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z'));
}

/* As link_read does it. */
static int wire_read(BIO *bio, char *p, int room)
{
	struct link *l = BIO_get_data(bio);
	struct tls *t = l->tls;
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (!t->readable && !t->insist) {
		BIO_set_retry_read(bio);
		return -1;
	}
	t->insist = false;
	do {
		n = recv(l->fd, p, (size_t)room, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		if (n < room && !l->hangup)
			t->readable = false;
		if (!looks_plain(t, p))
			return (int)n;
		t->end = TLS_END_plain_http;
		return -1;
	}
	t->readable = false;
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	else if (n < 0)
		l->error = errno;
	return (int)n;
}

static long wire_control(BIO *bio, int command, long number, void *p)
{
	(void)bio, (void)number, (void)p;
	return command == BIO_CTRL_FLUSH; /* it leaves when OpenSSL has returned */
}

static int wire_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

BIO_METHOD *wire_method_new(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "link");

	if (m && BIO_meth_set_write(m, wire_write) && BIO_meth_set_read(m, wire_read) &&
	    BIO_meth_set_ctrl(m, wire_control) && BIO_meth_set_create(m, wire_create))
		return m;
	BIO_meth_free(m);
	return NULL;
}
