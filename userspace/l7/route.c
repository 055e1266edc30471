// SPDX-License-Identifier: BSD-2-Clause
#include "l7/route.h"

#include "base/target.h"

/* A request that looks for its route. */
struct search {
	const struct conf_routes *routes;
	const struct http1_head *head;
	const struct sluice_addr *client;
	struct regex_run *run;
	struct span path, query;
	uint32_t best; /* place of the first route found so far, or of none */
	bool over;     /* an expression has gone beyond its bound, for the route looked at */
	bool failed;   /* and for the best one */
	struct route_choice *choice;
};

/* ---- parts ---------------------------------------------------------------------------- */

struct span route_host_of(struct span a)
{
	const char *end = a.len && a.p[0] == '[' ? memchr(a.p, ']', a.len) : NULL;
	const char *colon = !end && a.len ? memchr(a.p, ':', a.len) : NULL;

	if (end)
		a.len = (size_t)(end - a.p) + 1;
	else if (colon)
		a.len = (size_t)(colon - a.p);
	if (a.len > 1 && a.p[a.len - 1] == '.')
		a.len--;
	return a;
}

struct span route_path_of(struct span target)
{
	return (struct span){target.p, target_path(target)};
}

struct span route_query_of(struct span target)
{
	size_t path = target_path(target);

	return path == target.len ? SPAN("")
				  : (struct span){target.p + path + 1, target.len - path - 1};
}

bool route_query_next(struct span *query, struct span *name, struct span *value)
{
	const char *end, *equals;

	if (query->len == 0)
		return false;
	end = memchr(query->p, '&', query->len);
	*name = (struct span){query->p, end ? (size_t)(end - query->p) : query->len};
	*query = end ? (struct span){end + 1, query->len - name->len - 1} : SPAN("");
	equals = name->len ? memchr(name->p, '=', name->len) : NULL;
	*value = SPAN("");
	if (equals) {
		*value = (struct span){equals + 1, (size_t)(name->p + name->len - equals) - 1};
		name->len = (size_t)(equals - name->p);
	}
	return true;
}

/* ---- conditions ----------------------------------------------------------------------- */

static bool matches(struct search *s, const struct regex *regex, struct span subject,
		    struct span captures[REGEX_CAPTURES])
{
	enum regex_result result = regex_match(regex, s->run, subject, captures);

	s->over |= result == REGEX_FAILED;
	return result == REGEX_YES;
}

static bool value_fits(struct search *s, const struct route_condition *c, struct span value)
{
	return c->kind == ROUTE_EQUAL     ? span_equal(value, c->value)
	       : c->kind == ROUTE_MATCHES ? matches(s, c->regex, value, NULL)
					  : true;
}

static bool header_holds(struct search *s, const struct route_condition *c)
{
	for (unsigned i = 0; i < s->head->n_fields; i++) {
		const struct http1_field *f = &s->head->fields[i];

		if (span_equal_nocase(f->name, c->name) && value_fits(s, c, f->value))
			return c->kind != ROUTE_ABSENT;
	}
	return c->kind == ROUTE_ABSENT;
}

static bool query_holds(struct search *s, const struct route_condition *c)
{
	struct span rest = s->query, name, value;

	while (route_query_next(&rest, &name, &value))
		if (span_equal(name, c->name) && value_fits(s, c, value))
			return c->kind != ROUTE_ABSENT;
	return c->kind == ROUTE_ABSENT;
}

static bool method_fits(const struct search *s, const struct conf_route *route)
{
	for (unsigned i = 0; i < route->methods.n; i++)
		if (span_equal(route->methods.items[i], s->head->method_text))
			return true;
	return route->methods.n == 0;
}

static bool source_fits(const struct search *s, const struct conf_route *route)
{
	for (unsigned i = 0; i < route->n_sources; i++)
		if (cidr_contains(&route->sources[i], s->client))
			return true;
	return route->n_sources == 0;
}

/* What is not in the tables: dear conditions last. */
static bool rest_holds(struct search *s, const struct conf_route *route)
{
	if (!method_fits(s, route) || !source_fits(s, route))
		return false;
	for (unsigned i = 0; i < route->headers.n; i++)
		if (!header_holds(s, &route->headers.items[i]))
			return false;
	for (unsigned i = 0; i < route->queries.n; i++)
		if (!query_holds(s, &route->queries.items[i]))
			return false;
	return true;
}

static bool path_matches(struct search *s, const struct conf_route *route,
			 struct span captures[REGEX_CAPTURES])
{
	for (unsigned i = 0; i < route->n_path_regexes; i++)
		if (matches(s, route->path_regexes[i], s->path, captures))
			return true;
	return route->n_path_regexes == 0;
}

/* ---- the tables ----------------------------------------------------------------------- */

/* The first of a list that takes the request and stands before the best so far. by_path: the
 * list is that of a path which fits. */
static void list_search(struct search *s, const struct route_list *list, bool by_path)
{
	struct span captures[REGEX_CAPTURES];

	for (uint32_t i = 0; i < list->n && list->at[i] < s->best; i++) {
		const struct conf_route *route = &s->routes->items[list->at[i]];
		bool regex = !by_path && route->n_path_regexes;

		s->over = false;
		if ((!rest_holds(s, route) || (regex && !path_matches(s, route, captures))) &&
		    !s->over)
			continue;
		s->best = list->at[i];
		s->failed = s->over;
		s->choice->route = route;
		memset(s->choice->captures, 0, sizeof(s->choice->captures));
		if (regex && !s->over)
			memcpy(s->choice->captures, captures, sizeof(captures));
	}
}

static void host_search(struct search *s, const struct route_host *host)
{
	const struct route_list *list;
	struct radix_walk walk;

	radix_begin(&walk, &host->paths, s->path);
	while ((list = radix_next(&walk)))
		list_search(s, list, true);
	list_search(s, &host->pathless, false);
}

bool route_choose(const struct conf_routes *routes, const struct http1_head *head,
		  const struct sluice_addr *client, struct regex_run *run,
		  struct route_choice *choice)
{
	struct search s = {.routes = routes,
			   .head = head,
			   .client = client,
			   .run = run,
			   .path = route_path_of(head->path),
			   .query = route_query_of(head->path),
			   .best = routes->n,
			   .choice = choice};
	struct span name = route_host_of(head->authority);
	const struct route_exact *exact;
	const struct route_host *host;
	char reversed[ROUTE_HOST];
	struct radix_walk walk;

	choice->route = &routes->fallback;
	memset(choice->captures, 0, sizeof(choice->captures));
	if (routes->n == 0)
		return true;
	if (name.len <= sizeof(reversed)) {
		name = route_host_reversed(name, reversed);
		exact = route_exact_at(routes, name);
		if (exact && exact->routes)
			host_search(&s, exact->routes);
		radix_begin(&walk, &routes->below, name);
		while ((host = radix_next(&walk)))
			host_search(&s, host);
	}
	host_search(&s, &routes->any);
	return !s.failed;
}
