// SPDX-License-Identifier: BSD-2-Clause
#include "l4/events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <bpf/libbpf.h>

struct events {
	struct ring_buffer *ring;
	int lock; /* on the folder of the pins: whoever has it reads */
	int (*each)(void *arg, const struct sluice_event *event);
	void *arg;
};

/* Called by libbpf for each record. */
static int on_record(void *arg, void *data, size_t size)
{
	struct events *ev = arg;

	return size < sizeof(struct sluice_event) ? 0 : ev->each(ev->arg, data);
}

static int take_lock(struct events *ev, struct err *e)
{
	ev->lock = open(SLUICE_PIN_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ev->lock >= 0 && flock(ev->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (ev->lock >= 0 && errno == EWOULDBLOCK)
		return err_set(e, EBUSY,
			       "another sluice reads the events (events, capture or top), and each "
			       "event has one reader; end that one first");
	return err_set(e, errno, "cannot lock %s: %s", SLUICE_PIN_DIR, strerror(errno));
}

struct events *events_open(const struct gate *g,
			   int (*each)(void *arg, const struct sluice_event *event), void *arg,
			   struct err *e)
{
	struct events *ev = calloc(1, sizeof(*ev));
	int rc;

	if (!ev) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	ev->each = each;
	ev->arg = arg;
	rc = take_lock(ev, e);
	if (rc == 0) {
		ev->ring = ring_buffer__new(g->events, on_record, ev, NULL);
		if (!ev->ring)
			rc = err_set(e, errno, "cannot open the event ring: %s", strerror(errno));
	}
	if (rc == 0)
		return ev;
	events_close(ev);
	errno = -rc;
	return NULL;
}

void events_close(struct events *ev)
{
	if (!ev)
		return;
	ring_buffer__free(ev->ring);
	if (ev->lock >= 0)
		close(ev->lock);
	free(ev);
}

int events_fd(const struct events *ev)
{
	return ring_buffer__epoll_fd(ev->ring);
}

int events_take(struct events *ev)
{
	int rc = ring_buffer__consume(ev->ring);

	return rc > 0 ? 0 : rc;
}
