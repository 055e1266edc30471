/* SPDX-License-Identifier: BSD-2-Clause */
/* Whom this host must go on hearing, so that nobody locks themselves out of it. */
#ifndef CTL_LOCKOUT_H
#define CTL_LOCKOUT_H

#include <stddef.h>

#include "base/addr.h"
#include "base/err.h"
#include "l4/block.h"

#define LOCKOUT_MAX 16 /* gateways beyond are not looked after */

struct lockout {
	struct sluice_addr addr;
	const char *who; /* "the default gateway" */
};

/* The SSH client of this session, if it is one, and the default gateways. Returns how many. */
size_t lockout_find(struct lockout out[LOCKOUT_MAX]);

/* 0, or -EPERM with words: a net of these would block every address of a family, or one of
 * the above that is not on the allow list. */
int lockout_check(const struct block_list *allow, const struct block_entry *nets, size_t n,
		  struct err *e);

#endif
