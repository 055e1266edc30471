// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The empty program of `scripts/bench l4`: what the kernel's own accounting costs. It also
 * stands at the generator's end of each link and takes what comes back.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int empty(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
