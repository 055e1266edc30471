/* SPDX-License-Identifier: BSD-2-Clause */
/* What a client's connection of TLS says of itself, for the access log and texts of routes. */
#ifndef L7_TLS_FACTS_H
#define L7_TLS_FACTS_H

#include <stdbool.h>

#include "base/span.h"

struct tls;

/* Empty where there is nothing to say. Points into itself and the connection. */
struct tls_facts {
	struct span version, cipher, sni, ja4;
	struct span client_subject, client_fingerprint, client_verify;
	char subject[256], fingerprint[2 * 32];
};

/* t NULL: the connection is a plain one. certificate: that of the client too. */
void tls_facts(const struct tls *t, bool certificate, struct tls_facts *f);

#endif
