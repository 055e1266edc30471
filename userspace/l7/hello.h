/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ClientHello, with which TLS begins (RFC 8446 section 4.1.2): read without answering it, to
 * know whom the client asks for and what it is like. Pure; bytes are borrowed; the same result
 * however they are cut into records and segments.
 */
#ifndef L7_HELLO_H
#define L7_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define HELLO_MOST   16384 /* bytes of the message; OpenSSL takes some more, nobody sends them */
#define HELLO_HEADER 4     /* in front of it: its type and length */
#define HELLO_LIST   256   /* ciphers, or extensions, that a fingerprint is made of */
#define HELLO_JA4    37    /* with its NUL */
#define HELLO_JA3    33

struct hello {
	uint16_t version;  /* of the message; 0x0303 in TLS 1.3 too */
	uint16_t newest;   /* that the client speaks */
	struct span sni;   /* the host that is asked for, as sent; empty: none */
	bool has_sni;      /* there is such an extension */
	struct span alpn;  /* the list: each with a byte of length in front */
	struct span first; /* its first protocol */
	struct span ciphers, extensions, signatures, groups, formats; /* as sent */
};

/* The message, without its header. False: it is none. */
bool hello_parse(struct hello *h, const unsigned char *p, size_t len);

/*
 * From the first bytes of a connection, records and all: 1, and the message (with its header) in
 * out[0..*len); 0: more bytes are needed; -1: this is no ClientHello, or one that is too long.
 */
int hello_gather(unsigned char out[HELLO_HEADER + HELLO_MOST], size_t *len, const unsigned char *p,
		 size_t n);

/* Fingerprints. False when there are more than HELLO_LIST of something, or no memory. */
bool hello_ja4(char out[HELLO_JA4], const struct hello *h);
bool hello_ja3(char out[HELLO_JA3], const struct hello *h);

#endif
