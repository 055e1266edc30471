// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: when which name is asked for. Each has a timer; when it fires, both families are asked,
 * and when both have ended it is set again.
 * Cost: for each name two questions in its TTL.
 */
#include "resolve/resolver.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "base/log.h"
#include "resolve/channel.h"
#include "resolve/questions.h"
#include "resolve/seats.h"

#define LOOK_SECONDS 5 /* between looks at resolv.conf */

struct question {
	struct asked *of;
	unsigned family; /* 0: IPv4, 1: IPv6 */
	bool runs;
};

struct asked {
	struct resolver *owner;
	const struct conf_name *name;
	struct event due;
	struct question questions[2];
	uint64_t ttl_ms;   /* the least of the answers' */
	uint32_t failures; /* in a row */
	bool answered;     /* at least one of them */
};

struct resolver {
	const struct resolver_start *start;
	struct event_base *base;
	struct event control, look;
	struct channel channel;
	struct questions questions; /* of workers */
	struct asked *names;
	struct resolver_msg msg; /* the one that is being written */
	uint64_t random;
	bool ending;
};

/* xorshift64: for spreading questions in time, nothing else. */
static uint32_t random_next(struct resolver *r)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return (uint32_t)(r->random >> 16);
}

static void tell(struct resolver *r)
{
	if (send(r->start->control, &r->msg, sizeof(r->msg), MSG_NOSIGNAL) != sizeof(r->msg))
		event_base_loopbreak(r->base); /* there is no keeper */
}

/* ---- an answer ------------------------------------------------------------------------ */

static void rest(struct asked *a, uint32_t ms)
{
	const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(&a->due, &wait);
}

static void ended(struct asked *a)
{
	const struct conf_resolver *conf = &a->owner->start->conf->resolver;
	uint32_t random = random_next(a->owner);

	if (a->questions[0].runs || a->questions[1].runs)
		return;
	a->failures = a->answered ? 0 : a->failures + 1;
	rest(a, a->answered ? seats_pause_ms(conf, a->ttl_ms, random)
			    : seats_retry_ms(conf, a->failures, random));
}

/* In order, so that of too many the same ones are kept whatever order they come in. */
static void address_add(struct resolver_msg *msg, const struct sluice_addr *addr)
{
	uint32_t at = msg->n;

	while (at > 0 && memcmp(&msg->addrs[at - 1], addr, sizeof(*addr)) > 0)
		at--;
	msg->found++;
	if (at == CONF_MAX_SEATS)
		return;
	if (msg->n < CONF_MAX_SEATS)
		msg->n++;
	memmove(&msg->addrs[at + 1], &msg->addrs[at], (msg->n - 1 - at) * sizeof(*addr));
	msg->addrs[at] = *addr;
}

static void addresses_take(struct resolver_msg *msg, const struct ares_addrinfo *info)
{
	struct endpoint ep;

	for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next) {
		if (!endpoint_from_sockaddr(&ep, n->ai_addr) || !seats_fits(&ep.addr) ||
		    addr_is_v4(&ep.addr) != (msg->family == 0))
			continue;
		address_add(msg, &ep.addr);
	}
}

/* Of the addresses and of the aliases before them; hosts has none. */
static uint64_t ttl_of(const struct ares_addrinfo *info)
{
	int least = INT32_MAX / 1000;

	for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next)
		least = n->ai_ttl < least ? n->ai_ttl : least;
	for (const struct ares_addrinfo_cname *n = info->cnames; n; n = n->next)
		least = n->ttl < least ? n->ttl : least;
	return least > 0 ? (uint64_t)least * 1000 : 0;
}

