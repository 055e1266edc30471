// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: what a `health` section may say, and the numbers (slots) of the backends that are
 * checked.
 */
#include "conf/health.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/health_page.h"
#include "conf/read.h"

#define HOST_MAX       253
#define PATH_MAX_BYTES 255

static const char *const types[] = {
#define CONF_HEALTH_TYPE(name, sentence) #name,
	CONF_HEALTH_TYPES(CONF_HEALTH_TYPE)
#undef CONF_HEALTH_TYPE
};

const char *conf_health_type_name(uint32_t type)
{
	return type < CONF_HEALTH_COUNT ? types[type] : "?";
}

static const char *keep(struct reading *r, const char *text)
{
	char *copy = arena_strdup(&r->conf->arena, text);

	r->oom |= !copy;
	return copy;
}

/* ---- which words go with which type ---------------------------------------------------- */

#define OF(type) (1U << CONF_HEALTH_##type)
#define HTTP     (OF(http) | OF(https))

static const struct {
	const char *word;
	unsigned types;
} words[] = {
	{"method", HTTP},    {"path", HTTP},        {"host", HTTP},      {"status", HTTP},
	{"body", HTTP},      {"verify", OF(https)}, {"ca", OF(https)},   {"name", OF(dns)},
	{"record", OF(dns)}, {"send", OF(udp)},     {"expect", OF(udp)}, {"command", OF(exec)},
};

static void type_read(struct reading *r, const struct value *v, struct conf_health *h)
{
	if (!v) {
		h->type = CONF_HEALTH_tcp;
		return;
	}
	for (h->type = 0; h->type < CONF_HEALTH_COUNT; h->type++)
		if (strcmp(v->text, types[h->type]) == 0)
			return;
	complain(r, v->line,
		 "type: \"%s\" is not a kind of check; write tcp, http, https, dns, udp or exec",
		 v->text);
}

static void strangers_check(struct reading *r, cfg_t *sec, const struct conf_health *h)
{
	for (size_t i = 0; h->type < CONF_HEALTH_COUNT && i < sizeof(words) / sizeof(words[0]); i++)
		if (cfg_size(sec, words[i].word) && !(words[i].types & 1U << h->type)) {
			struct value *v = cfg_getnptr(sec, words[i].word, 0);

			complain(r, v->line, "%s means nothing to a check by %s; remove it",
				 words[i].word, types[h->type]);
		}
}

/* ---- http ------------------------------------------------------------------------------ */

static bool all_visible(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text >= 0x7f)
			return false;
	return true;
}

static bool is_method(const char *text)
{
	for (const char *p = text; *p; p++)
		if (!isupper((unsigned char)*p))
			return false;
	return *text && strlen(text) <= 16;
}

static bool is_host(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= HOST_MAX && all_visible(text) && !strpbrk(text, "/\\?#@");
}

static const char *word_read(struct reading *r, cfg_t *sec, const char *word, const char *spare,
			     bool (*fits)(const char *), const char *like)
{
	struct value *v = value_of(sec, word);

	if (!v)
		return spare;
	if (!fits(v->text))
		complain(r, v->line, "%s: \"%s\" is not fit for a request; write one like \"%s\"",
			 word, v->text, like);
	return keep(r, v->text);
}

static bool is_path(const char *text)
{
	return text[0] == '/' && all_visible(text) && !strchr(text, '#') &&
	       strlen(text) <= PATH_MAX_BYTES;
}

static bool digits_read(const char **p, uint16_t *out)
{
	unsigned n = 0;

	for (int i = 0; i < 3; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		n = n * 10 + (unsigned)(**p - '0');
	}
	*out = (uint16_t)n;
	return n >= 100 && n <= 599;
}

/* "200" or "200-299" */
static bool statuses_parse(const char *text, struct conf_statuses *s)
{
	if (!digits_read(&text, &s->first))
		return false;
	s->last = s->first;
	if (*text == '-') {
		text++;
		if (!digits_read(&text, &s->last))
			return false;
	}
	return *text == '\0' && s->first <= s->last;
}

static void statuses_read(struct reading *r, cfg_t *sec, struct conf_health *h)
{
	unsigned n = cfg_size(sec, "status");

	for (unsigned i = 0; i < n; i++) {
		struct value *v = cfg_getnptr(sec, "status", i);

		if (i == CONF_HEALTH_STATUSES) {
			complain(r, v->line, "status: %u are too many; write at most %d, or ranges",
				 n, CONF_HEALTH_STATUSES);
			break;
		}
		if (!statuses_parse(v->text, &h->statuses[h->n_statuses++]))
			complain(r, v->line,
				 "status: \"%s\" is no status of an answer; write 200, or a range "
				 "like 200-299",
				 v->text);
	}
	if (n == 0)
		h->statuses[h->n_statuses++] = (struct conf_statuses){200, 399};
}

