/* SPDX-License-Identifier: BSD-2-Clause */
/* How a service's SSL_CTX is set up. Private to tls_thread.c and tls_context.c. */
#ifndef L7_TLS_CONTEXT_H
#define L7_TLS_CONTEXT_H

#include <openssl/x509.h>

#include "l7/tls.h"

struct tls_loaded {
	X509 *leaf;
	EVP_PKEY *key;
	STACK_OF(X509) * chain;
};

/* From the thread's keyring. NULL with OpenSSL's reason. */
SSL_CTX *tls_context_new(struct tls_service *s);

SSL_CTX *tls_context_pool_new(struct tls_pool *p);

/* A certificate of the keyring, parsed when it is asked for first. NULL: it cannot be used. */
const struct tls_loaded *tls_load(struct tls_thread *t, uint32_t cert);

/* The next certificate of *der, which moves behind it. NULL: there is none. */
X509 *tls_x509(OSSL_LIB_CTX *lib, const unsigned char **der, const unsigned char *end);

#endif
