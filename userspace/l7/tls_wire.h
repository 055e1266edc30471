/* SPDX-License-Identifier: BSD-2-Clause */
/* Between OpenSSL and the socket of a link. Private to tls.c and tls_thread.c. */
#ifndef L7_TLS_WIRE_H
#define L7_TLS_WIRE_H

#include <openssl/bio.h>

#include "l7/tls.h"

/* How OpenSSL reads and writes: a BIO whose data is the link. NULL when memory ran out. */
BIO_METHOD *wire_method_new(void);

/* Sends what was gathered, and what waited before. Sets l->broken when the peer takes no more. */
void wire_flush(struct link *l);

/* Nothing waits for the socket. */
static inline bool wire_clear(const struct tls *t)
{
	return buf_len(&t->pending) == 0;
}

#endif
