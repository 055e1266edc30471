// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: from the values of a pool to the snapshot, whether it has a name or is an l7 service's
 * own. Promises: pools do not move, so that what was read before can point at them.
 */
#include <string.h>

#include "base/units.h"
#include "conf/read.h"

#define HEDGE_MOST_MS 60000

/* A name of a header field or a cookie (RFC 9110 section 5.6.2). */
static bool is_token(const char *text)
{
	return *text && text[strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
					  "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

/* address, uri, header:NAME or cookie:NAME. */
static void hash_by_read(struct reading *r, const struct value *v, struct conf_pool *p)
{
	static const struct {
		const char *prefix;
		enum conf_hash_by by;
	} named[] = {{"header:", CONF_HASH_HEADER}, {"cookie:", CONF_HASH_COOKIE}};

	if (v && p->balance != CONF_BALANCE_hash)
		complain(r, v->line,
			 "hash_by means nothing without balance = hash; write that, or remove it");
	if (!v || strcmp(v->text, "address") == 0)
		return;
	if (strcmp(v->text, "uri") == 0) {
		p->hash_by = CONF_HASH_URI;
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		size_t len = strlen(named[i].prefix);
		const char *name = v->text + len;

		if (strncmp(v->text, named[i].prefix, len) != 0 || !is_token(name))
			continue;
		p->hash_by = named[i].by;
		p->hash_name = text_keep(r, name);
		return;
	}
	complain(r, v->line,
		 "hash_by: \"%s\" is not known; write address, uri, header:NAME or cookie:NAME",
		 v->text);
}

static uint32_t retry_on_read(struct reading *r, cfg_t *sec)
{
	static const struct {
		const char *word;
		uint32_t bit;
	} rows[] = {
		{"connect", CONF_RETRY_CONNECT}, {"closed", CONF_RETRY_CLOSED},
		{"timeout", CONF_RETRY_TIMEOUT}, {"429", CONF_RETRY_429},
		{"500", CONF_RETRY_500},         {"502", CONF_RETRY_502},
		{"503", CONF_RETRY_503},         {"504", CONF_RETRY_504},
		{"5xx", CONF_RETRY_5XX},
	};
	const unsigned n_rows = sizeof(rows) / sizeof(rows[0]);
	uint32_t on = 0;

	if (!sec || cfg_size(sec, "on") == 0)
		return CONF_RETRY_CONNECT | CONF_RETRY_CLOSED;
	for (unsigned i = 0; i < cfg_size(sec, "on"); i++) {
		struct value *v = value_at(sec, "on", i);
		unsigned k = 0;

		while (k < n_rows && strcmp(v->text, rows[k].word) != 0)
			k++;
		if (k < n_rows)
			on |= rows[k].bit;
		else
			complain(r, v->line,
				 "on: \"%s\" is not known; write connect, closed, timeout, 429, "
				 "500, "
				 "502, 503, 504 or 5xx",
				 v->text);
	}
	return on;
}

/* off, p95 or a duration. */
static uint32_t hedge_read(struct reading *r, const struct value *v)
{
	uint64_t ms;

	if (!v || strcmp(v->text, "off") == 0)
		return 0;
	if (strcmp(v->text, "p95") == 0)
		return CONF_HEDGE_P95;
	if (units_parse_ms(&ms, v->text) && ms > 0 && ms <= HEDGE_MOST_MS)
		return (uint32_t)ms;
	complain(r, v->line, "hedge_after: \"%s\" is not known; write off, p95, or 1ms to 1m",
		 v->text);
	return 0;
}

static cfg_t *section_of(cfg_t *sec, const char *name)
{
	return cfg_size(sec, name) ? cfg_getsec(sec, name) : NULL;
}

static void resilience_read(struct reading *r, cfg_t *sec, struct conf_pool *p)
{
	cfg_t *retry = section_of(sec, "retry"), *outlier = section_of(sec, "outlier");

	settings_read(r, "retry", retry, 0, &p->retry);
	p->retry.on = retry_on_read(r, retry);
	p->retry.hedge_ms = hedge_read(r, retry ? value_of(retry, "hedge_after") : NULL);
	settings_read(r, "outlier", outlier, 0, &p->outlier);
	p->outlier.on = outlier != NULL;
}

static void pool_settings(struct reading *r, cfg_t *sec, struct conf_pool *p)
{
#define WORD(name) #name,
	static const char *const balances[] = {CONF_BALANCES(WORD)};
#undef WORD
	static const char *const versions[] = {"off", "v1", "v2"};

	settings_read(r, "pool", sec, 0, p);
	p->balance =
		choice_word(r, value_of(sec, "balance"), balances, CONF_BALANCE_COUNT, "balance");
	hash_by_read(r, value_of(sec, "hash_by"), p);
	p->proxy = choice_word(r, value_of(sec, "proxy_protocol"), versions, 3, "proxy_protocol");
	resilience_read(r, sec, p);
}

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
	pool_settings(r, sec, p);
	p->n_backends = of->outgoing ? outgoing_backend(r, sec, &p->backends)
				     : backends_read(r, sec, of, &p->backends);
	if (of->outgoing) {
		p->upstream_idle_max = 0; /* another request goes somewhere else */
		p->retry.on = CONF_RETRY_CONNECT;
	}
	p->health = health_read(r, sec);
	p->tls = tls_upstream_read(r, sec);
	if (p->tls && p->proxy)
		complain(r, p->tls->line,
			 "upstream_tls: a PROXY header would travel within TLS, where no backend "
			 "looks for it; remove proxy_protocol or this");
	for (unsigned i = 0; i < p->n_backends; i++) {
		struct conf_backend *b = &p->backends[i];

		b->number = c->n_pool_backends++;
		if (b->path && cfg_size(sec, "health"))
			complain(r, b->line,
				 "backend \"%s\" is a UNIX socket, which is not checked; remove "
				 "health, or write an address with a port",
				 b->name);
	}
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
	const struct backends_of of = {.what = "service",
				       .outgoing = s->outgoing,
				       .name = s->name,
				       .line = s->line,
				       .kind = s->kind,
				       .may_be_empty = cfg_size(sec, "route") > 0};

	return pool_read(r, sec, &of);
}

void pool_refuse(struct reading *r, cfg_t *l4)
{
	for (const cfg_opt_t *opt = pool_opts; opt->name; opt++) {
		if (strcmp(opt->name, GRAMMAR_NAME) == 0 || strcmp(opt->name, "backend") == 0 ||
		    strcmp(opt->name, "health") == 0 || cfg_size(l4, opt->name) == 0)
			continue;
		complain(r,
			 opt->type == CFGT_SEC ? (unsigned)cfg_getsec(l4, opt->name)->line
					       : value_of(l4, opt->name)->line,
			 "%s means nothing to an l4 service; remove it", opt->name);
	}
}

const struct conf_pool *conf_pool_find(const struct conf *c, const char *name)
{
	for (unsigned i = 0; i < c->n_named_pools; i++)
		if (strcmp(c->pools[i].name, name) == 0)
			return &c->pools[i];
	return NULL;
}
