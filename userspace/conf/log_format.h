/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a line of the access log says: a text with $names, cut into parts once, so that
 * writing a line is walking a row of them. Pure.
 */
#ifndef CONF_LOG_FORMAT_H
#define CONF_LOG_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"

#define LOG_FORMAT_MAX      4096 /* bytes of a format */
#define LOG_FORMAT_CAPTURES 16   /* different things that a format takes from a request's head */

/* name, where its value is known (CAPTURE: only while the head is there), sentence */
#define LOG_FIELDS(FIELD)                                                                          \
	FIELD(client_ip, FACT, "the client's address")                                             \
	FIELD(client_port, FACT, "its port")                                                       \
	FIELD(time, FACT, "when the request ended, as 06/Nov/1994:08:49:37 +0000")                 \
	FIELD(time_iso, FACT, "the same as 1994-11-06T08:49:37.123Z")                              \
	FIELD(request, CAPTURE, "the request line, or what came instead of one")                   \
	FIELD(method, CAPTURE, "its method")                                                       \
	FIELD(target, CAPTURE, "its target, as sent")                                              \
	FIELD(protocol, CAPTURE, "HTTP/1.0 or HTTP/1.1")                                           \
	FIELD(host, CAPTURE, "the host that was asked for")                                        \
	FIELD(header, CAPTURE, "$header_NAME: a field of the request, '-' as '_'")                 \
	FIELD(status, FACT, "the status of the answer; 0: there was none")                         \
	FIELD(bytes_sent, FACT, "bytes sent to the client, head and body")                         \
	FIELD(bytes_body, FACT, "bytes of the request's body")                                     \
	FIELD(service, FACT, "the service")                                                        \
	FIELD(route, FACT, "the route of the service")                                             \
	FIELD(upstream, FACT, "address of the last backend that was asked")                        \
	FIELD(backend, FACT, "its name")                                                           \
	FIELD(queue_ms, FACT, "from the first byte until a backend was chosen")                    \
	FIELD(connect_ms, FACT, "from then until it took the request; -1: it did not")             \
	FIELD(first_ms, FACT, "from the first byte to the head of the answer; -1: there was none") \
	FIELD(total_ms, FACT, "from the first byte to the end")                                    \
	FIELD(retries, FACT, "how often the request was sent again")                               \
	FIELD(cache, FACT, "what the cache did: hit, or why a backend was asked")                  \
	FIELD(reason, FACT, "why the request ended as it did; sluice-access(5) lists the words")   \
	FIELD(request_id, FACT, "the request's own number")                                        \
	FIELD(trace_id, FACT, "of traceparent (W3C Trace Context)")                                \
	FIELD(scheme, FACT, "http or https")                                                       \
	FIELD(tls_version, FACT, "of the client's connection")                                     \
	FIELD(tls_cipher, FACT, "likewise")                                                        \
	FIELD(tls_sni, FACT, "the name that the client asked for in its handshake")                \
	FIELD(tls_client_subject, FACT, "whose certificate the client has shown")                  \
	FIELD(tls_client_fingerprint, FACT, "SHA-256 of that certificate")                         \
	FIELD(tls_client_verify, FACT, "SUCCESS, or NONE when it has shown none")                  \
	FIELD(ja4, FACT, "fingerprint of the client's handshake")                                  \
	FIELD(connection, FACT, "number of the connection in its thread")                          \
	FIELD(connection_requests, FACT, "requests on it so far")

enum log_field {
	LOG_TEXT, /* not a field: as it stands in the format */
#define FIELD(name, kind, sentence) LOG_##name,
	LOG_FIELDS(FIELD)
#undef FIELD
		LOG_FIELD_COUNT,
};

struct log_part {
	enum log_field field;
	uint8_t capture;  /* of a captured field: its place among the captures */
	struct span text; /* LOG_TEXT */
};

struct log_capture {
	enum log_field field;
	struct span name; /* LOG_header: as a request has it, lower case */
};

struct log_format {
	bool json; /* values are escaped for JSON; else quotes and what is not visible as \xHH */
	const struct log_part *parts;
	unsigned n_parts;
	uint64_t fields; /* bit 1 << enum log_field of each that is there */
	struct log_capture captures[LOG_FORMAT_CAPTURES];
	unsigned n_captures;
};

static inline bool log_format_has(const struct log_format *f, enum log_field field)
{
	return f->fields >> field & 1;
}

/* The formats that have a name: `sluice` (the default), `combined`, `json`; NULL for another. */
const char *log_format_named(const char *name);

/*
 * Cuts text, which is kept, into out; the parts come from the arena. 0; -ENOMEM; -EINVAL when
 * there is a name that means nothing, or too many captures: *bad is then that part of the text.
 */
int log_format_compile(struct log_format *out, struct arena *arena, const char *text,
		       struct span *bad);

#endif
