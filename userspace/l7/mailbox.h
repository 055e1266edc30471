/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a thread is told by another one that something is there that it waits for. A sleeper is in
 * one list at a time: that of what it waits for, or, once that happened, its own thread's
 * mailbox, from where its thread wakes it. Cost: a lock and, when the mailbox was empty, a write
 * to an eventfd for each waking; nothing for who does not wait.
 */
#ifndef L7_MAILBOX_H
#define L7_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>

struct mailbox;

struct sleeper {
	TAILQ_ENTRY(sleeper) entry;
	struct mailbox *mailbox;         /* of its thread */
	void (*wake)(struct sleeper *w); /* in its thread; it is in no list any more */
	enum { SLEEPER_IDLE, SLEEPER_WAITS, SLEEPER_POSTED } place; /* under the lock of the list */
};

TAILQ_HEAD(sleepers, sleeper);

struct mailbox {
	pthread_mutex_t lock;
	struct sleepers posted;
	int fd; /* eventfd */
	struct event event;
};

/* 0 or -errno; mailbox_fini either way. */
int mailbox_init(struct mailbox *m, struct event_base *base);
void mailbox_fini(struct mailbox *m);

/* All of list are woken, soon. The caller holds the list's lock. */
void mailbox_post_all(struct sleepers *list);
/* In its own thread: w is woken in another turn of the loop. It must be in no list. */
void mailbox_post(struct sleeper *w);
/* In its own thread: w is not in its mailbox any more. The caller has seen to it that w is in no
 * other list, and cannot come back. */
void mailbox_take_back(struct sleeper *w);

#endif
