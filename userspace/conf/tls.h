/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a service speaks TLS with its clients, and a pool with its backends. Part of the snapshot,
 * see conf.h. Files are named here and read by the daemon's keeper.
 */
#ifndef CONF_TLS_H
#define CONF_TLS_H

#include <stdbool.h>
#include <stdint.h>

#define CONF_MAX_CERTIFICATES 64 /* words of the list; a folder holds any number */
#define CONF_MAX_TICKET_KEYS  3
#define CONF_TLS_SYSTEM_CA    "/etc/ssl/certs/ca-certificates.crt"

enum conf_tls_profile { CONF_TLS_INTERMEDIATE, CONF_TLS_MODERN };
enum conf_tls_verify { CONF_TLS_VERIFY_NONE, CONF_TLS_VERIFY_OPTIONAL, CONF_TLS_VERIFY_REQUIRED };
enum conf_tls_unknown { CONF_TLS_UNKNOWN_DEFAULT, CONF_TLS_UNKNOWN_ALERT };

struct conf_file {
	const char *path; /* NULL: none */
	unsigned line;
};

struct conf_tls {
	struct conf_file *certificates; /* each a file, or a folder of them */
	unsigned n_certificates;
	struct conf_file *keys; /* one for each certificate, or none: they are in the same files */
	unsigned n_keys;

	uint32_t profile;     /* enum conf_tls_profile */
	uint32_t min_version; /* of TLS as on the wire: 0x0303, 0x0304 */
	uint32_t unknown_sni; /* enum conf_tls_unknown */
	bool strict_host; /* Host must be of the certificate or the name of the handshake: yes */
	uint32_t handshake_ms; /* 10s */
	uint32_t handshakes;   /* at the same time, of a thread: 4096 */

	uint32_t verify; /* enum conf_tls_verify */
	struct conf_file client_ca, client_crl;

	bool tickets;       /* yes */
	uint32_t ticket_ms; /* how long a key makes new ones: 8h; it is good for two more */
	struct conf_file ticket_keys[CONF_MAX_TICKET_KEYS]; /* of a fleet; else random ones */
	unsigned n_ticket_keys;
	uint32_t session_cache; /* sessions that a thread keeps: 0 */

	unsigned line;
};

/* Towards the backends of a pool. */
struct conf_upstream_tls {
	bool verify;                       /* yes */
	struct conf_file ca;               /* CONF_TLS_SYSTEM_CA unless set */
	struct conf_file certificate, key; /* what is shown to them; key: in the same file */
	const char *name;                  /* whose certificate is theirs; NULL: their address */
	unsigned line;
};

#endif
