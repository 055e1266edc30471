// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the grammar and each setting's own rules. libConfuse finds words and braces; every
 * value comes as text with its line, and one table row per setting says what it must be.
 * Promises: all mistakes are reported, not the first; a snapshot exists only without any.
 * Excludes: rules between settings (check.c).
 */
#include "conf/conf.h"

#include <confuse.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/maglev.h"
#include "base/units.h"
#include "conf/read.h"

#define FILE_MAX_BYTES (4U << 20) /* a larger file is not a configuration */

void complain(struct reading *r, unsigned line, const char *fmt, ...)
{
	va_list ap;

	fprintf(r->complaints, "%s:%u: ", r->path, line);
	va_start(ap, fmt);
	vfprintf(r->complaints, fmt, ap);
	va_end(ap);
	fputc('\n', r->complaints);
	r->mistakes++;
}

/* ---- libConfuse: values with their lines ---------------------------------------------- */

static int value_read(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	size_t len = strlen(text) + 1;
	struct value *v = malloc(sizeof(*v) + len);

	(void)opt;
	if (!v)
		return -1;
	v->line = (unsigned)cfg->line;
	memcpy(v->text, text, len);
	*(void **)result = v;
	return 0;
}

static void value_free(void *v)
{
	free(v);
}

#define ONE(name)  CFG_PTR_CB(name, NULL, CFGF_NODEFAULT, value_read, value_free)
#define MANY(name) CFG_PTR_LIST_CB(name, NULL, CFGF_NODEFAULT, value_read, value_free)

static struct value *value_of(cfg_t *sec, const char *name)
{
	return cfg_size(sec, name) ? cfg_getptr(sec, name) : NULL;
}

/* ---- settings that are one number or word --------------------------------------------- */

enum setting_kind { MS, BYTES, COUNT };

struct setting {
	const char *name;
	enum setting_kind kind;
	size_t offset;
	unsigned width; /* bytes of the field: 4 or 8 */
	uint64_t initial, least, most;
};

#define U32(name, kind, type, field, initial, least, most)                                         \
	{name, kind, offsetof(type, field), 4, initial, least, most}
#define U64(name, kind, type, field, initial, least, most)                                         \
	{name, kind, offsetof(type, field), 8, initial, least, most}
#define HOUR (3600U * 1000)

static const struct setting gate_settings[] = {
	U32("priority", COUNT, struct conf, priority, 50, 0, 1000),
	U32("max_conns", COUNT, struct conf, max_conns, SLUICE_MAX_CONNS, 1024, 1U << 26),
	U32("conn_rate", COUNT, struct conf, conn_rate, 100000, 0, 100000000),
	U32("event_every", COUNT, struct conf, event_every, 64, 0, 1U << 30),
};

static const struct setting daemon_settings[] = {
	U32("threads", COUNT, struct conf, threads, 0, 0, CONF_MAX_THREADS),
	U32("max_connections", COUNT, struct conf, max_connections, 20000, 1, 1000000),
	U32("drain_timeout", MS, struct conf, drain_ms, 30000, 0, 24 * HOUR),
};

#define S struct conf_service
static const struct setting service_settings[] = {
	U32("ring_size", COUNT, S, ring_size, SLUICE_RING_SIZE, 3, MAGLEV_MAX_SIZE),
	U32("connect_timeout", MS, S, connect_ms, 5000, 1, HOUR),
	U32("response_timeout", MS, S, response_ms, 60000, 1, 24 * HOUR),
	U32("header_timeout", MS, S, header_ms, 10000, 1, HOUR),
	U32("body_timeout", MS, S, body_ms, 60000, 1, 24 * HOUR),
	U32("idle_timeout", MS, S, idle_ms, 75000, 1, 24 * HOUR),
	U32("upstream_idle_timeout", MS, S, upstream_idle_ms, 60000, 1, 24 * HOUR),
	U32("upstream_idle_max", COUNT, S, upstream_idle_max, 1024, 0, 100000),
	U32("max_head", BYTES, S, max_head, 32768, 1024, 65536),
	U32("max_fields", COUNT, S, max_fields, 100, 1, 256),
	U64("max_body", BYTES, S, max_body, 1ULL << 30, 0, 1ULL << 60),
};
#undef S

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void setting_store(void *base, const struct setting *s, uint64_t n)
{
	if (s->width == 4)
		*(uint32_t *)((char *)base + s->offset) = (uint32_t)n;
	else
		*(uint64_t *)((char *)base + s->offset) = n;
}

