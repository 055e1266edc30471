/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Characters into words: what is blank, a comment, quoted. Within quotes no character has a
 * meaning but the quote, and they end in their line; so a forgotten one spoils one line, and
 * not the rest of the file. Private to conf/.
 */
#ifndef CONF_WORDS_H
#define CONF_WORDS_H

#include "conf/read.h"

/* What a word is: one of { } = , itself ("+=" is = with two bytes), or: */
enum { END = 0, TEXT = 'a', QUOTED = '"' };

struct word {
	char kind;
	unsigned line;
	const char *p; /* within the file's text; without quotes */
	size_t len;    /* at most READ_MAX_WORD */
};

struct words {
	struct reading *r;
	const char *p, *end;
	unsigned line;
	struct word back[3]; /* put back, last first */
	unsigned n_back;
};

/* For "%.*s". */
#define SHOWN(word) (int)(word)->len, (word)->p

static inline bool is_text(const struct word *word)
{
	return word->kind == TEXT || word->kind == QUOTED;
}

void words_init(struct words *w, struct reading *r, const char *text, size_t len);
/* At the end of the text END, however often. */
struct word word_next(struct words *w);
struct word word_peek(struct words *w);
void word_back(struct words *w, const struct word *word);

#endif
