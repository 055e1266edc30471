/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A crew's certificates and keys: read by the keeper, looked at again whether their files have
 * changed, warned about before they expire. What cannot be used leaves what is.
 */
#ifndef DAEMON_CERTS_H
#define DAEMON_CERTS_H

#include "l7/keyring.h"

#define CERTS_WARN_DAYS 14 /* before the end; a warning each day */

struct certs {
	struct keyring keyring; /* fd -1: no service speaks TLS */
	uint64_t stamp;         /* of the files */
	int64_t warned;         /* the day of the last warning */
};

/* old (or NULL): what is used so far, of which a pair stays if its files are broken now. */
int certs_read(struct certs *c, const struct conf *conf, const struct certs *old, struct err *e);

/* Whether there is a new keyring, since files have changed. */
bool certs_look(struct certs *c, const struct conf *conf);

void certs_fini(struct certs *c);

#endif
