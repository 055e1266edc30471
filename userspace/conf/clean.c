// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the text of a file, before libConfuse sees it. libConfuse stops at the first mistake,
 * takes a setting's second value in silence, skips what it does not understand, reads the
 * environment, and counts a line too many for each comment between slashes; so the text is
 * read here, along the grammar, and what is written for libConfuse makes sense throughout.
 * A mistake is complained about and left out, or mended when it is clear what was meant.
 *
 * Promises: libConfuse accepts the result, and every value is in it on its own line.
 * Excludes: what a value must be. Cost: one pass, with a look at most two words ahead.
 */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "conf/words.h"

#define MAX_OPTS 128 /* words of one section */
#define MAX_NAME 32  /* longer words are not compared with what there is */

struct clean {
	struct reading *r;
	struct words words;
	FILE *out;
	unsigned out_line;
	unsigned mute; /* not 0: what is read is not written */
};

/* A section that is being read. */
struct level {
	const struct level *up; /* NULL: the file */
	const cfg_opt_t *opts;
	const char *name;
	unsigned line;
	unsigned seen[MAX_OPTS]; /* for each of opts the line where it stood first, or 0 */
};

/* ---- out: for libConfuse -------------------------------------------------------------- */

static void put(struct clean *c, unsigned line, const char *text)
{
	if (c->mute)
		return;
	for (; c->out_line < line; c->out_line++)
		fputc('\n', c->out);
	fprintf(c->out, " %s", text);
}

/* Within single quotes only these two mean something to libConfuse. */
static void put_value(struct clean *c, const struct word *value)
{
	if (c->mute)
		return;
	put(c, value->line, "'");
	for (size_t i = 0; i < value->len; i++) {
		if (value->p[i] == '\'' || value->p[i] == '\\')
			fputc('\\', c->out);
		fputc(value->p[i], c->out);
	}
	fputc('\'', c->out);
}

/* Where a section notes the line of one of its words. */
static unsigned *seen_at(struct level *l, const cfg_opt_t *opt)
{
	assert(opt - l->opts < MAX_OPTS);
	return &l->seen[opt - l->opts];
}

/* ---- names ---------------------------------------------------------------------------- */

static bool is_section(const cfg_opt_t *opt)
{
	return opt->type == CFGT_SEC;
}

static bool takes_name(const cfg_opt_t *section)
{
	return strcmp(section->subopts[0].name, GRAMMAR_NAME) == 0;
}

static const cfg_opt_t *opt_find(const cfg_opt_t *opts, const struct word *word)
{
	for (; opts->name; opts++) {
		if (strlen(opts->name) == word->len && memcmp(opts->name, word->p, word->len) == 0)
			return strcmp(opts->name, GRAMMAR_NAME) ? opts : NULL;
	}
	return NULL;
}

/* The section that has this word, or NULL. */
static const cfg_opt_t *home_of(const cfg_opt_t *opts, const struct word *word)
{
	for (; opts->name; opts++) {
		const cfg_opt_t *inner;

		if (!is_section(opts))
			continue;
		if (opt_find(opts->subopts, word))
			return opts;
		inner = home_of(opts->subopts, word);
		if (inner)
			return inner;
	}
	return NULL;
}

/* Letters to change, add or take away (Levenshtein); case does not count. */
static unsigned distance(const char *name, const struct word *word)
{
	unsigned row[MAX_NAME + 1];
	size_t n = strlen(name);

	for (unsigned i = 0; i <= n; i++)
		row[i] = i;
	for (unsigned k = 0; k < word->len; k++) {
		unsigned diagonal = row[0];

		row[0] = k + 1;
		for (unsigned i = 1; i <= n; i++) {
			unsigned best = diagonal + (tolower((unsigned char)name[i - 1]) !=
						    tolower((unsigned char)word->p[k]));

			diagonal = row[i];
			if (row[i] + 1 < best)
				best = row[i] + 1;
			if (row[i - 1] + 1 < best)
				best = row[i - 1] + 1;
			row[i] = best;
		}
	}
	return row[n];
}

