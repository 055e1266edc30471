// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the state of each checked backend, from its first result on; when a pool has so few
 * left that all are used; the page, and what is logged.
 * Promises: without results nothing changes, whether a checker is gone or the daemon is.
 */
#include "daemon/health.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "daemon/health_internal.h"

static uint64_t wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- what there is to check ------------------------------------------------------------ */

static void group_add(struct health *h, const char *name, const struct conf_service *service,
		      const struct conf_backend *backends, uint32_t n,
		      const struct conf_health *conf)
{
	if (conf && n)
		h->groups[h->n_groups++] = (struct health_group){.name = name,
								 .service = service,
								 .backends = backends,
								 .n = n,
								 .conf = conf};
}

/* Where a backend is asked. */
static struct endpoint asked_at(const struct health_group *g, const struct conf_backend *b)
{
	struct endpoint to = b->endpoint;

	if (g->conf->port)
		to.port = (uint16_t)g->conf->port;
	else if (to.port == 0 && g->service)
		to.port = g->service->listens[0].endpoint.port;
	return to;
}

static void target_make(struct health *h, const struct health_group *g, uint32_t group,
			const struct conf_backend *b, const struct name_page *names)
{
	uint32_t at = b->slot - 1;
	struct health_record *r = &h->page.records[at];

	h->group_of[at] = group;
	h->states[at] = (struct health_state)HEALTH_ASSUMED;
	h->targets[at] = (struct check_target){
		.health = g->conf, .to = asked_at(g, b), .pool = g->name, .backend = b->name};
	snprintf(r->pool, sizeof(r->pool), "%s", g->name);
	snprintf(r->backend, sizeof(r->backend), "%s", b->name);
	snprintf(r->type, sizeof(r->type), "%s", conf_health_type_name(g->conf->type));
	endpoint_format(&h->targets[at].to, r->address);
	r->kind = g->service ? SLUICE_L4 : SLUICE_L7;
	r->up = 1;
	if (b->host) {
		struct name_seat seat = name_page_seat(names, b->host->index, b->seat);

		health_seat(h, at, &seat);
	}
}

static int groups_make(struct health *h, bool steered, const struct name_page *names)
{
	const struct conf *c = h->conf;
	uint32_t largest = 0;

	h->groups = calloc((size_t)c->n_services + c->n_pools + 1, sizeof(*h->groups));
	h->targets = calloc(c->n_slots + 1, sizeof(*h->targets));
	h->states = calloc(c->n_slots + 1, sizeof(*h->states));
	h->group_of = calloc(c->n_slots + 1, sizeof(*h->group_of));
	h->marks = calloc(c->n_slots + 1, sizeof(*h->marks));
	if (!h->groups || !h->targets || !h->states || !h->group_of || !h->marks)
		return -ENOMEM;
	for (unsigned i = 0; steered && i < c->n_services; i++)
		group_add(h, c->services[i].name, &c->services[i], c->services[i].backends,
			  c->services[i].n_backends, c->services[i].health);
	for (unsigned i = 0; i < c->n_pools; i++)
		group_add(h, c->pools[i].name, NULL, c->pools[i].backends, c->pools[i].n_backends,
			  c->pools[i].health);
	for (uint32_t i = 0; i < h->n_groups; i++) {
		struct health_group *g = &h->groups[i];

		largest = g->n > largest ? g->n : largest;
		for (uint32_t k = 0; k < g->n; k++)
			target_make(h, g, i, &g->backends[k], names);
	}
	h->members = calloc(largest + 1, sizeof(*h->members));
	return h->members ? 0 : -ENOMEM;
}

/* ---- what was known -------------------------------------------------------------------- */

static const struct health_record *record_find(const struct health_page *p,
					       const struct health_record *like, uint32_t hint)
{
	for (uint32_t i = 0; i < p->head->slots; i++) {
		const struct health_record *r = &p->records[(hint + i) % p->head->slots];

		if (strcmp(r->backend, like->backend) == 0 && strcmp(r->pool, like->pool) == 0 &&
		    strcmp(r->address, like->address) == 0 && r->kind == like->kind)
			return r;
	}
	return NULL;
}

