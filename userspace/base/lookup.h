/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a worker's thread asks the resolver while a request waits, and what it hears: messages of
 * fixed size on a SOCK_SEQPACKET socketpair, checked by the receiver. An answer has the id of its
 * question; questions may be answered in another order, or, should the resolver be started again,
 * never.
 */
#ifndef BASE_LOOKUP_H
#define BASE_LOOKUP_H

#include "base/addr.h"

#define LOOKUP_NAME      256
#define LOOKUP_ADDRESSES 16   /* those beyond are left out */
#define LOOKUP_THREAD    512  /* questions of a thread at a time; more are not asked */
#define LOOKUP_MOST      2048 /* and of all threads; more are answered with BUSY */

enum lookup_outcome { LOOKUP_FOUND, LOOKUP_NONE, LOOKUP_TIMEOUT, LOOKUP_BUSY };

struct lookup_question {
	uint32_t size; /* sizeof(struct lookup_question) */
	uint32_t id;
	char name[LOOKUP_NAME];
};

struct lookup_answer {
	uint32_t size; /* sizeof(struct lookup_answer) */
	uint32_t id;
	uint32_t outcome; /* enum lookup_outcome */
	uint32_t n;       /* of addrs; families take turns, IPv6 first (RFC 8305) */
	struct sluice_addr addrs[LOOKUP_ADDRESSES];
};

#endif
