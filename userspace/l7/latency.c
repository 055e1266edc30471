// SPDX-License-Identifier: BSD-2-Clause
#include "l7/latency.h"

/* The octave, and the two bits behind its first one. */
static unsigned step_of(uint64_t us)
{
	unsigned octave, step;

	if (us < 4)
		return (unsigned)us;
	octave = 63 - (unsigned)__builtin_clzll(us);
	step = (octave - 1) * 4 + (unsigned)(us >> (octave - 2) & 3);
	return step < LATENCY_STEPS ? step : LATENCY_STEPS - 1;
}

static uint64_t step_end(unsigned step)
{
	unsigned octave = step / 4 + 1;

	return step < 4 ? step : ((4ULL + step % 4 + 1) << (octave - 2)) - 1;
}

void latency_add(struct latency *l, uint64_t us)
{
	l->counts[step_of(us)]++;
	if (++l->total < LATENCY_MOST)
		return;
	l->total = 0;
	for (unsigned i = 0; i < LATENCY_STEPS; i++)
		l->total += l->counts[i] /= 2;
}

uint64_t latency_percentile(const struct latency *l, unsigned percent)
{
	uint64_t wanted = ((uint64_t)l->total * percent + 99) / 100, sum = 0;

	if (l->total < LATENCY_LEAST)
		return 0;
	for (unsigned i = 0; i < LATENCY_STEPS; i++) {
		sum += l->counts[i];
		if (sum >= wanted)
			return step_end(i);
	}
	return step_end(LATENCY_STEPS - 1);
}
