// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: from the values of a route to the snapshot: its action and settings. Excludes: its
 * conditions (route_match.c), the tables (route_index.c).
 */
#include "conf/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/read.h"

bool route_template_read(struct reading *r, const struct value *v, const char *name,
			 struct template *to)
{
	const char *text = text_keep(r, v->text);
	struct span bad;
	int rc = text ? template_compile(to, &r->conf->arena, text, &bad) : -ENOMEM;

	r->oom |= rc == -ENOMEM;
	if (rc == -EINVAL)
		complain(r, v->line, ROUTE_BAD_NAME, name, bad.len < 40 ? (int)bad.len : 40, bad.p);
	return rc == 0;
}

/* A number that is one of a range, or 0. */
static unsigned status_parse(const char *text, unsigned least, unsigned most)
{
	unsigned n =
		strlen(text) == 3 && strspn(text, "0123456789") == 3 ? (unsigned)atoi(text) : 0;

	return n >= least && n <= most ? n : 0;
}

/* ---- actions -------------------------------------------------------------------------- */

static void pool_read(struct reading *r, const struct value *v, struct conf_route *route)
{
	route->action = ROUTE_POOL;
	route->pool = conf_pool_find(r->conf, v->text);
	if (!route->pool)
		complain(r, v->line,
			 "pool: there is no pool \"%s\"; write pool \"%s\" { ... } beside the "
			 "services, or another name",
			 v->text, v->text);
}

static void deny_read(struct reading *r, const struct value *v, struct conf_route *route)
{
	route->action = ROUTE_DENY;
	route->status = strcmp(v->text, "yes") == 0 ? 403 : status_parse(v->text, 400, 599);
	if (!route->status)
		complain(r, v->line, "deny: \"%s\" is not a status of refusal; write 403, 404, ...",
			 v->text);
}

static void redirect_read(struct reading *r, const struct value *v, struct conf_route *route)
{
	route->action = ROUTE_REDIRECT;
	route->status = 302;
	route_template_read(r, v, "redirect", &route->text);
	if (v->text[0] != '/' && v->text[0] != '$' && !strstr(v->text, "://"))
		complain(r, v->line,
			 "redirect: \"%s\" leads nowhere; write \"https://HOST/...\", or \"/...\" "
			 "for the same host",
			 v->text);
}

static void respond_read(struct reading *r, const struct value *v, struct conf_route *route)
{
	route->action = ROUTE_RESPOND;
	route->status = 200;
	route_template_read(r, v, "respond", &route->text);
}

static const struct action {
	const char *name;
	void (*read)(struct reading *r, const struct value *v, struct conf_route *route);
} actions[] = {
	{"pool", pool_read},
	{"redirect", redirect_read},
	{"respond", respond_read},
	{"deny", deny_read},
};

/* Of these one at most. */
static void action_read(struct reading *r, cfg_t *sec, struct conf_route *route)
{
	const char *first = NULL;

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		struct value *v = value_of(sec, actions[i].name);

		if (!v)
			continue;
		if (first)
			complain(r, v->line,
				 "%s: a route does one thing, and this one has %s; remove one",
				 actions[i].name, first);
		first = actions[i].name;
		actions[i].read(r, v, route);
	}
	if (!value_of(sec, "root"))
		route_files_refuse(r, sec);
	else if (first)
		complain(r, value_of(sec, "root")->line,
			 "root: a route does one thing, and this one has %s; remove one", first);
	else
		route_files_read(r, value_of(sec, "root"), sec, route);
}

/* ---- what goes with some actions ------------------------------------------------------- */

static void redirect_status_read(struct reading *r, const struct value *v, struct conf_route *route)
{
	static const unsigned known[] = {301, 302, 303, 307, 308};

	route->status = 0;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (status_parse(v->text, known[i], known[i]))
			route->status = known[i];
	if (!route->status)
		complain(r, v->line,
			 "status: \"%s\" is none of a redirection; write 301, 302, 303, 307 or 308",
			 v->text);
}

static void status_read(struct reading *r, const struct value *v, struct conf_route *route)
{
	if (route->action == ROUTE_REDIRECT) {
		redirect_status_read(r, v, route);
	} else if (route->action == ROUTE_RESPOND) {
		route->status = status_parse(v->text, 200, 599);
		if (!route->status)
			complain(r, v->line, "status: \"%s\" is not a status; write 200 to 599",
				 v->text);
		else if (route->status == 304)
			complain(r, v->line,
				 "status: 304 answers a condition, and there is none; write "
				 "another");
	} else {
		complain(r, v->line, "status goes with redirect or respond; remove it%s",
			 route->action == ROUTE_DENY ? ", or write deny = STATUS" : "");
	}
}

