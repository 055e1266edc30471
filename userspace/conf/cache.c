// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: from the values of caches, and of the cache sections of services, to the snapshot.
 * Promises: caches do not move, so that what was read before can point at them.
 */
#include <string.h>

#include "base/units.h"
#include "conf/read.h"

#define HEADER_LETTERS                                                                             \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"

/* ---- caches --------------------------------------------------------------------------- */

void caches_read(struct reading *r, cfg_t *file)
{
	struct conf *c = r->conf;
	unsigned n = cfg_size(file, "cache");

	if (n > CONF_MAX_CACHES)
		complain(r, 1, "there are %u caches; write at most %d", n, CONF_MAX_CACHES);
	c->caches = reading_alloc(r, n, sizeof(*c->caches));
	for (unsigned i = 0; c->caches && i < n; i++) {
		cfg_t *sec = cfg_getnsec(file, "cache", i);
		struct conf_cache *cache = &c->caches[c->n_caches];

		cache->index = c->n_caches++;
		cache->name = name_read(r, sec, "cache", &cache->line);
		settings_read(r, "cache", sec, 0, cache);
		if (!value_of(sec, "max_object") && cache->max_object > cache->memory / 2)
			cache->max_object = cache->memory / 2;
		if (cache->max_object > cache->memory)
			complain(r, cache->line,
				 "cache \"%s\": max_object is more than its memory; write less",
				 cache->name);
		for (unsigned k = 0; k < i; k++)
			if (strcmp(c->caches[k].name, cache->name) == 0)
				complain(r, cache->line,
					 "cache \"%s\" stands already in line %u; choose another "
					 "name",
					 cache->name, c->caches[k].line);
	}
}

/* ---- how a service uses one ----------------------------------------------------------- */

static void store_read(struct reading *r, cfg_t *sec, struct conf_caching *to)
{
	const struct value *v = value_of(sec, "store");
	const struct conf *c = r->conf;

	for (unsigned i = 0; i < c->n_caches; i++)
		if (v ? strcmp(c->caches[i].name, v->text) == 0 : c->n_caches == 1)
			to->cache = &c->caches[i];
	if (to->cache)
		return;
	if (v)
		complain(r, v->line, "store: there is no cache \"%s\"; write cache \"%s\" { }",
			 v->text, v->text);
	else
		complain(r, to->line,
			 c->n_caches ? "there are several caches; write store = \"NAME\""
				     : "there is no cache; write cache \"main\" { } beside the "
				       "services");
}

/* "404 10s" */
static void rule_read(struct reading *r, const struct value *v, struct conf_caching *to)
{
	struct conf_cache_rule *rule = &to->rules[to->n_rules];
	const char *p = v->text;
	unsigned status = 0;

	while (*p >= '0' && *p <= '9' && status < 1000)
		status = status * 10 + (unsigned)(*p++ - '0');
	if (status < 200 || status > 599 || *p != ' ' || !units_parse_ms(&rule->ttl_ms, p + 1)) {
		complain(r, v->line,
			 "ttl: \"%s\" is not a status and how long it is kept; write one like "
			 "\"404 10s\"",
			 v->text);
		return;
	}
	rule->status = status;
	to->n_rules++;
}

static const char **names_read(struct reading *r, cfg_t *sec, const char *name, bool lower,
			       unsigned *count)
{
	unsigned n = values_count(r, sec, name, CONF_CACHE_NAMES);
	const char **list = n ? reading_alloc(r, n, sizeof(*list)) : NULL;

	for (unsigned i = 0; list && i < n; i++) {
		const struct value *v = value_at(sec, name, i);
		char *copy = arena_strdup(&r->conf->arena, v->text);

		r->oom |= !copy;
		if (!copy)
			return list;
		if (!*copy || strspn(copy, HEADER_LETTERS) != strlen(copy)) {
			complain(r, v->line, "%s: \"%s\" is not a name; write one like %s", name,
				 v->text, lower ? "Accept-Language" : "session");
			continue;
		}
		for (char *p = copy; lower && *p; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p = (char)(*p | 0x20);
		list[(*count)++] = copy;
	}
	return list;
}

static void purge_from_read(struct reading *r, cfg_t *sec, struct conf_caching *to)
{
	unsigned n = values_count(r, sec, "purge_from", CONF_CACHE_NAMES);

	to->purge_from = n ? reading_alloc(r, n, sizeof(*to->purge_from)) : NULL;
	for (unsigned i = 0; to->purge_from && i < n; i++) {
		const struct value *v = value_at(sec, "purge_from", i);
		bool host_bits = false;

		if (cidr_parse(&to->purge_from[to->n_purge_from], v->text, &host_bits))
			to->n_purge_from++;
		else
			complain(r, v->line,
				 "purge_from: \"%s\" is not a prefix%s; write one like "
				 "\"10.1.0.0/16\" or an address",
				 v->text, host_bits ? ", since bits are set beyond it" : "");
	}
}

static void words_read(struct reading *r, cfg_t *sec, struct conf_caching *to)
{
	const struct value *v = value_of(sec, "set_cookie");

	to->cookie_never = v && strcmp(v->text, "never") == 0;
	if (v && !to->cookie_never && strcmp(v->text, "explicit") != 0)
		complain(r, v->line, "set_cookie: \"%s\" is not known; write explicit or never",
			 v->text);
}

void caching_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
	unsigned n = values_count(r, sec, "ttl", CONF_CACHE_RULES);
	struct conf_caching *to = &s->caching;

	to->line = (unsigned)sec->line;
	if (s->kind == SLUICE_L4) {
		complain(r, to->line, "cache means nothing to an l4 service; remove it");
		return;
	}
	to->index = r->conf->n_cachings++;
	settings_read(r, "caching", sec, 0, to);
	store_read(r, sec, to);
	words_read(r, sec, to);
	for (unsigned i = 0; i < n; i++)
		rule_read(r, value_at(sec, "ttl", i), to);
	to->key_headers = names_read(r, sec, "key_headers", true, &to->n_key_headers);
	to->key_cookies = names_read(r, sec, "key_cookies", false, &to->n_key_cookies);
	to->allow_headers = names_read(r, sec, "allow_headers", true, &to->n_allow_headers);
	purge_from_read(r, sec, to);
	to->bypass_cookies = names_read(r, sec, "bypass_cookies", false, &to->n_bypass_cookies);
}
