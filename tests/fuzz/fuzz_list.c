// SPDX-License-Identifier: BSD-2-Clause
// Import files: whatever the bytes, the prefixes stand for exactly the addresses named.
// needs: userspace/l4/feed.c userspace/base/addr.c userspace/base/err.c
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "l4/feed.h"

#define ROOM 65536

static unsigned __int128 number(const struct sluice_addr *a)
{
	unsigned __int128 n = 0;

	for (int i = addr_is_v4(a) ? 12 : 0; i < 16; i++)
		n = n << 8 | a->b[i];
	return n;
}

/* 0 stands for 2^128 here, as sums do. */
static unsigned __int128 size(const struct cidr *net)
{
	unsigned bits = (addr_is_v4(&net->addr) ? 32U : 128U) - net->prefix;

	return bits == 128 ? 0 : (unsigned __int128)1 << bits;
}

static bool covered(const struct cidr *nets, size_t n, unsigned __int128 at)
{
	for (size_t i = 0; i < n; i++)
		if (at - number(&nets[i].addr) <= size(&nets[i]) - 1)
			return true;
	return false;
}

static void check(const struct feed *named, const struct feed *merged, bool v6)
{
	static struct cidr nets[ROOM];
	size_t n = feed_prefixes(merged, v6, nets, ROOM);
	unsigned __int128 wanted = 0, got = 0, mapped = (unsigned __int128)0xffff << 32;
	bool holds_mapped = false;

	for (size_t i = 0; i < merged->n[v6]; i++) {
		const struct feed_range *r = &merged->ranges[v6][i];

		assert(r->first <= r->last);
		assert(i == 0 || r->first > r[-1].last + 1);
		wanted += r->last - r->first + 1;
		holds_mapped |= v6 && r->first <= mapped + 0xffffffff && r->last >= mapped;
	}
	if (n > ROOM)
		return;
	for (size_t i = 0; i < n; i++) {
		struct cidr same = nets[i];
		bool host_bits;
		char text[ADDR_TEXT + 4];

		assert(addr_is_v4(&nets[i].addr) == !v6);
		assert(cidr_parse(&same, cidr_format(&nets[i], text), &host_bits));
		assert(addr_equal(&same.addr, &nets[i].addr) && same.prefix == nets[i].prefix);
		assert(i == 0 || number(&nets[i].addr) > number(&nets[i - 1].addr));
		got += size(&nets[i]);
	}
	assert(got == wanted || holds_mapped);
	for (size_t i = 0; i < named->n[v6] && n < 256 && !holds_mapped; i++) {
		assert(covered(nets, n, named->ranges[v6][i].first));
		assert(covered(nets, n, named->ranges[v6][i].last));
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	static FILE *nowhere;
	struct feed named = {0}, merged = {0};
	struct err e;
	FILE *in = fmemopen((void *)data, len, "r");

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	if (!in)
		return 0;
	assert(feed_read(&named, in, "input", nowhere, &e) == 0);
	fclose(in);
	assert(named.named + named.bad <= named.lines);
	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < named.n[v6]; i++)
			assert(feed_add(&merged, v6, &named.ranges[v6][i], &e) == 0);
	feed_merge(&merged);
	check(&named, &merged, false);
	check(&named, &merged, true);
	feed_fini(&named);
	feed_fini(&merged);
	return 0;
}