static bool count_parse(uint64_t *out, const char *text)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

static void setting_read(struct reading *r, cfg_t *sec, const struct setting *s, void *base)
{
	static const char *const shapes[] = {
		[MS] = "a duration; write a number with a unit: 250ms, 5s, 10m, 2h",
		[BYTES] = "a size; write a number of bytes, or with a unit: 16k, 1m, 2g",
		[COUNT] = "a number; write digits only",
	};
	static const char *const units[] = {[MS] = "ms", [BYTES] = "", [COUNT] = ""};
	struct value *v = sec ? value_of(sec, s->name) : NULL;
	uint64_t n = s->initial;
	bool ok = true;

	if (v)
		ok = s->kind == MS      ? units_parse_ms(&n, v->text)
		     : s->kind == BYTES ? units_parse_bytes(&n, v->text)
					: count_parse(&n, v->text);
	if (!ok)
		complain(r, v->line, "%s: \"%s\" is not %s", s->name, v->text, shapes[s->kind]);
	else if (n < s->least || n > s->most)
		complain(r, v ? v->line : 0, "%s: \"%s\" is out of range; write %llu%s to %llu%s",
			 s->name, v ? v->text : "", (unsigned long long)s->least, units[s->kind],
			 (unsigned long long)s->most, units[s->kind]);
	else
		setting_store(base, s, n);
}

static void settings_read(struct reading *r, cfg_t *sec, const struct setting *table, size_t n,
			  void *base)
{
	for (size_t i = 0; i < n; i++)
		setting_read(r, sec, &table[i], base);
}

static void *reading_alloc(struct reading *r, size_t count, size_t size)
{
	void *p = arena_alloc(&r->conf->arena, count ? count : 1, size);

	if (!p)
		r->oom = true;
	return p;
}

static const char *text_keep(struct reading *r, const char *text)
{
	char *copy = arena_strdup(&r->conf->arena, text);

	if (!copy)
		r->oom = true;
	return copy;
}

/* ---- gate and daemon ------------------------------------------------------------------ */

