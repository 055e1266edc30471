// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: a thread's contexts and loaded certificates, and their change with the keyring.
 * Promises: a keyring of which a service cannot be made leaves that service as it was.
 */
#include "l7/tls_thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "l7/thread.h"
#include "l7/tls_context.h"
#include "l7/tls_wire.h"

/* ---- certificates --------------------------------------------------------------------- */

X509 *tls_x509(OSSL_LIB_CTX *lib, const unsigned char **der, const unsigned char *end)
{
	X509 *x = X509_new_ex(lib, NULL);

	if (x && !d2i_X509(&x, der, end - *der))
		x = NULL; /* freed by d2i */
	return x;
}

static void loaded_free(struct tls_loaded *l)
{
	if (!l)
		return;
	X509_free(l->leaf);
	EVP_PKEY_free(l->key);
	sk_X509_pop_free(l->chain, X509_free);
	free(l);
}

static struct tls_loaded *loaded_new(struct tls_thread *t, const struct keyring_cert *c)
{
	struct span chain = keyring_bytes(&t->ring->keyring, c->chain);
	struct span key = keyring_bytes(&t->ring->keyring, c->key);
	const unsigned char *at = (const unsigned char *)chain.p, *end = at + chain.len;
	const unsigned char *key_at = (const unsigned char *)key.p;
	struct tls_loaded *l = calloc(1, sizeof(*l));
	X509 *x;

	if (!l)
		return NULL;
	l->leaf = tls_x509(t->lib, &at, end);
	l->key = d2i_AutoPrivateKey_ex(NULL, &key_at, (long)key.len, t->lib, NULL);
	l->chain = sk_X509_new_null();
	while (l->leaf && l->chain && at < end && (x = tls_x509(t->lib, &at, end)))
		if (!sk_X509_push(l->chain, x))
			X509_free(x);
	if (l->leaf && l->key && l->chain && at == end)
		return l;
	loaded_free(l);
	ERR_clear_error();
	return NULL;
}

const struct tls_loaded *tls_load(struct tls_thread *t, uint32_t cert)
{
	uint32_t place = t->n_loaded % TLS_LOADED;

	if (t->loaded[cert])
		return t->loaded[cert];
	t->loaded[cert] = loaded_new(t, keyring_cert(&t->ring->keyring, cert));
	if (!t->loaded[cert])
		return NULL;
	if (t->n_loaded >= TLS_LOADED) {
		loaded_free(t->loaded[t->order[place]]);
		t->loaded[t->order[place]] = NULL;
	}
	t->order[place] = cert;
	t->n_loaded++;
	return t->loaded[cert];
}

/* ---- following the keyring ------------------------------------------------------------ */

static void ring_release(struct tls_shared *s, struct tls_ring *ring)
{
	bool last;

	if (!ring)
		return;
	pthread_mutex_lock(&s->lock);
	last = --ring->users == 0;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	keyring_fini(&ring->keyring);
	free(ring);
}

static void loaded_drop(struct tls_thread *t)
{
	for (uint32_t i = 0; t->ring && t->loaded && i < keyring_head(&t->ring->keyring)->n_certs;
	     i++)
		loaded_free(t->loaded[i]);
	free(t->loaded);
	t->loaded = NULL;
	t->n_loaded = 0;
}

static void service_renew(struct tls_thread *t, uint32_t index)
{
	struct tls_service *s = &t->services[index];
	SSL_CTX *ctx = s->conf->tls ? tls_context_new(s) : NULL;

	if (!s->conf->tls)
		return;
	if (!ctx) {
		log_err("service=%s cannot speak TLS%s: %s", s->conf->name,
			s->ctx ? " with the new certificates; it goes on with those before" : "",
			ERR_reason_error_string(ERR_peek_error()));
		ERR_clear_error();
		return;
	}
	SSL_CTX_free(s->ctx); /* connections keep theirs */
	s->ctx = ctx;
}

static void pool_renew(struct tls_thread *t, uint32_t index)
{
	struct tls_pool *p = &t->pools[index];
	SSL_CTX *ctx = p->conf->tls ? tls_context_pool_new(p) : NULL;

	if (!p->conf->tls)
		return;
	if (!ctx) {
		log_err("pool=%s cannot speak TLS%s: %s", p->conf->name,
			p->ctx ? " with the new certificates; it goes on with those before" : "",
			ERR_reason_error_string(ERR_peek_error()));
		ERR_clear_error();
		return;
	}
	SSL_CTX_free(p->ctx);
	p->ctx = ctx;
}

static int renew(struct tls_thread *t)
{
	struct tls_shared *s = t->shared;
	struct tls_ring *ring;
	struct tls_loaded **loaded;
	unsigned version;

	pthread_mutex_lock(&s->lock);
	ring = s->ring;
	version = atomic_load(&s->version);
	if (ring)
		ring->users++;
	pthread_mutex_unlock(&s->lock);
	if (!ring)
		return 0;
	loaded = calloc(keyring_head(&ring->keyring)->n_certs + 1, sizeof(*loaded));
	if (!loaded) {
		ring_release(s, ring);
		return -ENOMEM;
	}
	loaded_drop(t);
	ring_release(s, t->ring);
	t->ring = ring;
	t->version = version;
	t->loaded = loaded;
	for (uint32_t i = 0; i < keyring_head(&ring->keyring)->n_services; i++)
		service_renew(t, i);
	for (uint32_t i = 0; i < keyring_head(&ring->keyring)->n_pools; i++)
		pool_renew(t, i);
	return 0;
}

