// SPDX-License-Identifier: BSD-2-Clause
/* What feeds name, for the bed's gate. See bed.h. */
#include "bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l4/sieves.h"

static struct feed named;
static struct err err;

static void must(bool done)
{
	if (done)
		return;
	fprintf(stderr, "%s\n", err.text);
	exit(1);
}

void bed_sieve(const struct sieve *s)
{
	struct gate gate = {.sieves = bed_map("sieves"), .counters = bed_map("counters")};

	must(sieves_swap(&gate, s, &err) == 0);
}

void bed_feed(const char *line)
{
	struct sieve sieve;

	if (line) {
		struct feed_range r;
		bool v6;

		must(feed_parse_line(line, strlen(line), &r, &v6, &err) == 1);
		must(feed_add(&named, v6, &r, &err) == 0);
		feed_merge(&named);
	} else {
		feed_fini(&named);
	}
	for (int v6 = 0; v6 < 2; v6++) {
		must(sieve_build(&sieve, &named, v6, &err) == 0);
		bed_sieve(&sieve);
		sieve_fini(&sieve);
	}
}
