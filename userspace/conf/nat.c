// SPDX-License-Identifier: BSD-2-Clause
/* Owns: what nat is told in a file: the addresses and ports that it sends from, and what its
 * services may be. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "conf/read.h"
#include "sluice/nat.h"

/* ---- gate ----------------------------------------------------------------------------- */

static void sources_read(struct reading *r, cfg_t *sec)
{
	struct conf *c = r->conf;
	unsigned n = cfg_size(sec, "nat_source");

	for (unsigned i = 0; i < n; i++) {
		struct value *v = cfg_getnptr(sec, "nat_source", i);
		struct sluice_addr addr;
		bool again = false;

		if (!addr_parse(&addr, v->text) || addr_is_any(&addr)) {
			complain(r, v->line,
				 "nat_source: \"%s\" is not an address; write one that backends "
				 "answer to, like \"10.0.0.2\"",
				 v->text);
			continue;
		}
		for (unsigned k = 0; k < c->n_nat_sources; k++)
			again |= addr_equal(&c->nat_sources[k].addr, &addr);
		if (again)
			complain(r, v->line, "nat_source: \"%s\" stands there twice; remove one",
				 v->text);
		else if (c->n_nat_sources == SLUICE_NAT_SOURCES)
			complain(r, v->line, "nat_source: %u are too many; write at most %d", n,
				 SLUICE_NAT_SOURCES);
		else
			c->nat_sources[c->n_nat_sources++] =
				(struct conf_nat_source){addr, v->line};
	}
}

/* "1024-32767" */
static bool ports_parse(const char *text, uint32_t *first, uint32_t *last)
{
	char *end;
	unsigned long a, b;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	a = strtoul(text, &end, 10);
	if (*end != '-' || end[1] < '0' || end[1] > '9')
		return false;
	b = strtoul(end + 1, &end, 10);
	if (errno || *end || a == 0 || a > b || b > 65535)
		return false;
	*first = (uint32_t)a;
	*last = (uint32_t)b;
	return true;
}

void nat_settings_read(struct reading *r, cfg_t *gate)
{
	struct conf *c = r->conf;
	struct value *ports = gate ? value_of(gate, "nat_ports") : NULL;

	c->nat_first = SLUICE_NAT_FIRST;
	c->nat_last = SLUICE_NAT_LAST;
	if (ports && !ports_parse(ports->text, &c->nat_first, &c->nat_last))
		complain(r, ports->line,
			 "nat_ports: \"%s\" is not a range of ports; write one like \"%d-%d\"",
			 ports->text, SLUICE_NAT_FIRST, SLUICE_NAT_LAST);
	if (gate)
		sources_read(r, gate);
}

/* ---- services ------------------------------------------------------------------------- */

void nat_words_check(struct reading *r, cfg_t *sec, const struct conf_service *s)
{
	static const char *const words[] = {"track", "udp_timeout", "previous_table"};

	if (s->forward != SLUICE_MODE_nat)
		return;
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct value *v = value_of(sec, words[i]);

		if (v)
			complain(r, v->line,
				 "%s means nothing with forward = nat, which keeps each flow in a "
				 "table of its own; remove it",
				 words[i]);
	}
}

/* Zeroes, which stand for an address that was complained about, are of no family. */
static bool of_family(const struct sluice_addr *addr, bool v4)
{
	return addr_is_any(addr) || addr_is_v4(addr) == v4;
}

static void check_family(struct reading *r, const struct conf_service *s, bool v4)
{
	for (unsigned i = 0; i < s->n_listens; i++)
		if (!of_family(&s->listens[i].endpoint.addr, v4)) {
			complain(r, s->listens[i].line,
				 "listen: service \"%s\" has addresses of both families, and nat "
				 "does not change between them; write a service for each",
				 s->name);
			return;
		}
	for (unsigned i = 0; i < s->n_backends; i++)
		if (!of_family(&s->backends[i].endpoint.addr, v4))
			complain(r, s->backends[i].line,
				 "backend \"%s\" is of another family than the service's VIPs, and "
				 "nat does not change between them; write its IPv%d address",
				 s->backends[i].name, v4 ? 4 : 6);
}

static void check_service(struct reading *r, const struct conf_service *s)
{
	const struct conf *c = r->conf;
	bool v4, found = false;

	if (s->n_listens == 0)
		return;
	v4 = addr_is_v4(&s->listens[0].endpoint.addr);
	check_family(r, s, v4);
	for (unsigned i = 0; i < c->n_nat_sources; i++)
		found |= addr_is_v4(&c->nat_sources[i].addr) == v4;
	if (!found)
		complain(r, s->line,
			 "service \"%s\" forwards by nat, but there is no IPv%d address to do it "
			 "from; write gate { nat_source = { \"%s\" } }",
			 s->name, v4 ? 4 : 6, v4 ? "10.0.0.2" : "fd00::2");
}

/* Its answers would be taken for requests. */
static void check_source(struct reading *r, const struct conf_nat_source *source)
{
	const struct conf *c = r->conf;
	char text[ADDR_TEXT];

	for (unsigned i = 0; i < c->n_services; i++)
		for (unsigned k = 0; k < c->services[i].n_listens; k++)
			if (addr_equal(&c->services[i].listens[k].endpoint.addr, &source->addr)) {
				complain(r, source->line,
					 "nat_source: %s is a VIP of service \"%s\"; write another "
					 "address",
					 addr_format(&source->addr, text), c->services[i].name);
				return;
			}
}

void nat_check(struct reading *r)
{
	const struct conf *c = r->conf;

	for (unsigned i = 0; i < c->n_services; i++)
		if (c->services[i].kind == SLUICE_L4 && c->services[i].forward == SLUICE_MODE_nat)
			check_service(r, &c->services[i]);
	for (unsigned i = 0; i < c->n_nat_sources; i++)
		check_source(r, &c->nat_sources[i]);
}
