// SPDX-License-Identifier: BSD-2-Clause
/* Owns: where the access log goes and what its lines say, from the file's words. */
#include <errno.h>
#include <string.h>

#include "conf/read.h"

static void where_read(struct reading *r, const struct value *v)
{
	if (!v || strcmp(v->text, "off") == 0)
		return;
	r->conf->access_log = arena_strdup(&r->conf->arena, v->text);
	r->oom |= !r->conf->access_log;
	if (v->text[0] != '/' && strcmp(v->text, "stdout") != 0 && strcmp(v->text, "syslog") != 0)
		complain(r, v->line,
			 "access_log: \"%s\" is not a path; write one that begins with /, stdout, "
			 "syslog or off",
			 v->text);
}

/* A value has at most READ_MAX_WORD bytes, so a long format is a list, put together here. */
static char *text_join(struct reading *r, cfg_t *sec, unsigned n)
{
	char *text = arena_alloc(&r->conf->arena, LOG_FORMAT_MAX + 1, 1);
	size_t len = 0;

	r->oom |= !text;
	for (unsigned i = 0; text && i < n; i++) {
		const struct value *v = cfg_getnptr(sec, "access_format", i);
		size_t more = strlen(v->text);

		if (len + more > LOG_FORMAT_MAX) {
			complain(r, v->line, "access_format: longer than %d bytes; shorten it",
				 LOG_FORMAT_MAX);
			break;
		}
		memcpy(text + len, v->text, more);
		len += more;
	}
	return text;
}

static void format_read(struct reading *r, const char *text, unsigned line)
{
	struct span bad = SPAN("");
	int rc = log_format_compile(&r->conf->access_format, &r->conf->arena, text, &bad);

	if (rc == -ENOMEM)
		r->oom = true;
	else if (rc)
		complain(r, line,
			 "access_format: \"%.*s\" %s; sluice-access(5) lists the names that it can "
			 "hold",
			 (int)bad.len, bad.p,
			 r->conf->access_format.n_captures == LOG_FORMAT_CAPTURES
				 ? "is one field of the request too many"
				 : "means nothing");
}

void access_read(struct reading *r, cfg_t *daemon)
{
	unsigned n = daemon ? cfg_size(daemon, "access_format") : 0;
	const struct value *first = n ? cfg_getnptr(daemon, "access_format", 0) : NULL;
	const char *text = log_format_named(first ? first->text : "sluice");

	where_read(r, daemon ? value_of(daemon, "access_log") : NULL);
	if (n > 1 || !text)
		text = text_join(r, daemon, n);
	if (text && first && !strchr(text, '$'))
		complain(r, first->line,
			 "access_format: \"%s\" says nothing of a request; write sluice, combined, "
			 "json or a text with names like $status",
			 first->text);
	else if (text)
		format_read(r, text, first ? first->line : 0);
}
