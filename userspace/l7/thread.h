/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the rooms of one worker thread share: its loop, its memory, its clock. Nothing here
 * is touched by another thread.
 */
#ifndef L7_THREAD_H
#define L7_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "base/health_page.h"
#include "base/name_page.h"
#include "base/span.h"
#include "conf/conf.h"
#include "l7/access.h"
#include "l7/buf.h"
#include "l7/encode.h"
#include "l7/edits.h"
#include "l7/http1.h"
#include "l7/mailbox.h"
#include "l7/namer.h"
#include "l7/tls_thread.h"
#include "l7/wheel.h"

struct caches;

#define THREAD_DATE 40 /* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" and a NUL */

struct pool_shared;

struct thread {
	const struct conf *conf;          /* borrowed */
	const int *roots;                 /* borrowed; directories, as in conf.roots */
	const struct health_page *health; /* borrowed; NULL: no backend is checked */
	const struct name_page *names;    /* borrowed; NULL: no backend has a name */
	struct pool_shared *shared;       /* borrowed; with the other threads */
	unsigned index;                   /* among them */
	struct event_base *base;
	struct buf_pool pool;
	struct encoders encoders;
	struct wheel wheel;
	struct access access;
	struct tls_thread tls;
	struct http1_head head; /* the last one parsed; for the caller of the parser alone */
	struct edits edits;     /* of the message that is being written */
	struct buf rewritten, turned,
		host;     /* of the request: its target, in its spelling; its host */
	struct buf words; /* values of fields */
	struct buf text;  /* of a route's answer */
	struct mailbox mailbox;
	struct namer namer;
	const struct caches *caches;                               /* borrowed; of the worker */
	struct http1_head request_head, scratch_head, merged_head; /* of the cache's; likewise */
	struct buf scratch;                                        /* its bytes, for a moment */
	struct regex_run *regex;
	uint8_t random[512]; /* of which n_random are left */
	unsigned n_random;
	struct buf target; /* its target, where that had to be written anew */
	uint64_t now_ms;   /* CLOCK_MONOTONIC_COARSE, as of this turn of the loop */
	long date_second;
	char date[THREAD_DATE];
	bool draining;
};

/* 0 or -ENOMEM. */
int thread_init(struct thread *t, const struct conf *conf, int access_log);
void thread_fini(struct thread *t);

/* Renews now_ms; each callback of the loop begins with it. */
void thread_clock(struct thread *t);
/* The Date field with its CRLF (RFC 9110 section 6.6.1). Valid until the next call. */
struct span thread_date(struct thread *t);
/* Seconds since 1970, as responses tell time. */
int64_t thread_wall(void);

#endif
