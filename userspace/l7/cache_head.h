/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Heads on their way into a cache and out of it. Pure: bytes into the caller's buffer.
 *
 *   origin -> kept fields      cache_head_keep, of a 304 cache_head_merge before it
 *   kept fields -> client      cache_head_answer, and cache_head_part within multipart/byteranges
 *   client -> origin           cache_head_ask: without the client's own conditions
 */
#ifndef L7_CACHE_HEAD_H
#define L7_CACHE_HEAD_H

#include "l7/buf.h"
#include "l7/edits.h"
#include "l7/fresh.h"
#include "l7/validate.h"

#define CACHE_BOUNDARY 24 /* bytes of a boundary, all hexadecimal */

struct cache_keep {
	struct span via;     /* this proxy's pseudonym */
	struct span date;    /* "Date: ...\r\n", if the response has none */
	const struct cc *cc; /* with the names of fields that are not kept; NULL: keep those */
	bool again;          /* h was kept before: via and date are there */
};

/* The fields that are kept, as "Name: value\r\n". Length, or 0 when they do not fit. */
size_t cache_head_keep(char *out, size_t room, const struct http1_head *h,
		       const struct cache_keep *keep);

/* Kept fields taken apart again. False: there are too many. */
bool cache_head_parse(struct http1_head *h, struct span kept, unsigned status);

/* stored with what a 304 changes (RFC 9111 section 3.2). False: there are too many fields. */
bool cache_head_merge(struct http1_head *out, const struct http1_head *stored,
		      const struct http1_head *update);

enum cache_answer_kind {
	CACHE_WHOLE,
	CACHE_PART,        /* 206, one range */
	CACHE_PARTS,       /* 206, multipart/byteranges */
	CACHE_UNMODIFIED,  /* 304 */
	CACHE_UNSATISFIED, /* 416 */
};

struct cache_answer {
	enum cache_answer_kind kind;
	unsigned status; /* CACHE_WHOLE: of the stored response */
	struct span kept;
	bool origin; /* it is of here and was never kept: it has no Age */
	int64_t age;
	struct span cache_status;  /* the whole value; empty: no such field */
	enum http1_body body;      /* how the content is framed */
	uint64_t length;           /* HTTP1_BODY_LENGTH */
	struct range range;        /* CACHE_PART */
	uint64_t whole;            /* size of all */
	const char *boundary;      /* CACHE_PARTS */
	const struct edits *edits; /* or NULL */
	bool close, keep_alive;    /* as in forward_head.h */
};

size_t cache_head_answer(char *out, size_t room, const struct cache_answer *a);
/* What stands in front of a part; with first false, behind the part before it. */
size_t cache_head_part(char *out, size_t room, struct span kept, const char *boundary,
		       struct range range, uint64_t whole, bool first);
/* Behind the last part. */
size_t cache_head_parts_end(char *out, size_t room, const char *boundary);

struct cache_ask {
	bool own;                   /* keep the client's own conditions and ranges */
	struct span etag, modified; /* validators of what is there; may be empty */
	struct span capability;     /* pseudonym in Surrogate-Capability */
	/* Of the fields that are left out because they change answers without being in the key:
	 * those that are in it, and those that the operator lets through. */
	const char *const *key_headers, *const *allowed;
	unsigned n_key_headers, n_allowed;
};

/* A head that was written for a backend, read again; false: it cannot be. */
bool cache_request_parse(struct http1_head *h, const struct buf *head);

/* The request has fields that cache_head_ask would leave out because of what they may change. */
bool cache_head_poisons(const struct http1_head *h, const struct cache_ask *ask);

/* head: a request's, as a backend gets it. */
size_t cache_head_ask(char *out, size_t room, const struct http1_head *head,
		      const struct cache_ask *ask);

#endif
