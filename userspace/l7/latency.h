/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Latencies of late, as counts in steps of a quarter of an octave, from a microsecond to an hour.
 * Pure. What is older counts less: at LATENCY_MOST all counts are halved.
 */
#ifndef L7_LATENCY_H
#define L7_LATENCY_H

#include <stdint.h>

#define LATENCY_STEPS 128
#define LATENCY_LEAST 100 /* with fewer nothing is known */
#define LATENCY_MOST  4096

struct latency {
	uint32_t counts[LATENCY_STEPS];
	uint32_t total;
};

void latency_add(struct latency *l, uint64_t us);
/* So many of a hundred were not slower, in microseconds, rounded up; 0: not known. */
uint64_t latency_percentile(const struct latency *l, unsigned percent);

#endif