static void http_read(struct reading *r, cfg_t *sec, struct conf_health *h)
{
	struct value *body = value_of(sec, "body"), *verify = value_of(sec, "verify"),
		     *ca = value_of(sec, "ca");

	h->method = word_read(r, sec, "method", "GET", is_method, "GET");
	h->path = word_read(r, sec, "path", "/", is_path, "/health");
	h->host = word_read(r, sec, "host", NULL, is_host, "www.example.org");
	statuses_read(r, sec, h);
	if (body && !body->text[0])
		complain(r, body->line, "body: \"\" is in every body; write a text, or remove it");
	h->body = body ? keep(r, body->text) : NULL;
	if (h->body && strcmp(h->method, "HEAD") == 0)
		complain(r, body->line, "body: the answer to HEAD has none; write method = GET");
	if (verify && strcmp(verify->text, "yes") != 0 && strcmp(verify->text, "no") != 0)
		complain(r, verify->line, "verify: \"%s\" is neither yes nor no; write one of them",
			 verify->text);
	h->verify = verify && strcmp(verify->text, "yes") == 0;
	if (h->verify && !h->host)
		complain(r, verify->line,
			 "verify: there is no name to verify; write host = \"www.example.org\", "
			 "which the "
			 "certificate is to have");
	if (ca && ca->text[0] != '/')
		complain(r, ca->line, "ca: \"%s\" is not a path; write one that begins with /",
			 ca->text);
	if (ca && !h->verify)
		complain(r, ca->line, "ca means nothing without verify = yes; write that, too");
	h->ca = ca ? keep(r, ca->text) : NULL;
}

/* ---- dns ------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint16_t type;
} records[] = {
	{"A", 1},   {"NS", 2},   {"CNAME", 5}, {"SOA", 6},  {"PTR", 12},
	{"MX", 15}, {"TXT", 16}, {"AAAA", 28}, {"SRV", 33},
};

/* RFC 1035, section 2.3.4: labels of 1 to 63 bytes, 255 in all. "." is the root. */
static bool is_dns_name(const char *text)
{
	size_t len = strlen(text);

	if (strcmp(text, ".") == 0)
		return true;
	if (len == 0 || len > HOST_MAX || !all_visible(text))
		return false;
	for (const char *p = text; *p;) {
		size_t label = strcspn(p, ".");

		if (label == 0 || label > 63)
			return false;
		p += label + (p[label] == '.');
	}
	return true;
}

static void dns_read(struct reading *r, cfg_t *sec, struct conf_health *h)
{
	struct value *name = value_of(sec, "name"), *record = value_of(sec, "record");

	if (!name)
		complain(r, h->line, "this check asks for no name; write name = \"example.org\"");
	else if (!is_dns_name(name->text))
		complain(r, name->line, "name: \"%s\" is not a name; write one like example.org",
			 name->text);
	h->name = name ? keep(r, name->text) : NULL;
	h->record = 1;
	for (size_t i = 0; record; i++) {
		if (i == sizeof(records) / sizeof(records[0])) {
			complain(r, record->line,
				 "record: \"%s\" is not known; write A, AAAA, NS, CNAME, SOA, PTR, "
				 "MX, TXT or SRV",
				 record->text);
			return;
		}
		if (strcmp(records[i].name, record->text) == 0) {
			h->record = records[i].type;
			return;
		}
	}
}

/* ---- udp ------------------------------------------------------------------------------- */

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "hex:0a1b" is two bytes; everything else is what it says. */
static void payload_read(struct reading *r, cfg_t *sec, const char *word, struct conf_bytes *to)
{
	struct value *v = value_of(sec, word);
	const char *text = v ? v->text : "";
	size_t len = strlen(text);
	char *bytes;

	if (!v)
		return;
	bytes = arena_alloc(&r->conf->arena, len + 1, 1);
	r->oom |= !bytes;
	if (!bytes)
		return;
	*to = (struct conf_bytes){bytes, len};
	if (strncmp(text, "hex:", 4) != 0) {
		memcpy(bytes, text, len);
	} else {
		to->len = (len - 4) / 2;
		for (size_t i = 4; i + 1 < len; i += 2) {
			int high = nibble(text[i]), low = nibble(text[i + 1]);

			if (high < 0 || low < 0)
				to->len = 0;
			else
				bytes[(i - 4) / 2] = (char)(high << 4 | low);
		}
		if (len % 2)
			to->len = 0;
	}
	if (to->len == 0)
		complain(r, v->line,
			 "%s: \"%s\" is no bytes; write a text, or pairs of digits like "
			 "\"hex:0a1b\"",
			 word, text);
}

