/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything of files that TLS needs: certificates, keys, authorities, of all services, in one
 * piece of memory. The keeper reads the files and makes it (keyring_make.c); then it is sealed,
 * and workers, which open no file, look into it. It is never swapped into a core dump, and is
 * gone when the last of them lets go of it.
 *
 *   | head | DER, texts | services | pools | certs | slots of names |
 *
 * Names are found by one look into a hash, or two: the name itself, then *.rest. Offsets are
 * from the beginning; 0 = nothing there.
 */
#ifndef L7_KEYRING_H
#define L7_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "conf/conf.h"

#define KEYRING_NAME       253        /* bytes of a host's name */
#define KEYRING_FILE       (1U << 20) /* of one file; CRLs may have KEYRING_CRL */
#define KEYRING_CRL        (64U << 20)
#define KEYRING_NO_SERVICE UINT32_MAX
#define KEYRING_TICKET_KEY 80 /* bytes: 16 of its name, 32 for AES-256, 32 for HMAC */

/* Of each host one certificate of either kind is chosen from, by what the client can verify. */
enum keyring_kind { KEYRING_ECDSA, KEYRING_RSA, KEYRING_KINDS };

struct keyring_part {
	uint32_t at, len;
};

struct keyring_cert {
	struct keyring_part chain;       /* DER, the host's own first */
	struct keyring_part key;         /* DER of PKCS#8 */
	struct keyring_part staple;      /* DER of an OCSP response */
	struct keyring_part path, names; /* texts; names as "a.example, *.b.example" */
	uint32_t service, kind;          /* service: KEYRING_NO_SERVICE if it is a pool's */
	int64_t not_before, not_after;   /* seconds of CLOCK_REALTIME */
};

struct keyring_slot {
	uint32_t service;
	struct keyring_part name;     /* lower case; ".example.com" is *.example.com; len 0: free */
	uint32_t cert[KEYRING_KINDS]; /* its number + 1 */
};

struct keyring_service {
	uint32_t cert[KEYRING_KINDS]; /* for clients that name no host of it; number + 1 */
	struct keyring_part ca,
		crl; /* DER, one behind the other: who signs clients' certificates */
	struct keyring_part ticket_keys; /* n times KEYRING_TICKET_KEY; the first makes tickets */
};

struct keyring_pool {
	struct keyring_part ca; /* who signs certificates of its backends */
	uint32_t cert;          /* that they are shown; number + 1 */
	uint32_t pad;
};

struct keyring_head {
	uint64_t magic, bytes;
	uint32_t n_services, n_pools, n_certs, slots_mask;
	uint32_t services, pools, certs, slots; /* where */
};

struct keyring {
	int fd;         /* -1: none is kept open */
	const char *at; /* NULL: not mapped */
	size_t bytes;
};

/* What became of a file that could not be used. */
struct keyring_report {
	void (*say)(void *arg,
		    const char *text); /* "path: what is wrong" and what follows from it */
	void *arg;
};

/*
 * Reads the files of all services. Of a pair that cannot be used, the one of `old` (or NULL)
 * with the same path is kept, and said so; if there is none, that is an error, but in a folder,
 * where the others are used. On success k has a descriptor, and is not mapped. 0 or -errno.
 */
int keyring_make(struct keyring *k, const struct conf *conf, const struct keyring *old,
		 const struct keyring_report *report, struct err *e);

/* Maps it, without taking fd. 0 or -errno. */
int keyring_map(struct keyring *k, int fd);
/* Closes and unmaps. Fine when neither is there. */
void keyring_fini(struct keyring *k);

/* When one of the files of conf was changed last, as one number that differs if anything does. */
uint64_t keyring_stamp(const struct conf *conf);

static inline const struct keyring_head *keyring_head(const struct keyring *k)
{
	return (const struct keyring_head *)(const void *)k->at;
}

static inline const struct keyring_service *keyring_service(const struct keyring *k, uint32_t i)
{
	const void *at = k->at + keyring_head(k)->services;

	return (const struct keyring_service *)at + i;
}

static inline const struct keyring_pool *keyring_pool(const struct keyring *k, uint32_t i)
{
	const void *at = k->at + keyring_head(k)->pools;

	return (const struct keyring_pool *)at + i;
}

static inline const struct keyring_cert *keyring_cert(const struct keyring *k, uint32_t i)
{
	const void *at = k->at + keyring_head(k)->certs;

	return (const struct keyring_cert *)at + i;
}

static inline struct span keyring_bytes(const struct keyring *k, struct keyring_part part)
{
	return (struct span){k->at + part.at, part.len};
}

/* A name as it is looked up: lower case, no dot at its end. False: it is no host's name. */
bool keyring_name(char out[KEYRING_NAME + 1], struct span name);

/* The certificates of a name that keyring_name made, or NULL. */
const uint32_t *keyring_find(const struct keyring *k, uint32_t service, const char *name);

/* Whether a certificate is for that name. */
bool keyring_covers(const struct keyring *k, uint32_t cert, const char *name);

uint32_t keyring_hash(uint32_t service, struct span name);

#endif
