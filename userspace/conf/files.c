// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: from the values of a route with a root to the snapshot. Excludes: what is in the
 * directory, and whether it is one, which is known where it is opened.
 */
#include "conf/files.h"

#include "conf/read.h"

/* What goes with a root alone. */
static const char *const companions[] = {"index", "file_types", "charset", "precompressed"};

/* A directory is opened once, however many routes have it. */
static unsigned root_place(struct reading *r, const struct value *v)
{
	struct conf *c = r->conf;

	for (unsigned i = 0; i < c->n_roots; i++)
		if (strcmp(c->roots[i].path, v->text) == 0)
			return i;
	if (c->n_roots == CONF_MAX_ROOTS) {
		complain(r, v->line, "root: there are more than %u directories; write fewer",
			 CONF_MAX_ROOTS);
		return 0;
	}
	if (!c->roots)
		c->roots = reading_alloc(r, CONF_MAX_ROOTS, sizeof(*c->roots));
	if (!c->roots)
		return 0;
	c->roots[c->n_roots] = (struct conf_file){text_keep(r, v->text), v->line};
	return c->roots[c->n_roots].path ? c->n_roots++ : 0;
}

static struct span span_keep(struct reading *r, const char *text)
{
	const char *copy = text_keep(r, text);

	return copy ? (struct span){copy, strlen(copy)} : SPAN("");
}

static void indexes_read(struct reading *r, cfg_t *sec, struct conf_files *f)
{
	unsigned n = values_count(r, sec, "index", CONF_FILE_INDEXES);

	f->indexes = reading_alloc(r, n ? n : 1, sizeof(*f->indexes));
	if (!f->indexes)
		return;
	if (n == 0)
		f->indexes[f->n_indexes++] = SPAN("index.html");
	for (unsigned i = 0; i < n; i++) {
		const struct value *v = value_at(sec, "index", i);

		if (v->text[0] == '\0' || v->text[0] == '.' || strchr(v->text, '/'))
			complain(r, v->line,
				 "index: \"%s\" is not a file's name; write one like "
				 "\"index.html\"",
				 v->text);
		else
			f->indexes[f->n_indexes++] = span_keep(r, v->text);
	}
}

/* Nothing that would end a field's line. */
static bool is_visible(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

/* "EXTENSION = TYPE". */
static void type_read(struct reading *r, const struct value *v, struct conf_files *f)
{
	static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "!#$&-^_.+";
	size_t extension = strcspn(v->text, " =./");
	const char *type = v->text + extension;
	size_t main, sub;

	type += strspn(type, " ");
	type += *type == '=' ? 1 : strlen(type);
	type += strspn(type, " ");
	main = strspn(type, token);
	sub = type[main] == '/' ? strspn(type + main + 1, token) : 0;
	if (extension == 0 || main == 0 || sub == 0 || !is_visible(type) ||
	    (type[main + 1 + sub] && !strchr("; ", type[main + 1 + sub]))) {
		complain(r, v->line,
			 "file_types: \"%s\" is not a type; write \"EXTENSION = TYPE\", like "
			 "\"wasm = application/wasm\"",
			 v->text);
		return;
	}
	f->types[f->n_types++] = (struct conf_file_type){
		.extension = {text_keep(r, v->text), extension},
		.type = span_keep(r, type),
		.text = strncasecmp(type, "text/", 5) == 0 && !strchr(type, ';'),
	};
}

static void types_read(struct reading *r, cfg_t *sec, struct conf_files *f)
{
	unsigned n = values_count(r, sec, "file_types", CONF_FILE_TYPES);

	f->types = n ? reading_alloc(r, n, sizeof(*f->types)) : NULL;
	for (unsigned i = 0; f->types && i < n; i++)
		type_read(r, value_at(sec, "file_types", i), f);
}

static void charset_read(struct reading *r, const struct value *v, struct conf_files *f)
{
	f->charset = SPAN("utf-8");
	if (!v)
		return;
	if (v->text[strspn(v->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_:.+")] ||
	    !v->text[0])
		complain(r, v->line,
			 "charset: \"%s\" is not a charset's name; write one like utf-8, or off",
			 v->text);
	f->charset = strcmp(v->text, "off") == 0 ? SPAN("") : span_keep(r, v->text);
}

void route_files_read(struct reading *r, const struct value *root, cfg_t *sec,
		      struct conf_route *route)
{
	struct conf_files *f = reading_alloc(r, 1, sizeof(*f));

	route->action = ROUTE_FILES;
	route->files = f;
	if (!f)
		return;
	if (root->text[0] != '/')
		complain(r, root->line,
			 "root: \"%s\" is not a directory; write a path that begins with /",
			 root->text);
	f->root = root_place(r, root);
	indexes_read(r, sec, f);
	types_read(r, sec, f);
	charset_read(r, value_of(sec, "charset"), f);
	settings_read(r, "files", sec, 0, f);
}

void route_files_refuse(struct reading *r, cfg_t *sec)
{
	for (size_t i = 0; i < sizeof(companions) / sizeof(companions[0]); i++)
		if (cfg_size(sec, companions[i]))
			complain(r, value_at(sec, companions[i], 0)->line,
				 "%s goes with root; remove it", companions[i]);
}
