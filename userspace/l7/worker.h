/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The worker process: threads with an event loop each, that take client connections from
 * listening sockets handed over by the keeper, and proxy them. It holds no privilege and
 * opens no file: all descriptors come from the keeper.
 */
#ifndef L7_WORKER_H
#define L7_WORKER_H

#include <stddef.h>

#include "base/cache_page.h"
#include "base/health_page.h"
#include "base/name_page.h"
#include "conf/conf.h"

/* A listening socket (non-blocking; accepted sockets inherit TCP_NODELAY) and the one thread
 * that accepts from it. Which service a connection belongs to is told by its local address
 * (conf_find); one that belongs to none is closed. */
struct worker_listener {
	int fd;
	unsigned thread;
	struct endpoint at; /* where its connections go to; zero: each tells */
};

struct worker_start {
	const struct conf *conf; /* borrowed for the worker's life */
	unsigned threads;
	const struct worker_listener *listeners;
	size_t n_listeners;
	int control;         /* socketpair to the keeper: struct worker_msg, SOCK_SEQPACKET */
	int access_log;      /* O_APPEND, or -1 */
	int keyring;         /* of services that speak TLS, or -1 */
	const int *roots;    /* directories, as in conf.roots */
	int tickets;         /* keys of session tickets, or -1 */
	const int *resolver; /* of each thread a socketpair (lookup.h), or NULL */
	const struct name_page *names;    /* where backends with names are; NULL = none has one */
	const struct health_page *health; /* which backends take requests; NULL = all */
	const struct cache_page *caches;  /* where caches count; writable */
};

/*
 * Messages on the control socket: typed, of fixed size, checked by the receiver. Keeper to
 * worker: DRAIN (accept what waits in the listeners' queues, close them, finish what runs for
 * drain_ms at most, exit 0). The worker also drains when the keeper's end closes. LOG brings a
 * descriptor (SCM_RIGHTS) that takes the place of the access log's, KEYRING one of another keyring.
 * Worker to keeper: READY once every thread accepts.
 */
enum worker_msg_type {
	WORKER_MSG_READY = 1,
	WORKER_MSG_DRAIN = 2,
	WORKER_MSG_LOG = 3,
	WORKER_MSG_KEYRING = 4
};

struct worker_msg {
	uint32_t type; /* enum worker_msg_type */
	uint32_t size; /* sizeof(struct worker_msg) */
};

/* Runs until drained; returns the process's exit status. */
int worker_run(const struct worker_start *start);

#endif
