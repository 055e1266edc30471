/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files that a keyring is made of: PEM taken apart and checked. Private to the keyring. What
 * held a secret is wiped.
 */
#ifndef L7_KEYRING_FILE_H
#define L7_KEYRING_FILE_H

#include "l7/keyring.h"

struct keyring_pair {
	unsigned char *chain, *key; /* DER, as in keyring_cert; malloc */
	size_t chain_len, key_len;
	char *names; /* malloc */
	uint32_t kind;
	int64_t not_before, not_after;
};

/* Reads a certificate with its chain, and its key (key_path NULL: from the same file), which
 * must belong together. 0 or -errno; keyring_pair_fini either way. */
int keyring_pair_read(struct keyring_pair *p, const char *path, const char *key_path,
		      struct err *e);
void keyring_pair_fini(struct keyring_pair *p);

/* All certificates, or CRLs, of a file, as DER. 0 or -errno; the caller frees *der. */
int keyring_authorities_read(unsigned char **der, size_t *len, const char *path, struct err *e);
int keyring_crls_read(unsigned char **der, size_t *len, const char *path, struct err *e);

/* A file's bytes; at most `most`. 0 or -errno. The caller frees them with keyring_wipe. */
int keyring_bytes_read(unsigned char **bytes, size_t *len, const char *path, size_t most,
		       struct err *e);
void keyring_wipe(unsigned char *bytes, size_t len); /* NULL is fine */

#endif
