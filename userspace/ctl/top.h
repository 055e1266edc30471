/* SPDX-License-Identifier: BSD-2-Clause */
/* What `sluice top` knows of an interval, between who gathers it and its two printers. */
#ifndef CTL_TOP_H
#define CTL_TOP_H

#include <stdio.h>

#include "ctl/names.h"
#include "ctl/status.h"

#define TOP_SOURCES 1024 /* told apart in one interval; the samples of others are only counted */
#define TOP_SHOWN   10   /* of them */

struct top_source {
	struct sluice_addr addr;
	uint64_t samples; /* 0: the place is free */
	__u32 reason;     /* of the last one */
};

struct top {
	struct names names;
	struct counters_sum before, now; /* at the interval's two ends */
	double seconds;                  /* between them */
	bool hears;                      /* the events; else another process has them */
	struct top_source sources[TOP_SOURCES];
	uint64_t samples, unnamed; /* of all; of sources that found no place */
};

struct top_rate {
	double packets, bits; /* in a second */
};

/* A counter that starts anew in between (its id was given to somebody else) counts from 0. */
struct top_rate top_rate(const struct top *t, const struct sluice_count *before,
			 const struct sluice_count *now);
double top_notice_rate(const struct top *t, unsigned notice);
/* Of all packets, and of those whose reason has this action. */
struct top_rate top_rate_of(const struct top *t, const char *action);

/* Those with most samples, first; out has TOP_SHOWN places. Returns their number. */
size_t top_busiest(const struct top *t, struct top_source *out);

void top_print(const struct top *t, FILE *out);
/* One line. 0 or -ENOMEM. */
int top_print_json(const struct top *t, FILE *out);

#endif
