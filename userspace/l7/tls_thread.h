/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a thread has for TLS: a library context of its own, so that no lock is shared with other
 * threads, one SSL_CTX for each service, and the certificates that were asked for. All of it
 * follows the keyring: when the keeper has sent another, the next handshake uses that one, and
 * connections go on with what they began with.
 */
#ifndef L7_TLS_THREAD_H
#define L7_TLS_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <openssl/types.h>

#include "l7/keyring.h"
#include "l7/tickets.h"

#define TLS_LOADED 4096 /* certificates that a thread keeps ready; beyond, the oldest is let go */
#define TLS_WIRE   (64U << 10) /* bytes that are gathered for one send */

struct thread;

/* A keyring that threads share; the last that lets go of it frees it. */
struct tls_ring {
	struct keyring keyring;
	unsigned users; /* under tls_shared.lock */
};

/* What all threads of a worker share. Only a change of the keyring takes the lock. */
struct tls_shared {
	pthread_mutex_t lock;
	struct tls_ring *ring;  /* NULL: no service speaks TLS */
	atomic_uint version;    /* of the ring */
	struct tickets tickets; /* page NULL: none */
};

struct tls_service {
	struct tls_thread *owner;
	const struct conf_service *conf;
	uint32_t index;
	SSL_CTX *ctx; /* NULL: this service speaks no TLS */
};

/* Towards the backends of a pool. */
struct tls_pool {
	struct tls_thread *owner;
	const struct conf_pool *conf;
	uint32_t index;
	SSL_CTX *ctx; /* NULL: they are spoken with in clear */
};

struct tls_loaded; /* a certificate with its key, as OpenSSL has it */

struct tls_thread {
	struct thread *thread;
	struct tls_shared *shared;
	struct tls_ring *ring;
	unsigned version;
	OSSL_LIB_CTX *lib;
	EVP_CIPHER *ticket_cipher;
	EVP_MAC *ticket_mac;
	struct bio_method_st *wire_method; /* BIO_METHOD */
	struct tls_service *services;      /* [n_services] */
	struct tls_pool *pools;            /* [n_pools] */
	struct ssl_session_st *
		*sessions;          /* [n_pool_backends]; the last one of each, to be resumed */
	struct tls_loaded **loaded; /* [n_certs] */
	uint32_t *order;            /* of loading; a ring of TLS_LOADED */
	uint32_t n_loaded;
	bool ja4;            /* somebody wants to know */
	uint32_t handshakes; /* under way */
	uint64_t *ends;      /* [TLS_END_COUNT] */
	uint64_t resumed;    /* of those done */
	char *wire;          /* TLS_WIRE bytes: what leaves next */
	uint32_t wire_len;
};

/* 0 or -errno, with the reason logged; tls_thread_fini either way. */
int tls_thread_init(struct tls_thread *t, struct thread *thread, struct tls_shared *shared);
void tls_thread_fini(struct tls_thread *t);

/* The service as it is now: after a change of the keyring, by the new one. NULL: it cannot be
 * used, or speaks no TLS. */
const struct tls_service *tls_thread_service(struct tls_thread *t, uint32_t index);

/* Likewise a pool. */
const struct tls_pool *tls_thread_pool(struct tls_thread *t, uint32_t index);

/* Host, without a port, is what the client asked for in its handshake, or its certificate is for
 * both; or the client asked for no name. */
bool tls_host_fits(struct tls_thread *t, uint32_t service, struct span sni, struct span host);

/* ---- the shared keyring --------------------------------------------------------------- */

void tls_shared_init(struct tls_shared *s);
/* Takes another keyring into use; the descriptor is left open. 0 or -errno. */
int tls_shared_set(struct tls_shared *s, int fd);
void tls_shared_fini(struct tls_shared *s);

#endif
