/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS on a link. OpenSSL sees no socket: what it reads comes from recv as it asks for it, what
 * it writes is gathered, and leaves in one send. What the socket does not take waits here, so
 * that a call of OpenSSL never ends half done, and is bounded, since nothing is added meanwhile.
 * Only link.c calls this, and who makes a link one of TLS or asks what became of its handshake.
 *
 * Records are small at first, so that the client can use what arrives first, and large once it
 * is clear that much is sent; after a pause they are small again.
 *
 * Memory: a connection without traffic owns no buffer, only OpenSSL's state of about 10 KB.
 */
#ifndef L7_TLS_H
#define L7_TLS_H

#include <openssl/types.h>

#include "l7/link.h"
#include "l7/tls_thread.h"

#define TLS_RECORD_FIRST 1370 /* bytes: with its head it fits in a packet */
#define TLS_RECORD_EARLY 4096
#define TLS_RECORD_MOST  16384
#define TLS_FIRST_BYTES  4096         /* sent in records of FIRST, */
#define TLS_EARLY_BYTES  65536        /* and until here of EARLY */
#define TLS_PAUSE_MS     1000         /* after which it starts over */
#define TLS_PENDING      (256U << 10) /* bytes that wait for the socket; more: the peer is dropped */

/* How a handshake ended; the names are counted and logged. */
#define TLS_ENDS(END)                                                                              \
	END(done, "a connection")                                                                  \
	END(plain_http, "the client speaks HTTP without TLS")                                      \
	END(malformed, "what came is no handshake of TLS")                                         \
	END(nothing_in_common, "no version, cipher or group that both sides have")                 \
	END(unknown_name, "a name that no certificate is for, or that is none")                    \
	END(certificate, "the peer's certificate is missing, or not to be trusted")                \
	END(alert, "the peer refused, by an alert")                                                \
	END(gone, "the peer went away")                                                            \
	END(timeout, "it took too long")                                                           \
	END(busy, "too many others were under way")                                                \
	END(internal, "memory, or a key that cannot be used")

enum tls_end {
#define END(name, text) TLS_END_##name,
	TLS_ENDS(END)
#undef END
		TLS_END_COUNT,
};

/* Its name, and the sentence. */
const char *tls_end_name(enum tls_end end);
const char *tls_end_text(enum tls_end end);

struct tls {
	SSL *ssl;
	struct tls_thread *thread;
	struct ssl_session_st *
		*session;   /* of the backend, where the last one is kept; NULL: a client's */
	struct buf pending; /* records that the socket did not take yet */
	uint64_t sent_ms;   /* when something was sent last */
	uint32_t burst;     /* bytes since the last pause */
	uint32_t certs[KEYRING_KINDS]; /* that it can be had with; number + 1 */
	char *ja4;                     /* of the client; NULL: nobody wants to know */
	enum tls_end end;              /* once the handshake is over */
	bool established, over;
	bool readable, writable; /* the socket, as in struct link */
	bool insist;             /* it is asked although it may have nothing */
	bool began;              /* its first byte was seen */
	bool cut;                /* it is to look broken: no close_notify */
	bool closing;            /* FIN follows when all is sent */
};

/* Makes a link one of TLS. The handshake begins with its next event. 0 or -ENOMEM. */
int tls_accept(struct link *l, struct tls_thread *thread, const struct tls_service *service);

/* Likewise towards a backend. Its session is kept for the next connection to it. */
int tls_connect(struct link *l, struct tls_thread *thread, const struct tls_pool *pool,
		const struct conf_backend *backend, const struct endpoint *to);

/* ---- for link.c ----------------------------------------------------------------------- */

void tls_link_ready(struct link *l, short what);
size_t tls_link_read(struct link *l);
size_t tls_link_send(struct link *l, const char *extra, size_t n, bool keep);
bool tls_link_quiet(struct link *l);
void tls_link_finish(struct link *l);
/* close_notify, unless the connection is to look broken; then all is freed. */
void tls_link_close(struct link *l, bool reset);

/* ---- facts ---------------------------------------------------------------------------- */

/* The handshake failed: the link is a plain one from now on. What waited to be sent is in
 * l->out; what the client sent is lost. */
enum tls_end tls_strip(struct link *l);

/* The name that the client asked for, lower case; empty: none. Valid as long as the link. */
struct span tls_sni(const struct tls *t);

#endif
