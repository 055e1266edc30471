// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the resolver section, and names of hosts: what one may look like, and the list of those
 * that there are. Excludes: looking one up.
 */
#include "conf/resolver.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/host_name.h"
#include "conf/read.h"

#define DNS_PORT 53

void resolver_read(struct reading *r, cfg_t *sec)
{
	struct conf_resolver *to = &r->conf->resolver;
	unsigned n = sec ? values_count(r, sec, "servers", CONF_MAX_SERVERS) : 0;

	settings_read(r, "resolver", sec, 0, to);
	if (to->min_ttl_ms > to->max_ttl_ms)
		complain(r, (unsigned)sec->line,
			 "min_ttl is more than max_ttl; write one that is not");
	to->servers = reading_alloc(r, n, sizeof(*to->servers));
	for (unsigned i = 0; to->servers && i < n; i++) {
		const struct value *v = value_at(sec, "servers", i);
		struct endpoint *ep = &to->servers[to->n_servers];

		if (endpoint_parse_default(ep, v->text, DNS_PORT) && !addr_is_any(&ep->addr) &&
		    ep->port)
			to->n_servers++;
		else
			complain(r, v->line,
				 "servers: \"%s\" is not an address; write \"10.0.0.53\" or "
				 "\"[fd00::53]:53\"",
				 v->text);
	}
}

/* ---- names ---------------------------------------------------------------------------- */

static const struct conf_name *name_add(struct reading *r, const char *name, uint32_t families,
					unsigned line)
{
	struct conf *c = r->conf;
	struct conf_name *n;

	for (unsigned i = 0; i < c->n_names; i++)
		if (c->names[i].families == families && strcmp(c->names[i].name, name) == 0)
			return &c->names[i];
	if (c->n_names == CONF_MAX_NAMES) {
		complain(r, line, "backends have more than %u names; write at most so many",
			 CONF_MAX_NAMES);
		return NULL;
	}
	if (!c->names)
		c->names = reading_alloc(r, CONF_MAX_NAMES, sizeof(*c->names));
	if (!c->names)
		return NULL;
	n = &c->names[c->n_names];
	*n = (struct conf_name){.name = text_keep(r, name),
				.families = families,
				.index = c->n_names++,
				.line = line};
	return n;
}

static uint32_t families_read(struct reading *r, const struct value *v)
{
	static const char *const words[] = {"both", "ipv4", "ipv6"};
	static const uint32_t bits[] = {CONF_IPV4 | CONF_IPV6, CONF_IPV4, CONF_IPV6};

	return bits[choice_word(r, v, words, 3, "resolve")];
}

const struct conf_name *host_name_read(struct reading *r, const struct value *v,
				       const struct value *resolve, uint16_t *port)
{
	const char *colon = strrchr(v->text, ':');
	size_t len = colon ? (size_t)(colon - v->text) : strlen(v->text);
	char name[CONF_NAME_BYTES + 1] = "", *end;
	unsigned long n = 0;

	if (!host_is_name(v->text, len)) {
		complain(r, v->line,
			 "address: \"%s\" is neither an address nor a name; write "
			 "\"10.0.0.11:8080\", \"[fd00::11]:8080\" or \"origin.example.net:8080\"",
			 v->text);
		return NULL;
	}
	if (colon && isdigit((unsigned char)colon[1]))
		n = strtoul(colon + 1, &end, 10);
	if (n == 0 || n > UINT16_MAX || *end) {
		complain(r, v->line,
			 "address: an l7 backend needs its port; write \"%.*s:80\", or whichever "
			 "it listens on",
			 (int)len, v->text);
		return NULL;
	}
	*port = (uint16_t)n;
	len -= v->text[len - 1] == '.';
	for (size_t i = 0; i < len; i++)
		name[i] = (char)tolower((unsigned char)v->text[i]);
	return name_add(r, name, families_read(r, resolve), v->line);
}
