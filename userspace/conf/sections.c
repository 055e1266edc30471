// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: from the values of gate, daemon and service to the snapshot, and what each value must
 * be. Excludes: pools and backends (pool.c, backend.c), single numbers (settings.c), rules
 * between settings (check.c).
 */
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "base/health_page.h"
#include "base/maglev.h"
#include "conf/read.h"

#define NAME_LETTERS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
#define VIA_MAX        64 /* bytes that each message grows by, both ways */
#define USER_MAX       32 /* as useradd(8) has it */

#define INTERFACES_MAX 64 /* a gate on each; each is compared with each */

void *reading_alloc(struct reading *r, size_t count, size_t size)
{
	void *p = arena_alloc(&r->conf->arena, count, size);

	if (!p)
		r->oom = true;
	return p;
}

const char *text_keep(struct reading *r, const char *text)
{
	char *copy = arena_strdup(&r->conf->arena, text);

	if (!copy)
		r->oom = true;
	return copy;
}

struct value *value_at(cfg_t *sec, const char *name, unsigned i)
{
	return cfg_getnptr(sec, name, i);
}

unsigned values_count(struct reading *r, cfg_t *sec, const char *name, unsigned most)
{
	unsigned n = cfg_size(sec, name);

	if (n <= most)
		return n;
	complain(r, value_at(sec, name, most)->line, "%s: %u are too many; write at most %u", name,
		 n, most);
	return most;
}

bool cidr_read(struct reading *r, const struct value *v, const char *name, struct cidr *net)
{
	char text[ADDR_TEXT + 4];
	bool host_bits;

	if (cidr_parse(net, v->text, &host_bits))
		return true;
	if (!host_bits) {
		complain(r, v->line,
			 "%s: \"%s\" is not a prefix; write one like \"10.1.0.0/16\" or "
			 "\"2001:db8::/32\"",
			 name, v->text);
		return false;
	}
	cidr_mask(net);
	complain(r, v->line, "%s: \"%s\" has bits set beyond its prefix; write \"%s\"", name,
		 v->text, cidr_format(net, text));
	return false;
}

/* Of 1 to most letters, digits, '-', '_' and '.'. */
static bool is_name(const char *text, size_t most)
{
	size_t len = strlen(text);

	return len > 0 && len <= most && strspn(text, NAME_LETTERS) == len;
}

/* ---- gate ----------------------------------------------------------------------------- */

static void mode_read(struct reading *r, const struct value *v)
{
	if (!v || strcmp(v->text, "auto") == 0)
		r->conf->mode = CONF_MODE_AUTO;
	else if (strcmp(v->text, "native") == 0)
		r->conf->mode = CONF_MODE_NATIVE;
	else if (strcmp(v->text, "generic") == 0)
		r->conf->mode = CONF_MODE_GENERIC;
	else
		complain(r, v->line, "mode: \"%s\" is not a mode; write native, generic or auto",
			 v->text);
}

static bool is_interface_name(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len < IFNAMSIZ && !strpbrk(text, "/: \t") && strcmp(text, ".") != 0 &&
	       strcmp(text, "..") != 0;
}

static void interfaces_read(struct reading *r, cfg_t *sec)
{
	struct conf *c = r->conf;
	unsigned n = values_count(r, sec, "interfaces", INTERFACES_MAX);

	c->interfaces = reading_alloc(r, n, sizeof(*c->interfaces));
	for (unsigned i = 0; c->interfaces && i < n; i++) {
		struct value *v = value_at(sec, "interfaces", i);
		bool again = false;

		for (unsigned k = 0; k < c->n_interfaces; k++)
			again |= strcmp(c->interfaces[k], v->text) == 0;
		if (!is_interface_name(v->text))
			complain(r, v->line,
				 "interfaces: \"%s\" is not an interface's name; `ip link` lists "
				 "them",
				 v->text);
		else if (again)
			complain(r, v->line, "interfaces: \"%s\" stands there twice; remove one",
				 v->text);
		else if (!(c->interfaces[c->n_interfaces++] = text_keep(r, v->text)))
			return;
	}
}

