// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: a file in, a snapshot or complaints out. Promises: all mistakes are reported, in the
 * order of lines; a snapshot exists only without any. read.h has the way between.
 */
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/read.h"

#define FILE_MAX_BYTES (4U << 20) /* a larger file is not a configuration */

/* ---- complaints ----------------------------------------------------------------------- */

static unsigned complaints_kept(const struct reading *r)
{
	return r->mistakes < READ_MAX_COMPLAINTS ? r->mistakes : READ_MAX_COMPLAINTS;
}

void complain(struct reading *r, unsigned line, const char *fmt, ...)
{
	unsigned kept = complaints_kept(r), at = kept;
	va_list ap;

	if (!r->complaints)
		r->complaints =
			arena_alloc(&r->conf->arena, READ_MAX_COMPLAINTS, sizeof(*r->complaints));
	if (!r->complaints) {
		r->oom = true;
		return;
	}
	while (at > 0 && r->complaints[at - 1].line > line)
		at--;
	r->mistakes++;
	if (at == READ_MAX_COMPLAINTS)
		return;
	if (kept == READ_MAX_COMPLAINTS)
		kept--;
	memmove(&r->complaints[at + 1], &r->complaints[at], (kept - at) * sizeof(*r->complaints));
	r->complaints[at].line = line;
	va_start(ap, fmt);
	vsnprintf(r->complaints[at].text, sizeof(r->complaints[at].text), fmt, ap);
	va_end(ap);
}

static void complaints_print(const struct reading *r, FILE *to)
{
	unsigned kept = complaints_kept(r);

	for (unsigned i = 0; i < kept; i++)
		fprintf(to, "%s:%u: %s\n", r->path, r->complaints[i].line, r->complaints[i].text);
	if (r->mistakes > kept)
		fprintf(to, "%s: and %u more; mend these first\n", r->path, r->mistakes - kept);
}

/* ---- the file ------------------------------------------------------------------------- */

static int bytes_read(int fd, char *text, size_t room, size_t *len)
{
	ssize_t n;

	*len = 0;
	while ((n = read(fd, text + *len, room - *len)) > 0)
		*len += (size_t)n;
	return n < 0 ? -errno : 0;
}

/* The whole file, or NULL with errno. Cut to the size that it had when it was opened. */
static char *file_read(const char *path, size_t *len)
{
	/* O_NONBLOCK: a pipe is refused below and not waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
	char *text = NULL;
	struct stat st;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) != 0)
		rc = -errno;
	else if (S_ISDIR(st.st_mode))
		rc = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		rc = -EINVAL;
	else if (st.st_size > FILE_MAX_BYTES)
		rc = -EFBIG;
	else if (!(text = malloc((size_t)st.st_size + 1)))
		rc = -ENOMEM;
	else
		rc = bytes_read(fd, text, (size_t)st.st_size, len);
	close(fd);
	if (rc == 0)
		return text;
	free(text);
	errno = -rc;
	return NULL;
}

static const char *why_unreadable(int errnum)
{
	switch (errnum) {
	case EINVAL:
		return "it is not a regular file; write the path of one";
	case EISDIR:
		return "it is a directory; write the path of a file";
	case EFBIG:
		return "it has more than 4 MiB; a configuration has less";
	default:
		return strerror(errnum);
	}
}

static void text_read(struct reading *r, const char *text, size_t len)
{
	size_t clean_len = 0;
	char *clean = text_clean(r, text, len, &clean_len);
	cfg_t *tree = clean ? grammar_parse(clean, clean_len) : NULL;

	if (tree)
		sections_read(r, tree);
	else if (clean)
		complain(r, 1, READ_IMPOSSIBLE);
	if (tree && !r->oom)
		conf_check(r);
	r->oom |= !clean;
	if (tree)
		cfg_free(tree);
	free(clean);
}

struct conf *conf_load(const char *path, FILE *complaints)
{
	struct reading r = {.path = path};
	size_t len;
	char *text = file_read(path, &len);

	if (!text) {
		int why = errno;

		fprintf(complaints, "%s: cannot be read: %s\n", path, why_unreadable(why));
		errno = why;
		return NULL;
	}
	r.conf = calloc(1, sizeof(*r.conf));
	if (r.conf) {
		arena_init(&r.conf->arena, 64 * 1024, 0);
		r.conf->path = arena_strdup(&r.conf->arena, path);
		r.oom = !r.conf->path;
		if (!r.oom)
			text_read(&r, text, len);
	}
	free(text);
	if (r.conf && !r.mistakes && !r.oom && conf_index(r.conf))
		return r.conf;
	if (r.mistakes)
		complaints_print(&r, complaints);
	else
		fprintf(complaints, "%s: cannot be read: %s\n", path, strerror(ENOMEM));
	conf_free(r.conf);
	errno = r.mistakes ? EINVAL : ENOMEM;
	return NULL;
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->n_regexes; i++)
		regex_free(c->regexes[i]);
	arena_fini(&c->arena);
	free(c);
}
