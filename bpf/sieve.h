/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Does an imported feed name the source? Without feeds this costs a bit test. */
#ifndef BPF_SIEVE_H
#define BPF_SIEVE_H

#include "parse.h"
#include "sluice/sieve_ask.h"

/* sieve is a map; its length is not known here, so this is a call, not inlined code. */
static __always_inline const union sluice_sieve_line *sluice_sieve_line(void *sieve, __u32 number)
{
	return bpf_map_lookup_elem(sieve, &number);
}

/* A function of its own: where the lists are looked at is inlined in several places. */
static __noinline int sieve_holds(const struct packet *p)
{
	__u32 family = p->v6 ? 1 : 0;
	void *sieve = bpf_map_lookup_elem(&sieves, &family);
	__u64 words[2];

	if (!sieve)
		return 0; /* taken away this moment */
	if (!family)
		return sluice_sieve_has4(sieve, bpf_ntohl(p->flow.src.w[3]));
	__builtin_memcpy(words, &p->flow.src, sizeof(words));
	return sluice_sieve_has6(sieve, words[0], words[1]);
}

static __always_inline bool sieve_names(const struct packet *p)
{
	return p->count->sieves >> p->v6 & 1 && sieve_holds(p);
}

#endif
