/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SYN cookies: what this host's TCP stack would say in answer to a SYN, which the gate says in its
 * place (bpf/syncookie.h). It is read when a file is attached or applied; settings of the host that
 * change later need another `sluice apply`.
 */
#ifndef L4_COOKIES_H
#define L4_COOKIES_H

#include <stdbool.h>

#include "base/err.h"
#include "l4/gate.h"

/* net.ipv4.tcp_* and net.core.rmem_max of this network namespace. */
struct cookies_host {
	long syncookies, timestamps, sack, window_scaling;
	long rmem_most; /* the third of tcp_rmem */
	long rmem_max;
	long mtu; /* the least of the interfaces that a gate is on; 0: there is none */
};

/* Does the kernel make cookies for the gate? */
bool cookies_possible(void);

void cookies_look(struct cookies_host *h);
/* What answers are made of. Pure. */
struct sluice_cookies cookies_of(const struct cookies_host *h);
int cookies_write(const struct gate *g, const struct sluice_cookies *c, struct err *e);

/* What keeps the gate from answering, or answers from offering all that they could, and what mends
 * it; NULL: nothing does. */
const char *cookies_caution(const struct cookies_host *h, bool possible);

#endif
