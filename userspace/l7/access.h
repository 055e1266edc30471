/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The access log: one line per request, in the format of the configuration (conf/log_format.h),
 * to a file or a terminal (each thread gathers lines and writes whole ones with one write(2)),
 * or to the syslog daemon (a datagram for each). What came from the network is escaped, so that
 * a line is a line.
 */
#ifndef L7_ACCESS_H
#define L7_ACCESS_H

#include <stdint.h>

#include "base/addr.h"
#include "conf/log_format.h"
#include "l7/buf.h"
#include "l7/http1.h"
#include "l7/tls_facts.h"

#define ACCESS_BYTES  32768 /* of lines gathered; a full buffer is written at once */
#define ACCESS_LINE   8192  /* the longest line; one that is longer is cut */
#define ACCESS_SYSLOG "/dev/log"

/* Why a request ended as it did: append only, the names are in the manual. */
#define ACCESS_REASONS(REASON)                                                                     \
	REASON(ok, "answered by the backend")                                                      \
	REASON(refused, "the request was malformed or against a limit")                            \
	REASON(client_timeout, "the client was too slow")                                          \
	REASON(client_gone, "the client went away")                                                \
	REASON(no_backend, "no backend could be reached")                                          \
	REASON(connect_timeout, "a backend did not accept the connection in time")                 \
	REASON(response_timeout, "the backend did not answer in time")                             \
	REASON(backend_gone, "the backend closed before its answer was whole")                     \
	REASON(backend_bad, "the backend's answer was malformed")                                  \
	REASON(stopped, "the daemon was told to stop")                                             \
	REASON(no_memory, "memory ran out")                                                        \
	REASON(tunnel_idle, "nobody said anything in the tunnel for too long")                     \
	REASON(queue_full, "all backends were at their limits, and the queue had no place")        \
	REASON(queue_timeout, "all backends were at their limits for too long")                    \
	REASON(cached, "answered from the cache")                                                  \
	REASON(answered, "a route answers it by itself")                                           \
	REASON(denied, "a route refuses it")                                                       \
	REASON(expression, "an expression of a route took too long")                               \
	REASON(no_file, "a route has no file for it, or must not give it away")                    \
	REASON(file_cut, "the file became shorter, or unreadable, while it was sent")              \
	REASON(unresolved, "the names of its backends have no address")                            \
	REASON(client_forbidden, "the client may not use this forward proxy")                      \
	REASON(destination_forbidden, "no rule lets it go there")                                  \
	REASON(destination_private, "no address of the destination is public, or on the list")     \
	REASON(unknown_host, "the destination's name has no address")                              \
	REASON(lookup_timeout, "the destination's name was not resolved in time")

enum access_reason {
#define REASON(name, text) ACCESS_##name,
	ACCESS_REASONS(REASON)
#undef REASON
};

struct access {
	int fd; /* borrowed; -1 = off */
	bool syslog;
	const struct log_format *format; /* borrowed */
	char *lines;
	uint32_t len;
	uint64_t lost; /* lines that could not be written */
	long second;   /* of the times below */
	char time[32], time_iso[32], time_syslog[20];
};

/* What is known at the end of a request. Times are milliseconds, -1 = did not happen. */
struct access_facts {
	const struct endpoint *client;
	unsigned status;
	uint64_t bytes;      /* sent to the client, head and body */
	uint64_t bytes_body; /* of the request */
	const char *service, *route, *backend;
	const struct endpoint *upstream; /* NULL = none */
	const char *upstream_path;       /* instead, if it is a UNIX socket */
	long queue_ms, connect_ms, first_ms, total_ms;
	unsigned retries;
	enum access_reason reason;
	struct span cache, request_id, trace_id;
	struct span scheme;
	struct tls_facts tls;
	uint64_t connection;
	unsigned connection_requests;
};

/* 0, or -ENOMEM. */
int access_init(struct access *a, int fd, bool syslog, const struct log_format *format);
/* Writes what is left. */
void access_fini(struct access *a);
void access_flush(struct access *a);

/* Notes what the format takes from a request's head while that is there: into note, of BUF_NOTE
 * bytes, what is too long is cut. h NULL: a request that could not be parsed; line is its
 * start. */
void access_note(const struct access *a, struct buf *note, const struct http1_head *h,
		 struct span line);

/* Adds the line. */
void access_log(struct access *a, const struct buf *note, const struct access_facts *facts);

#endif