const struct tls_service *tls_thread_service(struct tls_thread *t, uint32_t index)
{
	if (atomic_load_explicit(&t->shared->version, memory_order_acquire) != t->version)
		renew(t);
	return t->services[index].ctx ? &t->services[index] : NULL;
}

const struct tls_pool *tls_thread_pool(struct tls_thread *t, uint32_t index)
{
	if (atomic_load_explicit(&t->shared->version, memory_order_acquire) != t->version)
		renew(t);
	return t->pools[index].ctx ? &t->pools[index] : NULL;
}

bool tls_host_fits(struct tls_thread *t, uint32_t service, struct span sni, struct span host)
{
	char asked[KEYRING_NAME + 1], name[KEYRING_NAME + 1];
	const uint32_t *certs;

	if (sni.len == 0)
		return true;
	if (!keyring_name(asked, sni) || !keyring_name(name, host))
		return false;
	if (strcmp(asked, name) == 0)
		return true;
	certs = keyring_find(&t->ring->keyring, service, asked);
	for (int kind = 0; certs && kind < KEYRING_KINDS; kind++)
		if (certs[kind] && keyring_covers(&t->ring->keyring, certs[kind] - 1, name))
			return true;
	return false;
}

/* ---- start and end -------------------------------------------------------------------- */

static int parts_make(struct tls_thread *t)
{
	t->lib = OSSL_LIB_CTX_new(); /* has the default provider by itself */
	if (!t->lib)
		return -ENOMEM;
	t->ticket_cipher = EVP_CIPHER_fetch(t->lib, "AES-256-CBC", NULL);
	t->wire_method = wire_method_new();
	t->wire = malloc(TLS_WIRE);
	t->order = calloc(TLS_LOADED, sizeof(*t->order));
	t->ends = calloc(TLS_END_COUNT, sizeof(*t->ends));
	return t->ticket_cipher && t->wire_method && t->wire && t->order && t->ends ? 0 : -ENOMEM;
}

int tls_thread_init(struct tls_thread *t, struct thread *thread, struct tls_shared *shared)
{
	const struct conf *conf = thread->conf;
	int rc = 0;

	t->thread = thread;
	t->shared = shared;
	t->services = calloc(conf->n_services ? conf->n_services : 1, sizeof(*t->services));
	t->pools = calloc(conf->n_pools ? conf->n_pools : 1, sizeof(*t->pools));
	t->sessions = calloc(conf->n_pool_backends + 1, sizeof(SSL_SESSION *));
	if (!t->services || !t->pools || !t->sessions)
		return -ENOMEM;
	for (uint32_t i = 0; i < conf->n_pools; i++)
		t->pools[i] = (struct tls_pool){.owner = t, .conf = &conf->pools[i], .index = i};
	for (uint32_t i = 0; i < conf->n_services; i++)
		t->services[i] =
			(struct tls_service){.owner = t, .conf = &conf->services[i], .index = i};
	t->ja4 = log_format_has(&conf->access_format, LOG_ja4) ||
		 (conf->template_names & TEMPLATE_BIT(ja4));
	if (!shared->ring)
		return 0; /* nobody speaks TLS */
	rc = parts_make(t);
	rc = rc ? rc : renew(t);
	for (uint32_t i = 0; rc == 0 && i < conf->n_services; i++)
		if (conf->services[i].tls && !t->services[i].ctx)
			rc = -EINVAL;
	for (uint32_t i = 0; rc == 0 && i < conf->n_pools; i++)
		if (conf->pools[i].tls && !t->pools[i].ctx)
			rc = -EINVAL;
	return rc;
}

void tls_thread_fini(struct tls_thread *t)
{
	if (!t->thread)
		return;
	for (uint32_t i = 0; t->services && i < t->thread->conf->n_services; i++)
		SSL_CTX_free(t->services[i].ctx);
	for (unsigned i = 0; t->pools && i < t->thread->conf->n_pools; i++)
		SSL_CTX_free(t->pools[i].ctx);
	for (unsigned i = 0; t->sessions && i < t->thread->conf->n_pool_backends; i++)
		SSL_SESSION_free(t->sessions[i]);
	free(t->services);
	free(t->pools);
	free(t->sessions);
	loaded_drop(t);
	ring_release(t->shared, t->ring);
	EVP_CIPHER_free(t->ticket_cipher);
	BIO_meth_free(t->wire_method);
	free(t->wire);
	free(t->order);
	free(t->ends);
	OSSL_LIB_CTX_free(t->lib);
	*t = (struct tls_thread){0};
}

/* ---- the shared keyring --------------------------------------------------------------- */

void tls_shared_init(struct tls_shared *s)
{
	*s = (struct tls_shared){.tickets = {.fd = -1}};
	pthread_mutex_init(&s->lock, NULL);
}

int tls_shared_set(struct tls_shared *s, int fd)
{
	struct tls_ring *ring = calloc(1, sizeof(*ring)), *old;
	int rc = ring ? keyring_map(&ring->keyring, fd) : -ENOMEM;

	if (rc) {
		free(ring);
		return rc;
	}
	ring->keyring.fd = -1;
	ring->users = 1;
	pthread_mutex_lock(&s->lock);
	old = s->ring;
	s->ring = ring;
	atomic_fetch_add(&s->version, 1);
	pthread_mutex_unlock(&s->lock);
	ring_release(s, old);
	return 0;
}

void tls_shared_fini(struct tls_shared *s)
{
	ring_release(s, s->ring);
	s->ring = NULL;
	tickets_fini(&s->tickets);
	pthread_mutex_destroy(&s->lock);
}
