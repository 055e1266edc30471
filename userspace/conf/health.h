/* SPDX-License-Identifier: BSD-2-Clause */
/* What a `health` section says: how the backends of a service or a pool are checked. */
#ifndef CONF_HEALTH_H
#define CONF_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#define CONF_HEALTH_STATUSES 16
#define CONF_HEALTH_PAYLOAD  512 /* bytes of a datagram that is sent or awaited */
#define CONF_HEALTH_COMMAND  16  /* words of a command */

/* The kinds of checks. */
#define CONF_HEALTH_TYPES(CONF_HEALTH_TYPE)                                                        \
	CONF_HEALTH_TYPE(tcp, "a connection is accepted")                                          \
	CONF_HEALTH_TYPE(http, "a request is answered as expected")                                \
	CONF_HEALTH_TYPE(https, "the same by TLS")                                                 \
	CONF_HEALTH_TYPE(dns, "a name is answered")                                                \
	CONF_HEALTH_TYPE(udp, "a datagram is answered as expected")                                \
	CONF_HEALTH_TYPE(exec, "a program ends with status 0")

enum conf_health_type {
#define CONF_HEALTH_TYPE(name, sentence) CONF_HEALTH_##name,
	CONF_HEALTH_TYPES(CONF_HEALTH_TYPE)
#undef CONF_HEALTH_TYPE
		CONF_HEALTH_COUNT,
};

struct conf_statuses {
	uint16_t first, last;
};

struct conf_bytes {
	const char *p; /* not ended by a NUL; NULL: there is none */
	size_t len;
};

struct conf_health {
	uint32_t type;
	uint32_t port;        /* 0 = that which requests go to */
	uint32_t interval_ms; /* from one check to the next */
	uint32_t timeout_ms;  /* of a whole check; at most interval_ms */
	uint32_t rise, fall;  /* results in a row that change the state */
	uint32_t jitter;      /* percent of the interval, more or less */
	uint32_t floor;       /* percent; with fewer up, all are used. 0: never */
	/* http and https */
	const char *method, *path;                           /* "GET", "/" */
	const char *host;                                    /* NULL: the address that is asked */
	struct conf_statuses statuses[CONF_HEALTH_STATUSES]; /* 200-399 */
	unsigned n_statuses;
	const char *body; /* what is in the body; NULL: whatever is */
	bool verify;      /* the certificate, for `host`: no */
	const char *ca;   /* file of authorities; NULL: the host's own */
	/* dns */
	const char *name;
	uint16_t record; /* type: A */
	/* udp */
	struct conf_bytes send, expect;
	/* exec: NULL behind the last */
	const char *command[CONF_HEALTH_COMMAND + 1];
	unsigned line;
};

/* "tcp", ...; "?" for what is none. */
const char *conf_health_type_name(uint32_t type);

#endif