static void mode_read(struct reading *r, cfg_t *sec)
{
	struct value *v = value_of(sec, "mode");

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

static void interfaces_read(struct reading *r, cfg_t *sec)
{
	struct conf *c = r->conf;
	unsigned n = cfg_size(sec, "interfaces");

	c->interfaces = reading_alloc(r, n, sizeof(*c->interfaces));
	for (unsigned i = 0; c->interfaces && i < n; i++) {
		struct value *v = cfg_getnptr(sec, "interfaces", i);

		if (v->text[0] == '\0' || strlen(v->text) >= IFNAMSIZ || strchr(v->text, '/')) {
			complain(r, v->line,
				 "interfaces: \"%s\" is not an interface's name; "
				 "`ip link` lists them",
				 v->text);
			continue;
		}
		c->interfaces[c->n_interfaces++] = text_keep(r, v->text);
	}
}

static void tunnel_source_read(struct reading *r, cfg_t *sec)
{
	for (unsigned i = 0; i < cfg_size(sec, "tunnel_source"); i++) {
		struct value *v = cfg_getnptr(sec, "tunnel_source", i);
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

static void decap_read(struct reading *r, cfg_t *sec)
{
	struct conf *c = r->conf;
	unsigned n = cfg_size(sec, "decap_from");

	c->decap_from = reading_alloc(r, n, sizeof(*c->decap_from));
	for (unsigned i = 0; c->decap_from && i < n; i++) {
		struct value *v = cfg_getnptr(sec, "decap_from", i);
		struct sluice_addr *addr = &c->decap_from[c->n_decap_from];

		if (!addr_parse(addr, v->text) || addr_is_any(addr))
			complain(r, v->line,
				 "decap_from: \"%s\" is not an address; write a balancer's own "
				 "address, like 10.83.0.2",
				 v->text);
		else if (c->n_decap_from++ == SLUICE_MAX_DECAP)
			complain(r, v->line, "decap_from: more than %u balancers; remove some",
				 SLUICE_MAX_DECAP);
	}
}

static void gate_read(struct reading *r, cfg_t *sec)
{
	settings_read(r, sec, gate_settings, LENGTH(gate_settings), r->conf);
	if (!sec)
		return;
	mode_read(r, sec);
	interfaces_read(r, sec);
	tunnel_source_read(r, sec);
	decap_read(r, sec);
}

static void daemon_read(struct reading *r, cfg_t *sec)
{
	struct conf *c = r->conf;
	struct value *v;

	settings_read(r, sec, daemon_settings, LENGTH(daemon_settings), c);
	c->user = "nobody";
	c->hop_name = "sluice";
	if (!sec)
		return;
	if ((v = value_of(sec, "user")))
		c->user = text_keep(r, v->text);
	if ((v = value_of(sec, "access_log")) && strcmp(v->text, "off") != 0)
		c->access_log = text_keep(r, v->text);
	if ((v = value_of(sec, "via"))) {
		c->hop_name = text_keep(r, v->text);
		if (v->text[0] == '\0' || strlen(v->text) > 64 ||
		    v->text[strspn(v->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					    "0123456789-_.")] != '\0')
			complain(r, v->line,
				 "via: \"%s\" is not a pseudonym; write letters, digits, '-', "
				 "'_' and '.', at most 64",
				 v->text);
	}
}

/* ---- services ------------------------------------------------------------------------- */

static bool name_ok(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < SLUICE_NAME &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		       len;
}

static void name_check(struct reading *r, unsigned line, const char *what, const char *name)
{
	if (!name_ok(name))
		complain(r, line,
			 "%s \"%s\": a name is 1 to %d letters, digits, '-', '_' or '.'; "
			 "choose another",
			 what, name, SLUICE_NAME - 1);
}

static void kind_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
	struct value *v = value_of(sec, "kind");

	if (v)
		s->line = v->line;
	if (v && strcmp(v->text, "l4") == 0)
		s->kind = SLUICE_L4;
	else if (v && strcmp(v->text, "l7") == 0)
		s->kind = SLUICE_L7;
	else if (v)
		complain(r, v->line, "kind: \"%s\" is not a kind; write l4 or l7", v->text);
	else
		complain(r, s->line, "service \"%s\" has no kind; write kind = l4 or kind = l7",
			 s->name);
}

/* Which protocols: bit 0 TCP, bit 1 UDP. */
static unsigned protos_read(struct reading *r, cfg_t *sec, const struct conf_service *s)
{
	unsigned set = 0;

	for (unsigned i = 0; i < cfg_size(sec, "proto"); i++) {
		struct value *v = cfg_getnptr(sec, "proto", i);
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

static void listens_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
	unsigned n = cfg_size(sec, "listen"), protos = protos_read(r, sec, s);

	if (n == 0)
		complain(r, s->line,
			 "service \"%s\" has no listen; write listen = { \"ADDRESS:PORT\" }",
			 s->name);
	s->listens = reading_alloc(r, (size_t)n * 2, sizeof(*s->listens));
	for (unsigned i = 0; s->listens && i < n; i++) {
		struct value *v = cfg_getnptr(sec, "listen", i);
		struct conf_listen l = {.line = v->line};

		if (!endpoint_parse(&l.endpoint, v->text)) {
			complain(r, v->line,
				 "listen: \"%s\" is not an address with a port; write "
				 "\"192.0.2.1:80\", \"[2001:db8::1]:80\", or :* for every port",
				 v->text);
			continue;
		}
		for (unsigned bit = 1; bit <= 2; bit <<= 1) {
			if (!(protos & bit))
				continue;
			l.proto = bit == 1 ? IPPROTO_TCP : IPPROTO_UDP;
			s->listens[s->n_listens++] = l;
		}
	}
}

static void backend_address_read(struct reading *r, struct value *v, const struct conf_service *s,
				 struct conf_backend *b)
{
	if (!endpoint_parse_default(&b->endpoint, v->text, 0) || addr_is_any(&b->endpoint.addr))
		complain(r, v->line,
			 "address: \"%s\" is not an address; write %s (names are not resolved)",
			 v->text,
			 s->kind == SLUICE_L7 ? "\"10.0.0.11:8080\" or \"[fd00::11]:8080\""
					      : "\"10.0.0.11\" or \"fd00::11\"");
	else if (s->kind == SLUICE_L7 && b->endpoint.port == 0)
		complain(r, v->line,
			 "address: an l7 backend needs a port; write \"%s%s%s:80\" or whichever "
			 "port it listens on",
			 addr_is_v4(&b->endpoint.addr) ? "" : "[", v->text,
			 addr_is_v4(&b->endpoint.addr) ? "" : "]");
	else if (s->kind == SLUICE_L4 && b->endpoint.port != 0)
		complain(r, v->line,
			 "address: an l4 backend takes the VIP's own port; remove \":%u\"",
			 b->endpoint.port);
}

static void backend_read(struct reading *r, cfg_t *sec, const struct conf_service *s,
			 struct conf_backend *b)
{
	static const struct setting weight =
		U32("weight", COUNT, struct conf_backend, weight, 1, 0, MAGLEV_MAX_WEIGHT);
	struct value *v = value_of(sec, "address");

	b->name = text_keep(r, cfg_title(sec));
	b->line = v ? v->line : (unsigned)sec->line;
	name_check(r, b->line, "backend", cfg_title(sec));
	setting_read(r, sec, &weight, b);
	if (v)
		backend_address_read(r, v, s, b);
	else
		complain(r, b->line, "backend \"%s\" has no address; write address = \"...\"",
			 cfg_title(sec));
}

static void service_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
	unsigned n = cfg_size(sec, "backend");

	s->name = text_keep(r, cfg_title(sec));
	s->line = (unsigned)sec->line;
	kind_read(r, sec, s);
	name_check(r, s->line, "service", cfg_title(sec));
	settings_read(r, sec, service_settings, LENGTH(service_settings), s);
	listens_read(r, sec, s);
	if (n == 0 || n > CONF_MAX_BACKENDS)
		complain(r, s->line, "service \"%s\" has %u backends; write 1 to %u", s->name, n,
			 CONF_MAX_BACKENDS);
	s->backends = reading_alloc(r, n, sizeof(*s->backends));
	for (unsigned i = 0; s->backends && i < n; i++)
		backend_read(r, cfg_getnsec(sec, "backend", i), s, &s->backends[s->n_backends++]);
}

static void services_read(struct reading *r, cfg_t *cfg)
{
	struct conf *c = r->conf;
	unsigned n = cfg_size(cfg, "service");

	if (n >= SLUICE_MAX_SERVICES) {
		complain(r, (unsigned)cfg->line, "%u services; a gate holds %u", n,
			 SLUICE_MAX_SERVICES - 1);
		return;
	}
	c->services = reading_alloc(r, n, sizeof(*c->services));
	for (unsigned i = 0; c->services && i < n; i++) {
		c->services[i].index = i;
		service_read(r, cfg_getnsec(cfg, "service", i), &c->services[i]);
		c->n_services++;
	}
}

/* ---- the file ------------------------------------------------------------------------- */

/* libConfuse's own complaint, the first and last it makes about a file. It has no place for
 * a pointer of ours, so the reading is found by thread. */
static _Thread_local struct reading *current;

static void syntax_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof(text), fmt, ap);
	complain(current, (unsigned)cfg->line, "%s%s", text,
		 strstr(text, "no such option") ? "; sluice.conf(5) lists what there is" : "");
}