static void state_take(struct health *h, uint32_t at, const struct health_page *from)
{
	struct health_record *r = &h->page.records[at], old;
	const struct health_record *found = record_find(from, r, at);

	if (!found)
		return;
	health_record_read(found, &old);
	if (!old.known)
		return;
	h->states[at] = (struct health_state){.up = old.up, .known = true, .row = old.row};
	health_record_begin(r);
	r->up = old.up;
	r->known = 1;
	r->row = old.row;
	r->since_ms = old.since_ms;
	r->checks = old.checks;
	r->failures = old.failures;
	memcpy(r->error, old.error, sizeof(r->error));
	health_record_end(r);
}

/* Which backends take requests; what changed in that is for the gate to know. */
void health_group_settle(struct health *h, struct health_group *g)
{
	bool panicked = g->panic;
	uint32_t up = 0;

	for (uint32_t i = 0; i < g->n; i++) {
		h->members[i].up = h->states[first_slot(g) - 1 + i].up;
		h->members[i].takes = g->backends[i].weight > 0 &&
				      !addr_is_any(&h->targets[first_slot(g) - 1 + i].to.addr);
		up += h->members[i].up && h->members[i].takes;
	}
	g->panic = health_panics(h->members, g->n, g->conf->floor);
	for (uint32_t i = 0; i < g->n; i++) {
		uint32_t at = first_slot(g) - 1 + i;
		uint8_t out = !g->panic && !h->members[i].up;

		h->page.records[at].panic = g->panic;
		if (atomic_exchange(&h->page.out[at], out) != out)
			g->dirty = g->service != NULL;
	}
	if (g->panic && !panicked) {
		h->page.head->panics++;
		log_limited(&g->panic_said, LOG_LEVEL_WARN,
			    "%s: only %" PRIu32 " of %" PRIu32
			    " backends are up, which is less than "
			    "floor = %" PRIu32 " percent: all are used",
			    g->name, up, g->n, g->conf->floor);
	} else if (!g->panic && panicked) {
		log_limited(&g->calm_said, LOG_LEVEL_INFO,
			    "%s: enough backends are up; the others are left out again", g->name);
	}
}

void health_assume_down(struct health *h, uint32_t at)
{
	struct health_record *r = &h->page.records[at];

	h->states[at] = (struct health_state){.known = true};
	health_record_begin(r);
	r->up = 0;
	r->known = 1;
	r->since_ms = wall_ms();
	snprintf(r->error, sizeof(r->error), "as an earlier daemon left it");
	health_record_end(r);
}

static void take_over(struct health *h, const struct health_page *from)
{
	for (uint32_t at = 0; from->head && from->head->slots && at < h->conf->n_slots; at++)
		if (h->targets[at].health)
			state_take(h, at, from);
	for (size_t i = 0; i < h->n_groups; i++)
		health_group_settle(h, &h->groups[i]);
}

/* ---- results --------------------------------------------------------------------------- */

static void settle_soon(struct health *h)
{
	/* What changes at the same moment goes into one table. */
	static const struct timeval soon = {.tv_usec = 50000};

	if (h->settle && !event_pending(h->settle, EV_TIMEOUT, NULL))
		evtimer_add(h->settle, &soon);
}

static void turned(struct health *h, struct health_group *g, uint32_t at, const char *why)
{
	const struct health_record *r = &h->page.records[at];
	bool up = h->states[at].up;

	if (up)
		h->page.head->ups++;
	else
		h->page.head->downs++;
	log_limited(&g->said, up ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "backend %s/%s %s is %s%s%s",
		    g->name, r->backend, r->address, up ? "up" : "down", up ? "" : ": ", why);
	health_group_settle(h, g);
	if (g->dirty)
		settle_soon(h);
}

static void on_result(void *user, uint32_t at, bool ok, uint32_t ms, const char *why)
{
	struct health *h = user;
	struct health_group *g = &h->groups[h->group_of[at]];
	struct health_record *r = &h->page.records[at];
	enum health_turn turn = health_note(&h->states[at], ok, g->conf->rise, g->conf->fall);
	uint64_t now = wall_ms();

	h->page.head->renewed_ms = now;
	h->page.head->checks++;
	h->page.head->failures += !ok;
	health_record_begin(r);
	if (turn != HEALTH_STAYS || !r->since_ms)
		r->since_ms = now;
	r->up = h->states[at].up;
	r->known = h->states[at].known;
	r->row = h->states[at].row;
	r->last_ms = ms;
	r->checked_ms = now;
	r->checks++;
	r->failures += !ok;
	if (!ok)
		snprintf(r->error, sizeof(r->error), "%s", why);
	health_record_end(r);
	if (turn != HEALTH_STAYS)
		turned(h, g, at, why);
}

