// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: what a service offers, by Mozilla's guidelines (version 5.7, without the DHE ciphers),
 * which certificate a client gets, who may come in, and session tickets.
 */
#include "l7/tls_context.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "l7/hello.h"
#include "l7/thread.h"

/* Both profiles leave the order to the client, who knows what its processor does best. */
#define CIPHERS_1_2                                                                                \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                               \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_1_3    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS         "X25519:P-256:P-384"
#define SECURITY_LEVEL 2 /* no RSA below 2048 bits, no SHA-1 */

static struct tls *tls_of(SSL *ssl)
{
	const struct link *l = SSL_get_app_data(ssl);

	return l->tls;
}

/* ---- what the client is like ---------------------------------------------------------- */

/* OpenSSL shows each message as it comes; the first one is the ClientHello. */
static void on_message(int sent, int version, int type, const void *bytes, size_t len, SSL *ssl,
		       void *arg)
{
	struct tls *t = tls_of(ssl);
	const unsigned char *p = bytes;
	struct hello h;

	(void)version, (void)arg;
	if (sent || type != SSL3_RT_HANDSHAKE || len <= HELLO_HEADER ||
	    p[0] != SSL3_MT_CLIENT_HELLO)
		return;
	SSL_set_msg_callback(ssl, NULL);
	t->ja4 = malloc(HELLO_JA4);
	if (t->ja4 &&
	    (!hello_parse(&h, p + HELLO_HEADER, len - HELLO_HEADER) || !hello_ja4(t->ja4, &h)))
		t->ja4[0] = '\0';
}

/* ---- which certificate ---------------------------------------------------------------- */

/* Those of a host; the handshake chooses among them by what the client can verify. */
static bool certs_use(SSL *ssl, struct tls_thread *t, const uint32_t certs[KEYRING_KINDS])
{
	bool any = false;

	SSL_certs_clear(ssl);
	for (int kind = 0; kind < KEYRING_KINDS; kind++) {
		const struct tls_loaded *l = certs[kind] ? tls_load(t, certs[kind] - 1) : NULL;

		any |= l && SSL_use_cert_and_key(ssl, l->leaf, l->key, l->chain, 1) == 1;
	}
	return any;
}

static int refuse(SSL *ssl, enum tls_end end, int *alert, int code)
{
	tls_of(ssl)->end = end;
	*alert = code;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The client has said which host it wants, or nothing (RFC 6066 section 3). */
static int on_name(SSL *ssl, int *alert, void *arg)
{
	struct tls_service *s = arg;
	const struct keyring *k = &s->owner->ring->keyring;
	const uint32_t *certs = keyring_service(k, s->index)->cert, *found;
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	char name[KEYRING_NAME + 1];
	bool other;

	memcpy(tls_of(ssl)->certs, certs, sizeof(tls_of(ssl)->certs));
	if (!asked)
		return SSL_TLSEXT_ERR_NOACK;
	if (!keyring_name(name, (struct span){asked, strlen(asked)}))
		return refuse(ssl, TLS_END_unknown_name, alert, SSL_AD_UNRECOGNIZED_NAME);
	found = keyring_find(k, s->index, name);
	if (!found && s->conf->tls->unknown_sni == CONF_TLS_UNKNOWN_ALERT)
		return refuse(ssl, TLS_END_unknown_name, alert, SSL_AD_UNRECOGNIZED_NAME);
	other = found && memcmp(found, certs, sizeof(tls_of(ssl)->certs)) != 0;
	if (other && !certs_use(ssl, s->owner, found))
		return refuse(ssl, TLS_END_internal, alert, SSL_AD_INTERNAL_ERROR);
	if (other)
		memcpy(tls_of(ssl)->certs, found, sizeof(tls_of(ssl)->certs));
	return SSL_TLSEXT_ERR_OK;
}

/* The OCSP response of the certificate that was chosen. */
static int on_status(SSL *ssl, void *arg)
{
	struct tls_service *s = arg;
	struct tls_thread *t = s->owner;
	const X509 *chosen = SSL_get_certificate(ssl);
	const uint32_t *certs = tls_of(ssl)->certs;
	struct span staple = SPAN("");
	unsigned char *copy;

	for (int kind = 0; kind < KEYRING_KINDS; kind++) {
		const struct tls_loaded *l = certs[kind] ? tls_load(t, certs[kind] - 1) : NULL;

		if (l && l->leaf == chosen)
			staple = keyring_bytes(
				&t->ring->keyring,
				keyring_cert(&t->ring->keyring, certs[kind] - 1)->staple);
	}
	copy = staple.len ? OPENSSL_memdup(staple.p, staple.len) : NULL;
	if (!copy)
		return SSL_TLSEXT_ERR_NOACK;
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple.len);
	return SSL_TLSEXT_ERR_OK;
}

