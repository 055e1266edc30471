// SPDX-License-Identifier: BSD-2-Clause
#include "l7/access.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES (BUF_NOTE + 512)

static const char *const reason_names[] = {
#define REASON(name, text) #name,
	ACCESS_REASONS(REASON)
#undef REASON
};

int access_init(struct access *a, int fd)
{
	*a = (struct access){.fd = fd, .second = -1};
	if (fd < 0)
		return 0;
	a->lines = malloc(ACCESS_BYTES);
	return a->lines ? 0 : -ENOMEM;
}

void access_flush(struct access *a)
{
	uint32_t done = 0;

	while (done < a->len) {
		ssize_t n = write(a->fd, a->lines + done, a->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			for (uint32_t i = done; i < a->len; i++)
				a->lost += a->lines[i] == '\n';
			break;
		}
		done += (uint32_t)n;
	}
	a->len = 0;
}

void access_fini(struct access *a)
{
	access_flush(a);
	free(a->lines);
	a->lines = NULL;
}

/* ---- a request's own words ------------------------------------------------------------ */

static void note_byte(struct buf *note, char c)
{
	if (note->end < BUF_NOTE)
		note->data[note->end++] = c;
}

/* Quotes, backslashes and what is not visible ASCII become \xHH, as nginx does. most bounds
 * what one field may take, so that a long one leaves room for the others. */
static void note_text(struct buf *note, struct span s, uint32_t most)
{
	static const char digits[] = "0123456789ABCDEF";
	uint32_t stop = note->end + most < BUF_NOTE - 8 ? note->end + most : BUF_NOTE - 8;

	for (size_t i = 0; i < s.len && note->end < stop; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			note_byte(note, (char)c);
			continue;
		}
		note_byte(note, '\\');
		note_byte(note, 'x');
		note_byte(note, digits[c >> 4]);
		note_byte(note, digits[c & 15]);
	}
}

static void note_quoted(struct buf *note, const struct http1_field *f, uint32_t most)
{
	note_byte(note, '"');
	note_text(note, f ? f->value : SPAN("-"), most);
	note_byte(note, '"');
}

void access_note(struct buf *note, const struct http1_head *h, struct span line)
{
	note->start = note->end = 0;
	if (h) {
		note_text(note, h->method_text, 32);
		note_byte(note, ' ');
		note_text(note, h->target, 512);
		note_text(note, h->minor ? SPAN(" HTTP/1.1") : SPAN(" HTTP/1.0"), 16);
	} else {
		note_text(note, line, 512);
	}
	/* The line's end: no escaped text holds a NUL. */
	note_byte(note, '\0');
	note_quoted(note, h ? http1_find(h, HTTP1_F_REFERER) : NULL, 160);
	note_byte(note, ' ');
	note_quoted(note, h ? http1_find(h, HTTP1_F_USER_AGENT) : NULL, 200);
	note->data[note->end < BUF_NOTE ? note->end : BUF_NOTE - 1] = '\0';
}

/* ---- lines ---------------------------------------------------------------------------- */

static void time_renew(struct access *a)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec == a->second)
		return;
	a->second = now.tv_sec;
	gmtime_r(&now.tv_sec, &tm);
	strftime(a->time, sizeof(a->time), "%d/%b/%Y:%H:%M:%S +0000", &tm);
}

void access_log(struct access *a, const struct endpoint *client, const struct buf *note,
		const struct access_facts *f)
{
	char peer[ADDR_TEXT], upstream[ENDPOINT_TEXT] = "-";
	const char *line = note->data ? note->data : "-";
	const char *agents = note->data ? line + strlen(line) + 1 : "\"-\" \"-\"";
	int n;

	if (a->fd < 0)
		return;
	if (a->len > ACCESS_BYTES - LINE_MAX_BYTES)
		access_flush(a);
	time_renew(a);
	if (f->upstream)
		endpoint_format(f->upstream, upstream);
	n = snprintf(a->lines + a->len, ACCESS_BYTES - a->len,
		     "%s - - [%s] \"%s\" %u %" PRIu64 " %s service=%s upstream=%s connect_ms=%ld "
		     "first_ms=%ld total_ms=%ld retries=%u reason=%s\n",
		     addr_format(&client->addr, peer), a->time, line, f->status, f->bytes, agents,
		     f->service, upstream, f->connect_ms, f->first_ms, f->total_ms, f->retries,
		     reason_names[f->reason]);
	a->len += (uint32_t)n;
}
