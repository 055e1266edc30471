// SPDX-License-Identifier: BSD-2-Clause
#include "conf/template.h"

#include <errno.h>

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

static const struct {
	struct span name;
	enum template_name id;
} names[] = {
#define NAME(name, sentence) {SPAN(#name), TEMPLATE_##name},
	TEMPLATE_NAMES(NAME)
#undef NAME
};

static const struct {
	struct span begins;
	enum template_name id;
} families[] = {
	{SPAN("header_"), TEMPLATE_HEADER},
	{SPAN("cookie_"), TEMPLATE_COOKIE},
	{SPAN("arg_"), TEMPLATE_ARG},
};

/* A field's name as it is compared with. */
static bool field_name(struct span *out, struct arena *arena, struct span name)
{
	char *copy = arena_alloc(arena, name.len, 1);

	if (!copy)
		return false;
	for (size_t i = 0; i < name.len; i++)
		copy[i] = name.p[i] == '_' ? '-' : name.p[i];
	*out = (struct span){copy, name.len};
	return true;
}

/* 0, -ENOMEM, -EINVAL. */
static int name_parse(struct template_segment *s, struct arena *arena, struct span name)
{
	if (name.len == 1 && name.p[0] >= '1' && name.p[0] <= '9') {
		*s = (struct template_segment){.name = TEMPLATE_CAPTURE,
					       .capture = (uint8_t)(name.p[0] - '0')};
		return 0;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (span_equal(names[i].name, name)) {
			*s = (struct template_segment){.name = names[i].id};
			return 0;
		}
	}
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct span begins = families[i].begins;

		if (name.len <= begins.len || memcmp(name.p, begins.p, begins.len) != 0)
			continue;
		*s = (struct template_segment){
			.name = families[i].id,
			.text = {name.p + begins.len, name.len - begins.len}};
		return s->name != TEMPLATE_HEADER || field_name(&s->text, arena, s->text) ? 0
											  : -ENOMEM;
	}
	return -EINVAL;
}

/* Behind a '$'. Sets *end to what follows. */
static int dollar_parse(struct template_segment *s, struct arena *arena, const char *p,
			const char **end)
{
	struct span name = {p, strspn(p, NAME_LETTERS)};

	if (*p == '$') {
		*s = (struct template_segment){.name = TEMPLATE_TEXT, .text = {p, 1}};
		*end = p + 1;
		return 0;
	}
	if (*p == '{') {
		name = (struct span){p + 1, strspn(p + 1, NAME_LETTERS)};
		if (name.p[name.len] != '}')
			return -EINVAL;
		*end = name.p + name.len + 1;
		return name_parse(s, arena, name);
	}
	if (*p >= '0' && *p <= '9')
		name.len = 1;
	*end = p + name.len;
	return name_parse(s, arena, name);
}

int template_compile(struct template *out, struct arena *arena, const char *text, struct span *bad)
{
	struct template_segment segments[TEMPLATE_SEGMENTS], *kept;
	const char *p = text;
	unsigned n = 0;

	*out = (struct template){0};
	while (*p) {
		size_t plain = strcspn(p, "$");
		const char *end = p + plain;

		*bad = (struct span){p, strlen(p)};
		if (n == TEMPLATE_SEGMENTS)
			return -EINVAL;
		if (plain) {
			segments[n++] = (struct template_segment){.name = TEMPLATE_TEXT,
								  .text = {p, plain}};
		} else {
			int rc = dollar_parse(&segments[n], arena, p + 1, &end);

			if (rc == -EINVAL)
				bad->len = 1 + strspn(p + 1, NAME_LETTERS "{}");
			if (rc)
				return rc;
			out->names |= 1ULL << segments[n++].name;
		}
		p = end;
	}
	kept = arena_alloc(arena, n, sizeof(*kept));
	if (!kept)
		return -ENOMEM;
	memcpy(kept, segments, n * sizeof(*kept));
	out->segments = kept;
	out->n = n;
	return 0;
}

struct span template_plain(const struct template *t)
{
	if (t->n == 0)
		return SPAN("");
	if (t->n == 1 && t->segments[0].name == TEMPLATE_TEXT)
		return t->segments[0].text;
	return (struct span){NULL, 0};
}
