/* SPDX-License-Identifier: BSD-2-Clause */
/* What of a request the balance hash goes by, as a number. Pure. */
#ifndef L7_HASH_KEY_H
#define L7_HASH_KEY_H

#include "base/addr.h"
#include "conf/pool.h"
#include "l7/http1.h"

/* Without the field or the cookie that the pool goes by, the client's address counts. 0 in a
 * pool that does not go by a key. */
uint64_t hash_key(const struct conf_pool *pool, const struct http1_head *h,
		  const struct sluice_addr *client);

/* The value of the first cookie of that name (RFC 6265 section 5.4), p NULL: there is none. */
struct span hash_cookie(const struct http1_head *h, const char *name);

#endif