static void tunnel_source_read(struct reading *r, cfg_t *sec)
{
	for (unsigned i = 0; i < cfg_size(sec, "tunnel_source"); i++) {
		struct value *v = value_at(sec, "tunnel_source", i);
		struct sluice_addr addr, *to;

		if (!addr_parse(&addr, v->text) || addr_is_any(&addr)) {
			complain(r, v->line,
				 "tunnel_source: \"%s\" is not an address; write one of this "
				 "host's own, one for each family",
				 v->text);
			continue;
		}
		to = addr_is_v4(&addr) ? &r->conf->source4 : &r->conf->source6;
		if (!addr_is_any(to))
			complain(r, v->line,
				 "tunnel_source: \"%s\" is the second of its family; write one",
				 v->text);
		*to = addr;
	}
}

static void decap_from_read(struct reading *r, cfg_t *sec)
{
	struct conf *c = r->conf;
	unsigned n = values_count(r, sec, "decap_from", SLUICE_MAX_DECAP);

	c->decap_from = reading_alloc(r, n, sizeof(*c->decap_from));
	for (unsigned i = 0; c->decap_from && i < n; i++) {
		struct value *v = value_at(sec, "decap_from", i);
		struct sluice_addr *addr = &c->decap_from[c->n_decap_from];
		bool again = false;

		if (!addr_parse(addr, v->text) || addr_is_any(addr)) {
			complain(r, v->line,
				 "decap_from: \"%s\" is not an address; write a balancer's own, "
				 "like \"10.83.0.2\"",
				 v->text);
			continue;
		}
		for (unsigned k = 0; k < c->n_decap_from; k++)
			again |= addr_equal(&c->decap_from[k], addr);
		if (again)
			complain(r, v->line, "decap_from: \"%s\" stands there twice; remove one",
				 v->text);
		else
			c->n_decap_from++;
	}
}

static void gate_read(struct reading *r, cfg_t *sec)
{
	settings_read(r, "gate", sec, 0, r->conf);
	nat_settings_read(r, sec);
	if (!sec)
		return;
	mode_read(r, value_of(sec, "mode"));
	interfaces_read(r, sec);
	tunnel_source_read(r, sec);
	decap_from_read(r, sec);
}

/* ---- daemon --------------------------------------------------------------------------- */

static void state_read(struct reading *r, const struct value *v)
{
	r->conf->state_dir = HEALTH_PAGE_DIR;
	if (!v)
		return;
	r->conf->state_dir = strcmp(v->text, "off") == 0 ? NULL : text_keep(r, v->text);
	if (r->conf->state_dir && v->text[0] != '/')
		complain(r, v->line,
			 "state: \"%s\" is not a folder; write a path that begins with /, or off",
			 v->text);
}

static void daemon_read(struct reading *r, cfg_t *sec)
{
	struct conf *c = r->conf;
	struct value *user = sec ? value_of(sec, "user") : NULL,
		     *via = sec ? value_of(sec, "via") : NULL;

	settings_read(r, "daemon", sec, 0, c);
	state_read(r, sec ? value_of(sec, "state") : NULL);
	c->user = user ? text_keep(r, user->text) : "nobody";
	c->hop_name = via ? text_keep(r, via->text) : "sluice";
	if (user && !is_name(user->text, USER_MAX))
		complain(r, user->line,
			 "user: \"%s\" is not an account's name; write one like nobody",
			 user->text);
	if (via && !is_name(via->text, VIA_MAX))
		complain(r, via->line,
			 "via: \"%s\" is not a pseudonym; write 1 to %d letters, digits, '-', '_' "
			 "and '.'",
			 via->text, VIA_MAX);
	access_read(r, sec);
}

/* ---- services ------------------------------------------------------------------------- */

const char *name_read(struct reading *r, cfg_t *sec, const char *what, unsigned *line)
{
	struct value *v = value_of(sec, GRAMMAR_NAME);

	*line = v ? v->line : (unsigned)sec->line;
	if (v && !is_name(v->text, SLUICE_NAME - 1))
		complain(r, v->line,
			 "%s \"%s\": a name is 1 to %d letters, digits, '-', '_' and '.'; choose "
			 "another",
			 what, v->text, SLUICE_NAME - 1);
	return v ? text_keep(r, v->text) : "";
}

static void kind_read(struct reading *r, const struct value *v, struct conf_service *s)
{
	if (v && strcmp(v->text, "l4") == 0)
		s->kind = SLUICE_L4;
	else if (v && (strcmp(v->text, "l7") == 0 || strcmp(v->text, "forward") == 0))
		s->kind = SLUICE_L7;
	else if (v)
		complain(r, v->line, "kind: \"%s\" is not a kind; write l4, l7 or forward",
			 v->text);
	else
		complain(r, s->line, "service \"%s\" has no kind; write kind = l4 or kind = l7",
			 s->name);
}

