// SPDX-License-Identifier: BSD-2-Clause
#include "conf/words.h"

#include <assert.h>
#include <string.h>

void words_init(struct words *w, struct reading *r, const char *text, size_t len)
{
	*w = (struct words){.r = r, .p = text, .end = text + len, .line = 1};
}

static bool starts(const struct words *w, const char *with)
{
	size_t len = strlen(with);

	return (size_t)(w->end - w->p) >= len && memcmp(w->p, with, len) == 0;
}

static void comment_skip(struct words *w)
{
	unsigned line = w->line;

	for (w->p += 2; w->p < w->end; w->p++) {
		if (starts(w, "*/")) {
			w->p += 2;
			return;
		}
		w->line += *w->p == '\n';
	}
	complain(w->r, line, "this comment is never closed; write */ at its end");
}

static void blanks_skip(struct words *w)
{
	while (w->p < w->end) {
		if (starts(w, "/*")) {
			comment_skip(w);
		} else if (*w->p == '#' || starts(w, "//")) {
			while (w->p < w->end && *w->p != '\n')
				w->p++;
		} else if (strchr(" \t\r\n", *w->p)) {
			w->line += *w->p == '\n';
			w->p++;
		} else {
			return;
		}
	}
}

static size_t text_length(struct words *w)
{
	const char *start = w->p;

	while (w->p < w->end && !strchr(" \t\r\n\"'#={},", *w->p) && !starts(w, "//") &&
	       !starts(w, "/*") && !starts(w, "+="))
		w->p++;
	return (size_t)(w->p - start);
}

static void quoted_read(struct words *w, struct word *word)
{
	char quote = *w->p++;
	const char *close = w->p;

	while (close < w->end && *close != quote && *close != '\n')
		close++;
	word->kind = QUOTED;
	word->p = w->p;
	if (close < w->end && *close == quote) {
		word->len = (size_t)(close - w->p);
		w->p = close + 1;
		return;
	}
	complain(w->r, w->line, "this %c is never closed; write another before the end of the line",
		 quote);
	word->len = text_length(w);
}

struct word word_next(struct words *w)
{
	struct word word;

	if (w->n_back)
		return w->back[--w->n_back];
	blanks_skip(w);
	word = (struct word){.kind = END, .line = w->line, .p = w->p};
	if (w->p == w->end)
		return word;
	if (strchr("{}=,", *w->p) || starts(w, "+=")) {
		word.len = *w->p == '+' ? 2 : 1;
		word.kind = word.len == 2 ? '=' : *w->p;
		w->p += word.len;
	} else if (*w->p == '"' || *w->p == '\'') {
		quoted_read(w, &word);
	} else {
		word.kind = TEXT;
		word.len = text_length(w);
	}
	if (word.len > READ_MAX_WORD) {
		complain(w->r, word.line, "\"%.24s...\" has %zu bytes; a word has at most %d",
			 word.p, word.len, READ_MAX_WORD);
		word.len = READ_MAX_WORD;
	}
	return word;
}

void word_back(struct words *w, const struct word *word)
{
	assert(w->n_back < sizeof(w->back) / sizeof(w->back[0]));
	w->back[w->n_back++] = *word;
}

struct word word_peek(struct words *w)
{
	struct word word = word_next(w);

	word_back(w, &word);
	return word;
}
