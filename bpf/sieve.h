/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Does an imported feed name the source? Without feeds this costs a test of one word. */
#ifndef BPF_SIEVE_H
#define BPF_SIEVE_H

#include "parse.h"

typedef __u32 sluice_sieve; /* as in sluice_counters.sieves */
#include "sluice/sieve_ask.h"

/* Both maps' lookups are inlined by the kernel. */
static __always_inline const union sluice_sieve_line *sluice_sieve_line(sluice_sieve sieve,
									__u32 number)
{
	__u32 slot = number / SLUICE_SIEVE_CHUNK, at = number % SLUICE_SIEVE_CHUNK;
	void *chunk;

	if (slot >= (sieve & 0xffff))
		return NULL;
	slot += sieve >> 16;
	chunk = bpf_map_lookup_elem(&sieves, &slot);
	return chunk ? bpf_map_lookup_elem(chunk, &at) : NULL;
}

/* Global, so that the verifier walks its loops once and not from wherever they are called. */
__noinline int sieve_holds6(sluice_sieve sieve, __u64 first, __u64 second)
{
	return sluice_sieve_has6(sieve, first, second);
}

static __always_inline bool sieve_names(const struct packet *p)
{
	sluice_sieve sieve = p->count->sieves[p->v6 & 1];
	__u64 words[2];

	if (!sieve)
		return false;
	if (!p->v6)
		return sluice_sieve_has4(sieve, bpf_ntohl(p->flow.src.w[3]));
	__builtin_memcpy(words, &p->flow.src, sizeof(words));
	return sieve_holds6(sieve, words[0], words[1]);
}

#endif
