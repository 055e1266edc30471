/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the keeper knows of the names of backends: answers come from the resolver's process,
 * addresses go to the page that workers read (name_page.h) and to the checks.
 */
#ifndef DAEMON_NAMES_H
#define DAEMON_NAMES_H

#include <sys/types.h>

#include "base/name_page.h"
#include "conf/conf.h"
#include "daemon/jail.h"

struct event_base;
struct names;

/* A seat has another address by now, or none. */
typedef void names_moved(void *user, uint32_t name, uint32_t seat, const struct name_seat *now);

/* *out stays NULL where nothing is to be resolved. Addresses are taken over from `old`, or without
 * one from what the last daemon left. conf is borrowed. 0 or -errno. */
int names_make(struct names **out, const struct conf *conf, unsigned threads,
	       const struct names *old, struct err *e);
void names_free(struct names *n); /* NULL is fine, as for all of them */

/* Read-only, for workers and checks. */
const struct name_page *names_page(const struct names *n); /* NULL: there is none */
int names_fd(const struct names *n);                       /* -1: there is none */
/* Of each thread of the worker an end of a socketpair (lookup.h), *n of them; NULL: none asks. */
const int *names_asking(const struct names *n, size_t *count);

/* The resolver begins; trap: see jail.h. Called again it does nothing. */
int names_begin(struct names *n, struct event_base *base, const struct jail *jail, bool trap,
		struct err *e);
/* Its crew serves from now on. */
int names_publish(struct names *n, struct err *e);
void names_follow(struct names *n, names_moved *moved, void *user);
void names_end(struct names *n);

/* Was that process the resolver? It is started again. */
bool names_ended(struct names *n, pid_t pid, int status);

#endif
