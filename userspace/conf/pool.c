// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: from the values of a pool to the snapshot, whether it has a name or is an l7 service's
 * own. Promises: pools do not move, so that what was read before can point at them.
 */
#include <string.h>

#include "conf/read.h"

static const struct conf_pool *pool_read(struct reading *r, cfg_t *sec,
					 const struct backends_of *of)
{
	struct conf *c = r->conf;
	struct conf_pool *p;

	if (!c->pools)
		return NULL;
	p = &c->pools[c->n_pools];
	p->index = c->n_pools++;
	p->name = of->name;
	p->line = of->line;
	settings_read(r, "pool", sec, 0, p);
	p->n_backends = backends_read(r, sec, of, &p->backends);
	p->health = health_read(r, sec);
	return p;
}

void pools_read(struct reading *r, cfg_t *file, unsigned n_services)
{
	struct conf *c = r->conf;
	unsigned n = cfg_size(file, "pool");

	if (n > CONF_MAX_POOLS)
		complain(r, 1, "there are %u pools; write at most %u", n, CONF_MAX_POOLS);
	c->pools = reading_alloc(r, (size_t)n + n_services, sizeof(*c->pools));
	for (unsigned i = 0; c->pools && !r->oom && i < n; i++) {
		cfg_t *sec = cfg_getnsec(file, "pool", i);
		struct backends_of of = {.what = "pool", .kind = SLUICE_L7};

		of.name = name_read(r, sec, "pool", &of.line);
		pool_read(r, sec, &of);
	}
	c->n_named_pools = c->n_pools;
}

const struct conf_pool *pool_of_service(struct reading *r, cfg_t *sec, const struct conf_service *s)
{
	const struct backends_of of = {
		.what = "service", .name = s->name, .line = s->line, .kind = s->kind};

	return pool_read(r, sec, &of);
}

const struct conf_pool *conf_pool_find(const struct conf *c, const char *name)
{
	for (unsigned i = 0; i < c->n_named_pools; i++)
		if (strcmp(c->pools[i].name, name) == 0)
			return &c->pools[i];
	return NULL;
}
