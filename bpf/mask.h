/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Comparisons without branches, for loops over what a packet or a table holds: the verifier would
 * walk each course of branches apart, and there are more of them than it has patience for.
 */
#ifndef BPF_MASK_H
#define BPF_MASK_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

/* All ones if a's top bit is set, else 0. Without the barriers the compiler sees what it is for,
 * and makes a branch of it. */
static __always_inline __u64 mask_top(__u64 a)
{
	asm volatile("" : "+r"(a));
	a = (__u64)((__s64)a >> 63);
	asm volatile("" : "+r"(a));
	return a;
}

/* All ones if a < b; neither has its top bit set. */
static __always_inline __u64 mask_less(__u64 a, __u64 b)
{
	return mask_top(a - b);
}

static __always_inline __u64 mask_zero(__u64 a)
{
	return mask_top(~(a | -a));
}

/* a where the mask is set, else b. */
static __always_inline __u64 mask_pick(__u64 mask, __u64 a, __u64 b)
{
	return b ^ ((a ^ b) & mask);
}

#endif
