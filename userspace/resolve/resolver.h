/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The resolver: a process of its own that asks name servers for the addresses of backends, again
 * whenever the last answer is too old, and tells the keeper what it heard. It decides nothing
 * but when to ask. It holds no privilege, and reads files that anybody may read (resolv.conf,
 * hosts); c-ares speaks DNS for it.
 */
#ifndef RESOLVE_RESOLVER_H
#define RESOLVE_RESOLVER_H

#include "base/err.h"
#include "base/name_page.h"
#include "conf/conf.h"

struct resolver_start {
	const struct conf *conf; /* borrowed for the process's life */
	int control;             /* to the keeper: struct resolver_msg, SOCK_SEQPACKET */
	const int *asked;        /* of each thread of workers: struct lookup_question */
	unsigned n_asked;
};

/*
 * Messages on the control socket: typed, of fixed size, checked by the receiver; all from the
 * resolver to the keeper. ADDRESSES: what a name has of one family, maybe nothing. FAILED: there
 * was no answer, or there is no such name. When the keeper's end closes, the resolver ends.
 */
enum resolver_msg_type { RESOLVER_MSG_ADDRESSES = 1, RESOLVER_MSG_FAILED = 2 };

struct resolver_msg {
	uint32_t type;   /* enum resolver_msg_type */
	uint32_t size;   /* sizeof(struct resolver_msg) */
	uint32_t name;   /* its index */
	uint32_t family; /* 0: IPv4, 1: IPv6 */
	uint32_t ttl_ms;
	uint32_t n;     /* of addrs */
	uint32_t found; /* that the answer had */
	char why[NAME_PAGE_ERROR];
	struct sluice_addr addrs[CONF_MAX_SEATS];
};

/* Runs until the keeper is gone; returns the process's exit status. */
int resolver_run(const struct resolver_start *start);

#endif
