// SPDX-License-Identifier: BSD-2-Clause
#include "l7/outlier.h"

#include <stdlib.h>

#define DEVIATIONS 1.9  /* below the mean, of the rates of success (as Envoy has it) */
#define LEAST_GAP  0.02 /* a rate that is lower by less is chance */

bool outlier_note(struct outlier *o, const struct conf_outlier *conf, bool failed,
		  uint64_t latency_us)
{
	o->total++;
	o->latency_us += latency_us;
	if (!failed) {
		o->row = 0;
		return false;
	}
	o->failed++;
	o->row++;
	return conf->on && conf->consecutive && o->row >= conf->consecutive;
}

void outlier_eject(struct outlier *o, const struct conf_outlier *conf, uint64_t now_ms)
{
	uint64_t ms = (uint64_t)conf->time_ms * ++o->times;

	o->until_ms = now_ms + (ms < conf->most_ms ? ms : conf->most_ms);
	o->row = 0;
}

static const struct outlier *at(const struct outlier *first, unsigned stride, unsigned i)
{
	return (const struct outlier *)((const char *)first + (size_t)stride * i);
}

static double success(const struct outlier *o)
{
	return 1 - (double)o->failed / o->total;
}

static double latency(const struct outlier *o)
{
	return (double)o->latency_us / o->total;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Newton's; no library of mathematics for one root. */
static double root(double x)
{
	double r = x > 1 ? x : 1;

	for (unsigned i = 0; i < 40 && x > 0; i++)
		r = (r + x / r) / 2;
	return x > 0 ? r : 0;
}

void outlier_norm(struct outlier_norm *norm, const struct outlier *first, unsigned n,
		  unsigned stride, const struct conf_outlier *conf)
{
	double *latencies = calloc(n + 1, sizeof(*latencies)), sum = 0, square = 0, margin;
	unsigned known = 0;

	*norm = (struct outlier_norm){0};
	for (unsigned i = 0; latencies && i < n; i++) {
		const struct outlier *o = at(first, stride, i);

		if (o->total < OUTLIER_REQUESTS)
			continue;
		latencies[known++] = latency(o);
		sum += success(o);
		square += success(o) * success(o);
	}
	if (known >= OUTLIER_PEERS) {
		double mean = sum / known;

		margin = DEVIATIONS * root(square / known - mean * mean);
		norm->least_success = mean - (margin > LEAST_GAP ? margin : LEAST_GAP);
		qsort(latencies, known, sizeof(*latencies), by_size);
		norm->most_us = latencies[(known - 1) / 2] * conf->latency;
	}
	free(latencies);
}

bool outlier_stands_out(const struct outlier *o, const struct outlier_norm *norm)
{
	return o->total >= OUTLIER_REQUESTS && (success(o) < norm->least_success ||
						(norm->most_us > 0 && latency(o) > norm->most_us));
}

void outlier_begin(struct outlier *o, uint64_t now_ms)
{
	/* Who was there all the time is forgiven one. */
	if (o->until_ms <= now_ms && o->times)
		o->times--;
	o->total = o->failed = 0;
	o->latency_us = 0;
}
