// SPDX-License-Identifier: BSD-2-Clause
#include "l7/destination.h"

#include <ctype.h>
#include <string.h>

#include "base/host_name.h"

/* ---- what was written ------------------------------------------------------------------ */

static bool port_parse(struct span text, uint16_t *port)
{
	uint32_t n = 0;

	if (text.len == 0 || text.len > 5)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (!isdigit((unsigned char)text.p[i]))
			return false;
		n = n * 10 + (uint32_t)(text.p[i] - '0');
	}
	*port = (uint16_t)n;
	return n > 0 && n <= UINT16_MAX;
}

static bool host_take(struct destination *d, struct span host)
{
	bool dot = host.len > 1 && host.p[host.len - 1] == '.';
	bool bracketed = host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']';

	if (bracketed)
		host = (struct span){host.p + 1, host.len - 2};
	host.len -= dot;
	if (host.len == 0 || host.len >= sizeof(d->name) || host.p[host.len - 1] == '.')
		return false;
	for (size_t i = 0; i < host.len; i++)
		d->name[i] = (char)tolower((unsigned char)host.p[i]);
	d->name[host.len] = '\0';
	if (addr_parse(&d->addr, d->name)) {
		d->name[0] = '\0';
		return !dot && bracketed == (memchr(host.p, ':', host.len) != NULL);
	}
	return !bracketed && host_is_name(d->name, host.len);
}

bool destination_parse(struct destination *d, struct span authority, uint16_t port)
{
	const char *end = authority.p + authority.len, *colon = end;
	struct span digits;

	*d = (struct destination){.port = port};
	while (colon > authority.p && colon[-1] != ':' && colon[-1] != ']')
		colon--;
	if (colon == authority.p || colon[-1] == ']')
		return port && host_take(d, authority);
	digits = (struct span){colon, (size_t)(end - colon)};
	/* An empty port is the scheme's own (RFC 3986 section 3.2.3). */
	if (!(digits.len == 0 && port) && !port_parse(digits, &d->port))
		return false;
	return host_take(d, (struct span){authority.p, (size_t)(colon - 1 - authority.p)});
}

/* ---- rules ---------------------------------------------------------------------------- */

static bool port_fits(const struct conf_destination *r, uint16_t port)
{
	return r->any_port || (r->port ? r->port == port : port == 80 || port == 443);
}

/* "": all; ".x": names below x; else the name itself. */
static bool name_fits(const char *rule, const char *name)
{
	size_t len = strlen(name), rule_len = strlen(rule);

	if (rule[0] != '.')
		return rule_len == 0 || strcmp(rule, name) == 0;
	return len > rule_len && strcmp(name + len - rule_len, rule) == 0;
}

/* By a rule that is a name. An address has none, but "*" is for all. */
static bool named(const struct conf_outgoing *o, const struct destination *d)
{
	for (unsigned i = 0; i < o->n_destinations; i++) {
		const struct conf_destination *r = &o->destinations[i];

		if (r->name && port_fits(r, d->port) && name_fits(r->name, d->name))
			return true;
	}
	return false;
}

static bool listed(const struct conf_outgoing *o, uint16_t port, const struct sluice_addr *addr)
{
	for (unsigned i = 0; i < o->n_destinations; i++) {
		const struct conf_destination *r = &o->destinations[i];

		if (!r->name && port_fits(r, port) && cidr_contains(&r->net, addr))
			return true;
	}
	return false;
}

bool destination_known(const struct conf_outgoing *o, const struct destination *d)
{
	return named(o, d) || (d->name[0] == '\0' && listed(o, d->port, &d->addr));
}

/* No connection goes there, or it goes to the host itself by another name. */
static bool is_nowhere(const struct sluice_addr *addr)
{
	const uint8_t *b = (const uint8_t *)addr;

	return addr_is_v4(addr) ? b[12] == 0 || b[12] >= 224 : addr_is_any(addr) || b[0] == 0xff;
}

bool destination_allowed(const struct conf_outgoing *o, const struct destination *d,
			 const struct sluice_addr *addr)
{
	if (is_nowhere(addr))
		return false;
	return listed(o, d->port, addr) || (destination_is_public(addr) && named(o, d));
}

/* ---- addresses ------------------------------------------------------------------------ */

static bool within(const uint8_t *b, const uint8_t *net, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	return memcmp(b, net, bytes) == 0 &&
	       (rest == 0 || (b[bytes] ^ net[bytes]) >> (8 - rest) == 0);
}

/* The special ones of IANA's registries (RFC 6890), and 6to4, in which a private one may hide. */
static const struct {
	uint8_t net[4];
	unsigned bits;
} special4[] =
	{
		{{0}, 8},
		{{10}, 8},
		{{100, 64}, 10},
		{{127}, 8},
		{{169, 254}, 16},
		{{172, 16}, 12},
		{{192, 0, 0}, 24},
		{{192, 0, 2}, 24},
		{{192, 88, 99}, 24},
		{{192, 168}, 16},
		{{198, 18}, 15},
		{{198, 51, 100}, 24},
		{{203, 0, 113}, 24},
		{{224}, 3},
},
  special6[] = {
	  {{0x20, 0x01, 0x00}, 23},
	  {{0x20, 0x01, 0x0d, 0xb8}, 32},
	  {{0x20, 0x02}, 16},
	  {{0x3f, 0xff, 0x00}, 20},
};

bool destination_is_public(const struct sluice_addr *addr)
{
	static const uint8_t global[] = {0x20}; /* 2000::/3: there is no other yet (RFC 4291) */
	const uint8_t *b = (const uint8_t *)addr;

	if (addr_is_v4(addr)) {
		for (size_t i = 0; i < sizeof(special4) / sizeof(special4[0]); i++)
			if (within(b + 12, special4[i].net, special4[i].bits))
				return false;
		return true;
	}
	for (size_t i = 0; i < sizeof(special6) / sizeof(special6[0]); i++)
		if (within(b, special6[i].net, special6[i].bits))
			return false;
	return within(b, global, 3);
}