static void msg_begin(struct question *q)
{
	struct resolver_msg *msg = &q->of->owner->msg;

	*msg = (struct resolver_msg){.type = RESOLVER_MSG_ADDRESSES,
				     .size = sizeof(*msg),
				     .name = q->of->name->index,
				     .family = q->family};
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct question *q = arg;
	struct asked *a = q->of;
	struct resolver_msg *msg = &a->owner->msg;

	(void)timeouts;
	q->runs = false;
	if (status == ARES_EDESTRUCTION) {
		if (!a->owner->ending)
			rest(a, 1);
		return;
	}
	msg_begin(q);
	if (status == ARES_SUCCESS) {
		uint64_t ttl_ms = ttl_of(info);

		addresses_take(msg, info);
		msg->ttl_ms = (uint32_t)(ttl_ms < UINT32_MAX ? ttl_ms : UINT32_MAX);
		a->ttl_ms = ttl_ms < a->ttl_ms ? ttl_ms : a->ttl_ms;
		a->answered = true;
	} else if (status != ARES_ENODATA) {
		msg->type = RESOLVER_MSG_FAILED;
		snprintf(msg->why, sizeof(msg->why), "%s", ares_strerror(status));
	}
	ares_freeaddrinfo(info);
	tell(a->owner);
	ended(a);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct asked *a = arg;

	(void)fd, (void)what;
	if (a->questions[0].runs || a->questions[1].runs)
		return;
	a->answered = false;
	a->ttl_ms = UINT64_MAX;
	/* Both run before one can end. */
	for (unsigned i = 0; i < 2; i++)
		a->questions[i].runs = a->name->families & 1U << i;
	for (unsigned i = 0; i < 2; i++)
		if (a->questions[i].runs)
			channel_ask(&a->owner->channel, a->name->name, families[i], on_answer,
				    &a->questions[i]);
}

/* ---- the process ---------------------------------------------------------------------- */

/* The keeper says nothing but that it is gone. */
static void on_control(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;
	char byte;

	(void)what;
	if (recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	event_base_loopbreak(r->base);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;

	(void)fd, (void)what;
	channel_look(&r->channel);
}

static int names_make(struct resolver *r)
{
	const struct conf *c = r->start->conf;

	r->names = calloc(c->n_names + 1, sizeof(*r->names));
	if (!r->names)
		return -ENOMEM;
	for (unsigned i = 0; i < c->n_names; i++) {
		struct asked *a = &r->names[i];

		*a = (struct asked){.owner = r, .name = &c->names[i]};
		a->questions[0] = (struct question){.of = a, .family = 0};
		a->questions[1] = (struct question){.of = a, .family = 1};
		evtimer_assign(&a->due, r->base, on_due, a);
		rest(a, 0);
	}
	return 0;
}

static int resolver_init(struct resolver *r)
{
	static const struct timeval look = {.tv_sec = LOOK_SECONDS};
	struct event_config *config = event_config_new();
	int rc;

	if (getrandom(&r->random, sizeof(r->random), 0) != sizeof(r->random) || !r->random)
		r->random = 1;
	if (config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		r->base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	if (!r->base)
		return -ENOMEM;
	event_assign(&r->control, r->base, r->start->control, EV_READ | EV_PERSIST, on_control, r);
	event_assign(&r->look, r->base, -1, EV_PERSIST, on_look, r);
	if (event_add(&r->control, NULL) != 0 || event_add(&r->look, &look) != 0)
		return -ENOMEM;
	rc = channel_init(&r->channel, &r->start->conf->resolver, r->base);
	rc = rc ? rc
		: questions_init(&r->questions, &r->channel, r->base, r->start->asked,
				 r->start->n_asked);
	return rc ? rc : names_make(r);
}

int resolver_run(const struct resolver_start *start)
{
	struct resolver r = {.start = start};
	int rc = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS ? 0 : -ENOMEM;

	rc = rc ? rc : resolver_init(&r);
	if (rc == 0 && event_base_dispatch(r.base) < 0)
		rc = -EIO;
	if (rc)
		log_err("names cannot be resolved: %s", strerror(-rc));
	r.ending = true;
	channel_fini(&r.channel);
	questions_fini(&r.questions);
	for (unsigned i = 0; r.names && i < start->conf->n_names; i++)
		event_del(&r.names[i].due);
	free(r.names);
	if (r.base)
		event_base_free(r.base);
	ares_library_cleanup();
	return rc ? 1 : 0;
}