static void udp_read(struct reading *r, cfg_t *sec, struct conf_health *h)
{
	payload_read(r, sec, "send", &h->send);
	payload_read(r, sec, "expect", &h->expect);
	if (!h->send.p)
		complain(r, h->line, "this check sends nothing; write send = \"...\"");
}

/* ---- exec ------------------------------------------------------------------------------ */

static void command_read(struct reading *r, cfg_t *sec, struct conf_health *h)
{
	unsigned n = cfg_size(sec, "command");

	if (n == 0)
		complain(r, h->line,
			 "this check runs nothing; write command = { \"/usr/lib/checks/it\" }");
	for (unsigned i = 0; i < n; i++) {
		struct value *v = cfg_getnptr(sec, "command", i);

		if (i == 0 && v->text[0] != '/')
			complain(r, v->line,
				 "command: \"%s\" is not a path; write one that begins with /",
				 v->text);
		if (i == CONF_HEALTH_COMMAND) {
			complain(r, v->line, "command: %u words are too many; write at most %d", n,
				 CONF_HEALTH_COMMAND);
			return;
		}
		h->command[i] = keep(r, v->text);
	}
}

/* ---- the section ----------------------------------------------------------------------- */

static void times_check(struct reading *r, cfg_t *sec, struct conf_health *h)
{
	struct value *timeout = value_of(sec, "timeout");
	char text[SETTING_TEXT];

	if (h->timeout_ms <= h->interval_ms || h->interval_ms == 0)
		return;
	if (timeout)
		complain(r, timeout->line,
			 "timeout: a check ends before the next one begins; write at most %s, the "
			 "interval",
			 setting_format(SETTING_MS, h->interval_ms, text));
	h->timeout_ms = h->interval_ms;
}

const struct conf_health *health_read(struct reading *r, cfg_t *owner)
{
	cfg_t *sec = cfg_size(owner, "health") ? cfg_getsec(owner, "health") : NULL;
	struct conf_health *h;

	if (!sec)
		return NULL;
	h = arena_alloc(&r->conf->arena, 1, sizeof(*h));
	if (!h) {
		r->oom = true;
		return NULL;
	}
	h->line = (unsigned)sec->line;
	type_read(r, value_of(sec, "type"), h);
	settings_read(r, "health", sec, 0, h);
	times_check(r, sec, h);
	strangers_check(r, sec, h);
	if (h->type == CONF_HEALTH_http || h->type == CONF_HEALTH_https)
		http_read(r, sec, h);
	else if (h->type == CONF_HEALTH_dns)
		dns_read(r, sec, h);
	else if (h->type == CONF_HEALTH_udp)
		udp_read(r, sec, h);
	else if (h->type == CONF_HEALTH_exec)
		command_read(r, sec, h);
	return h;
}

/* ---- slots ----------------------------------------------------------------------------- */

/* Where an l4 service's backends are asked: at the VIPs' port, of which there must be one. */
static void port_check(struct reading *r, const struct conf_service *s)
{
	uint16_t port = s->n_listens ? s->listens[0].endpoint.port : 1;

	if (s->health->port || s->health->type == CONF_HEALTH_exec)
		return;
	for (unsigned i = 0; i < s->n_listens; i++)
		if (s->listens[i].endpoint.port != port)
			port = 0;
	if (port == 0)
		complain(r, s->health->line,
			 "service \"%s\" has no one port to check; write health { port = NUMBER }",
			 s->name);
}

static void slots_give(struct conf *c, struct conf_backend *backends, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		backends[i].slot = ++c->n_slots;
}

void health_check(struct reading *r)
{
	struct conf *c = r->conf;

	for (unsigned i = 0; i < c->n_services; i++) {
		const struct conf_service *s = &c->services[i];

		if (!s->health)
			continue;
		port_check(r, s);
		slots_give(c, s->backends, s->n_backends);
	}
	for (unsigned i = 0; i < c->n_pools; i++)
		if (c->pools[i].health)
			slots_give(c, c->pools[i].backends, c->pools[i].n_backends);
	if (c->n_slots > HEALTH_PAGE_SLOTS)
		complain(r, 1, "%u backends are to be checked; a daemon checks %u", c->n_slots,
			 HEALTH_PAGE_SLOTS);
}
