/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lists of addresses as files have them: lines into ranges, ranges merged, merged ranges cut
 * into the fewest prefixes. Pure, but for the stream that it reads.
 *
 * A line is empty, or a prefix, an address or `first-last`, and then perhaps a comment that
 * starts with # or ;. Lines may end in CRLF.
 */
#ifndef L4_FEED_H
#define L4_FEED_H

#include <stdio.h>

#include "base/addr.h"
#include "base/err.h"

#define FEED_LINE       256        /* bytes of a line before its comment; longer is a mistake */
#define FEED_MAX_RANGES (1U << 23) /* of a family, after merging; more: refused with E2BIG */

/* Both ends belong to it. IPv4 addresses are the numbers below 2^32. */
struct feed_range {
	unsigned __int128 first, last;
};

/* Zeroed = empty. */
struct feed {
	struct feed_range *ranges[2]; /* by family: IPv4, IPv6; owned */
	size_t n[2], room[2];
	size_t lines, named, bad; /* lines read; those that name something; mistakes */
};

/* 1 = *out is what the line names, 0 = it names nothing, -EINVAL = a mistake, told in e. The
 * line comes without its newline. */
int feed_parse_line(const char *line, size_t len, struct feed_range *out, bool *v6, struct err *e);

/*
 * Adds what a stream names. Each mistake is one line `name:number: what` to complaints, and
 * is counted, not a failure: the caller judges. 0, -ENOMEM, -E2BIG, or what reading met.
 */
int feed_read(struct feed *f, FILE *in, const char *name, FILE *complaints, struct err *e);

int feed_add(struct feed *f, bool v6, const struct feed_range *r, struct err *e);

/* Sorts, and joins what overlaps or touches. */
void feed_merge(struct feed *f);

/* The fewest prefixes that make up a family of a merged feed, in order, as far as room goes.
 * Returns their number, also with room 0. */
size_t feed_prefixes(const struct feed *f, bool v6, struct cidr *out, size_t room);

/* Is the address in a merged feed? *net is the one of its prefixes that it is in. */
bool feed_covering(const struct feed *f, const struct sluice_addr *addr, struct cidr *net);

void feed_fini(struct feed *f);

#endif
