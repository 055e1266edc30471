// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the conditions of a route, and what each may look like. Promises: a path that is written
 * here is one that requests can have, in their one spelling.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/scan.h"
#include "base/target.h"
#include "conf/read.h"

/* ---- parts of a value ----------------------------------------------------------------- */

static const char *blanks_skip(const char *p)
{
	return p + strspn(p, " \t");
}

/* "~ EXPRESSION", and "~* EXPRESSION" if letter case does not count. */
static bool is_regex(const char *text)
{
	return text[0] == '~';
}

static const struct regex *regex_read(struct reading *r, const struct value *v, const char *name,
				      const char *text)
{
	struct conf *c = r->conf;
	bool any_case = text[1] == '*';
	const char *pattern = blanks_skip(text + 1 + any_case);
	struct regex *regex;
	char why[160];
	int rc;

	if (c->n_regexes == CONF_MAX_REGEXES) {
		complain(r, v->line, "%s: there are more than %u expressions; write fewer", name,
			 CONF_MAX_REGEXES);
		return NULL;
	}
	if (!c->regexes)
		c->regexes = reading_alloc(r, CONF_MAX_REGEXES, sizeof(*c->regexes));
	if (!c->regexes)
		return NULL;
	rc = regex_compile(&regex, pattern, any_case, why, sizeof(why));
	if (rc == 0)
		return c->regexes[c->n_regexes++] = regex;
	r->oom |= rc == -ENOMEM;
	if (rc == -EINVAL)
		complain(r, v->line, "%s: \"%s\" is not an expression: %s; see pcre2pattern(3)",
			 name, pattern, why);
	return NULL;
}

static bool texts_alloc(struct reading *r, cfg_t *sec, const char *name, struct route_texts *to,
			unsigned *n)
{
	*n = values_count(r, sec, name, ROUTE_VALUES);
	to->items = *n ? reading_alloc(r, *n, sizeof(*to->items)) : NULL;
	to->n = 0;
	return to->items != NULL;
}

/* ---- host, path ------------------------------------------------------------------------ */

static bool host_ok(const char *text)
{
	const char *name = text[0] == '*' && text[1] == '.' ? text + 2 : text;
	size_t len = strlen(name);

	if (len == 0 || len > ROUTE_HOST - 2 || name[len - 1] == '.')
		return false;
	if (name[0] == '[')
		return name == text && name[len - 1] == ']' && len > 2 &&
		       strspn(name + 1, "0123456789abcdefABCDEF:.") == len - 2;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
	       len;
}

