// SPDX-License-Identifier: BSD-2-Clause
#include "l7/mailbox.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct sleeper *next(struct mailbox *m)
{
	struct sleeper *w;

	pthread_mutex_lock(&m->lock);
	w = TAILQ_FIRST(&m->posted);
	if (w) {
		TAILQ_REMOVE(&m->posted, w, entry);
		w->place = SLEEPER_IDLE;
	}
	pthread_mutex_unlock(&m->lock);
	return w;
}

/* Whoever is woken may take others back. */
static void on_mail(evutil_socket_t fd, short what, void *arg)
{
	struct mailbox *m = arg;
	struct sleeper *w;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) < 0)
		return;
	while ((w = next(m)))
		w->wake(w);
}

int mailbox_init(struct mailbox *m, struct event_base *base)
{
	TAILQ_INIT(&m->posted);
	pthread_mutex_init(&m->lock, NULL);
	m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->fd < 0)
		return -errno;
	if (event_assign(&m->event, base, m->fd, EV_READ | EV_PERSIST, on_mail, m) != 0 ||
	    event_add(&m->event, NULL) != 0) {
		close(m->fd);
		m->fd = -1;
		return -ENOMEM;
	}
	return 0;
}

void mailbox_fini(struct mailbox *m)
{
	if (m->fd < 0)
		return;
	event_del(&m->event);
	close(m->fd);
	pthread_mutex_destroy(&m->lock);
	m->fd = -1;
}

static void post(struct sleeper *w)
{
	struct mailbox *m = w->mailbox;
	const uint64_t one = 1;
	bool first;

	pthread_mutex_lock(&m->lock);
	first = TAILQ_EMPTY(&m->posted);
	TAILQ_INSERT_TAIL(&m->posted, w, entry);
	w->place = SLEEPER_POSTED;
	pthread_mutex_unlock(&m->lock);
	/* It can only fail when it has been written to 2^64 times. */
	if (first && write(m->fd, &one, sizeof(one)) < 0)
		return;
}

void mailbox_post_all(struct sleepers *list)
{
	struct sleeper *w;

	while ((w = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, w, entry);
		post(w);
	}
}

void mailbox_post(struct sleeper *w)
{
	if (w->place == SLEEPER_IDLE)
		post(w);
}

void mailbox_take_back(struct sleeper *w)
{
	pthread_mutex_lock(&w->mailbox->lock);
	if (w->place == SLEEPER_POSTED)
		TAILQ_REMOVE(&w->mailbox->posted, w, entry);
	w->place = SLEEPER_IDLE;
	pthread_mutex_unlock(&w->mailbox->lock);
}
