// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: from the values of a tls section to the snapshot. Excludes: what the files hold, which
 * is known where they are read.
 */
#include <string.h>

#include "conf/read.h"

static void file_read(struct reading *r, const char *name, const struct value *v,
		      struct conf_file *out)
{
	if (!v)
		return;
	out->line = v->line;
	out->path = arena_strdup(&r->conf->arena, v->text);
	r->oom |= !out->path;
	if (v->text[0] != '/')
		complain(r, v->line, "%s: \"%s\" is not a path; write one that begins with /", name,
			 v->text);
}

static unsigned files_read(struct reading *r, cfg_t *sec, const char *name, unsigned most,
			   struct conf_file *out)
{
	unsigned n = cfg_size(sec, name);

	if (n > most) {
		complain(r, value_at(sec, name, most)->line,
			 "%s: %u are too many; write at most %u", name, n, most);
		n = most;
	}
	for (unsigned i = 0; i < n; i++)
		file_read(r, name, value_at(sec, name, i), &out[i]);
	return n;
}

/* One of the words, or the first of them if nothing is written. */
static uint32_t word_read(struct reading *r, cfg_t *sec, const char *name,
			  const char *const words[])
{
	const struct value *v = value_of(sec, name);
	char all[96] = "";

	for (uint32_t i = 0; v && words[i]; i++) {
		if (strcmp(v->text, words[i]) == 0)
			return i;
		strcat(all, i == 0 ? "" : words[i + 1] ? ", " : " or ");
		strcat(all, words[i]);
	}
	if (v)
		complain(r, v->line, "%s: \"%s\" is not known; write %s", name, v->text, all);
	return 0;
}

static void version_read(struct reading *r, cfg_t *sec, struct conf_tls *t)
{
	const struct value *v = value_of(sec, "min_version");

	t->min_version = t->profile == CONF_TLS_MODERN ? 0x0304 : 0x0303;
	if (!v)
		return;
	if (strcmp(v->text, "1.3") == 0)
		t->min_version = 0x0304;
	else if (strcmp(v->text, "1.2") != 0)
		complain(r, v->line, "min_version: \"%s\" is not offered; write 1.2 or 1.3",
			 v->text);
	else if (t->profile == CONF_TLS_MODERN)
		complain(r, v->line,
			 "min_version: the modern profile is TLS 1.3 alone; remove one of them");
}

static void certificates_read(struct reading *r, cfg_t *sec, struct conf_tls *t)
{
	struct arena *a = &r->conf->arena;

	t->certificates = arena_alloc(a, CONF_MAX_CERTIFICATES, sizeof(*t->certificates));
	t->keys = arena_alloc(a, CONF_MAX_CERTIFICATES, sizeof(*t->keys));
	if (!t->certificates || !t->keys) {
		r->oom = true;
		return;
	}
	t->n_certificates =
		files_read(r, sec, "certificate", CONF_MAX_CERTIFICATES, t->certificates);
	t->n_keys = files_read(r, sec, "key", CONF_MAX_CERTIFICATES, t->keys);
	if (t->n_certificates == 0)
		complain(r, t->line,
			 "tls has no certificate; write certificate = \"/path/of/a.pem\"");
	else if (t->n_keys && t->n_keys != t->n_certificates)
		complain(r, t->keys[0].line,
			 "key: there are %u for %u certificates; write one for each, in the same "
			 "order, or none if each stands in its certificate's file",
			 t->n_keys, t->n_certificates);
}

static void clients_read(struct reading *r, cfg_t *sec, struct conf_tls *t)
{
	static const char *const verify[] = {"none", "optional", "required", NULL};
	const struct value *v = value_of(sec, "verify");

	t->verify = word_read(r, sec, "verify", verify);
	file_read(r, "client_ca", value_of(sec, "client_ca"), &t->client_ca);
	file_read(r, "client_crl", value_of(sec, "client_crl"), &t->client_crl);
	if (t->verify != CONF_TLS_VERIFY_NONE && !t->client_ca.path)
		complain(r, v->line,
			 "verify: nobody is known who signs clients' certificates; write "
			 "client_ca = \"/path/of/ca.pem\"");
	else if (t->verify == CONF_TLS_VERIFY_NONE && (t->client_ca.path || t->client_crl.path))
		complain(r, t->client_ca.path ? t->client_ca.line : t->client_crl.line,
			 "no client is asked for a certificate; write verify = required or "
			 "optional, or remove this");
}

const struct conf_tls *tls_section_read(struct reading *r, cfg_t *sec, const struct conf_service *s)
{
	static const char *const profiles[] = {"intermediate", "modern", NULL};
	static const char *const unknown[] = {"default", "alert", NULL};
	struct conf_tls *t = sec ? arena_alloc(&r->conf->arena, 1, sizeof(*t)) : NULL;

	r->oom |= sec && !t;
	if (!t)
		return NULL;
	t->line = (unsigned)sec->line;
	if (s->kind == SLUICE_L4)
		complain(r, t->line, "tls means nothing to an l4 service; remove it");
	settings_read(r, "tls", sec, 0, t);
	t->profile = word_read(r, sec, "profile", profiles);
	t->unknown_sni = word_read(r, sec, "unknown_sni", unknown);
	version_read(r, sec, t);
	certificates_read(r, sec, t);
	clients_read(r, sec, t);
	t->n_ticket_keys = files_read(r, sec, "ticket_key", CONF_MAX_TICKET_KEYS, t->ticket_keys);
	if (t->n_ticket_keys && !t->tickets)
		complain(r, t->ticket_keys[0].line,
			 "ticket_key: there are no tickets; remove it, or tickets = no");
	return t;
}

/* ---- towards backends ----------------------------------------------------------------- */

static bool is_host(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= 253 && text[0] != '.' &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		       len;
}

static void name_check(struct reading *r, const struct value *v, struct conf_upstream_tls *t)
{
	if (!v)
		return;
	t->name = text_keep(r, v->text);
	if (!is_host(v->text))
		complain(r, v->line,
			 "name: \"%s\" is no host's name; write one as \"app.internal\"", v->text);
}

const struct conf_upstream_tls *tls_upstream_read(struct reading *r, cfg_t *owner)
{
	cfg_t *sec = cfg_size(owner, "upstream_tls") ? cfg_getsec(owner, "upstream_tls") : NULL;
	struct conf_upstream_tls *t = sec ? arena_alloc(&r->conf->arena, 1, sizeof(*t)) : NULL;

	r->oom |= sec && !t;
	if (!t)
		return NULL;
	t->line = (unsigned)sec->line;
	settings_read(r, "upstream_tls", sec, 0, t);
	name_check(r, value_of(sec, "name"), t);
	file_read(r, "ca", value_of(sec, "ca"), &t->ca);
	file_read(r, "certificate", value_of(sec, "certificate"), &t->certificate);
	file_read(r, "key", value_of(sec, "key"), &t->key);
	if (t->key.path && !t->certificate.path)
		complain(r, t->key.line, "key: it has no certificate; write that, or remove it");
	if (t->ca.path && !t->verify)
		complain(r, t->ca.line, "ca: nobody is verified; remove it, or verify = no");
	if (!t->ca.path && t->verify)
		t->ca.path = CONF_TLS_SYSTEM_CA;
	return t;
}
