/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PROXY protocol, versions 1 and 2: what one proxy tells the next of a connection, ahead of
 * its first byte. Pure. Strict: what the specification (haproxy.org, proxy-protocol.txt of 2020)
 * does not allow is malformed, and so is what is longer than PROXY_MOST.
 */
#ifndef L7_PROXY_PROTO_H
#define L7_PROXY_PROTO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

#define PROXY_MOST                                                                                 \
	1024            /* bytes of a header that are read: addresses, and TLVs that are skipped   \
			 */
#define PROXY_WRITE 108 /* bytes that one takes at most that is written, with a NUL */

struct proxy_head {
	bool known; /* addresses are there; else the connection speaks for itself */
	struct endpoint client, local;
};

/* Length of the header at the beginning of buf, 0 when more bytes are needed, or -1: it is none,
 * and the connection is not to be used. Same result whatever the cut points. */
int proxy_parse(const char *buf, size_t len, struct proxy_head *head);

/* A header of version 1 or 2 for a TCP connection. Returns its length. */
size_t proxy_write(char out[PROXY_WRITE], unsigned version, const struct endpoint *client,
		   const struct endpoint *local);

#endif
