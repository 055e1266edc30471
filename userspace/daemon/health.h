/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the keeper knows of the backends that its configuration has checked, and what follows
 * from it: results come from the checkers (checkers.h), states go to the page that workers read
 * (health_page.h) and, for l4 services, into the gate's tables.
 */
#ifndef DAEMON_HEALTH_H
#define DAEMON_HEALTH_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/health_page.h"
#include "conf/conf.h"
#include "daemon/jail.h"
#include "daemon/names.h"

struct event_base;
struct gate;
struct health;

/*
 * *out stays NULL where nothing is checked. States are taken over from `old`, or without one
 * from what the last daemon left. conf is borrowed. steered: l4 services are checked, too. 0 or
 * -errno. names: the addresses of names, where there are any.
 */
int health_make(struct health **out, const struct conf *conf, bool steered,
		const struct name_page *names, const struct health *old, struct err *e);
void health_free(struct health *h); /* NULL is fine, as for all of them */

/* Read-only, for workers; -1: there is none. */
int health_fd(const struct health *h);

/* Its crew serves from now on: checks begin. gate: where l4 services' tables are, NULL without
 * one; trap: see jail.h. */
int health_begin(struct health *h, const struct health *old, struct event_base *base,
		 const struct jail *jail, struct gate *gate, bool trap, struct err *e);
/* Checks end; states stay as they are. */
void health_end(struct health *h);

/* Checks follow the addresses of names from now on. */
void health_follow(struct health *h, struct names *names);

/* The gate may be another by now: its tables are looked at, and brought to what is known. */
void health_look(struct health *h, bool gone);

/* Was that process one of the checkers? It is started again. */
bool health_ended(struct health *h, pid_t pid, int status);

#endif
