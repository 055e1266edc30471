// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: CDN-Cache-Control. It is a dictionary of structured fields (RFC 8941 section 3.2), and
 * one byte that is wrong makes all of it void: so it is read here, and then, being known to be
 * sound, once more by cc_add.
 */
#include "base/scan.h"
#include "l7/cc.h"

struct cursor {
	const char *p, *end;
};

static bool at(const struct cursor *c, char wanted)
{
	return c->p < c->end && *c->p == wanted;
}

static bool take(struct cursor *c, char wanted)
{
	if (!at(c, wanted))
		return false;
	c->p++;
	return true;
}

static void skip(struct cursor *c, const char *blanks)
{
	while (c->p < c->end && *c->p && strchr(blanks, *c->p))
		c->p++;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool key(struct cursor *c)
{
	if (c->p == c->end || !(is_lower(*c->p) || *c->p == '*'))
		return false;
	while (c->p < c->end &&
	       (is_lower(*c->p) || is_digit(*c->p) || (*c->p && strchr("_-.*", *c->p))))
		c->p++;
	return true;
}

static bool number(struct cursor *c)
{
	const char *start;
	size_t whole;

	take(c, '-');
	for (start = c->p; c->p < c->end && is_digit(*c->p);)
		c->p++;
	whole = (size_t)(c->p - start);
	if (whole == 0 || whole > 15)
		return false;
	if (!take(c, '.'))
		return true;
	for (start = c->p; c->p < c->end && is_digit(*c->p);)
		c->p++;
	return whole <= 12 && c->p > start && c->p - start <= 3;
}

static bool string(struct cursor *c)
{
	while (c->p < c->end) {
		unsigned char byte = (unsigned char)*c->p++;

		if (byte == '"')
			return true;
		if (byte < 0x20 || byte > 0x7e)
			return false;
		if (byte == '\\' && !take(c, '"') && !take(c, '\\'))
			return false;
	}
	return false;
}

static bool bytes(struct cursor *c)
{
	while (c->p < c->end && *c->p != ':') {
		char b = *c->p++;

		if (!is_digit(b) && !is_lower((char)(b | 0x20)) && b != '+' && b != '/' && b != '=')
			return false;
	}
	return take(c, ':');
}

static bool bare_item(struct cursor *c)
{
	if (c->p == c->end)
		return false;
	if (is_digit(*c->p) || *c->p == '-')
		return number(c);
	if (take(c, '"'))
		return string(c);
	if (take(c, ':'))
		return bytes(c);
	if (take(c, '?'))
		return take(c, '0') || take(c, '1');
	if (!is_lower((char)(*c->p | 0x20)) && *c->p != '*')
		return false;
	while (c->p < c->end &&
	       (scan_is((unsigned char)*c->p, SCAN_TOKEN) || *c->p == ':' || *c->p == '/'))
		c->p++;
	return true;
}

static bool parameters(struct cursor *c)
{
	while (take(c, ';')) {
		skip(c, " ");
		if (!key(c) || (take(c, '=') && !bare_item(c)))
			return false;
	}
	return true;
}

static bool inner_list(struct cursor *c)
{
	for (;;) {
		const char *before = c->p;

		skip(c, " ");
		if (take(c, ')'))
			return parameters(c);
		if (c->p == before && before[-1] != '(')
			return false;
		if (!bare_item(c) || !parameters(c))
			return false;
	}
}

/* A member's own text, without its parameters: what cc_add is told. */
static bool member(struct cursor *c, struct span *text)
{
	const char *start = c->p;

	if (!key(c))
		return false;
	*text = (struct span){start, (size_t)(c->p - start)};
	if (!take(c, '='))
		return parameters(c);
	if (take(c, '('))
		return inner_list(c);
	if (!bare_item(c))
		return false;
	/* A number that stands there as a text is of the wrong type. */
	text->len = (size_t)(c->p - start);
	return parameters(c);
}

/* "?1" is how a flag may be written, "?0" takes it back; texts are of the wrong type for all
 * directives that count seconds, and for flags: they are passed over. */
static void member_take(struct cc *cc, struct span text)
{
	const char *equals = memchr(text.p, '=', text.len);

	if (!equals) {
		cc_add(cc, text);
		return;
	}
	if (equals[1] == '?') {
		if (equals[2] == '1')
			cc_add(cc, (struct span){text.p, (size_t)(equals - text.p)});
		return;
	}
	if (is_digit(equals[1]) || equals[1] == '-')
		cc_add(cc, text);
}

bool cc_targeted(struct cc *cc, const struct span *lines, unsigned n, char text[CC_TARGETED_BYTES])
{
	struct cursor c = {text, text};
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		if (lines[i].len + 2 > CC_TARGETED_BYTES - len)
			return false;
		memcpy(text + len, ", ", i ? 2 : 0);
		len += i ? 2 : 0;
		memcpy(text + len, lines[i].p, lines[i].len);
		len += lines[i].len;
	}
	c.end = text + len;
	skip(&c, " ");
	if (c.p == c.end)
		return false;
	for (;;) {
		struct span found;

		if (!member(&c, &found))
			return false;
		member_take(cc, found);
		skip(&c, " \t");
		if (c.p == c.end)
			return true;
		if (!take(&c, ','))
			return false;
		skip(&c, " \t");
	}
}