/* What was probably meant: at most two letters away, and at most half of the word. */
static const cfg_opt_t *opt_nearest(const cfg_opt_t *opts, const struct word *word)
{
	const cfg_opt_t *nearest = NULL;
	unsigned least = 3;

	if (word->len > MAX_NAME)
		return NULL;
	for (; opts->name; opts++) {
		unsigned d = strcmp(opts->name, GRAMMAR_NAME) ? distance(opts->name, word) : least;

		if (d < least && d * 2 <= word->len) {
			least = d;
			nearest = opts;
		}
	}
	return nearest;
}

/* ---- what is left out ----------------------------------------------------------------- */

/* Behind a { : to its }. */
static void braces_skip(struct clean *c, unsigned line)
{
	for (unsigned depth = 1; depth > 0;) {
		struct word word = word_next(&c->words);

		if (word.kind == END) {
			complain(c->r, line, "this { is never closed; write } at its end");
			return;
		}
		depth += word.kind == '{';
		depth -= word.kind == '}';
	}
}

/* Whether a word behind = is a value and not already the next setting. */
static bool is_value(struct clean *c, const struct word *word, unsigned line)
{
	return word->kind == QUOTED ||
	       (word->kind == TEXT && word->line == line && word_peek(&c->words).kind != '=');
}

/* Behind an = : a value. */
static void value_skip(struct clean *c, unsigned line)
{
	struct word word = word_next(&c->words);

	if (word.kind == '{')
		braces_skip(c, word.line);
	else if (!is_value(c, &word, line))
		word_back(&c->words, &word);
}

/* Behind a name: what it is given. */
static void item_skip(struct clean *c, unsigned line)
{
	struct word word = word_next(&c->words);

	if (word.kind == '=') {
		value_skip(c, word.line);
		return;
	}
	if (is_text(&word) && word.line == line)
		word = word_next(&c->words);
	if (word.kind == '{')
		braces_skip(c, word.line);
	else
		word_back(&c->words, &word);
}

/* A word that is no name, where a name should be. */
static void stray_skip(struct clean *c, const struct word *word)
{
	if (word->kind == '=') {
		complain(c->r, word->line, "= has no name before it; write NAME = VALUE");
		value_skip(c, word->line);
	} else if (word->kind == ',') {
		complain(c->r, word->line, "a comma stands between values only; remove it");
	} else if (word->kind == '{') {
		complain(c->r, word->line,
			 "{ has no name before it; write gate {, daemon {, service \"NAME\" {, "
			 "pool \"NAME\" { or backend \"NAME\" {");
		braces_skip(c, word->line);
	} else {
		complain(c->r, word->line, "} closes nothing; remove it");
	}
}

/* ---- settings ------------------------------------------------------------------------- */

/* Whether a word in a list is none of its values but what follows the list. */
static bool begins_item(struct clean *c, const struct level *l, const struct word *word)
{
	char next = word_peek(&c->words).kind;

	if (word->kind != TEXT)
		return false;
	for (; l && next != '='; l = l->up) {
		const cfg_opt_t *opt = opt_find(l->opts, word);

		if (opt && is_section(opt) && (next == '{' || next == QUOTED))
			return true;
	}
	return next == '=';
}

/* Behind the { of a list. */
static void list_read(struct clean *c, const struct level *l, const char *name, unsigned line)
{
	bool any = false, separated = true;

	for (;;) {
		struct word word = word_next(&c->words);

		if (word.kind == '}')
			return;
		if (word.kind == END || begins_item(c, l, &word)) {
			complain(c->r, line, "the list of %s is never closed; write } at its end",
				 name);
			word_back(&c->words, &word);
			return;
		}
		if (is_text(&word)) {
			if (!separated)
				complain(c->r, word.line,
					 "%s: there is no comma before \"%.*s\"; "
					 "write one",
					 name, SHOWN(&word));
			if (any)
				put(c, word.line, ",");
			put_value(c, &word);
			any = true;
			separated = false;
		} else if (word.kind == ',' && !separated) {
			separated = true;
		} else {
			complain(c->r, word.line,
				 "%s: %c stands where a value should be; remove it", name,
				 word.kind);
			if (word.kind == '{')
				braces_skip(c, word.line);
			separated = word.kind != '{';
		}
	}
}

