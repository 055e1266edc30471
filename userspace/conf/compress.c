// SPDX-License-Identifier: BSD-2-Clause
/* Owns: the section `compress`, from its words to struct conf_compress. */
#include "conf/compress.h"

#include "conf/read.h"

#define TYPE(text) {text, sizeof(text) - 1}

static const struct span encodings[CONF_ENCODING_COUNT] = {
#define ENCODING(name, sentence) [CONF_ENCODING_##name] = {#name, sizeof(#name) - 1},
	CONF_ENCODINGS(ENCODING)
#undef ENCODING
};

/* Texts, by another name too. Pictures, films and archives are compressed already. */
static const struct span types[] = {
	TYPE("text/"),
	TYPE("application/atom+xml"),
	TYPE("application/javascript"),
	TYPE("application/json"),
	TYPE("application/ld+json"),
	TYPE("application/manifest+json"),
	TYPE("application/problem+json"),
	TYPE("application/rss+xml"),
	TYPE("application/vnd.api+json"),
	TYPE("application/wasm"),
	TYPE("application/xhtml+xml"),
	TYPE("application/xml"),
	TYPE("image/svg+xml"),
};

struct span conf_encoding_name(enum conf_encoding e)
{
	return encodings[e];
}

static enum conf_encoding encoding_find(const char *name)
{
	for (unsigned e = CONF_ENCODING_identity + 1; e < CONF_ENCODING_COUNT; e++)
		if (strcmp(encodings[e].p, name) == 0)
			return e;
	return CONF_ENCODING_identity;
}

static void encodings_read(struct reading *r, cfg_t *sec, struct conf_compress *c)
{
	static const enum conf_encoding order[] = {CONF_ENCODING_br, CONF_ENCODING_zstd,
						   CONF_ENCODING_gzip};
	unsigned n = cfg_size(sec, "encodings");

	if (n == 0) {
		memcpy(c->order, order, sizeof(order));
		c->n_order = sizeof(order) / sizeof(order[0]);
	}
	for (unsigned i = 0; i < n; i++) {
		const struct value *v = cfg_getnptr(sec, "encodings", i);
		enum conf_encoding e = encoding_find(v->text);
		bool twice = false;

		for (unsigned k = 0; k < c->n_order; k++)
			twice |= c->order[k] == e;
		if (e == CONF_ENCODING_identity)
			complain(r, v->line, "encodings: \"%s\" is none; write br, zstd or gzip",
				 v->text);
		else if (twice)
			complain(r, v->line, "encodings: %s stands there twice; remove one",
				 v->text);
		else
			c->order[c->n_order++] = e;
	}
}

/* "text/html" or "text/ *"; in lower case, without the star. */
static bool type_read(struct reading *r, const char *text, struct span *type)
{
	static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "!#$&-^_.+";
	size_t main = strspn(text, token), sub;
	char *copy = arena_strdup(&r->conf->arena, text);

	if (!copy) {
		r->oom = true;
		return true;
	}
	if (main == 0 || text[main] != '/')
		return false;
	sub = strspn(text + main + 1, token);
	if (text[main + 1 + sub] == '*' && sub == 0)
		copy[main + 1] = '\0';
	else if (sub == 0 || text[main + 1 + sub])
		return false;
	for (char *p = copy; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p |= 0x20;
	*type = (struct span){copy, strlen(copy)};
	return true;
}

static void types_read(struct reading *r, cfg_t *sec, struct conf_compress *c)
{
	unsigned n = cfg_size(sec, "types");
	struct span *own;

	c->types = types;
	c->n_types = sizeof(types) / sizeof(types[0]);
	if (n == 0)
		return;
	if (n > CONF_COMPRESS_TYPES) {
		const struct value *v = cfg_getnptr(sec, "types", CONF_COMPRESS_TYPES);

		complain(r, v->line, "types: %u are too many; write at most %d", n,
			 CONF_COMPRESS_TYPES);
		n = CONF_COMPRESS_TYPES;
	}
	own = arena_alloc(&r->conf->arena, n, sizeof(*own));
	r->oom |= !own;
	for (unsigned i = 0; own && i < n; i++) {
		const struct value *v = cfg_getnptr(sec, "types", i);

		if (!type_read(r, v->text, &own[i]))
			complain(r, v->line,
				 "types: \"%s\" is no media type; write one like text/html, or "
				 "text/* for all of a kind",
				 v->text);
	}
	c->types = own;
	c->n_types = n;
}

void compress_read(struct reading *r, cfg_t *sec, uint32_t kind, struct conf_compress *c)
{
	settings_read(r, "compress", sec, 0, c);
	if (!sec)
		return;
	if (kind == SLUICE_L4)
		complain(r, (unsigned)sec->line,
			 "compress means nothing to an l4 service; remove it");
	c->on = true;
	encodings_read(r, sec, c);
	types_read(r, sec, c);
}