static void content_type_read(struct reading *r, const struct value *v, struct conf_route *route)
{
	if (route->action != ROUTE_RESPOND)
		complain(r, v->line, "content_type goes with respond; remove it");
	else if (!strchr(v->text, '/'))
		complain(r, v->line,
			 "content_type: \"%s\" is not a media type; write one like \"text/html\"",
			 v->text);
	route->content_type = text_keep(r, v->text);
}

/* The service's and the pool's settings, and what the route says instead. */
static void overrides_read(struct reading *r, cfg_t *sec, const struct conf_service *s,
			   struct conf_route *route)
{
	struct conf_service own = *s;
	struct conf_pool pool = {0};

	if (route->pool)
		pool = *route->pool;
	settings_override(r, "service", sec, &own);
	settings_override(r, "pool", sec, &pool);
	route->max_body = own.max_body;
	route->body_ms = own.body_ms;
	route->websocket = own.websocket;
	route->trace = own.trace;
	route->request_buffer = own.request_buffer;
	route->response_buffer = own.response_buffer;
	route->connect_ms = pool.connect_ms;
	route->response_ms = pool.response_ms;
}

/* What sections of the service do not count here. */
static void sections_off_read(struct reading *r, cfg_t *sec, cfg_t *service,
			      struct conf_route *route)
{
	static const char *const names[] = {"compress", "cache"};

	settings_read(r, "route", sec, 0, route);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (value_of(sec, names[i]) && !cfg_size(service, names[i]))
			complain(r, value_of(sec, names[i])->line,
				 "%s: the service has no such section; remove it, or write %s { }",
				 names[i], names[i]);
}

/* What a backend, or a directory, is asked for instead. */
static void rewrite_read(struct reading *r, cfg_t *sec, struct conf_route *route)
{
	struct value *rewrite = value_of(sec, "rewrite"), *host = value_of(sec, "upstream_host");

	if ((host || (rewrite && route->action != ROUTE_FILES)) && route->action != ROUTE_POOL) {
		complain(r, (host ? host : rewrite)->line,
			 "%s: no backend is asked here; remove it",
			 host ? "upstream_host" : "rewrite");
		return;
	}
	if (rewrite && rewrite->text[0] != '/')
		complain(r, rewrite->line, "rewrite: \"%s\" is not a target; begin it with /",
			 rewrite->text);
	else if (rewrite && strpbrk(rewrite->text, " \t#\\"))
		complain(r, rewrite->line,
			 "rewrite: \"%s\" has a byte that no target has; escape it as %%20, %%23, "
			 "...",
			 rewrite->text);
	else if (rewrite)
		route_template_read(r, rewrite, "rewrite", &route->rewrite);
	if (host && (host->text[0] == '\0' || strpbrk(host->text, " \t/?#@\\")))
		complain(r, host->line,
			 "upstream_host: \"%s\" is not a host; write \"HOST\" or \"HOST:PORT\"",
			 host->text);
	else if (host)
		route_template_read(r, host, "upstream_host", &route->upstream_host);
}

static void names_gather(struct reading *r, struct conf_route *route)
{
	route->names = route->text.names | route->rewrite.names | route->upstream_host.names |
		       route->request.names | route->response.names;
	r->conf->template_names |= route->names;
	route->changes = route->request.n || route->rewrite.n || route->upstream_host.n;
}

static void route_read(struct reading *r, cfg_t *sec, cfg_t *service, const struct conf_service *s,
		       struct conf_route *route)
{
	struct value *v;

	*route = s->routes.fallback;
	route->name = name_read(r, sec, "route", &route->line);
	route->action = ROUTE_POOL;
	route->pool = s->pool;
	route->content_type = "text/plain; charset=utf-8";
	route_conditions_read(r, sec, s->merge_slashes, route);
	action_read(r, sec, route);
	if ((v = value_of(sec, "status")))
		status_read(r, v, route);
	if ((v = value_of(sec, "content_type")))
		content_type_read(r, v, route);
	overrides_read(r, sec, s, route);
	sections_off_read(r, sec, service, route);
	route_edits_read(r, sec, route->line, route);
	rewrite_read(r, sec, route);
	names_gather(r, route);
	if ((route->text.names | route->rewrite.names | route->upstream_host.names) & TEMPLATE_LATE)
		complain(r, route->line,
			 "$status and $upstream are known only with the answer; remove them from "
			 "what comes before");
	/* Not again for what stands in the service. */
	if ((route->names & ~s->routes.fallback.names & TEMPLATE_BIT(CAPTURE)) &&
	    !route->n_path_regexes)
		complain(r, route->line,
			 "$1 to $9 are parts of a path's expression, and route \"%s\" has none; "
			 "write path = \"~ EXPRESSION\"",
			 route->name);
}

