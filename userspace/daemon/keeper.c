// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the life of the daemon: start, the worker's deaths, reload, stop. Promises: the
 * listening sockets stay open while a worker is replaced; a file with mistakes changes
 * nothing; the process never reads a byte that came from the network.
 *
 *            current ──────────── serves
 *   SIGHUP → coming ──READY──→ current, and the old one → leaving ──drained──→ freed
 */
#include "daemon/keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "daemon/adopt.h"
#include "daemon/crew.h"
#include "daemon/jail.h"
#include "l7/tickets.h"

#define LOOK_SECONDS  5    /* between looks at the gate's pins */
#define CERTS_LOOK_MS 2000 /* between looks at the files of certificates */
#define CERTS_SHARE   1000 /* of the keeper's time one in so many goes to these looks */
#define MOST_LEAVING  4    /* crews that drain after reloads; then the oldest is cut short */

struct keeper {
	const struct keeper_options *o;
	struct event_base *base;
	struct event *on_term, *on_int, *on_hup, *on_usr1, *on_child, *restart, *look, *certs,
		*rotate;
	struct adopt adopt;
	struct tickets tickets;
	struct crew *current, *coming, *leaving; /* leaving: newest first */
	bool served;                             /* a worker has been ready once */
	bool stopping;
	int status;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void keeper_end(struct keeper *k, int status)
{
	k->status = status;
	event_base_loopbreak(k->base);
}

/* ---- crews ---------------------------------------------------------------------------- */

static void leave(struct keeper *k, struct crew *crew)
{
	unsigned n = 0;

	listeners_close(&crew->listeners);
	if (crew->pid == 0) {
		crew_free(crew);
		return;
	}
	crew_drain(crew);
	crew->next = k->leaving;
	k->leaving = crew;
	for (struct crew *c = crew; c; c = c->next)
		if (++n > MOST_LEAVING)
			crew_kill(c);
}

static void say_ready(const struct keeper *k, const struct crew *crew, bool reloaded)
{
	unsigned services = 0;

	for (unsigned i = 0; i < crew->conf->n_services; i++)
		services += crew->conf->services[i].kind == SLUICE_L7;
	log_info("%s file=%s services=%u threads=%u steered=%s worker=%d",
		 reloaded    ? "reloaded"
		 : k->served ? "ready again"
			     : "ready",
		 crew->conf->path, services, crew->threads, k->adopt.on ? "yes" : "no",
		 (int)crew->pid);
}

/* Its worker may have ended and come again: then they go on. */
static void checks_begin(struct keeper *k, struct crew *crew)
{
	const struct health *old = crew == k->coming ? k->current->health : NULL;
	struct err e;

	if (crew->checks)
		return;
	crew->checks = true;
	if (crew == k->coming) {
		names_end(k->current->names);
		health_end(k->current->health);
	}
	if (health_begin(crew->health, old, k->base, &crew->jail,
			 k->adopt.on ? &k->adopt.gate : NULL, k->o->debug, &e) != 0)
		log_err("backends are not checked: %s", e.text);
	if (names_publish(crew->names, &e) != 0)
		log_err("%s", e.text);
	crew_publish(crew);
}

static bool is_helper(struct crew *crew, pid_t pid, int status)
{
	return crew &&
	       (health_ended(crew->health, pid, status) || names_ended(crew->names, pid, status));
}

static bool helper_ended(struct keeper *k, pid_t pid, int status)
{
	bool found = is_helper(k->current, pid, status) || is_helper(k->coming, pid, status);

	for (struct crew *c = k->leaving; !found && c; c = c->next)
		found = is_helper(c, pid, status);
	return found;
}

static void crew_is_ready(struct crew *crew, void *arg)
{
	struct keeper *k = arg;
	struct err e;

	if (k->stopping)
		return;
	if (adopt_publish(&k->adopt, &crew->listeners, &e) != 0) {
		log_err("%s", e.text);
		if (!k->served) {
			keeper_end(k, 1);
			return;
		}
	}
	checks_begin(k, crew);
	say_ready(k, crew, crew == k->coming);
	if (crew == k->coming) {
		struct crew *old = k->current;

		k->current = crew;
		k->coming = NULL;
		evtimer_del(k->restart);
		leave(k, old);
	}
	k->served = true;
}

static int crew_new(struct keeper *k, struct crew **out, struct conf *conf, struct err *e)
{
	int rc = crew_make(out, conf, k->adopt.on, k->current, &k->tickets, e);

	if (rc)
		return rc;
	(*out)->on_ready = crew_is_ready;
	(*out)->keeper = k;
	return 0;
}

/* ---- a worker ended ------------------------------------------------------------------- */

static void restart_in(struct keeper *k, uint32_t ms)
{
	const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (ms)
		log_info("another worker starts in %u ms; connections wait meanwhile", ms);
	evtimer_add(k->restart, &wait);
}

static void restart_now(evutil_socket_t fd, short what, void *arg)
{
	struct keeper *k = arg;
	struct err e;

	(void)fd, (void)what;
	if (crew_start(k->current, k->base, k->o->debug, &e) == 0)
		return;
	log_err("%s", e.text);
	restart_in(k, LOOK_SECONDS * 1000);
}

static bool all_gone(const struct keeper *k)
{
	return k->current->pid == 0 && !k->coming && !k->leaving;
}

static void current_ended(struct keeper *k, int status)
{
	uint32_t pause = crew_ended(k->current, status);

	if (k->stopping)
		return;
	if (k->served) {
		restart_in(k, pause);
		return;
	}
	log_err("the worker did not start");
	keeper_end(k, 1);
}

static void coming_ended(struct keeper *k, int status)
{
	crew_ended(k->coming, status);
	crew_free(k->coming);
	k->coming = NULL;
	if (!k->stopping)
		log_err("the new worker did not start; what ran before goes on");
}

static void leaving_ended(struct keeper *k, pid_t pid, int status)
{
	for (struct crew **at = &k->leaving; *at; at = &(*at)->next) {
		struct crew *crew = *at;

		if (crew->pid != pid)
			continue;
		*at = crew->next;
		crew_ended(crew, status);
		crew_free(crew);
		return;
	}
}

static void on_child(evutil_socket_t fd, short what, void *arg)
{
	struct keeper *k = arg;
	pid_t pid;
	int status;

	(void)fd, (void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (k->current->pid == pid)
			current_ended(k, status);
		else if (k->coming && k->coming->pid == pid)
			coming_ended(k, status);
		else if (!helper_ended(k, pid, status))
			leaving_ended(k, pid, status);
	}
	if (k->stopping && all_gone(k))
		keeper_end(k, k->status);
}

/* ---- signals -------------------------------------------------------------------------- */

static void kill_all(struct keeper *k)
{
	crew_kill(k->current);
	if (k->coming)
		crew_kill(k->coming);
	for (struct crew *c = k->leaving; c; c = c->next)
		crew_kill(c);
}

/*
 * The order matters: first nobody new is sent here, then the worker takes what already
 * waits in the queues, and with its copies of the sockets goes the last of each.
 */
static void on_stop(evutil_socket_t sig, short what, void *arg)
{
	struct keeper *k = arg;

	(void)what;
	if (k->stopping) {
		log_warn("signal=%d again: at once", (int)sig);
		kill_all(k);
		return;
	}
	log_info("signal=%d: running requests are finished, within %u ms", (int)sig,
		 k->current->conf->drain_ms);
	k->stopping = true;
	evtimer_del(k->restart);
	adopt_withdraw(&k->adopt, &k->current->listeners);
	names_end(k->current->names);
	health_end(k->current->health);
	crew_drain(k->current);
	listeners_close(&k->current->listeners);
	if (k->coming)
		crew_kill(k->coming);
	if (all_gone(k))
		keeper_end(k, k->status);
}

static void on_reload(evutil_socket_t sig, short what, void *arg)
{
	struct keeper *k = arg;
	struct conf *conf;
	struct err e;

	(void)sig, (void)what;
	if (k->stopping || k->coming) {
		log_warn("not reloaded: %s", k->stopping ? "the daemon stops" : "a reload runs");
		return;
	}
	conf = conf_load(k->o->path, stderr);
	if (!conf) {
		log_err("%s has mistakes; what ran before goes on", k->o->path);
		return;
	}
	if (crew_new(k, &k->coming, conf, &e) != 0) {
		conf_free(conf);
		log_err("%s; what ran before goes on", e.text);
		return;
	}
	adopt_check(&k->adopt, conf);
	if (crew_start(k->coming, k->base, k->o->debug, &e) == 0)
		return;
	log_err("%s; what ran before goes on", e.text);
	crew_free(k->coming);
	k->coming = NULL;
}

static void reopen(struct crew *crew)
{
	struct err e;

	if (crew && crew_reopen(crew, &e) != 0)
		log_err("%s; lines go where they went", e.text);
}

static void on_reopen(evutil_socket_t sig, short what, void *arg)
{
	struct keeper *k = arg;

	(void)sig, (void)what;
	reopen(k->current);
	reopen(k->coming);
	for (struct crew *c = k->leaving; c; c = c->next)
		reopen(c);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct keeper *k = arg;

	(void)fd, (void)what;
	if (!k->served || k->stopping)
		return;
	adopt_look(&k->adopt, k->current->conf, &k->current->listeners);
	health_look(k->current->health, k->adopt.lost);
}

/* A folder may hold many. */
static void on_certs(evutil_socket_t fd, short what, void *arg)
{
	struct keeper *k = arg;
	uint64_t began = now_us(), took;
	struct timeval wait;

	(void)fd, (void)what;
	if (k->served && !k->stopping && !k->coming)
		crew_look(k->current);
	took = (now_us() - began) * CERTS_SHARE;
	if (took < CERTS_LOOK_MS * 1000ULL)
		took = CERTS_LOOK_MS * 1000ULL;
	wait = (struct timeval){.tv_sec = (time_t)(took / 1000000),
				.tv_usec = (suseconds_t)(took % 1000000)};
	evtimer_add(k->certs, &wait);
}

/* The shortest time that a service asks for; a day if none does. */
static uint32_t rotation_ms(const struct conf *conf)
{
	uint32_t ms = 24 * 3600 * 1000;

	for (unsigned i = 0; i < conf->n_services; i++)
		if (conf->services[i].tls && conf->services[i].tls->ticket_ms < ms)
			ms = conf->services[i].tls->ticket_ms;
	return ms;
}

static void rotate_later(struct keeper *k)
{
	uint32_t ms = rotation_ms(k->current->conf);
	const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(k->rotate, &wait);
}

static void on_rotate(evutil_socket_t fd, short what, void *arg)
{
	struct keeper *k = arg;

	(void)fd, (void)what;
	if (tickets_rotate(&k->tickets) != 0)
		log_err("no new key for session tickets: there is no randomness");
	rotate_later(k);
}

/* ---- start and end -------------------------------------------------------------------- */

static int events_make(struct keeper *k, struct err *e)
{
	struct event_config *config = event_config_new();
	const struct timeval look = {.tv_sec = LOOK_SECONDS};

	if (config) {
		event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
		k->base = event_base_new_with_config(config);
		event_config_free(config);
	}
	if (!k->base)
		return err_set(e, ENOMEM, "cannot make an event loop");
	k->on_term = evsignal_new(k->base, SIGTERM, on_stop, k);
	k->on_int = evsignal_new(k->base, SIGINT, on_stop, k);
	k->on_hup = evsignal_new(k->base, SIGHUP, on_reload, k);
	k->on_usr1 = evsignal_new(k->base, SIGUSR1, on_reopen, k);
	k->on_child = evsignal_new(k->base, SIGCHLD, on_child, k);
	k->restart = evtimer_new(k->base, restart_now, k);
	k->certs = evtimer_new(k->base, on_certs, k);
	k->rotate = evtimer_new(k->base, on_rotate, k);
	k->look = event_new(k->base, -1, EV_PERSIST, on_look, k);
	if (!k->on_term || !k->on_int || !k->on_hup || !k->on_usr1 || !k->on_child || !k->restart ||
	    !k->look || !k->certs || !k->rotate || evsignal_add(k->on_term, NULL) ||
	    evsignal_add(k->on_int, NULL) || evsignal_add(k->on_hup, NULL) ||
	    evsignal_add(k->on_usr1, NULL) || evsignal_add(k->on_child, NULL) ||
	    (k->adopt.on && event_add(k->look, &look)))
		return err_set(e, ENOMEM, "cannot watch signals");
	return 0;
}

static void events_free(struct keeper *k)
{
	struct event **all[] = {&k->on_term, &k->on_int, &k->on_hup, &k->on_usr1, &k->on_child,
				&k->restart, &k->look,   &k->certs,  &k->rotate};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (*all[i])
			event_free(*all[i]);
	if (k->base)
		event_base_free(k->base);
}

static int keeper_start(struct keeper *k, struct conf **conf, struct err *e)
{
	int rc = adopt_open(&k->adopt, k->o->no_gate, e);

	rc = rc ? rc : tickets_make(&k->tickets, e);
	rc = rc ? rc : events_make(k, e);
	rc = rc ? rc : crew_new(k, &k->current, *conf, e);
	if (rc)
		return rc;
	adopt_check(&k->adopt, *conf);
	*conf = NULL;
	jail_keeper(k->adopt.on);
	on_certs(-1, 0, k);
	rotate_later(k);
	return crew_start(k->current, k->base, k->o->debug, e);
}

int keeper_run(const struct keeper_options *o)
{
	struct conf *conf = conf_load(o->path, stderr);
	struct keeper k = {.o = o, .tickets = {.fd = -1}};
	struct err e;

	if (!conf)
		return 1;
	if (keeper_start(&k, &conf, &e) != 0) {
		log_err("%s", e.text);
		k.status = 1;
	} else {
		if (event_base_dispatch(k.base) < 0)
			k.status = 1;
		log_info("stopped");
	}
	while (k.leaving) {
		struct crew *next = k.leaving->next;

		crew_free(k.leaving);
		k.leaving = next;
	}
	crew_free(k.coming);
	crew_free(k.current);
	conf_free(conf);
	events_free(&k);
	tickets_fini(&k.tickets);
	adopt_close(&k.adopt);
	return k.status;
}

int keeper_check(const char *path)
{
	struct conf *conf = conf_load(path, stderr);
	struct roots roots = {0};
	struct jail jail;
	struct err e;
	int rc;

	if (!conf)
		return 1;
	rc = jail_prepare(&jail, conf->user, 0, &e);
	if (rc)
		fprintf(stderr, "%s: %s\n", path, e.text);
	else if ((rc = roots_open(&roots, conf, &e)) != 0)
		fprintf(stderr, "%s\n", e.text);
	else
		printf("%s: ok\n", path);
	roots_close(&roots);
	conf_free(conf);
	return rc ? 1 : 0;
}
