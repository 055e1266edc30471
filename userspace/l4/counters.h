/* SPDX-License-Identifier: BSD-2-Clause */
/* The gate's counters, summed over CPUs. */
#ifndef L4_COUNTERS_H
#define L4_COUNTERS_H

#include "l4/gate.h"

/* 84 KB: heap or static, not the stack of a thread. */
struct counters_sum {
	struct sluice_count reasons[SLUICE_SLOTS]; /* by enum sluice_reason */
	uint64_t notices[SLUICE_SLOTS];            /* by enum sluice_notice */
	struct sluice_count services[SLUICE_MAX_SERVICES];
	struct sluice_count backends[SLUICE_MAX_BACKENDS];
};

/*
 * Reads while the gate counts: every number is whole, but two of them may be a packet
 * apart. 0 or -errno. Cost: one mmap, no system call per CPU.
 */
int counters_read(const struct gate *g, struct counters_sum *sum, struct err *e);

/* Sets one row to zero on every CPU: for an id that is given to somebody new, so that the
 * gate does not count there. 0 or -errno. */
int counters_clear_service(const struct gate *g, __u32 id);
/* Replaces the gate's filters (filter.h) on every CPU; l4 and vips have SLUICE_FILTER_WORDS
 * words. */
int counters_filter(const struct gate *g, const __u64 *vips, const __u64 *l4);
int counters_clear_backend(const struct gate *g, __u32 id);

/* Where the gate's sieves are, by family (sluice_counters.sieves). 0 or -errno. */
int counters_sieves(const struct gate *g, __u32 words[2]);
int counters_set_sieves(const struct gate *g, const __u32 words[2]);

/* Asks the gate to sample packets with these reasons (bits) too, though they are not dropped,
 * until then (CLOCK_BOOTTIME). 0 or -errno. */
int counters_capture(const struct gate *g, __u64 reasons, __u64 until_ns);

#endif