static bool default_certs(SSL_CTX *ctx, struct tls_service *s)
{
	const struct keyring_service *k = keyring_service(&s->owner->ring->keyring, s->index);
	bool any = false;

	for (int kind = 0; kind < KEYRING_KINDS; kind++) {
		const struct tls_loaded *l =
			k->cert[kind] ? tls_load(s->owner, k->cert[kind] - 1) : NULL;

		if (k->cert[kind] &&
		    (!l || SSL_CTX_use_cert_and_key(ctx, l->leaf, l->key, l->chain, 1) != 1))
			return false;
		any |= l != NULL;
	}
	return any;
}

/* ---- who may come in ------------------------------------------------------------------ */

/* ctx: clients are told who they are; or NULL. */
static bool store_add(SSL_CTX *ctx, X509_STORE *store, OSSL_LIB_CTX *lib, struct span der)
{
	const unsigned char *at = (const unsigned char *)der.p, *end = at + der.len;
	bool ok = true;
	X509 *x;

	while (ok && at < end && (x = tls_x509(lib, &at, end))) {
		ok = X509_STORE_add_cert(store, x) == 1 &&
		     (!ctx || SSL_CTX_add_client_CA(ctx, x) == 1);
		X509_free(x);
	}
	return ok && at == end;
}

static bool crls_add(X509_STORE *store, struct span der)
{
	const unsigned char *at = (const unsigned char *)der.p, *end = at + der.len;
	bool ok = true;
	X509_CRL *crl;

	while (ok && at < end && (crl = d2i_X509_CRL(NULL, &at, end - at))) {
		ok = X509_STORE_add_crl(store, crl) == 1;
		X509_CRL_free(crl);
	}
	return ok && at == end;
}

static bool clients_ask(SSL_CTX *ctx, struct tls_service *s)
{
	const struct keyring *ring = &s->owner->ring->keyring;
	const struct keyring_service *k = keyring_service(ring, s->index);
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	uint32_t verify = s->conf->tls->verify;

	if (verify == CONF_TLS_VERIFY_NONE)
		return true;
	SSL_CTX_set_verify(ctx,
			   verify == CONF_TLS_VERIFY_REQUIRED
				   ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
				   : SSL_VERIFY_PEER,
			   NULL);
	if (!store_add(ctx, store, s->owner->lib, keyring_bytes(ring, k->ca)))
		return false;
	if (k->crl.len == 0)
		return true;
	return crls_add(store, keyring_bytes(ring, k->crl)) &&
	       X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1;
}

/* ---- tickets -------------------------------------------------------------------------- */

/* The newest first; returns how many. */
static unsigned ticket_keys(const struct tls_service *s,
			    unsigned char keys[TICKETS_KEYS][KEYRING_TICKET_KEY])
{
	const struct keyring *ring = &s->owner->ring->keyring;
	struct span of_file = keyring_bytes(ring, keyring_service(ring, s->index)->ticket_keys);

	_Static_assert(TICKETS_KEYS >= CONF_MAX_TICKET_KEYS, "one buffer for both");
	if (of_file.len == 0)
		return tickets_read(&s->owner->shared->tickets, keys);
	memcpy(keys, of_file.p, of_file.len);
	return (unsigned)(of_file.len / KEYRING_TICKET_KEY);
}

static int ticket_init(struct tls_thread *t, unsigned char *key, unsigned char *iv,
		       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int make)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key + 48, 32),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CipherInit_ex2(cipher, t->ticket_cipher, key + 16, iv, make, NULL) == 1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 1: done; 2: done, and the client gets a newer one; 0: there is no such key; -1: an error. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int make)
{
	struct tls_service *s = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	unsigned char keys[TICKETS_KEYS][KEYRING_TICKET_KEY];
	unsigned n = ticket_keys(s, keys), i = 0;
	int rc = 0;

	if (make && n) {
		memcpy(name, keys[0], 16);
		if (RAND_bytes_ex(s->owner->lib, iv, 16, 0) != 1)
			n = 0;
	}
	while (i < n && memcmp(name, keys[i], 16) != 0)
		i++;
	if (i < n)
		rc = ticket_init(s->owner, keys[i], iv, cipher, mac, make) ? (i == 0 ? 1 : 2) : -1;
	OPENSSL_cleanse(keys, sizeof(keys));
	return rc;
}

