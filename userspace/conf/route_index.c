// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the tables that routes are found by (route.h). Built from pairs of a host and a path,
 * sorted, so that equal ones stand together; each route adds one for each of its hosts with each
 * of its paths. Cost: sorting these.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/read.h"

#define ENTRIES_MAX (1U << 20) /* pairs of one service */

struct entry {
	struct span host,
		path; /* reversed; host.p NULL: none; path.p NULL: none, or by expression */
	bool host_prefix, path_prefix;
	uint32_t route;
};

struct entries {
	struct entry *items;
	size_t n;
	struct radix_key *keys; /* scratch, as many */
	struct arena *arena;
};

struct span route_host_reversed(struct span host, char *buf)
{
	for (size_t i = 0; i < host.len; i++) {
		char c = host.p[host.len - 1 - i];

		buf[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	return (struct span){buf, host.len};
}

/* FNV-1a. */
static uint32_t host_hash(struct span host)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < host.len; i++)
		h = (h ^ (uint8_t)host.p[i]) * 16777619U;
	return h ^ h >> 15;
}

struct route_exact *route_exact_at(const struct conf_routes *routes, struct span reversed)
{
	uint32_t i;

	if (!routes->exact)
		return NULL;
	i = host_hash(reversed) & routes->exact_mask;
	while (routes->exact[i].host.p && !span_equal(routes->exact[i].host, reversed))
		i = (i + 1) & routes->exact_mask;
	return &routes->exact[i];
}

static bool exact_alloc(struct conf_routes *routes, struct arena *arena, size_t n)
{
	size_t size = 4;

	if (n == 0)
		return true;
	while (size < 2 * n)
		size *= 2;
	routes->exact = arena_alloc(arena, size, sizeof(*routes->exact));
	routes->exact_mask = (uint32_t)size - 1;
	return routes->exact != NULL;
}

static int span_order(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int d = (a.p != NULL) - (b.p != NULL);

	d = d || len == 0 ? d : memcmp(a.p, b.p, len);
	return d ? d : (a.len > b.len) - (a.len < b.len);
}

static int host_order(const struct entry *x, const struct entry *y)
{
	int d = span_order(x->host, y->host);

	return d ? d : (int)x->host_prefix - (int)y->host_prefix;
}

static int path_order(const struct entry *x, const struct entry *y)
{
	int d = span_order(x->path, y->path);

	return d ? d : (int)x->path_prefix - (int)y->path_prefix;
}

static int by_host_and_path(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int d = host_order(x, y);

	d = d ? d : path_order(x, y);
	return d ? d : (x->route > y->route) - (x->route < y->route);
}

/* ---- from routes to pairs ------------------------------------------------------------- */

static size_t pairs_of(const struct conf_route *route)
{
	size_t hosts = route->hosts.n ? route->hosts.n : 1;
	bool pathless = route->n_path_regexes || route->paths.n == 0;

	return hosts * (route->paths.n + pathless);
}

static bool host_entry(struct entry *e, struct arena *arena, struct span host)
{
	char *buf = arena_alloc(arena, host.len, 1);

	if (!buf)
		return false;
	e->host_prefix = route_is_wildcard(host);
	if (e->host_prefix)
		host = (struct span){host.p + 1, host.len - 1};
	e->host = route_host_reversed(host, buf);
	return true;
}

static void entries_of_host(struct entries *to, const struct conf_route *route, struct entry e)
{
	for (unsigned i = 0; i < route->paths.n; i++) {
		struct span path = route->paths.items[i];

		e.path_prefix = route_is_prefix(path);
		e.path = (struct span){path.p, path.len - e.path_prefix};
		to->items[to->n++] = e;
	}
	if (route->n_path_regexes || route->paths.n == 0) {
		e.path_prefix = false;
		e.path = (struct span){NULL, 0};
		to->items[to->n++] = e;
	}
}

