// SPDX-License-Identifier: BSD-2-Clause
// needs: userspace/l7/proxy_proto.c userspace/base/addr.c userspace/base/units.c
/* A PROXY header in any bytes: the answer is the same at every cut point, stays within the bounds,
 * and what was understood is written and read again to the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "l7/proxy_proto.h"

static void again(const struct proxy_head *h, unsigned version)
{
	char out[PROXY_WRITE];
	size_t n = proxy_write(out, version, &h->client, &h->local);
	struct proxy_head back;

	assert(n < PROXY_WRITE);
	assert(proxy_parse(out, n, &back) == (int)n);
	if (!back.known) /* version 1 has no words for two families */
		return;
	assert(memcmp(&back.client.addr, &h->client.addr, sizeof(h->client.addr)) == 0);
	assert(back.client.port == h->client.port && back.local.port == h->local.port);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	const char *buf = (const char *)data;
	struct proxy_head h, part;
	int n = proxy_parse(buf, len, &h);

	assert(n <= PROXY_MOST && (size_t)(n < 0 ? 0 : n) <= len);
	assert(n != 0 || len < PROXY_MOST);
	for (size_t cut = 0; cut < len && cut < 2 * PROXY_MOST; cut++) {
		int early = proxy_parse(buf, cut, &part);

		assert(early == 0 || early == n);
		assert(n <= 0 || early == 0 || cut >= (size_t)n);
	}
	if (n > 0 && h.known) {
		again(&h, 1);
		again(&h, 2);
	}
	return 0;
}
