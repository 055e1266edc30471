/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One configuration and the worker process that serves it: started, told to drain, seen
 * ending. The keeper has one crew that serves, and after a reload older ones that drain.
 */
#ifndef DAEMON_CREW_H
#define DAEMON_CREW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cache_page.h"
#include "daemon/certs.h"
#include "daemon/health.h"
#include "daemon/jail.h"
#include "daemon/listeners.h"
#include "daemon/roots.h"

struct event_base;
struct event;

struct crew {
	struct crew *next;
	struct conf *conf;
	struct listeners listeners;
	struct jail jail;
	unsigned threads;
	int access_log;           /* or -1 */
	struct names *names;      /* of its backends; NULL: none has one */
	struct health *health;    /* of its backends; NULL: none is checked */
	struct cache_page caches; /* what they count */
	const char *caches_dir;   /* where others find it; NULL: nowhere */
	bool works;               /* false: it has no l7 service, and so no worker */
	struct certs certs;
	struct roots roots;
	const struct tickets *tickets; /* the keeper's */

	pid_t pid;   /* of the worker; 0 = none runs */
	int control; /* or -1 */
	struct event *on_control;
	struct event *deadline; /* of a drain */
	uint64_t started_ms;    /* CLOCK_MONOTONIC */
	uint32_t pause_ms;      /* before another start, should this one's life be short */
	bool ready, draining;
	bool checks; /* of health have begun */

	/* Called from the event loop; keeper is theirs. */
	void (*on_ready)(struct crew *crew, void *keeper);
	void *keeper;
};

/*
 * Everything but the worker process: account, certificates, access log, listening sockets. Takes
 * conf over on success only. old (or NULL): the crew that serves now, whose sockets are shared.
 */
int crew_make(struct crew **out, struct conf *conf, bool steered, const struct crew *old,
	      const struct tickets *tickets, struct err *e);
/* Kills a worker that still runs. NULL is fine. */
void crew_free(struct crew *crew);

/* Starts the worker; trap: see jail.h. 0 or -errno. */
int crew_start(struct crew *crew, struct event_base *base, bool trap, struct err *e);
/* What it counts takes the place of what others counted. */
void crew_publish(struct crew *crew);
/* The worker stops accepting and finishes what runs; killed when its time is over. */
void crew_drain(struct crew *crew);
void crew_kill(struct crew *crew);
/* Files of certificates have changed: the worker gets what can be used of them. */
void crew_look(struct crew *crew);
/* The access log is opened again and lines go there from now on: its file was moved away. 0 or
 * -errno; then lines go where they went. */
int crew_reopen(struct crew *crew, struct err *e);

/*
 * The worker was seen ending with `status` (waitpid). Logs what is worth it. Returns how
 * many milliseconds to wait before another one is started: 0, then 1 s doubling to 30 s for
 * workers that live less than a minute.
 */
uint32_t crew_ended(struct crew *crew, int status);

#endif
