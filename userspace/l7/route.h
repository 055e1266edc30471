/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which route takes a request: the first in the order of the file whose conditions hold
 * (conf/route.h). Pure: a head and an address in, a route out.
 */
#ifndef L7_ROUTE_H
#define L7_ROUTE_H

#include "conf/route.h"
#include "l7/http1.h"

struct route_choice {
	const struct conf_route *route;
	struct span captures[REGEX_CAPTURES]; /* of its path's expression; parts of the path */
};

/*
 * head->path is in its one spelling. False: an expression had no end within its bound, so nobody
 * knows whose the request is; choice->route is then the route that asked.
 */
bool route_choose(const struct conf_routes *routes, const struct http1_head *head,
		  const struct sluice_addr *client, struct regex_run *run,
		  struct route_choice *choice);

/* The parts of an authority and a target that rules and variables speak of. */
struct span route_host_of(struct span authority); /* without port and final dot */
struct span route_path_of(struct span target);
struct span route_query_of(struct span target); /* without the '?' */

/* The next "name=value" of a query; false at its end. */
bool route_query_next(struct span *query, struct span *name, struct span *value);

#endif
