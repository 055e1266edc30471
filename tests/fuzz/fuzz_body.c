// SPDX-License-Identifier: BSD-2-Clause
// Bodies: one outcome whatever the cuts; chunks as another, slower reader has them; what is
// written in chunks is read again.
// needs: userspace/l7/body.c userspace/base/scan.c
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/scan.h"
#include "cuts.h"
#include "l7/body.h"

struct outcome {
	enum body_result result;
	size_t used, len;
	uint64_t left;
	unsigned char *content;
};

static void feed(struct body *b, struct outcome *o, const unsigned char *piece, size_t len)
{
	char *in = malloc(len ? len : 1);
	size_t at = 0;

	assert(in);
	if (len)
		memcpy(in, piece, len);
	do {
		struct span content;
		size_t used;

		o->result = body_feed(b, in + at, len - at, &used, &content);
		assert(used <= len - at && content.len <= used);
		assert(used || at == len || o->result != BODY_MORE);
		assert(content.len == 0 ||
		       (content.p >= in + at && content.p + content.len <= in + at + used));
		if (content.len)
			memcpy(o->content + o->len, content.p, content.len);
		o->len += content.len;
		o->used += used;
		at += used;
		assert(b->received == o->len);
		assert((o->result == BODY_DONE) == body_done(b));
	} while (at < len && o->result == BODY_MORE);
	free(in);
}

static struct outcome read_body(enum http1_body kind, uint64_t length, const unsigned char *data,
				size_t len, struct cuts *cuts)
{
	struct outcome o = {.result = BODY_MORE, .content = malloc(len + 1)};
	struct body b;
	size_t at = 0;

	assert(o.content);
	body_init(&b, kind, length);
	do {
		size_t n = cuts && at < len ? cuts_next(cuts, len - at) : len - at;

		feed(&b, &o, data + at, n);
		at += n;
	} while (at < len && o.result == BODY_MORE);
	o.left = b.left;
	assert(body_eof(&b) ==
	       (kind == HTTP1_BODY_CLOSE || o.result == BODY_DONE ? BODY_DONE : BODY_BAD));
	return o;
}

static void check_cuts(enum http1_body kind, uint64_t length, const unsigned char *data, size_t len)
{
	struct cuts cuts;
	struct outcome whole = read_body(kind, length, data, len, NULL), cut;

	cuts_init(&cuts, data, len);
	cut = read_body(kind, length, data, len, &cuts);
	assert(whole.result == cut.result && whole.used == cut.used && whole.len == cut.len);
	assert(whole.left == cut.left && memcmp(whole.content, cut.content, cut.len) == 0);
	free(whole.content);
	free(cut.content);
}

/* ---- another reader ------------------------------------------------------------------- */

/* The line at *at, without its CRLF; false when it is not whole. */
static bool line_next(const unsigned char *data, size_t len, size_t *at, const unsigned char **line,
		      size_t *n)
{
	const unsigned char *cr = *at < len ? memchr(data + *at, '\r', len - *at) : NULL;

	if (!cr || cr + 1 == data + len || cr[1] != '\n')
		return false;
	*line = data + *at;
	*n = (size_t)(cr - *line);
	*at += *n + 2;
	for (size_t i = 0; i < *n; i++) {
		if (((*line)[i] < 32 && (*line)[i] != '\t') || (*line)[i] == 127)
			return false;
	}
	return true;
}

static bool size_read(const unsigned char *line, size_t n, uint64_t *size)
{
	const unsigned char *ext = memchr(line, ';', n);
	size_t digits = ext ? (size_t)(ext - line) : n;
	char text[17] = "", *end;

	if (digits == 0 || digits > 16 || n - digits > BODY_MAX_EXTENSION + 1)
		return false;
	memcpy(text, line, digits);
	if (strspn(text, "0123456789abcdefABCDEF") != digits)
		return false;
	*size = strtoull(text, &end, 16);
	return *size <= INT64_MAX;
}

static bool trailer_read(const unsigned char *data, size_t len, size_t *at)
{
	size_t start = *at, n, name;
	const unsigned char *line;

	while (line_next(data, len, at, &line, &n)) {
		if (n == 0)
			return *at - 2 - start <= BODY_MAX_TRAILER;
		for (name = 0; name < n && scan_is(line[name], SCAN_TOKEN);)
			name++;
		if (name == 0 || name == n || line[name] != ':')
			return false;
	}
	return false;
}

/* True if data begins with a whole chunked body, of *used bytes with *n of content. */
static bool chunks_read(const unsigned char *data, size_t len, unsigned char *content, size_t *n,
			size_t *used)
{
	const unsigned char *line;
	size_t at = 0, line_len;
	uint64_t size;

	for (*n = 0;;) {
		if (!line_next(data, len, &at, &line, &line_len) ||
		    !size_read(line, line_len, &size))
			return false;
		if (size == 0)
			break;
		if (size > len - at || len - at - size < 2 || data[at + size] != '\r' ||
		    data[at + size + 1] != '\n')
			return false;
		memcpy(content + *n, data + at, size);
		*n += size;
		at += size + 2;
	}
	if (!trailer_read(data, len, &at))
		return false;
	*used = at;
	return true;
}

static void check_chunks(const unsigned char *data, size_t len)
{
	struct outcome o = read_body(HTTP1_BODY_CHUNKED, 0, data, len, NULL);
	unsigned char *content = malloc(len + 1);
	size_t n, used;

	assert(content);
	assert(chunks_read(data, len, content, &n, &used) == (o.result == BODY_DONE));
	if (o.result == BODY_DONE)
		assert(o.used == used && o.len == n && memcmp(o.content, content, n) == 0);
	free(content);
	free(o.content);
}

/* ---- written, and read again ---------------------------------------------------------- */

static void check_written(const unsigned char *data, size_t len)
{
	unsigned char *out = malloc(len * 21 + 8);
	size_t at = 0, done = 0;
	struct cuts cuts;
	struct outcome o;

	assert(out);
	cuts_init(&cuts, data, len);
	while (done < len) {
		size_t n = cuts_next(&cuts, len - done);
		char header[18];
		size_t header_len = body_chunk_header(header, n);

		memcpy(out + at, header, header_len);
		memcpy(out + at + header_len, data + done, n);
		memcpy(out + at + header_len + n, "\r\n", 2);
		at += header_len + n + 2;
		done += n;
	}
	memcpy(out + at, "0\r\n\r\n", 5);
	at += 5;
	o = read_body(HTTP1_BODY_CHUNKED, 0, out, at, &cuts);
	assert(o.result == BODY_DONE && o.used == at && o.len == len);
	assert(len == 0 || memcmp(o.content, data, len) == 0);
	free(o.content);
	free(out);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	check_cuts(HTTP1_BODY_CHUNKED, 0, data, len);
	check_cuts(HTTP1_BODY_LENGTH, len / 2, data, len);
	check_cuts(HTTP1_BODY_LENGTH, INT64_MAX, data, len);
	check_cuts(HTTP1_BODY_CLOSE, 0, data, len);
	check_cuts(HTTP1_BODY_NONE, 0, data, len);
	check_chunks(data, len);
	check_written(data, len);
	return 0;
}
