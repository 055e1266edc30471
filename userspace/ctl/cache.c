// SPDX-License-Identifier: BSD-2-Clause
/* Owns: `sluice cache stat`: what the caches of the daemon hold and count, from the page that it
 * keeps. It needs no gate, and no daemon that runs. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/cache_page.h"
#include "base/health_page.h"
#include "base/units.h"
#include "ctl/ctl.h"

#define SILENT_MS 5000 /* a worker that runs writes each second */

static uint64_t wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- for people ------------------------------------------------------------------------ */

/* Of the requests on which the cache had a say, those for which the origin was not asked. Who waits
 * for another's fetch, or gets a stale answer, was counted as a miss or validation before. */
static double hit_ratio(const struct cache_record *r)
{
	uint64_t all = r->hits + r->misses + r->validations,
		 hits = r->hits + r->stale_hits + r->collapsed;

	return all ? 100.0 * (double)(hits < all ? hits : all) / (double)all : 0;
}

static void print_line(const struct cache_record *r)
{
	char used[16], memory[16], n[9][8];
	const uint64_t counts[9] = {r->objects, r->hits,        r->stale_hits,
				    r->misses,  r->validations, r->collapsed,
				    r->passes,  r->evicted,     r->purged};

	for (unsigned i = 0; i < 9; i++)
		units_format_count(counts[i], n[i]);
	printf("%-16s %9s %9s %8s %8s %8s %8s %8s %8s %8s %8s %8s %5.1f%%\n", r->name,
	       units_format_bytes(r->used, used), units_format_bytes(r->memory, memory), n[0], n[1],
	       n[2], n[3], n[4], n[5], n[6], n[7], n[8], hit_ratio(r));
}

static void print_refused(const struct cache_record *r)
{
	bool first = true;

	for (uint32_t i = 0; i < r->n_refused; i++) {
		if (r->refused[i].n == 0)
			continue;
		printf("%s%s %" PRIu64, first ? "  not kept: " : ", ", r->refused[i].name,
		       r->refused[i].n);
		first = false;
	}
	if (!first)
		putchar('\n');
}

static void print_human(const struct cache_page *p)
{
	uint64_t now = wall_ms();

	printf("%-16s %9s %9s %8s %8s %8s %8s %8s %8s %8s %8s %8s %6s\n", "CACHE", "USED", "MEMORY",
	       "OBJECTS", "HITS", "STALE", "MISSES", "VALIDATE", "WAITED", "PAST", "EVICTED",
	       "PURGED", "HIT");
	for (uint32_t i = 0; i < p->head->caches; i++) {
		struct cache_record r;

		cache_page_record(p, i, &r);
		print_line(&r);
		print_refused(&r);
		if (r.written_ms + SILENT_MS < now)
			printf("  nothing new for %" PRIu64 " s: no worker runs\n",
			       (now - r.written_ms) / 1000);
	}
}

/* ---- for programs ---------------------------------------------------------------------- */

static json_t *record_json(const struct cache_record *r)
{
	json_t *refused = json_object(), *o;
	bool oom = !refused;

	for (uint32_t i = 0; !oom && i < r->n_refused; i++)
		oom = json_object_set_new(refused, r->refused[i].name,
					  json_integer((json_int_t)r->refused[i].n)) != 0;
	o = oom ? NULL
		: json_pack(
			  "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
			  "s:O}",
			  "name", r->name, "written_ms", (json_int_t)r->written_ms, "memory",
			  (json_int_t)r->memory, "used", (json_int_t)r->used, "objects",
			  (json_int_t)r->objects, "hits", (json_int_t)r->hits, "stale_hits",
			  (json_int_t)r->stale_hits, "misses", (json_int_t)r->misses, "validations",
			  (json_int_t)r->validations, "collapsed", (json_int_t)r->collapsed,
			  "passes", (json_int_t)r->passes, "stored", (json_int_t)r->stored,
			  "evicted", (json_int_t)r->evicted, "purged", (json_int_t)r->purged,
			  "refused", refused);
	json_decref(refused);
	return o;
}

static int print_json(const struct cache_page *p, struct err *e)
{
	json_t *list = json_array(), *root = json_pack("{s:o}", "caches", list);
	bool oom = !root;

	for (uint32_t i = 0; !oom && i < p->head->caches; i++) {
		struct cache_record r;

		cache_page_record(p, i, &r);
		oom = json_array_append_new(list, record_json(&r)) != 0;
	}
	return ctl_print_json(root, oom, e);
}

static int show(const char *dir, bool json)
{
	struct cache_page page;
	struct err e;
	int rc = cache_page_open(&page, dir, &e);

	if (rc == -ENOENT)
		err_set(&e, ENOENT,
			"no daemon with a cache has left its counters in %s; cache { ... } in a "
			"service makes it use one, --state names another folder",
			dir);
	if (rc == 0 && json)
		rc = print_json(&page, &e);
	else if (rc == 0)
		print_human(&page);
	cache_page_close(&page);
	return rc ? ctl_fail(&e) : CTL_OK;
}

int ctl_cache(int argc, char **argv)
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
	if (optind == argc)
		return ctl_usage("what about the caches? stat shows what they count");
	if (strcmp(argv[optind], "stat") != 0)
		return ctl_usage("unknown word: %s (stat)", argv[optind]);
	if (optind + 1 < argc)
		return ctl_usage("unexpected word: %s", argv[optind + 1]);
	return show(dir, json);
}