static int on_socket(void *user, uint32_t at)
{
	return health_probe_socket(user, at);
}

static void on_settle(evutil_socket_t fd, short what, void *arg)
{
	struct health *h = arg;

	(void)fd, (void)what;
	if (health_gate_settle(h) == -EWOULDBLOCK)
		settle_soon(h);
}

/* ---- life ------------------------------------------------------------------------------ */

static int states_make(struct health *h, struct err *e)
{
	h->dir = h->conf->state_dir;
	if (h->dir && health_page_make(&h->page, h->dir, h->conf->n_slots, e) == 0)
		return 0;
	if (h->dir)
		log_info(
			"%s; they are kept in memory, and forgotten when the daemon ends (daemon { "
			"state = ... })",
			e->text);
	h->dir = NULL;
	return health_page_make(&h->page, NULL, h->conf->n_slots, e);
}

static void take_over_file(struct health *h)
{
	struct health_page left;
	struct err e;
	int rc;

	if (!h->dir)
		return;
	rc = health_page_open(&left, h->dir, &e);
	if (rc && rc != -ENOENT)
		log_warn("%s; backends are up until checks say otherwise", e.text);
	if (rc == 0)
		take_over(h, &left);
	health_page_close(&left);
}

int health_make(struct health **out, const struct conf *conf, bool steered,
		const struct name_page *names, const struct health *old, struct err *e)
{
	struct health *h;
	int rc;

	*out = NULL;
	if (!conf->n_slots)
		return 0;
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(e, ENOMEM, "out of memory");
	h->conf = conf;
	h->page.fd = -1;
	rc = states_make(h, e);
	if (rc == 0 && groups_make(h, steered, names) != 0)
		rc = err_set(e, ENOMEM, "out of memory");
	if (rc) {
		health_free(h);
		return rc;
	}
	if (old)
		take_over(h, &old->page);
	else
		take_over_file(h);
	*out = h;
	return 0;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	checkers_free(&h->checkers);
	probe_close(h->probe);
	if (h->settle)
		event_free(h->settle);
	health_page_close(&h->page);
	free(h->groups);
	free(h->targets);
	free(h->states);
	free(h->group_of);
	free(h->marks);
	free(h->members);
	free(h);
}

int health_fd(const struct health *h)
{
	return h ? h->page.fd : -1;
}

int health_begin(struct health *h, const struct health *old, struct event_base *base,
		 const struct jail *jail, struct gate *gate, bool trap, struct err *e)
{
	int rc;

	if (!h)
		return 0;
	if (old)
		take_over(h, &old->page);
	h->gate = gate;
	h->settle = evtimer_new(base, on_settle, h);
	if (!h->settle)
		return err_set(e, ENOMEM, "out of memory");
	h->checkers = (struct checkers){.jail = *jail,
					.base = base,
					.trap = trap,
					.on_result = on_result,
					.on_socket = on_socket,
					.user = h};
	health_probe_begin(h);
	rc = checkers_make(&h->checkers, h->targets, h->conf->n_slots, h->conf->max_checks);
	if (rc)
		return err_set(e, -rc, "out of memory");
	health_gate_begin(h);
	for (size_t i = 0; i < h->n_groups; i++)
		health_group_settle(h, &h->groups[i]);
	settle_soon(h);
	rc = health_page_publish(&h->page, h->dir, e);
	return rc ? rc : checkers_start(&h->checkers, e);
}

void health_end(struct health *h)
{
	if (!h)
		return;
	checkers_end(&h->checkers);
	probe_close(h->probe);
	h->probe = NULL;
}

void health_look(struct health *h, bool gone)
{
	if (!h || !h->gate || gone)
		return;
	health_gate_doubt(h);
	settle_soon(h);
}

bool health_ended(struct health *h, pid_t pid, int status)
{
	return h && checkers_ended(&h->checkers, pid, status);
}