static cfg_opt_t backend_opts[] = {ONE("address"), ONE("weight"), CFG_END()};
static cfg_opt_t gate_opts[] = {
	MANY("interfaces"),    ONE("mode"),        ONE("priority"),
	ONE("max_conns"),      ONE("conn_rate"),   ONE("event_every"),
	MANY("tunnel_source"), MANY("decap_from"), CFG_END(),
};
static cfg_opt_t daemon_opts[] = {
	ONE("user"),
	ONE("threads"),
	ONE("max_connections"),
	ONE("drain_timeout"),
	ONE("access_log"),
	ONE("via"),
	CFG_END(),
};
static cfg_opt_t service_opts[] = {
	ONE("kind"),
	MANY("listen"),
	MANY("proto"),
	ONE("ring_size"),
	ONE("connect_timeout"),
	ONE("response_timeout"),
	ONE("header_timeout"),
	ONE("body_timeout"),
	ONE("idle_timeout"),
	ONE("upstream_idle_timeout"),
	ONE("upstream_idle_max"),
	ONE("max_head"),
	ONE("max_fields"),
	ONE("max_body"),
	CFG_SEC("backend", backend_opts, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
	CFG_END(),
};
static cfg_opt_t file_opts[] = {
	CFG_SEC("gate", gate_opts, CFGF_NODEFAULT),
	CFG_SEC("daemon", daemon_opts, CFGF_NODEFAULT),
	CFG_SEC("service", service_opts, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
	CFG_END(),
};

static FILE *file_open(const char *path)
{
	struct stat st;
	FILE *f = fopen(path, "re");

	if (!f)
		return NULL;
	if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES) {
		fclose(f);
		errno = S_ISDIR(st.st_mode) ? EISDIR : EFBIG;
		return NULL;
	}
	return f;
}

static void file_read(struct reading *r, FILE *f)
{
	cfg_t *cfg = cfg_init(file_opts, CFGF_NONE);

	if (!cfg) {
		r->oom = true;
		return;
	}
	cfg->filename = strdup(r->path);
	current = r;
	cfg_set_error_function(cfg, syntax_error);
	if (cfg_parse_fp(cfg, f) == CFG_SUCCESS || r->mistakes) {
		gate_read(r, cfg_size(cfg, "gate") ? cfg_getsec(cfg, "gate") : NULL);
		daemon_read(r, cfg_size(cfg, "daemon") ? cfg_getsec(cfg, "daemon") : NULL);
		services_read(r, cfg);
	} else {
		complain(r, (unsigned)cfg->line, "cannot be read as a configuration");
	}
	current = NULL;
	cfg_free(cfg);
}

struct conf *conf_load(const char *path, FILE *complaints)
{
	struct reading r = {.path = path, .complaints = complaints};
	FILE *f = file_open(path);

	if (!f) {
		int why = errno;

		fprintf(complaints, "%s: cannot be read: %s\n", path, strerror(why));
		errno = why;
		return NULL;
	}
	r.conf = calloc(1, sizeof(*r.conf));
	if (r.conf) {
		arena_init(&r.conf->arena, 64 * 1024, 0);
		r.conf->path = text_keep(&r, path);
		file_read(&r, f);
		if (!r.oom && !r.mistakes)
			conf_check(&r);
	}
	fclose(f);
	if (r.conf && !r.mistakes && !r.oom && conf_index(r.conf))
		return r.conf;
	conf_free(r.conf);
	errno = r.mistakes ? EINVAL : ENOMEM;
	return NULL;
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	arena_fini(&c->arena);
	free(c);
}
