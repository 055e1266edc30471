/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether what a client has is still what is there: conditions of requests (RFC 9110 section
 * 13), and the parts that it wants (section 14). Pure. A cache leaves If-Match and
 * If-Unmodified-Since to the origin; for files this is the origin.
 */
#ifndef L7_VALIDATE_H
#define L7_VALIDATE_H

#include "l7/http1.h"

#define RANGE_MOST 16 /* parts of one answer; who wants more gets the whole */

/* What is there. */
struct validators {
	struct span etag;          /* may be empty */
	struct span last_modified; /* as the origin wrote it; may be empty */
	int64_t modified;          /* Last-Modified; without one the date of the response */
};

/* If-Match; without one If-Unmodified-Since. False: a 412 answers. */
bool validate_precondition(const struct http1_head *request, const struct validators *v,
			   int64_t now);
/* If-None-Match; without one If-Modified-Since. True: a 304 answers. */
bool validate_unmodified(const struct http1_head *request, const struct validators *v, int64_t now);
/* If-Range, or none: the Range of the request counts. */
bool validate_range_counts(const struct http1_head *request, const struct validators *v);
/* The same thing byte for byte: both are strong, and equal. */
bool validate_same_strong(struct span a, struct span b);

struct range {
	uint64_t first, last; /* bytes, both within */
};

enum range_result {
	RANGE_ALL,  /* none is asked for, or in a way that is to be ignored */
	RANGE_SOME, /* these */
	RANGE_NONE, /* 416: there is nothing */
};

/* Range (RFC 9110 section 14.2) of something of size bytes. Ranges that together have more bytes
 * than the whole are ignored. */
enum range_result range_parse(struct span value, uint64_t size, struct range out[RANGE_MOST],
			      unsigned *n);
/* Content-Range of a 206: "bytes 0-4/10". False when it is none, or leaves the whole's size
 * open. */
bool range_content_parse(struct span value, struct range *out, uint64_t *size);

#endif
