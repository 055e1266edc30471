// SPDX-License-Identifier: BSD-2-Clause
#include "l4/ticks.h"

#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

__u32 ticks_hz(void)
{
	struct timespec tick;

	/* This clock moves once with each tick. */
	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	return (__u32)(1000000000 / tick.tv_nsec);
}

/* No file tells them, so a program of two instructions, run once, does. */
int ticks_now(__u32 *now)
{
	const struct bpf_insn code[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_jiffies64},
		{.code = BPF_JMP | BPF_EXIT},
	};
	unsigned char frame[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "sluice_ticks", "BSD", code,
			       sizeof(code) / sizeof(code[0]), NULL);
	int rc = fd < 0 ? fd : bpf_prog_test_run_opts(fd, &opts);

	*now = opts.retval;
	if (fd >= 0)
		close(fd);
	return rc;
}