/* Which protocols: bit 0 TCP, bit 1 UDP. */
static unsigned protos_read(struct reading *r, cfg_t *sec, const struct conf_service *s)
{
	unsigned set = 0;

	for (unsigned i = 0; i < cfg_size(sec, "proto"); i++) {
		struct value *v = value_at(sec, "proto", i);
		uint8_t proto;

		if (!proto_parse(&proto, v->text))
			complain(r, v->line, "proto: \"%s\" is not a protocol; write tcp or udp",
				 v->text);
		else if (proto == IPPROTO_UDP && s->kind == SLUICE_L7)
			complain(r, v->line,
				 "proto: an l7 service speaks HTTP over tcp; remove udp");
		else
			set |= proto == IPPROTO_UDP ? 2 : 1;
	}
	return set ? set : 1;
}

static bool listen_parse(struct reading *r, const struct value *v, uint32_t kind,
			 struct endpoint *ep)
{
	if (!endpoint_parse(ep, v->text))
		complain(r, v->line,
			 "listen: \"%s\" is not an address with a port; write \"192.0.2.1:80\", "
			 "\"[2001:db8::1]:80\", or :* for every port",
			 v->text);
	else if (kind == SLUICE_L4 && addr_is_any(&ep->addr))
		complain(r, v->line,
			 "listen: an l4 service needs an address of its own, not \"%s\"; write the "
			 "VIP",
			 v->text);
	else if (addr_is_any(&ep->addr) && ep->port == 0)
		complain(
			r, v->line,
			"listen: \"%s\" is every port of every address; write an address or a port",
			v->text);
	else
		return true;
	return false;
}

static void listens_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
	unsigned n = cfg_size(sec, "listen"), protos = protos_read(r, sec, s);

	if (n == 0)
		complain(r, s->line,
			 "service \"%s\" has no listen; write listen = { \"ADDRESS:PORT\" }",
			 s->name);
	s->listens = reading_alloc(r, (size_t)n * 2, sizeof(*s->listens));
	for (unsigned i = 0; s->listens && i < n; i++) {
		struct value *v = value_at(sec, "listen", i);
		struct conf_listen l = {.line = v->line};

		if (!listen_parse(r, v, s->kind, &l.endpoint))
			continue;
		for (unsigned bit = 1; bit <= 2; bit <<= 1) {
			if (!(protos & bit))
				continue;
			l.proto = bit == 1 ? IPPROTO_TCP : IPPROTO_UDP;
			s->listens[s->n_listens++] = l;
		}
	}
}

/* One of n words, or the first of them if nothing is written; services of that kind alone have
 * it. */
static uint32_t choice_read(struct reading *r, const struct value *v, const char *name,
			    const char *const words[], unsigned n, uint32_t kind,
			    const struct conf_service *s)
{
	if (v && s->kind && s->kind != kind) {
		complain(r, v->line, "%s means nothing to an %s service; remove it", name,
			 s->kind == SLUICE_L7 ? "l7" : "l4");
		return 0;
	}
	return choice_word(r, v, words, n, name);
}

static void way_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
#define WORD(name, sentence) #name,
	static const char *const modes[] = {SLUICE_MODES(WORD)};
	static const char *const hashes[] = {SLUICE_HASHES(WORD)};
	static const char *const tracks[] = {SLUICE_TRACKS(WORD)};
	static const char *const syncookies[] = {SLUICE_SYNCOOKIES(WORD)};
#undef WORD
#define CHOICE(name, words, count, kind)                                                           \
	choice_read(r, value_of(sec, name), name, words, count, kind, s)

	s->forward = CHOICE("forward", modes, SLUICE_MODE_COUNT, SLUICE_L4);
	s->hash = CHOICE("hash", hashes, SLUICE_HASH_COUNT, SLUICE_L4);
	s->track = CHOICE("track", tracks, SLUICE_TRACK_COUNT, SLUICE_L4);
	s->syncookie = CHOICE("syncookie", syncookies, SLUICE_SYNCOOKIE_COUNT, SLUICE_L7);
#undef CHOICE
	nat_words_check(r, sec, s);
}

/* The gate knows services by their addresses. */
static void listens_check(struct reading *r, const struct conf_service *s, const char *what)
{
	for (unsigned i = 0; i < s->n_listens; i++)
		if (addr_is_any(&s->listens[i].endpoint.addr))
			complain(r, s->listens[i].line,
				 "listen: a service with %s needs addresses of its own, by "
				 "which the gate knows it; write them, or remove the %s",
				 what, what[0] == 'a' ? what + 2 : what);
}

