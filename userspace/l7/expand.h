/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Texts with the values of a request in place of their $names. Pure: facts in, bytes into the
 * caller's buffer. No value brings a control byte along, so none ends a field's line.
 */
#ifndef L7_EXPAND_H
#define L7_EXPAND_H

#include "conf/template.h"
#include "base/addr.h"
#include "l7/http1.h"
#include "l7/tls_facts.h"

/* What is not there is empty or zero. */
struct expand_facts {
	const struct http1_head *head; /* of the request */
	const struct span *captures;   /* REGEX_CAPTURES of them, or NULL */
	struct span client_ip, scheme, service, route, request_id, trace_id;
	struct tls_facts tls;
	uint16_t client_port;
	struct endpoint server;
	unsigned status; /* of the answer */
	struct span upstream;
};

enum expand_as {
	EXPAND_FIELD,  /* control bytes of values are left out */
	EXPAND_TARGET, /* and what no target or reference may hold is escaped */
	EXPAND_LATER,  /* as FIELD, but what only the answer tells stays as EXPAND_STATUS, ... */
};

#define EXPAND_STATUS   '\1'
#define EXPAND_UPSTREAM '\2'

/* Bytes that the whole has, of which the first `room` are in out: with more, ask again. */
size_t expand(char *out, size_t room, const struct template *t, const struct expand_facts *facts,
	      enum expand_as as);

#endif
