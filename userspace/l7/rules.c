// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: what the routes of a service make of a request: which one has it, and the answers that
 * need no backend. Excludes: which route it is (route.c), how an answer goes out (answer.c).
 * Cost: without routes nothing; facts are gathered for routes that speak of them.
 */
#include "l7/request.h"

#include <sys/socket.h>

#include "base/log.h"
#include "l7/expand.h"
#include "l7/forward_head.h"
#include "l7/tls.h"

#define WORDS_MOST (128U << 10) /* bytes that the texts of one route may come to */

static struct span text_span(const char *text)
{
	return (struct span){text, strlen(text)};
}

bool request_local(const struct client *c, struct endpoint *local)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	return getsockname(c->link.fd, (struct sockaddr *)&ss, &len) == 0 &&
	       endpoint_from_sockaddr(local, (struct sockaddr *)&ss);
}

void rules_facts(struct client *c, const struct route_choice *choice, struct expand_facts *f)
{
	const struct conf_route *route = c->req->route;

	*f = (struct expand_facts){
		.head = &thread_of(c)->head,
		.captures = choice->captures,
		.client_ip = text_span(c->peer_text),
		.client_port = c->peer.port,
		.scheme = c->link.tls ? SPAN("https") : SPAN("http"),
		.service = text_span(c->service->name),
		.route = text_span(route->name),
	};
	tls_facts(c->link.tls, (route->names & TEMPLATE_CERTIFICATE) != 0, &f->tls);
	if (route->names & (TEMPLATE_BIT(server_addr) | TEMPLATE_BIT(server_port)))
		request_local(c, &f->server);
	if (route->names & TEMPLATE_BIT(request_id))
		f->request_id = request_id(c);
	f->trace_id = trace_id(c->req->trace);
}

/* A text of the route, in memory of the thread until the next one. */
static bool words_of(struct client *c, const struct expand_facts *f, enum expand_as as,
		     struct span *out)
{
	struct thread *t = thread_of(c);
	struct buf *words = &t->text;
	size_t n = expand(words->data, words->size, &c->req->route->text, f, as);

	if (n > words->size) {
		if (n > WORDS_MOST || !buf_reserve(&t->pool, words, (uint32_t)n))
			return false;
		expand(words->data, words->size, &c->req->route->text, f, as);
	}
	*out = (struct span){words->data, n};
	return true;
}

static enum go route_answer(struct client *c, const struct route_choice *choice)
{
	const struct conf_route *route = c->req->route;
	struct forward_answer answer = {.status = route->status};
	struct expand_facts facts;
	struct span words;

	rules_facts(c, choice, &facts);
	if (!words_of(c, &facts, route->action == ROUTE_REDIRECT ? EXPAND_TARGET : EXPAND_FIELD,
		      &words))
		return answer_fail(c, 503, ACCESS_no_memory);
	c->req->reason = ACCESS_answered;
	if (route->action == ROUTE_REDIRECT) {
		answer.location = words;
	} else {
		answer.content_type = text_span(route->content_type);
		answer.content = words;
	}
	relay_drop(&c->req->up, &c->link);
	return answer_with(c, &answer, relay_read_all(&c->req->up));
}

bool rules_choose(struct client *c, struct route_choice *choice)
{
	static struct log_rate rate;
	struct thread *t = thread_of(c);
	bool ok = route_choose(&c->service->routes, &t->head, &c->peer.addr, t->regex, choice);

	c->req->route = choice->route;
	c->req->pool = c->req->route->pool;
	c->req->up.most = c->req->route->max_body;
	if (c->req->route->trace)
		request_trace(c, &t->head);
	if (c->req->route->response.names) {
		struct expand_facts facts;

		rules_facts(c, choice, &facts);
		ok = change_keep(c, &facts) && ok;
	}
	if (!ok)
		log_limited(&rate, LOG_LEVEL_WARN,
			    "an expression takes too long service=%s route=%s client=%s: requests "
			    "that it does not come to an end with get 500",
			    c->service->name, c->req->route->name, c->peer_text);
	return ok;
}

enum go rules_answer(struct client *c, const struct route_choice *choice)
{
	const struct conf_route *route = c->req->route;

	if (route->action == ROUTE_DENY)
		return answer_fail(c, route->status, ACCESS_denied);
	if (route->action == ROUTE_FILES)
		return file_answer(c, choice);
	return route_answer(c, choice);
}