static bool sessions_set(SSL_CTX *ctx, struct tls_service *s)
{
	const struct conf_tls *t = s->conf->tls;

	/* A session is good for the service that it was made with. */
	if (SSL_CTX_set_session_id_context(ctx, (const unsigned char *)s->conf->name,
					   (unsigned)strnlen(s->conf->name, 32)) != 1)
		return false;
	SSL_CTX_set_timeout(ctx, (long)(2ULL * t->ticket_ms / 1000));
	SSL_CTX_set_session_cache_mode(ctx, t->session_cache ? SSL_SESS_CACHE_SERVER
							     : SSL_SESS_CACHE_OFF);
	SSL_CTX_sess_set_cache_size(ctx, t->session_cache ? t->session_cache : 1);
	if (t->tickets)
		return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	return t->session_cache || SSL_CTX_set_num_tickets(ctx, 0) == 1;
}

/* ---- protocols above ------------------------------------------------------------------ */

/* RFC 7301. A client that asks for others only is told so. */
static int on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_len,
			const unsigned char *in, unsigned in_len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";

	(void)ssl, (void)arg;
	if (SSL_select_next_proto((unsigned char **)out, out_len, ours, sizeof(ours) - 1, in,
				  in_len) == OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- towards backends ----------------------------------------------------------------- */

/* For the next connection; in TLS 1.3 it comes behind the handshake. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = tls_of(ssl);

	SSL_SESSION_free(*t->session);
	*t->session = session;
	return 1; /* it is ours now */
}

static bool pool_certs(SSL_CTX *ctx, struct tls_pool *p)
{
	const struct keyring *ring = &p->owner->ring->keyring;
	const struct keyring_pool *k = keyring_pool(ring, p->index);
	const struct tls_loaded *l = k->cert ? tls_load(p->owner, k->cert - 1) : NULL;

	if (k->cert && (!l || SSL_CTX_use_cert_and_key(ctx, l->leaf, l->key, l->chain, 1) != 1))
		return false;
	if (!p->conf->tls->verify)
		return true;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	/* An authority that is named may stand below a root that is not. */
	return store_add(NULL, SSL_CTX_get_cert_store(ctx), p->owner->lib,
			 keyring_bytes(ring, k->ca)) &&
	       X509_STORE_set_flags(SSL_CTX_get_cert_store(ctx), X509_V_FLAG_PARTIAL_CHAIN) == 1;
}

SSL_CTX *tls_context_pool_new(struct tls_pool *p)
{
	static const unsigned char protocols[] = "\x08http/1.1";
	SSL_CTX *ctx = SSL_CTX_new_ex(p->owner->lib, NULL, TLS_client_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_app_data(ctx, p);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_set_alpn_protos(ctx, protocols, sizeof(protocols) - 1) == 0 &&
	    pool_certs(ctx, p))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

/* ---- all ------------------------------------------------------------------------------ */

static bool offer_set(SSL_CTX *ctx, const struct conf_tls *t)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_clear_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_LEGACY_SERVER_CONNECT);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
	return SSL_CTX_set_min_proto_version(ctx, (int)t->min_version) == 1 &&
	       SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) == 1 &&
	       SSL_CTX_set_ciphersuites(ctx, CIPHERS_1_3) == 1 &&
	       SSL_CTX_set1_groups_list(ctx, GROUPS) == 1;
}

SSL_CTX *tls_context_new(struct tls_service *s)
{
	SSL_CTX *ctx = SSL_CTX_new_ex(s->owner->lib, NULL, TLS_server_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_app_data(ctx, s);
	if (s->owner->ja4)
		SSL_CTX_set_msg_callback(ctx, on_message);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, s);
	SSL_CTX_set_tlsext_status_cb(ctx, on_status);
	SSL_CTX_set_tlsext_status_arg(ctx, s);
	SSL_CTX_set_alpn_select_cb(ctx, on_protocols, NULL);
	if (offer_set(ctx, s->conf->tls) && default_certs(ctx, s) && clients_ask(ctx, s) &&
	    sessions_set(ctx, s))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}
