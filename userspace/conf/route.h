/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ordered routes of an l7 service: what a request must be like, and what becomes of it. Part
 * of the snapshot, see conf.h.
 *
 * A route takes a request if each of its conditions holds that is written; of hosts, paths,
 * methods and sources one must fit, of header and query conditions all. The first route that
 * takes it has it. So that the cost does not grow with the number of routes, they are found by
 * the request and not tried in turn:
 *
 *   host, reversed -> hash, radix tree -> each host that fits (exact, wildcards, none written)
 *                                     -> path -> radix tree -> the routes that could take it
 *                                     -> those without a path, or with an expression
 *
 * Each list is in the order of the file, and looked through only as far as the best so far.
 */
#ifndef CONF_ROUTE_H
#define CONF_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/radix.h"
#include "base/regex.h"
#include "conf/template.h"

#define CONF_MAX_ROUTES  65536 /* of all services */
#define CONF_MAX_REGEXES 16384
#define ROUTE_VALUES     256 /* hosts, paths, sources, ... of one route, each */
#define ROUTE_EDITS      64  /* of one message; one less */
#define ROUTE_HOST       255 /* bytes of a host that is looked for */

struct conf_files;
struct conf_pool;

enum route_action {
	ROUTE_POOL,     /* a backend of pool answers */
	ROUTE_REDIRECT, /* status, with text as Location */
	ROUTE_RESPOND,  /* status, with text as content */
	ROUTE_DENY,     /* status */
	ROUTE_FILES,    /* a file of files */
};

/* Of a header field, or an argument of the query. */
struct route_condition {
	enum { ROUTE_PRESENT, ROUTE_ABSENT, ROUTE_EQUAL, ROUTE_MATCHES } kind;
	struct span name, value;
	const struct regex *regex;
};

struct route_conditions {
	struct route_condition *items;
	unsigned n;
};

struct route_texts {
	struct span *items;
	unsigned n;
};

/* In the order in which they are done. */
enum route_edit_kind { ROUTE_REMOVE, ROUTE_SET, ROUTE_APPEND, ROUTE_ADD };

struct route_edit {
	enum route_edit_kind kind;
	struct span name;
	struct template value;
};

/* What happens to fields of a message, that of the service included. */
struct route_edits {
	struct route_edit *items;
	unsigned n;
	uint64_t names; /* of all values */
};

struct conf_route {
	const char *name; /* unique in its service */
	unsigned line;

	struct route_texts hosts; /* in small letters, "*.b.example" among them */
	struct route_texts paths; /* "/a", "/a/\*" */
	const struct regex **path_regexes;
	unsigned n_path_regexes;
	struct route_texts methods;
	struct route_conditions headers, queries;
	struct cidr *sources;
	unsigned n_sources;

	enum route_action action;
	unsigned status;
	const struct conf_pool *pool;   /* ROUTE_POOL; NULL: the service has none */
	const struct conf_files *files; /* ROUTE_FILES */
	struct template text;
	const char *content_type;

	struct route_edits request, response;
	struct template rewrite, upstream_host; /* n == 0: the target and host that came */
	bool changes;                           /* of a request, any of these */

	/* The service's own, or others. */
	uint32_t body_ms;
	uint64_t max_body;
	uint32_t request_buffer, response_buffer;
	bool websocket, trace;
	bool compress, cache; /* no: the service's section does not count */
	/* The pool's own, or others. */
	uint32_t connect_ms, response_ms;

	uint64_t names; /* of all templates, see TEMPLATE_BIT */
};

struct route_list {
	uint32_t *at; /* places in items, smallest first */
	uint32_t n;
};

/* The routes of one host, as it is written. */
struct route_host {
	struct radix paths;         /* of struct route_list */
	struct route_list pathless; /* and those with an expression */
};

struct route_exact {
	struct span host; /* reversed; p NULL: free */
	const struct route_host *routes;
};

struct conf_routes {
	struct conf_route *items; /* as in the file */
	unsigned n;
	struct conf_route fallback; /* takes what none of them takes */
	struct route_exact *exact;  /* hosts, by hash: exact_mask + 1 places, half of them free */
	uint32_t exact_mask;
	struct radix below;    /* of struct route_host, for wildcards; words are reversed */
	struct route_host any; /* routes without a host */
};

/* "/a/\*" is a prefix, whose words are without the star; so is "*.b.example". */
static inline bool route_is_prefix(struct span path)
{
	return path.p[path.len - 1] == '*';
}

static inline bool route_is_wildcard(struct span host)
{
	return host.p[0] == '*';
}

/* Where host is among the exact ones, or would be; NULL: there are none. */
struct route_exact *route_exact_at(const struct conf_routes *routes, struct span reversed);

/* text[0..len) backwards into buf, in small letters. */
struct span route_host_reversed(struct span host, char *buf);

#endif
