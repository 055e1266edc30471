// SPDX-License-Identifier: BSD-2-Clause
/* Owns: the part of `sluice health` that tells of names of backends. */
#include "ctl/health.h"

#include <inttypes.h>
#include <stdio.h>

#include "conf/resolver.h"

static void state_print(const struct name_record *r)
{
	char since[24];

	if (!r->known)
		printf("no answer yet%s%s", r->failing ? ": " : "", r->error);
	else
		printf("%u of %u addresses, answered %s ago%s%s", r->taken, r->found,
		       health_ago(r->since_ms, since), r->failing ? "; kept, since: " : "",
		       r->error);
}

void health_names_print(const struct name_page *p)
{
	if (!p->head || !p->head->names)
		return;
	printf("\n%-40s %8s %8s  %s\n", "NAME", "ANSWERS", "FAILED", "STATE");
	for (uint32_t i = 0; i < p->head->names; i++) {
		struct name_record r;
		char text[ADDR_TEXT];

		name_page_record(p, i, &r);
		printf("%-40s %8" PRIu64 " %8" PRIu64 "  ", r.name, r.answers, r.failures);
		state_print(&r);
		putchar('\n');
		for (uint32_t k = 0; k < p->head->seats; k++) {
			struct name_seat seat = name_page_seat(p, i, k);

			if (seat.taken)
				printf("  %s\n", addr_format(&seat.addr, text));
		}
	}
}

static json_t *addresses_json(const struct name_page *p, uint32_t name)
{
	json_t *list = json_array();
	char text[ADDR_TEXT];

	for (uint32_t k = 0; list && k < p->head->seats; k++) {
		struct name_seat seat = name_page_seat(p, name, k);

		if (seat.taken &&
		    json_array_append_new(list, json_string(addr_format(&seat.addr, text))) != 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

static const char *families_name(uint32_t families)
{
	return families == CONF_IPV4 ? "ipv4" : families == CONF_IPV6 ? "ipv6" : "both";
}

json_t *health_names_json(const struct name_page *p)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && p->head && i < p->head->names; i++) {
		struct name_record r;
		json_t *o;

		name_page_record(p, i, &r);
		o = json_pack("{s:s, s:s, s:o, s:I, s:I, s:b, s:b, s:I, s:I, s:I, s:I, s:s}",
			      "name", r.name, "resolve", families_name(r.families), "addresses",
			      addresses_json(p, i), "found", (json_int_t)r.found, "ttl_ms",
			      (json_int_t)r.ttl_ms, "known", r.known, "failing", r.failing != 0,
			      "since_ms", (json_int_t)r.since_ms, "answers", (json_int_t)r.answers,
			      "failures", (json_int_t)r.failures, "changes", (json_int_t)r.changes,
			      "error", r.error);
		if (!o || json_array_append_new(list, o) != 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}
