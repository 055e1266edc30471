/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring of sampled packets, read. It has one reader at a time: two would take events from
 * each other.
 */
#ifndef L4_EVENTS_H
#define L4_EVENTS_H

#include "l4/gate.h"

struct events;

/* `each` is given one event after the other by events_take; anything but 0 ends the round.
 * NULL with e filled; errno is EBUSY when another process reads. */
struct events *events_open(const struct gate *g,
			   int (*each)(void *arg, const struct sluice_event *event), void *arg,
			   struct err *e);
void events_close(struct events *ev);

/* Readable when there are events. */
int events_fd(const struct events *ev);
/* Those that are there now. 0, what `each` returned, or -errno. */
int events_take(struct events *ev);

#endif
