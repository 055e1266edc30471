// SPDX-License-Identifier: BSD-2-Clause
#include "l7/cc.h"

#include <stddef.h>

#include "base/scan.h"

/* ---- directives ----------------------------------------------------------------------- */

enum kind {
	FLAG,
	NAMES,      /* a flag, or with names of fields one for these alone */
	LIFETIME,   /* seconds; what is none is 0 */
	LIMIT,      /* seconds; what is none is not there */
	LIMIT_OPEN, /* the same, and without a value it is any number */
};

static const struct directive {
	struct span name;
	enum kind kind;
	uint32_t flag;
	size_t offset;
} directives[] = {
#define ROW(name, kind, flag)      {{name, sizeof(name) - 1}, kind, flag, 0}
#define SECONDS(name, kind, field) {{name, sizeof(name) - 1}, kind, 0, offsetof(struct cc, field)}
	ROW("no-store", FLAG, CC_NO_STORE),
	ROW("no-cache", NAMES, CC_NO_CACHE),
	ROW("private", NAMES, CC_PRIVATE),
	ROW("public", FLAG, CC_PUBLIC),
	ROW("must-revalidate", FLAG, CC_MUST_REVALIDATE),
	ROW("proxy-revalidate", FLAG, CC_PROXY_REVALIDATE),
	ROW("must-understand", FLAG, CC_MUST_UNDERSTAND),
	ROW("immutable", FLAG, CC_IMMUTABLE),
	ROW("only-if-cached", FLAG, CC_ONLY_IF_CACHED),
	ROW("no-transform", FLAG, CC_NO_TRANSFORM),
	SECONDS("max-age", LIFETIME, max_age),
	SECONDS("s-maxage", LIFETIME, s_maxage),
	SECONDS("max-stale", LIMIT_OPEN, max_stale),
	SECONDS("min-fresh", LIMIT, min_fresh),
	SECONDS("stale-while-revalidate", LIMIT, while_revalidate),
	SECONDS("stale-if-error", LIMIT, if_error),
#undef ROW
#undef SECONDS
};

void cc_init(struct cc *cc)
{
	cc->flags = 0;
	cc->n_fields = 0;
	cc->max_age = cc->s_maxage = cc->max_stale = cc->min_fresh = CC_NONE;
	cc->while_revalidate = cc->if_error = CC_NONE;
}

static const struct directive *directive_find(struct span name)
{
	for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]); i++)
		if (span_equal_nocase(name, directives[i].name))
			return &directives[i];
	return NULL;
}

bool cc_delta(int64_t *out, struct span text)
{
	int64_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		n = n * 10 + (text.p[i] - '0');
		if (n > CC_MOST)
			n = CC_MOST;
	}
	*out = n;
	return text.len > 0;
}

static void names_add(struct cc *cc, uint32_t flag, struct span list)
{
	struct span name;

	while (cc_list_next(&list, &name)) {
		if (cc->n_fields == CC_FIELDS) {
			cc->flags |= flag;
			return;
		}
		cc->fields[cc->n_fields++] = name;
	}
}

/* value.p NULL: the directive has none. */
static void directive_take(struct cc *cc, const struct directive *d, struct span value)
{
	int64_t *seconds = (int64_t *)((char *)cc + d->offset), n = 0;

	switch (d->kind) {
	case FLAG:
		cc->flags |= d->flag;
		return;
	case NAMES:
		if (value.len)
			names_add(cc, d->flag, value);
		else
			cc->flags |= d->flag;
		return;
	default:
		break;
	}
	if (*seconds != CC_NONE)
		return;
	if (d->kind == LIMIT_OPEN && !value.p)
		*seconds = CC_MOST;
	else if (value.p && cc_delta(&n, value))
		*seconds = n;
	else if (d->kind == LIFETIME)
		*seconds = 0;
}

/* ---- lists ---------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct span trimmed(struct span s)
{
	while (s.len && is_blank(s.p[0]))
		s.p++, s.len--;
	while (s.len && is_blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

/* How far the first element of the list reaches. */
static size_t element_len(struct span list)
{
	bool quoted = false;

	for (size_t i = 0; i < list.len; i++) {
		if (quoted && list.p[i] == '\\' && i + 1 < list.len)
			i++;
		else if (list.p[i] == '"')
			quoted = !quoted;
		else if (list.p[i] == ',' && !quoted)
			return i;
	}
	return list.len;
}

bool cc_list_next(struct span *list, struct span *element)
{
	while (list->len) {
		size_t len = element_len(*list);
		struct span e = trimmed((struct span){list->p, len});

		len += len < list->len;
		list->p += len;
		list->len -= len;
		if (e.len) {
			*element = e;
			return true;
		}
	}
	return false;
}

/* "name=value", "name", or what comes near. A blank beside the = makes the value none that could
 * be read. */
static void element_split(struct span e, struct span *name, struct span *value)
{
	const char *end = e.p + e.len, *p = scan_while(e.p, end, SCAN_TOKEN);

	*name = (struct span){e.p, (size_t)(p - e.p)};
	*value = (struct span){NULL, 0};
	if (p == end)
		return;
	*value = (struct span){p, (size_t)(end - p)};
	if (*p != '=')
		return;
	value->p++;
	value->len--;
	if (value->len >= 2 && value->p[0] == '"' && value->p[value->len - 1] == '"') {
		value->p++;
		value->len -= 2;
	}
}

void cc_add(struct cc *cc, struct span list)
{
	struct span e, name, value;

	while (cc_list_next(&list, &e)) {
		const struct directive *d;

		element_split(e, &name, &value);
		d = directive_find(name);
		if (d)
			directive_take(cc, d, value);
	}
}

/* ---- Surrogate-Control ---------------------------------------------------------------- */

/* "max-age=3600+600;target": the second number is for stale answers, and behind the semicolon
 * stands who is meant. */
bool cc_surrogate(struct cc *cc, struct span list, struct span target)
{
	struct span e, name, value;
	bool found = false;

	while (cc_list_next(&list, &e)) {
		const char *semicolon = memchr(e.p, ';', e.len), *plus;
		const struct directive *d;

		if (semicolon) {
			struct span whom = {semicolon + 1, (size_t)(e.p + e.len - semicolon - 1)};

			if (!span_equal_nocase(trimmed(whom), target))
				continue;
			e = trimmed((struct span){e.p, (size_t)(semicolon - e.p)});
		}
		element_split(e, &name, &value);
		d = directive_find(name);
		if (!d || !(span_equal(d->name, SPAN("max-age")) || d->flag == CC_NO_STORE))
			continue;
		plus = value.p ? memchr(value.p, '+', value.len) : NULL;
		if (plus) {
			struct span more = {plus + 1, (size_t)(value.p + value.len - plus - 1)};

			cc_delta(&cc->while_revalidate, more);
			value.len = (size_t)(plus - value.p);
		}
		directive_take(cc, d, value);
		found = true;
	}
	return found;
}
