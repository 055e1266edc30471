// SPDX-License-Identifier: BSD-2-Clause
/* Owns: `sluice health`: the page that the daemon keeps of checked backends, shown. It needs no
 * gate, and no daemon that runs. */
#include "ctl/health.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/ctl.h"

/* ---- one backend ----------------------------------------------------------------------- */

bool health_find(const struct health_page *p, const char *service, const char *backend,
		 struct health_record *out)
{
	for (uint32_t i = 0; p->head && i < p->head->slots; i++) {
		health_record_read(&p->records[i], out);
		if (out->kind == SLUICE_L4 && strcmp(out->pool, service) == 0 &&
		    strcmp(out->backend, backend) == 0)
			return true;
	}
	return false;
}

static uint64_t wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

const char *health_ago(uint64_t since_ms, char buf[24])
{
	static const struct {
		uint64_t s;
		char name;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	uint64_t now = wall_ms(), s = now > since_ms ? (now - since_ms) / 1000 : 0;
	int i = 0;

	while (i < 3 && s < 2 * units[i].s)
		i++;
	snprintf(buf, 24, "%" PRIu64 "%c", s / units[i].s, units[i].name);
	return buf;
}

const char *health_text(const struct health_record *r, char buf[HEALTH_TEXT])
{
	char since[24];

	health_ago(r->since_ms, since);
	if (!r->known)
		snprintf(buf, HEALTH_TEXT, "not checked yet");
	else if (r->up)
		snprintf(buf, HEALTH_TEXT, "up for %s", since);
	else
		snprintf(buf, HEALTH_TEXT, "down for %s%s: %s", since,
			 r->panic ? ", but used: too few are up" : "", r->error);
	return buf;
}

static const char *way_name(uint8_t way)
{
	return way == HEALTH_WAY_FORWARD  ? "forward"
	       : way == HEALTH_WAY_BESIDE ? "beside"
					  : "plain";
}

json_t *health_json(const struct health_record *r)
{
	return json_pack("{s:s, s:b, s:b, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "address",
			 r->address, "up", r->up, "known", r->known, "panic", r->panic, "type",
			 r->type, "way", way_name(r->way), "since_ms", (json_int_t)r->since_ms,
			 "checked_ms", (json_int_t)r->checked_ms, "last_ms", (json_int_t)r->last_ms,
			 "checks", (json_int_t)r->checks, "failures", (json_int_t)r->failures,
			 "error", r->error);
}

/* ---- all of them ----------------------------------------------------------------------- */

static void print_human(const struct health_page *p)
{
	const struct health_head *head = p->head;
	bool first = true;

	for (uint32_t i = 0; i < head->slots; i++) {
		char full[2 * SLUICE_NAME], text[HEALTH_TEXT];
		struct health_record r;

		health_record_read(&p->records[i], &r);
		if (!r.backend[0])
			continue;
		if (first)
			printf("%-24s %-28s %-8s %8s %8s  %s\n", "BACKEND", "ADDRESS", "CHECK",
			       "CHECKS", "FAILED", "STATE");
		first = false;
		snprintf(full, sizeof(full), "%s/%s", r.pool, r.backend);
		printf("%-24s %-28s %-8s %8" PRIu64 " %8" PRIu64 "  %s%s\n", full, r.address,
		       r.type, r.checks, r.failures, health_text(&r, text),
		       r.way == HEALTH_WAY_BESIDE ? " (not by the way that is forwarded)" : "");
	}
	printf("%s%" PRIu64 " checks, %" PRIu64 " failed; %" PRIu64 " times down, %" PRIu64
	       " times up; all used for want of enough: %" PRIu64 " times\n",
	       first ? "no backend is checked\n" : "\n", head->checks, head->failures, head->downs,
	       head->ups, head->panics);
}

static int print_json(const struct health_page *p, const struct name_page *names, struct err *e)
{
	static const struct health_head none;
	const struct health_head *head = p->head ? p->head : &none;
	json_t *list = json_array();
	json_t *root =
		json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "backends", list, "checks",
			  (json_int_t)head->checks, "failures", (json_int_t)head->failures, "downs",
			  (json_int_t)head->downs, "ups", (json_int_t)head->ups, "panics",
			  (json_int_t)head->panics, "renewed_ms", (json_int_t)head->renewed_ms);
	bool oom = !root || json_object_set_new(root, "names", health_names_json(names)) != 0;

	for (uint32_t i = 0; !oom && i < head->slots; i++) {
		struct health_record r;
		json_t *o;

		health_record_read(&p->records[i], &r);
		if (!r.backend[0])
			continue;
		o = health_json(&r);
		oom |= !o || json_object_set_new(o, "pool", json_string(r.pool)) != 0 ||
		       json_object_set_new(o, "backend", json_string(r.backend)) != 0 ||
		       json_object_set_new(o, "kind",
					   json_string(r.kind == SLUICE_L4 ? "l4" : "l7")) != 0 ||
		       json_array_append_new(list, o) != 0;
	}
	return ctl_print_json(root, oom, e);
}

/* Either may be missing. */
static int pages_open(struct health_page *page, struct name_page *names, const char *dir,
		      struct err *e)
{
	int rc = health_page_open(page, dir, e), names_rc;
	struct err why;

	names_rc = name_page_open(names, dir, &why);
	if (rc == -ENOENT && names_rc == 0)
		return 0;
	if (names_rc && names_rc != -ENOENT && (rc == 0 || rc == -ENOENT)) {
		*e = why;
		rc = names_rc;
	}
	return rc;
}

static int show(const char *dir, bool json)
{
	struct health_page page;
	struct name_page names;
	struct err e;
	int rc = pages_open(&page, &names, dir, &e);

	if (rc == -ENOENT)
		err_set(&e, ENOENT,
			"no daemon has checked backends and left its states in %s; health { ... } "
			"in a service or pool has them checked, --state names another folder",
			dir);
	if (rc == 0 && json)
		rc = print_json(&page, &names, &e);
	else if (rc == 0) {
		if (page.head)
			print_human(&page);
		health_names_print(&names);
	}
	health_page_close(&page);
	name_page_close(&names);
	return rc ? ctl_fail(&e) : CTL_OK;
}

int ctl_health(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"state", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *dir = HEALTH_PAGE_DIR;
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "js:h", options, NULL)) != -1) {
		switch (opt) {
		case 'j':
			json = true;
			break;
		case 's':
			dir = optarg;
			break;
		case 'h':
			return CTL_HELP;
		default:
			return CTL_USAGE;
		}
	}
	if (optind < argc)
		return ctl_usage("unexpected word: %s", argv[optind]);
	return show(dir, json);
}