static bool entries_of_route(struct entries *to, const struct conf_route *route, uint32_t at)
{
	struct entry e = {.route = at};

	for (unsigned i = 0; i < route->hosts.n; i++) {
		if (!host_entry(&e, to->arena, route->hosts.items[i]))
			return false;
		entries_of_host(to, route, e);
	}
	if (route->hosts.n == 0)
		entries_of_host(to, route, e);
	return true;
}

/* ---- from pairs to tables ------------------------------------------------------------- */

static bool list_build(struct route_list *list, struct arena *arena, const struct entry *e,
		       size_t n)
{
	list->at = arena_alloc(arena, n, sizeof(*list->at));
	if (!list->at)
		return false;
	/* Twice the same path in one route is once. */
	for (size_t i = 0; i < n; i++)
		if (list->n == 0 || list->at[list->n - 1] != e[i].route)
			list->at[list->n++] = e[i].route;
	return true;
}

/* The pairs of one host. */
static bool host_build(struct route_host *host, struct entries *from, const struct entry *e,
		       size_t n)
{
	size_t n_keys = 0;

	for (size_t i = 0, end; i < n; i = end) {
		struct route_list *list = &host->pathless;

		for (end = i + 1; end < n && path_order(&e[end], &e[i]) == 0;)
			end++;
		if (e[i].path.p) {
			list = arena_alloc(from->arena, 1, sizeof(*list));
			if (!list)
				return false;
			from->keys[n_keys++] =
				(struct radix_key){e[i].path, e[i].path_prefix, list};
		}
		if (!list_build(list, from->arena, e + i, end - i))
			return false;
	}
	return radix_build(&host->paths, from->arena, from->keys, n_keys) == 0;
}

/* Hosts without a wildcard, each once. */
static size_t exact_count(const struct entries *from)
{
	size_t n = 0;

	for (size_t i = 0; i < from->n; i++) {
		const struct entry *e = &from->items[i];

		n += e->host.p && !e->host_prefix && (i == 0 || host_order(e, e - 1) != 0);
	}
	return n;
}

static bool tables_build(struct conf_routes *routes, struct entries *from)
{
	struct radix_key *keys = calloc(from->n + 1, sizeof(*keys));
	size_t n_keys = 0;
	bool ok = keys && exact_alloc(routes, from->arena, exact_count(from));

	for (size_t i = 0, end; ok && i < from->n; i = end) {
		const struct entry *e = &from->items[i];
		struct route_host *host = &routes->any;

		for (end = i + 1; end < from->n && host_order(&from->items[end], e) == 0;)
			end++;
		if (e->host.p)
			host = arena_alloc(from->arena, 1, sizeof(*host));
		if (e->host.p && e->host_prefix)
			keys[n_keys++] = (struct radix_key){e->host, true, host};
		else if (e->host.p)
			*route_exact_at(routes, e->host) = (struct route_exact){e->host, host};
		ok = host && host_build(host, from, e, end - i);
	}
	ok = ok && radix_build(&routes->below, from->arena, keys, n_keys) == 0;
	free(keys);
	return ok;
}

void routes_index(struct reading *r, struct conf_routes *routes)
{
	struct entries entries = {.arena = &r->conf->arena};
	size_t n = 0;
	bool ok;

	for (unsigned i = 0; i < routes->n; i++)
		n += pairs_of(&routes->items[i]);
	if (n > ENTRIES_MAX) {
		complain(r, routes->items[0].line,
			 "the routes have %zu pairs of a host and a path; write at most %u", n,
			 ENTRIES_MAX);
		return;
	}
	entries.items = calloc(n + 1, sizeof(*entries.items));
	entries.keys = calloc(n + 1, sizeof(*entries.keys));
	ok = entries.items && entries.keys;
	for (unsigned i = 0; ok && i < routes->n; i++)
		ok = entries_of_route(&entries, &routes->items[i], i);
	if (ok) {
		qsort(entries.items, entries.n, sizeof(*entries.items), by_host_and_path);
		ok = tables_build(routes, &entries);
	}
	r->oom |= !ok;
	free(entries.items);
	free(entries.keys);
}
