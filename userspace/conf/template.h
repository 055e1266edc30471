/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Texts with $names, whose values a request has: cut into segments once, so that writing one is
 * walking a row of them. `${name}` is `$name` where letters follow; `$$` is a dollar. Pure.
 */
#ifndef CONF_TEMPLATE_H
#define CONF_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"

#define TEMPLATE_SEGMENTS 64 /* of one text */

/* name, sentence */
#define TEMPLATE_NAMES(NAME)                                                                       \
	NAME(client_ip, "the client's address")                                                    \
	NAME(client_port, "its port")                                                              \
	NAME(server_addr, "the address that the client's connection goes to")                      \
	NAME(server_port, "its port")                                                              \
	NAME(host, "the host that is asked for, in small letters, without a port")                 \
	NAME(authority, "the same as the client wrote it, with the port")                          \
	NAME(method, "GET, POST, ...")                                                             \
	NAME(scheme, "http or https")                                                              \
	NAME(uri, "path and query")                                                                \
	NAME(path, "the path in its one spelling")                                                 \
	NAME(query, "what stands behind the first '?'")                                            \
	NAME(request_id, "the request's own number: 32 hexadecimal digits")                        \
	NAME(trace_id, "of the trace that the request belongs to (W3C Trace Context)")             \
	NAME(service, "the service")                                                               \
	NAME(route, "the route")                                                                   \
	NAME(tls_version, "of the client's connection; empty without TLS")                         \
	NAME(tls_cipher, "likewise")                                                               \
	NAME(tls_sni, "the name that the client asked for in its handshake")                       \
	NAME(tls_client_subject, "whose certificate the client has shown")                         \
	NAME(tls_client_fingerprint, "SHA-256 of that certificate, in hexadecimal digits")         \
	NAME(tls_client_verify, "SUCCESS, or NONE when it has shown none")                         \
	NAME(ja4, "fingerprint of the client's handshake")                                         \
	NAME(status, "the status of the answer; only for fields of an answer")                     \
	NAME(upstream, "the backend's name; only for fields of an answer")

enum template_name {
	TEMPLATE_TEXT,    /* not a name: as it stands */
	TEMPLATE_CAPTURE, /* $1 to $9: of the path's expression */
	TEMPLATE_HEADER,  /* $header_NAME: a field of the request, '-' as '_' */
	TEMPLATE_COOKIE,  /* $cookie_NAME */
	TEMPLATE_ARG,     /* $arg_NAME: of the query */
#define NAME(name, sentence) TEMPLATE_##name,
	TEMPLATE_NAMES(NAME)
#undef NAME
		TEMPLATE_NAME_COUNT,
};

struct template_segment {
	enum template_name name;
	uint8_t capture;
	struct span text; /* of TEXT; what is looked for, of HEADER, COOKIE and ARG */
};

struct template
{
	const struct template_segment *segments;
	unsigned n;
	uint64_t names; /* bit 1 << enum template_name of each that is there */
};

#define TEMPLATE_BIT(name) (1ULL << TEMPLATE_##name)
/* Of the client's certificate: work for each request. */
#define TEMPLATE_CERTIFICATE                                                                       \
	(TEMPLATE_BIT(tls_client_subject) | TEMPLATE_BIT(tls_client_fingerprint) |                 \
	 TEMPLATE_BIT(tls_client_verify))
/* Known only with the answer. */
#define TEMPLATE_LATE (TEMPLATE_BIT(status) | TEMPLATE_BIT(upstream))

/* text is kept. 0; -ENOMEM; -EINVAL: *bad is the part of text that means nothing. */
int template_compile(struct template *out, struct arena *arena, const char *text, struct span *bad);

/* Its text, if it has no names; else p is NULL. */
struct span template_plain(const struct template *t);

#endif