/* Behind the = : what the setting is given, one value or a list. */
static void value_read(struct clean *c, const struct level *l, const cfg_opt_t *opt, unsigned line)
{
	struct word word = word_next(&c->words);
	bool list = opt->flags & CFGF_LIST;

	if (word.kind == '{' && !list) {
		complain(c->r, word.line, "%s takes one value; write it without { and }",
			 opt->name);
		braces_skip(c, word.line);
		return;
	}
	if (word.kind != '{' && !is_value(c, &word, line)) {
		complain(c->r, line, "%s has no value; write %s = %s in one line", opt->name,
			 opt->name, list ? "{ VALUE, ... }" : "VALUE");
		word_back(&c->words, &word);
		return;
	}
	put(c, line, opt->name);
	put(c, word.line, list ? "= {" : "=");
	if (word.kind == '{')
		list_read(c, l, opt->name, word.line);
	else
		put_value(c, &word);
	if (list)
		put(c, 0, "}");
}

static void setting_read(struct clean *c, struct level *l, const cfg_opt_t *opt, unsigned line)
{
	unsigned *seen = seen_at(l, opt);
	struct word word = word_next(&c->words);
	bool again = *seen;

	if (word.kind == '=' && word.len == 2)
		complain(c->r, line,
			 "%s: there is no +=; write everything into one list with =", opt->name);
	else if (again)
		complain(c->r, line, "%s stands already in line %u; remove one", opt->name, *seen);
	else
		*seen = line;
	if (word.kind != '=') {
		if (word.kind == '{' || (is_text(&word) && word.line == line))
			complain(c->r, line, "%s: = is missing; write %s = ...", opt->name,
				 opt->name);
		word_back(&c->words, &word);
		word.line = line;
	}
	c->mute += again;
	value_read(c, l, opt, word.line);
	c->mute -= again;
}

/* ---- sections ------------------------------------------------------------------------- */

static void body_read(struct clean *c, struct level *l);

/* Between a section's name and its body. False when there is no body. */
static bool heading_read(struct clean *c, const cfg_opt_t *opt, unsigned line, struct word *title)
{
	const char *shown = takes_name(opt) ? " \"NAME\"" : "";
	struct word word = word_next(&c->words);

	*title = (struct word){.kind = END};
	if (word.kind == QUOTED || (word.kind == TEXT && word.line == line)) {
		*title = word;
		word = word_next(&c->words);
	}
	if (takes_name(opt) != (title->kind != END))
		complain(c->r, line, "%s %s; write %s%s {", opt->name,
			 title->kind ? "takes no name" : "has no name", opt->name, shown);
	if (word.kind == '{')
		return true;
	complain(c->r, line, "%s is a section; write %s%s { ... }", opt->name, opt->name, shown);
	if (word.kind == '=' && word_peek(&c->words).kind == '{') {
		word_next(&c->words);
		return true;
	}
	word_back(&c->words, &word);
	if (word.kind == '=')
		item_skip(c, line);
	/* Only the { is missing, if what follows is known there. */
	return word.kind == TEXT && opt_find(opt->subopts, &word);
}

static void section_read(struct clean *c, struct level *l, const cfg_opt_t *opt, unsigned line)
{
	struct level inner = {.up = l, .opts = opt->subopts, .name = opt->name, .line = line};
	unsigned *seen = seen_at(l, opt);
	struct word title;

	if (*seen && !(opt->flags & CFGF_MULTI))
		complain(c->r, line, "%s stands already in line %u; write everything into one",
			 opt->name, *seen);
	else
		*seen = line;
	if (!heading_read(c, opt, line, &title))
		return;
	put(c, line, opt->name);
	put(c, 0, "{");
	if (title.kind && takes_name(opt)) {
		put(c, title.line, GRAMMAR_NAME " =");
		put_value(c, &title);
	}
	body_read(c, &inner);
	put(c, 0, "}");
}