static void hosts_read(struct reading *r, cfg_t *sec, struct conf_route *route)
{
	unsigned n;

	if (!texts_alloc(r, sec, "host", &route->hosts, &n))
		return;
	for (unsigned i = 0; i < n; i++) {
		struct value *v = value_at(sec, "host", i);
		char *kept;

		if (!host_ok(v->text)) {
			complain(r, v->line,
				 "host: \"%s\" is not a host; write \"www.example.org\", "
				 "\"*.example.org\" for all below it, or \"[2001:db8::1]\", "
				 "without a port",
				 v->text);
			continue;
		}
		kept = arena_strdup(&r->conf->arena, v->text);
		if (!kept) {
			r->oom = true;
			return;
		}
		for (char *p = kept; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		route->hosts.items[route->hosts.n++] = (struct span){kept, strlen(kept)};
	}
}

/* What a request can have at its place, or may begin with. */
static bool path_ok(struct reading *r, const struct value *v, bool merge)
{
	char room[TARGET_ROOM(READ_MAX_WORD)];
	size_t len = strlen(v->text);
	bool prefix = len > 1 && v->text[len - 1] == '*';
	struct span text = {v->text, len - prefix}, normal;

	if (v->text[0] != '/' || memchr(text.p, '*', text.len) || memchr(text.p, '?', text.len) ||
	    scan_while(text.p, text.p + text.len, SCAN_TARGET) != text.p + text.len ||
	    !target_normalise(&normal, text, merge, room)) {
		complain(r, v->line,
			 "path: \"%s\" is not a path; write \"/here\", \"/below/*\", or \"~ "
			 "EXPRESSION\" (its query is a condition of its own)",
			 v->text);
		return false;
	}
	if (span_equal(normal, text))
		return true;
	complain(r, v->line,
		 "path: no request has \"%s\" once it is in its one spelling; write \"%.*s%s\"",
		 v->text, (int)normal.len, normal.p, prefix ? "*" : "");
	return false;
}

static void paths_read(struct reading *r, cfg_t *sec, bool merge, struct conf_route *route)
{
	unsigned n;

	if (!texts_alloc(r, sec, "path", &route->paths, &n))
		return;
	route->path_regexes = reading_alloc(r, n, sizeof(*route->path_regexes));
	for (unsigned i = 0; route->path_regexes && i < n; i++) {
		struct value *v = value_at(sec, "path", i);
		const struct regex *regex;
		const char *kept;

		if (is_regex(v->text)) {
			regex = regex_read(r, v, "path", v->text);
			if (regex)
				route->path_regexes[route->n_path_regexes++] = regex;
		} else if (path_ok(r, v, merge) && (kept = text_keep(r, v->text))) {
			route->paths.items[route->paths.n++] = (struct span){kept, strlen(kept)};
		}
	}
}

/* ---- method, source --------------------------------------------------------------------- */

static void methods_read(struct reading *r, cfg_t *sec, struct conf_route *route)
{
	unsigned n;

	if (!texts_alloc(r, sec, "method", &route->methods, &n))
		return;
	for (unsigned i = 0; i < n; i++) {
		struct value *v = value_at(sec, "method", i);
		const char *kept = text_keep(r, v->text), *p = v->text;

		while (isupper((unsigned char)*p) || *p == '-' || *p == '_')
			p++;
		if (*p || p == v->text)
			complain(r, v->line,
				 "method: \"%s\" is not a method; write GET, POST, ... in capitals",
				 v->text);
		else if (kept)
			route->methods.items[route->methods.n++] =
				(struct span){kept, strlen(kept)};
	}
}

static void sources_read(struct reading *r, cfg_t *sec, struct conf_route *route)
{
	unsigned n = values_count(r, sec, "source", ROUTE_VALUES);

	route->sources = n ? reading_alloc(r, n, sizeof(*route->sources)) : NULL;
	for (unsigned i = 0; route->sources && i < n; i++)
		route->n_sources += cidr_read(r, value_at(sec, "source", i), "source",
					      &route->sources[route->n_sources]);
}

/* ---- header, query ---------------------------------------------------------------------- */

/* Where a name ends; a field's is a token, that of an argument anything but what divides it. */
static const char *name_end(const char *p, bool field)
{
	return field ? scan_while(p, p + strlen(p), SCAN_TOKEN) : p + strcspn(p, " \t=~&!");
}

/* "NAME", "!NAME", "NAME = VALUE", "NAME ~ EXPRESSION". */
static bool condition_read(struct reading *r, const struct value *v, const char *what, bool field,
			   struct route_condition *c)
{
	const char *text = text_keep(r, v->text), *p, *end;

	if (!text)
		return false;
	p = text + (text[0] == '!');
	end = name_end(p, field);
	/* '~' may be part of a field's name, but never with a blank before it. */
	*c = (struct route_condition){.kind = p > text ? ROUTE_ABSENT : ROUTE_PRESENT,
				      .name = {p, (size_t)(end - p)}};
	end = blanks_skip(end);
	if (c->name.len && c->kind == ROUTE_PRESENT && *end == '=') {
		c->kind = ROUTE_EQUAL;
		end = blanks_skip(end + 1);
		c->value = (struct span){end, strlen(end)};
		return true;
	}
	if (c->name.len && c->kind == ROUTE_PRESENT && is_regex(end)) {
		c->kind = ROUTE_MATCHES;
		c->regex = regex_read(r, v, what, end);
		return c->regex != NULL;
	}
	if (c->name.len && *end == '\0')
		return true;
	complain(r, v->line,
		 "%s: \"%s\" is not a condition; write \"NAME\", \"!NAME\", \"NAME = VALUE\" or "
		 "\"NAME ~ EXPRESSION\"",
		 what, v->text);
	return false;
}

static void conditions_read(struct reading *r, cfg_t *sec, const char *what,
			    struct route_conditions *to)
{
	unsigned n = values_count(r, sec, what, ROUTE_VALUES);

	to->n = 0;
	to->items = n ? reading_alloc(r, n, sizeof(*to->items)) : NULL;
	for (unsigned i = 0; to->items && i < n; i++)
		to->n += condition_read(r, value_at(sec, what, i), what,
					strcmp(what, "header") == 0, &to->items[to->n]);
}

void route_conditions_read(struct reading *r, cfg_t *sec, bool merge_slashes,
			   struct conf_route *route)
{
	hosts_read(r, sec, route);
	paths_read(r, sec, merge_slashes, route);
	methods_read(r, sec, route);
	sources_read(r, sec, route);
	conditions_read(r, sec, "header", &route->headers);
	conditions_read(r, sec, "query", &route->queries);
}
