// SPDX-License-Identifier: BSD-2-Clause
/* Owns: what the stores count, on the page that `sluice cache stat` reads. Cost: each shard's lock
 * for a moment. */
#include <stdio.h>
#include <time.h>

#include "l7/caching.h"

static uint64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void record_write(struct cache_record *r, const struct conf_cache *conf,
			 const struct store_stats *s)
{
	_Static_assert(FRESH_REASON_COUNT <= CACHE_PAGE_REASONS, "each reason has its place");
	_Static_assert(FRESH_stored == 0, "the other ones are why nothing was kept");
	page_write_begin(&r->sequence);
	snprintf(r->name, sizeof(r->name), "%s", conf->name);
	r->written_ms = wall_ms();
	r->memory = conf->memory;
	r->used = s->used;
	r->objects = s->objects;
	r->hits = s->hits;
	r->stale_hits = s->stale_hits;
	r->misses = s->misses;
	r->validations = s->validations;
	r->collapsed = s->collapsed;
	r->passes = s->passes;
	r->stored = s->inserted;
	r->evicted = s->evicted;
	r->purged = s->purged;
	r->n_refused = FRESH_REASON_COUNT - 1;
	for (unsigned i = 0; i < r->n_refused; i++) {
		snprintf(r->refused[i].name, sizeof(r->refused[i].name), "%s", fresh_name(i + 1));
		r->refused[i].n = s->refused[i + 1];
	}
	page_write_end(&r->sequence);
}

void caches_report(const struct caches *c, const struct conf *conf, const struct cache_page *page)
{
	struct store_stats stats;

	for (unsigned i = 0; page && page->head && i < c->n_stores && i < page->head->caches; i++) {
		store_stats(c->stores[i], &stats);
		record_write(&page->records[i], &conf->caches[i], &stats);
	}
}
