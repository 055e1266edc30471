/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses of both families in one type, as the gate's maps hold them (IPv4 is
 * v4-mapped). Parsing is strict: no leading zeros, no zone, no host name, no junk after.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sluice/abi.h"

#define ADDR_TEXT     48 /* "ffff:...:255.255.255.255" and a NUL */
#define ENDPOINT_TEXT 56 /* "[address]:65535" and a NUL */

struct endpoint {
	struct sluice_addr addr;
	uint16_t port; /* host order; 0 = every port */
};

/* prefix counts bits of the family's own length: 0..32 for IPv4, 0..128 for IPv6. */
struct cidr {
	struct sluice_addr addr; /* bits beyond the prefix are zero */
	uint8_t prefix;
};

bool addr_parse(struct sluice_addr *out, const char *text);
bool addr_is_v4(const struct sluice_addr *addr);
bool addr_equal(const struct sluice_addr *a, const struct sluice_addr *b);
bool addr_is_any(const struct sluice_addr *addr); /* 0.0.0.0 or :: */
/* "192.0.2.1" or "2001:db8::1"; returns buf, of ADDR_TEXT bytes. */
const char *addr_format(const struct sluice_addr *addr, char *buf);

/* "192.0.2.1:80", "[2001:db8::1]:80", and with port "*" for every port. */
bool endpoint_parse(struct endpoint *out, const char *text);
/* As endpoint_parse, but the port may be left out: then it is default_port. */
bool endpoint_parse_default(struct endpoint *out, const char *text, uint16_t default_port);
const char *endpoint_format(const struct endpoint *ep, char *buf);
/* Fills ss for bind/connect: AF_INET for IPv4, AF_INET6 otherwise; returns its length. */
socklen_t endpoint_to_sockaddr(const struct endpoint *ep, struct sockaddr_storage *ss);
/* A v4-mapped AF_INET6 address becomes IPv4. False for other families. */
bool endpoint_from_sockaddr(struct endpoint *out, const struct sockaddr *sa);

/* "192.0.2.0/24" or a bare address (a full-length prefix). Host bits must be zero: if they
 * are not, returns false and sets *host_bits so that the caller can say so. */
bool cidr_parse(struct cidr *out, const char *text, bool *host_bits);
/* Sets the host bits to zero. */
void cidr_mask(struct cidr *net);
bool cidr_contains(const struct cidr *net, const struct sluice_addr *addr);
/* Returns buf, of ADDR_TEXT + 4 bytes; a full-length prefix is printed bare. */
const char *cidr_format(const struct cidr *net, char *buf);
/* False when the family does not fit. */
bool cidr_to_lpm4(const struct cidr *net, struct sluice_lpm4 *key);
bool cidr_to_lpm6(const struct cidr *net, struct sluice_lpm6 *key);

/* "tcp", "udp" <-> IPPROTO_*; name of an unknown number is NULL. */
bool proto_parse(uint8_t *out, const char *text);
const char *proto_name(uint8_t proto);

#endif
