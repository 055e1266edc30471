// SPDX-License-Identifier: BSD-2-Clause
/* Owns: from the values of a service of kind `forward` to the snapshot. */
#include "conf/outgoing.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/host_name.h"
#include "conf/read.h"

/* What such a service has of an l7 service's words. */
static const char *const meant[] = {
	GRAMMAR_NAME,
	"kind",
	"listen",
	"accept_proxy",
	"trusted",
	"allow_client",
	"allow_destination",
	"via",
	"max_outgoing",
	"limit",
	"tls",
	"header_timeout",
	"body_timeout",
	"idle_timeout",
	"max_head",
	"max_target",
	"max_fields",
	"max_requests",
	"response_buffer",
	"tunnel_timeout",
	"min_rate",
	"max_body",
	"connect_timeout",
	"response_timeout",
	"request_trailers",
	"syncookie",
	"syncookie_rate",
	"merge_slashes",
	"request_id_from",
};

static bool is_meant(const char *name)
{
	for (size_t i = 0; i < sizeof(meant) / sizeof(meant[0]); i++)
		if (strcmp(meant[i], name) == 0)
			return true;
	return false;
}

static void others_refuse(struct reading *r, cfg_t *sec)
{
	for (const cfg_opt_t *opt = sec->opts; opt->name; opt++) {
		if (is_meant(opt->name) || cfg_size(sec, opt->name) == 0)
			continue;
		complain(r,
			 opt->type == CFGT_SEC ? (unsigned)cfg_getsec(sec, opt->name)->line
					       : value_at(sec, opt->name, 0)->line,
			 "%s means nothing to a service of kind forward; remove it", opt->name);
	}
}

/* Cuts ":443" or ":*" off. False: what stands there is no port. */
static bool port_cut(char *text, struct conf_destination *d)
{
	char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']'), *end;
	unsigned long n;

	/* An IPv6 prefix with a port is in brackets. */
	if (!colon || colon < bracket || (text[0] != '[' && strchr(text, ':') != colon))
		return true;
	*colon = '\0';
	d->any_port = strcmp(colon + 1, "*") == 0;
	if (d->any_port)
		return true;
	n = isdigit((unsigned char)colon[1]) ? strtoul(colon + 1, &end, 10) : 0;
	d->port = (uint16_t)n;
	return n > 0 && n <= UINT16_MAX && *end == '\0';
}

static bool name_take(struct reading *r, const char *text, struct conf_destination *d)
{
	char name[READ_MAX_WORD + 1] = "";
	const char *rest = text[0] == '*' ? text + 1 : text;

	for (size_t i = 0; rest[i]; i++)
		name[i] = (char)tolower((unsigned char)rest[i]);
	if (text[0] == '*' && rest[0] && rest[0] != '.')
		return false;
	if (text[0] != '*' || rest[0])
		if (!host_is_name(name + (text[0] == '*'), strlen(name + (text[0] == '*'))))
			return false;
	d->name = text_keep(r, name);
	return true;
}

static void destination_read(struct reading *r, const struct value *v, struct conf_destination *d)
{
	char text[READ_MAX_WORD + 1], *net = text;
	bool host_bits = false, port;
	size_t len;

	strcpy(text, v->text);
	d->line = v->line;
	port = port_cut(text, d);
	len = strlen(text);
	if (len > 1 && text[0] == '[' && text[len - 1] == ']') {
		text[len - 1] = '\0';
		net++;
	}
	if (port && (cidr_parse(&d->net, net, &host_bits) || name_take(r, text, d)))
		return;
	complain(r, v->line,
		 host_bits ? "allow_destination: \"%s\" has bits set beyond its prefix; clear them"
			   : "allow_destination: \"%s\" is no destination; write "
			     "\"api.example.net:443\", \"*.example.net\", \"*:443\", "
			     "\"10.1.0.0/16:8080\" or \"[fd00::/8]:443\"",
		 v->text);
}

const struct conf_outgoing *outgoing_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
	unsigned n = values_count(r, sec, "allow_destination", CONF_MAX_DESTINATIONS);
	unsigned n_clients = values_count(r, sec, "allow_client", CONF_MAX_CLIENTS);
	struct conf_outgoing *out = reading_alloc(r, 1, sizeof(*out));

	others_refuse(r, sec);
	if (n == 0)
		complain(r, s->line,
			 "service \"%s\" lets nobody go anywhere; write allow_destination = { "
			 "\"*.example.net:443\", ... }",
			 s->name);
	if (n_clients == 0)
		complain(r, s->line,
			 "service \"%s\" serves nobody; write allow_client = { \"PREFIX\", ... }",
			 s->name);
	if (!out)
		return NULL;
	settings_read(r, "forward", sec, 0, out);
	out->destinations = reading_alloc(r, n, sizeof(*out->destinations));
	out->clients = reading_alloc(r, n_clients, sizeof(*out->clients));
	for (unsigned i = 0; out->destinations && i < n; i++)
		destination_read(r, value_at(sec, "allow_destination", i),
				 &out->destinations[out->n_destinations++]);
	for (unsigned i = 0; out->clients && i < n_clients; i++)
		out->n_clients += cidr_read(r, value_at(sec, "allow_client", i), "allow_client",
					    &out->clients[out->n_clients]);
	r->conf->n_outgoing++;
	return out;
}

void outgoing_refuse(struct reading *r, cfg_t *sec)
{
	static const char *const words[] = {"allow_client", "allow_destination", "via",
					    "max_outgoing"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (cfg_size(sec, words[i]))
			complain(r, value_at(sec, words[i], 0)->line,
				 "%s means nothing but to a service of kind forward; remove it",
				 words[i]);
}

unsigned outgoing_backend(struct reading *r, cfg_t *sec, struct conf_backend **backends)
{
	struct conf_backend *b = *backends = reading_alloc(r, 1, sizeof(**backends));

	if (!b)
		return 0;
	settings_read(r, "backend", NULL, SLUICE_L7, b);
	b->name = "destination";
	settings_read(r, "outgoing", sec, 0, b);
	b->line = (unsigned)sec->line;
	return 1;
}
