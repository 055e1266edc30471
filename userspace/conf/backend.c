// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: from the values of a backend to the snapshot, behind services of both kinds and in
 * pools. Excludes: rules between backends (check.c).
 */
#include <string.h>
#include <sys/un.h>

#include "conf/read.h"

#define UNIX    "unix:"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static void unix_read(struct reading *r, const struct value *v, const struct backends_of *of,
		      struct conf_backend *b)
{
	const char *path = v->text + sizeof(UNIX) - 1;

	if (of->kind == SLUICE_L4)
		complain(r, v->line,
			 "address: \"%s\" is a file; write the address of an l4 backend", v->text);
	else if (path[0] != '/' || strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		complain(r, v->line,
			 "address: \"%s\" is not the path of a socket; write \"unix:/PATH\", at "
			 "most 107 bytes of it",
			 v->text);
	else
		b->path = text_keep(r, path);
	r->conf->has_unix |= b->path != NULL;
}

/* The part of it that a name would be in has a letter, and no sign of an IPv6 address. */
static bool looks_named(const char *text)
{
	size_t len = strcspn(text, ":");

	return text[0] != '[' && !strchr(text, '/') && !strchr(text, '%') &&
	       strchr(text + len, ':') == strrchr(text, ':') && strpbrk(text, LETTERS) &&
	       strpbrk(text, LETTERS) < text + len;
}

/* What cannot be an address stays zero, as "every address": check.c passes it over. */
static void address_read(struct reading *r, const struct value *v, const struct backends_of *of,
			 struct endpoint *to)
{
	uint32_t kind = of->kind;
	char text[ENDPOINT_TEXT];
	struct endpoint ep;

	if (!endpoint_parse_default(&ep, v->text, 0) || addr_is_any(&ep.addr)) {
		complain(r, v->line, "address: \"%s\" is not an address; write %s", v->text,
			 kind == SLUICE_L4
				 ? "\"10.0.0.11\" or \"fd00::11\" (names are for l7 services)"
				 : "\"10.0.0.11:8080\", \"[fd00::11]:8080\" or a name with its "
				   "port");
		return;
	}
	if (kind == SLUICE_L4 && ep.port != 0 && of->forward != SLUICE_MODE_nat) {
		complain(r, v->line,
			 "address: an l4 backend takes the VIP's own port; remove the \":%u\", or "
			 "write forward = nat",
			 ep.port);
		ep.port = 0;
	} else if (kind == SLUICE_L7 && ep.port == 0) {
		ep.port = 80;
		complain(r, v->line,
			 "address: an l7 backend needs its port; write \"%s\", or whichever it "
			 "listens on",
			 endpoint_format(&ep, text));
		return;
	}
	*to = ep;
}

static void pins_read(struct reading *r, cfg_t *sec, uint32_t kind, struct conf_backend *b)
{
	unsigned n = values_count(r, sec, "pin", SLUICE_MAX_PINS);

	if (n && kind == SLUICE_L7) {
		complain(r, value_at(sec, "pin", 0)->line,
			 "pin means nothing to a backend of an l7 service; remove it");
		return;
	}
	b->pins = n ? reading_alloc(r, n, sizeof(*b->pins)) : NULL;
	for (unsigned i = 0; b->pins && i < n; i++) {
		struct value *v = value_at(sec, "pin", i);

		b->pins[b->n_pins].line = v->line;
		b->n_pins += cidr_read(r, v, "pin", &b->pins[b->n_pins].net);
	}
}

static void backend_read(struct reading *r, cfg_t *sec, const struct backends_of *of,
			 struct conf_backend *b)
{
	struct value *address = value_of(sec, "address"), *resolve = value_of(sec, "resolve");

	b->name = name_read(r, sec, "backend", &b->line);
	settings_read(r, "backend", sec, of->kind, b);
	pins_read(r, sec, of->kind, b);
	server_ids_read(r, sec, of->kind, b);
	if (address && strncmp(address->text, UNIX, sizeof(UNIX) - 1) == 0)
		unix_read(r, address, of, b);
	else if (address && of->kind == SLUICE_L7 && looks_named(address->text))
		b->host = host_name_read(r, address, resolve, &b->endpoint.port);
	else if (address)
		address_read(r, address, of, &b->endpoint);
	else
		complain(r, b->line, "backend \"%s\" has no address; write address = \"...\"",
			 b->name);
	if (resolve && (!address || !looks_named(address->text) || of->kind == SLUICE_L4))
		complain(r, resolve->line,
			 "resolve means nothing to an address that is a number; remove it");
}

/* Each that has a name is followed by its other seats. */
static void seats_add(struct reading *r, struct conf_backend **backends, unsigned *n)
{
	uint32_t seats = r->conf->resolver.max_addresses;
	struct conf_backend *all;
	unsigned named = 0, at = 0;

	for (unsigned i = 0; i < *n; i++)
		named += (*backends)[i].host != NULL;
	if (named == 0)
		return;
	all = reading_alloc(r, *n + (size_t)named * (seats - 1), sizeof(*all));
	for (unsigned i = 0; all && i < *n; i++) {
		uint32_t mine = (*backends)[i].host ? seats : 1;

		for (uint32_t seat = 0; seat < mine; seat++) {
			all[at] = (*backends)[i];
			all[at++].seat = seat;
		}
	}
	*backends = all;
	*n = at;
}

unsigned backends_read(struct reading *r, cfg_t *sec, const struct backends_of *of,
		       struct conf_backend **backends)
{
	unsigned n = cfg_size(sec, "backend");

	if (n == 0 && !of->may_be_empty)
		complain(r, of->line,
			 "%s \"%s\" has no backend; write backend \"NAME\" { address = ... }",
			 of->what, of->name);
	if (n > CONF_MAX_BACKENDS)
		complain(r, of->line, "%s \"%s\" has %u backends; write at most %u", of->what,
			 of->name, n, CONF_MAX_BACKENDS);
	*backends = reading_alloc(r, n, sizeof(**backends));
	for (unsigned i = 0; *backends && i < n; i++)
		backend_read(r, cfg_getnsec(sec, "backend", i), of, &(*backends)[i]);
	if (*backends && n <= CONF_MAX_BACKENDS)
		seats_add(r, backends, &n);
	if (*backends && n > CONF_MAX_BACKENDS && n > cfg_size(sec, "backend"))
		complain(r, of->line,
			 "%s \"%s\" has %u backends, as each name stands for %u; write a smaller "
			 "resolver { max_addresses = ... }, since at most %u fit",
			 of->what, of->name, n, r->conf->resolver.max_addresses, CONF_MAX_BACKENDS);
	return *backends ? n : 0;
}