static void id_from_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
	unsigned n = values_count(r, sec, "request_id_from", ROUTE_VALUES);

	if (n && s->kind == SLUICE_L4) {
		complain(r, value_at(sec, "request_id_from", 0)->line,
			 "request_id_from means nothing to an l4 service; remove it");
		return;
	}
	s->id_from = n ? reading_alloc(r, n, sizeof(*s->id_from)) : NULL;
	for (unsigned i = 0; s->id_from && i < n; i++)
		s->n_id_from += cidr_read(r, value_at(sec, "request_id_from", i), "request_id_from",
					  &s->id_from[s->n_id_from]);
}

/* ---- all of a service ------------------------------------------------------------------ */

/* Who is taken by no route. Without backends of its own a service has nothing for them. */
static void fallback_make(const struct conf_service *s, struct conf_route *route)
{
	*route = (struct conf_route){
		.name = "-",
		.line = s->line,
		.action = ROUTE_DENY,
		.status = 404,
		.max_body = s->max_body,
		.body_ms = s->body_ms,
		.websocket = s->websocket,
		.trace = s->trace,
		.request_buffer = s->request_buffer,
		.response_buffer = s->response_buffer,
		.compress = true,
		.cache = true,
	};
	if (!s->pool)
		return;
	if (s->pool->n_backends)
		route->action = ROUTE_POOL;
	route->pool = s->pool;
	route->connect_ms = s->pool->connect_ms;
	route->response_ms = s->pool->response_ms;
}

static int by_name(const void *a, const void *b)
{
	const struct conf_route *x = *(const struct conf_route *const *)a,
				*y = *(const struct conf_route *const *)b;
	int d = strcmp(x->name, y->name);

	return d ? d : (x->line > y->line) - (x->line < y->line);
}

static void names_check(struct reading *r, const struct conf_routes *routes)
{
	const struct conf_route **sorted = calloc(routes->n + 1, sizeof(*sorted));

	if (!sorted) {
		r->oom = true;
		return;
	}
	for (unsigned i = 0; i < routes->n; i++)
		sorted[i] = &routes->items[i];
	qsort(sorted, routes->n, sizeof(*sorted), by_name);
	for (unsigned i = 1; i < routes->n; i++)
		if (sorted[i]->name[0] && strcmp(sorted[i]->name, sorted[i - 1]->name) == 0)
			complain(r, sorted[i]->line,
				 "route \"%s\" stands already in line %u; choose another name",
				 sorted[i]->name, sorted[i - 1]->line);
	free(sorted);
}

void routes_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
	unsigned n = cfg_size(sec, "route");
	struct conf_routes *routes = &s->routes;

	id_from_read(r, sec, s);
	fallback_make(s, &routes->fallback);
	if (s->kind == SLUICE_L7)
		route_edits_read(r, sec, s->line, &routes->fallback);
	names_gather(r, &routes->fallback);
	if (routes->fallback.names & TEMPLATE_BIT(CAPTURE))
		complain(r, s->line,
			 "$1 to $9 are parts of a route's path; remove them from the service's own "
			 "fields");
	if (n && s->kind == SLUICE_L4) {
		complain(r, (unsigned)cfg_getnsec(sec, "route", 0)->line,
			 "an l4 service knows no requests, and so no routes; remove them, or write "
			 "kind = l7");
		return;
	}
	r->n_routes += n;
	if (r->n_routes > CONF_MAX_ROUTES) {
		complain(r, s->line, "there are more than %u routes; write fewer", CONF_MAX_ROUTES);
		return;
	}
	routes->items = reading_alloc(r, n, sizeof(*routes->items));
	for (unsigned i = 0; routes->items && !r->oom && i < n; i++)
		route_read(r, cfg_getnsec(sec, "route", i), sec, s, &routes->items[routes->n++]);
	if (r->oom)
		return;
	names_check(r, routes);
	routes_index(r, routes);
}
