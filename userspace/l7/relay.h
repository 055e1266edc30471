/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One body on its way from one connection to another: read, its framing checked, sent, in
 * the framing that the receiver was told. Holds at most one buffer on each side (a large one
 * where much is to come and memory allows: a call for 16 KB costs more than its bytes) and what may
 * be read ahead, so a slow receiver slows the sender down. Content goes out from where it was read,
 * together with what waits in front of it; only content that is to be chunked is copied. With an
 * encoder it is compressed on the way; what an encoder keeps back is given out when the sender
 * pauses.
 */
#ifndef L7_RELAY_H
#define L7_RELAY_H

#include "l7/body.h"
#include "l7/encode.h"
#include "l7/link.h"

/* Buffers in one go, a large one for four; then other connections have theirs. */
#define RELAY_TURNS 16

/* Somebody who is shown the content too, as it came from the sender. */
struct relay_tap {
	void (*content)(struct relay_tap *tap, struct span bytes);
};

struct relay {
	struct body body;
	uint64_t most;  /* bytes of content that are let through; 0 = all; set after relay_init */
	bool chunk;     /* the receiver gets chunks */
	bool trailers;  /* and trailer fields; set after relay_init */
	uint32_t ahead; /* bytes that may wait for a receiver that is slow; set after relay_init */
	bool ended;     /* the body's last byte was read; private */
	bool encoded;   /* the encoder has given its last byte; private */
	bool kept;      /* the encoder may keep content back; private */
	struct buf trailer;      /* fields so far, until the end; private */
	uint32_t held;           /* content at the front of src->in, already checked; private */
	struct encoder *encoder; /* content goes through it, into chunks; set after relay_init */
	struct relay_tap *tap;   /* or NULL; set after relay_init */
};

enum relay_result {
	RELAY_WAIT,     /* for one of the links */
	RELAY_TURN,     /* there may be more to do, after others */
	RELAY_DONE,     /* all of it was sent; what src->in holds is not of this body */
	RELAY_BAD,      /* the sender's framing is wrong */
	RELAY_LARGE,    /* there is more than `most`; the last part of it was not sent */
	RELAY_SRC_GONE, /* the sender's end came too early; what was read before is sent */
	RELAY_DST_GONE, /* the receiver takes no more */
	RELAY_NO_MEMORY,
};

void relay_init(struct relay *r, enum http1_body kind, uint64_t content_length, bool chunk);

/* Moves what can be moved now. keep: see link_send. */
enum relay_result relay_pump(struct relay *r, struct link *src, struct link *dst,
			     struct buf_pool *pool, bool keep);

void relay_fini(struct relay *r, struct buf_pool *pool);

/* Reads into out, behind what is there, in the receiver's framing: RELAY_DONE when the body has
 * ended or out holds `most` bytes or all that may wait. relay_pump goes on from there. */
enum relay_result relay_gather(struct relay *r, struct link *src, struct buf *out, uint32_t most,
			       struct buf_pool *pool);

/* The whole body was read, if maybe not sent. */
bool relay_read_all(const struct relay *r);

/* After relay_read_all: moves what is unsent from src->in to dst->out, so that src is free
 * for other work. False when dst->out cannot be made large enough. */
bool relay_settle(struct relay *r, struct link *src, struct link *dst, struct buf_pool *pool);

/* Nobody wants what was read and not sent: it is taken off src->in. */
void relay_drop(struct relay *r, struct link *src);

#endif