/* A section of an outer level begins: the } before it is missing. */
static bool closes(struct clean *c, const struct level *l, const struct word *word)
{
	struct word next = word_peek(&c->words);
	bool title = is_text(&next) && next.line == word->line;

	if (opt_find(l->opts, word))
		return false;
	for (const struct level *up = l->up; up; up = up->up) {
		const cfg_opt_t *opt = opt_find(up->opts, word);

		if (!opt || !is_section(opt) || (next.kind != '{' && !(title && takes_name(opt))))
			continue;
		complain(c->r, word->line,
			 "%s begins within %s of line %u; close that with } before", opt->name,
			 l->name, l->line);
		return true;
	}
	return false;
}

/* Complains about a name that the section does not have. Returns what was meant, if that is
 * clear enough to go on with, or NULL. */
static const cfg_opt_t *unknown(struct clean *c, struct level *l, const struct word *word)
{
	const cfg_opt_t *home = home_of(grammar, word), *meant = opt_nearest(l->opts, word);
	const char *section = l->up ? l->name : "the file";
	struct word next = word_peek(&c->words);

	if (home) {
		complain(c->r, word->line, "%.*s belongs in %s; move it there", SHOWN(word),
			 home->name);
		return NULL;
	}
	if (meant) {
		complain(c->r, word->line, "%s has no \"%.*s\"; write %s", section, SHOWN(word),
			 meant->name);
		return *seen_at(l, meant) || is_section(meant) == (next.kind == '=') ? NULL : meant;
	}
	if (next.kind != '=' && next.kind != '{' && (!is_text(&next) || next.line != word->line))
		complain(c->r, word->line, "\"%.*s\" stands alone; write NAME = VALUE",
			 SHOWN(word));
	else
		complain(c->r, word->line, "%s has no \"%.*s\"; %s", section, SHOWN(word),
			 l->up ? "sluice.conf(5) lists what it has"
			       : "write gate, daemon, service, pool or cache");
	return NULL;
}

/* To the section's own }, or to where it should have been. */
static void body_read(struct clean *c, struct level *l)
{
	for (;;) {
		struct word word = word_next(&c->words);
		const cfg_opt_t *opt;

		if (word.kind == '}' && l->up)
			return;
		if (word.kind == END) {
			if (l->up)
				complain(c->r, l->line,
					 "the { of %s is never closed; write } at its end",
					 l->name);
			return;
		}
		if (!is_text(&word)) {
			stray_skip(c, &word);
			continue;
		}
		if (closes(c, l, &word)) {
			word_back(&c->words, &word);
			return;
		}
		opt = opt_find(l->opts, &word);
		if (!opt)
			opt = unknown(c, l, &word);
		if (!opt)
			item_skip(c, word.line);
		else if (is_section(opt))
			section_read(c, l, opt, word.line);
		else
			setting_read(c, l, opt, word.line);
	}
}

/* ---- the text ------------------------------------------------------------------------- */

static bool is_all_text(struct reading *r, const char *text, size_t len)
{
	unsigned line = 1;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		line += c == '\n';
		if (c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f) ||
		    (c == '\r' && i + 1 < len && text[i + 1] == '\n'))
			continue;
		complain(r, line, "byte 0x%02x is not text; write the path of a text file", c);
		return false;
	}
	return true;
}

char *text_clean(struct reading *r, const char *text, size_t len, size_t *clean_len)
{
	static const char mark[3] = "\xef\xbb\xbf"; /* the byte order mark */
	struct clean c = {.r = r, .out_line = 1};
	struct level file = {.opts = grammar};
	unsigned mistakes = r->mistakes;
	bool any = false;
	char *clean = NULL;

	c.out = open_memstream(&clean, clean_len);
	if (!c.out)
		return NULL;
	words_init(&c.words, r, text, len);
	if (len >= sizeof(mark) && memcmp(text, mark, sizeof(mark)) == 0)
		c.words.p += sizeof(mark);
	if (is_all_text(r, text, len))
		body_read(&c, &file);
	for (unsigned i = 0; i < MAX_OPTS; i++)
		any |= file.seen[i] != 0;
	if (!any && r->mistakes == mistakes)
		complain(r, 1,
			 "there is nothing in this file; write gate, daemon, service, pool or "
			 "cache");
	fputc('\n', c.out);
	if (fclose(c.out) != 0) {
		free(clean);
		return NULL;
	}
	return clean;
}