static void ring_check(struct reading *r, const struct value *v, const struct conf_service *s)
{
	unsigned line = v ? v->line : s->line;
	uint32_t size = s->ring_size;

	if (s->kind != SLUICE_L4 || size == 0)
		return;
	while (size < MAGLEV_MAX_SIZE && !maglev_size_ok(size))
		size++;
	if (size != s->ring_size)
		complain(r, line, "ring_size: %u is not a prime; write %u", s->ring_size, size);
	else if (size < 100 * s->n_backends)
		complain(r, line,
			 "ring_size: %u is too small for %u backends; write a prime above %u (%u "
			 "suits)",
			 size, s->n_backends, 100 * s->n_backends, MAGLEV_MAX_SIZE);
}

static bool limits_something(const struct value *v)
{
	return v && strcmp(v->text, "0") != 0;
}

static void limit_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
	struct conf_limit *l = &s->limit;

	settings_read(r, "limit", sec, 0, l);
	if (!sec)
		return;
	l->line = (unsigned)sec->line;
	if (!limits_something(value_of(sec, "packets")) &&
	    !limits_something(value_of(sec, "connections")))
		complain(r, l->line,
			 "the limit of service \"%s\" limits nothing; write packets = NUMBER or "
			 "connections = NUMBER, each a second, or remove it",
			 s->name);
	listens_check(r, s, "a limit");
}

static void l4_backends_read(struct reading *r, cfg_t *sec, const struct backends_of *of,
			     struct conf_service *s)
{
	s->n_backends = backends_read(r, sec, of, &s->backends);
	s->health = health_read(r, sec);
}

static bool is_forward(cfg_t *sec)
{
	const struct value *kind = value_of(sec, "kind");

	return kind && strcmp(kind->text, "forward") == 0;
}

static void service_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
	struct backends_of of = {.what = "service"};

	s->name = name_read(r, sec, "service", &s->line);
	kind_read(r, value_of(sec, "kind"), s);
	way_read(r, sec, s);
	l4_read(r, sec, s);
	settings_read(r, "service", sec, s->kind, s);
	if (s->kind == SLUICE_L4)
		pool_refuse(r, sec);
	trusted_read(r, sec, s);
	listens_read(r, sec, s);
	if (s->syncookie)
		listens_check(r, s, "syncookie");
	compress_read(r, cfg_size(sec, "compress") ? cfg_getsec(sec, "compress") : NULL, s->kind,
		      &s->compress);
	limit_read(r, cfg_size(sec, "limit") ? cfg_getsec(sec, "limit") : NULL, s);
	of.name = s->name;
	of.line = s->line;
	of.kind = s->kind;
	of.forward = s->forward;
	of.outgoing = is_forward(sec);
	if (of.outgoing)
		s->outgoing = outgoing_read(r, sec, s);
	else
		outgoing_refuse(r, sec);
	if (s->kind == SLUICE_L4)
		l4_backends_read(r, sec, &of, s);
	else
		s->pool = pool_of_service(r, sec, s);
	routes_read(r, sec, s);
	s->tls = tls_section_read(r, cfg_size(sec, "tls") ? cfg_getsec(sec, "tls") : NULL, s);
	ring_check(r, value_of(sec, "ring_size"), s);
	if (cfg_size(sec, "cache"))
		caching_read(r, cfg_getsec(sec, "cache"), s);
}

void sections_read(struct reading *r, cfg_t *file)
{
	struct conf *c = r->conf;
	unsigned n = cfg_size(file, "service");

	gate_read(r, cfg_size(file, "gate") ? cfg_getsec(file, "gate") : NULL);
	daemon_read(r, cfg_size(file, "daemon") ? cfg_getsec(file, "daemon") : NULL);
	if (n >= SLUICE_MAX_SERVICES)
		complain(r, 1, "there are %u services; a gate holds %u", n,
			 SLUICE_MAX_SERVICES - 1);
	resolver_read(r, cfg_size(file, "resolver") ? cfg_getsec(file, "resolver") : NULL);
	pools_read(r, file, n);
	caches_read(r, file);
	c->services = reading_alloc(r, n, sizeof(*c->services));
	for (unsigned i = 0; c->services && !r->oom && i < n; i++) {
		c->services[i].index = i;
		service_read(r, cfg_getnsec(file, "service", i), &c->services[i]);
		c->n_services++;
	}
}
