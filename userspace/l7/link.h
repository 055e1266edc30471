/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One end of a TCP connection and what is known of its readiness. The event is registered
 * once, edge-triggered for reading and writing; from then on calls are tried first, and a
 * flag goes false when one of them says that it would block. No epoll_ctl in between.
 *
 * Whether it speaks TLS is this room's affair: what is read and sent is what the peer means. A
 * link of TLS is neither readable nor writable before its handshake is done.
 */
#ifndef L7_LINK_H
#define L7_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/addr.h"
#include "l7/buf.h"

struct link {
	int fd;        /* -1 = none */
	bool readable; /* a read may find bytes */
	bool unsure;   /* the last read was short: a reset, of which there is no word, may follow */
	bool writable;
	bool hangup; /* the peer has sent FIN; it may stand behind unread bytes */
	bool eof;    /* FIN was read */
	bool failed; /* reading failed; error tells how */
	bool broken; /* sending failed, likewise; what has arrived can still be read */
	int error;
	uint64_t sent;  /* bytes so far */
	struct buf in;  /* received, not yet used */
	struct buf out; /* to be sent */
	struct event event;
	struct tls *tls; /* NULL: bytes travel as they are */
};

/* Takes fd. The callback gets the link's events; it calls link_ready first. */
int link_open(struct link *l, int fd, struct event_base *base, event_callback_fn callback,
	      void *arg);
/* Unregisters, closes, gives buffers back. reset: by RST, so that the peer cannot take what
 * it has for a whole message. Fine when fd is -1. */
void link_close(struct link *l, struct buf_pool *pool, bool reset);

/* Says the last word: a FIN behind what was sent. The other side may still speak. */
void link_finish(struct link *l);

/* What was sent is not all: when the connection is closed, it is by RST. */
void link_break(struct link *l);

/* Takes note of what the event loop said. */
void link_ready(struct link *l, short what);

/* Asks whether the peer has reset the connection, whatever is unread: sets failed if so. */
void link_probe(struct link *l);

/* Bytes of the connection's life that have reached the peer. */
uint64_t link_acked(const struct link *l);

/* Nothing waits to be read. Asks the kernel only when the last read was full. */
bool link_quiet(struct link *l);

/* This end's address; zero if it cannot be told. */
void link_local(const struct link *l, struct endpoint *local);
/* What waits to be read, which stays there: bytes, or -1 when there is none to be had now (see
 * eof, failed); and taking n of them. Of a connection in plain only. */
ssize_t link_peek(struct link *l, char *buf, size_t room);
void link_skip(struct link *l, size_t n);

/* Reads into l->in, which has room (else asserts). Bytes read, 0 when there is none to be had
 * now: see readable, eof and failed. */
size_t link_read(struct link *l);

/* Everything that was sent is on its way; nothing is left in l->out or below. */
bool link_flushed(const struct link *l);

/* Sends l->out and then up to n bytes at extra, in one call. Returns how many bytes of extra
 * went; what went of out is consumed. keep: the bytes of out stay in place for another try
 * (out.start moves, but never starts over). */
size_t link_send(struct link *l, const char *extra, size_t n, bool keep);
/* Sends l->out and then up to n bytes of a file from `at` on. Returns how many bytes of the file
 * went, 0 when the link takes none now, -1 when the file has none there any more. */
ssize_t link_send_file(struct link *l, int fd, uint64_t at, size_t n, struct buf_pool *pool);

#endif
