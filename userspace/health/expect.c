// SPDX-License-Identifier: BSD-2-Clause
#include "health/expect.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static enum expect_word no(char why[EXPECT_WHY], const char *text)
{
	snprintf(why, EXPECT_WHY, "%s", text);
	return EXPECT_NO;
}

/* ---- HTTP ------------------------------------------------------------------------------ */

size_t expect_http_ask(const struct conf_health *h, const char *host, char out[EXPECT_QUESTION])
{
	int n = snprintf(out, EXPECT_QUESTION,
			 "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice-health\r\n"
			 "Accept: */*\r\nConnection: close\r\n\r\n",
			 h->method, h->path, h->host ? h->host : host);

	/* The configuration's bounds keep it within. */
	return n > 0 && n < EXPECT_QUESTION ? (size_t)n : 0;
}

/* "HTTP/1.1 200 OK": digits and single spaces (RFC 9112, section 4). 0: it is none. */
static unsigned status_of(const char *line, size_t len)
{
	unsigned status = 0;

	if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[7] < '0' || line[7] > '9' ||
	    line[8] != ' ' || (len > 12 && line[12] != ' '))
		return 0;
	for (int i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return 0;
		status = status * 10 + (unsigned)(line[i] - '0');
	}
	return status;
}

static bool status_fits(const struct conf_health *h, unsigned status)
{
	for (unsigned i = 0; i < h->n_statuses; i++)
		if (status >= h->statuses[i].first && status <= h->statuses[i].last)
			return true;
	return false;
}

static const char *find(const char *in, size_t len, const char *what, size_t n)
{
	return memmem(in, len, what, n);
}

/* Does the head have this field, with this word at the end of its value? */
static bool is_chunked(const char *head, size_t len)
{
	static const char name[] = "transfer-encoding:", word[] = "chunked";
	const size_t n = sizeof(name) - 1, w = sizeof(word) - 1;

	for (const char *line = head, *end = head + len; line < end;) {
		const char *stop = find(line, (size_t)(end - line), "\r\n", 2), *last;

		if (!stop)
			return false;
		last = stop;
		while (last > line && (last[-1] == ' ' || last[-1] == '\t'))
			last--;
		if ((size_t)(last - line) >= n + w && strncasecmp(line, name, n) == 0 &&
		    strncasecmp(last - w, word, w) == 0)
			return true;
		line = stop + 2;
	}
	return false;
}

/* Hex digits of a chunk's size; -1: there are none, or more than an answer here can have. */
static long chunk_size(const char *p, const char *end)
{
	long size = 0;
	int digits = 0;

	for (; p < end; p++, digits++) {
		int d = *p >= '0' && *p <= '9' ? *p - '0' : (*p | 32) - 'a' + 10;

		if (d < 0 || d > 15 || (*p > '9' && (*p | 32) < 'a'))
			break;
		size = size * 16 + d;
		if (size > 1L << 40)
			return -1;
	}
	return digits ? size : -1;
}

/* Strips chunk lines: the body's bytes, as far as they are here, into out. Returns their
 * number; *whole: the last chunk is there; *bad: it is no chunked body. */
static size_t dechunk(const char *body, size_t len, char *out, bool *whole, bool *bad)
{
	const char *p = body, *end = body + len;
	size_t n = 0;

	*whole = *bad = false;
	while (p < end) {
		const char *stop = find(p, (size_t)(end - p), "\r\n", 2);
		long size;

		if (!stop)
			break;
		size = chunk_size(p, stop);
		*bad = size < 0;
		*whole = size == 0;
		if (size <= 0)
			break;
		p = stop + 2;
		if (size > end - p)
			size = end - p;
		memcpy(out + n, p, (size_t)size);
		n += (size_t)size;
		p += size;
		if (end - p < 2)
			break;
		p += 2;
	}
	return n;
}

static enum expect_word body_fits(const struct conf_health *h, const char *body, size_t len,
				  bool chunked, bool ended, char why[EXPECT_WHY])
{
	char plain[EXPECT_ANSWER];
	bool whole = false, bad = false;

	if (chunked) {
		len = dechunk(body, len, plain, &whole, &bad);
		body = plain;
	}
	if (find(body, len, h->body, strlen(h->body)))
		return EXPECT_YES;
	if (bad)
		return no(why, "the body's chunks are broken");
	if (whole || ended)
		return no(why, "the body does not have the expected text");
	return EXPECT_MORE;
}

/* Behind interim answers (RFC 9110, section 15.2), which are not the one that counts. */
static const char *final_answer(const char *answer, const char *end)
{
	for (;;) {
		const char *line = find(answer, (size_t)(end - answer), "\r\n", 2), *body;
		unsigned status = line ? status_of(answer, (size_t)(line - answer)) : 0;

		if (status < 100 || status > 199 || status == 101)
			return answer;
		body = find(answer, (size_t)(end - answer), "\r\n\r\n", 4);
		if (!body)
			return end;
		answer = body + 4;
	}
}

enum expect_word expect_http(const struct conf_health *h, const char *answer, size_t len,
			     bool ended, char why[EXPECT_WHY])
{
	const char *head = final_answer(answer, answer + len), *line, *body;
	unsigned status;

	ended |= len >= EXPECT_ANSWER;
	len -= (size_t)(head - answer);
	line = find(head, len, "\r\n", 2);
	if (!line)
		return !ended ? EXPECT_MORE
		       : len  ? no(why, "the answer is not HTTP")
			      : no(why, "closed without an answer");
	status = status_of(head, (size_t)(line - head));
	if (!status)
		return no(why, "the answer is not HTTP");
	if (!status_fits(h, status)) {
		snprintf(why, EXPECT_WHY, "status %u", status);
		return EXPECT_NO;
	}
	if (!h->body)
		return EXPECT_YES;
	body = find(head, len, "\r\n\r\n", 4);
	if (!body)
		return ended ? no(why, "the answer's head is cut short") : EXPECT_MORE;
	return body_fits(h, body + 4, len - (size_t)(body + 4 - head),
			 is_chunked(head, (size_t)(body + 2 - head)), ended, why);
}

/* ---- DNS ------------------------------------------------------------------------------- */

#define DNS_HEAD 12

static size_t put16(char *out, size_t at, unsigned n)
{
	out[at] = (char)(n >> 8);
	out[at + 1] = (char)n;
	return at + 2;
}

static unsigned get16(const char *p)
{
	return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

size_t expect_dns_ask(const struct conf_health *h, uint16_t id, char out[EXPECT_QUESTION])
{
	const char *name = strcmp(h->name, ".") == 0 ? "" : h->name;
	size_t at = put16(out, 0, id);

	at = put16(out, at, 0x0100); /* recursion desired */
	at = put16(out, at, 1);      /* one question */
	memset(out + at, 0, DNS_HEAD - at);
	at = DNS_HEAD;
	while (*name) {
		size_t label = strcspn(name, ".");

		out[at++] = (char)label;
		memcpy(out + at, name, label);
		at += label;
		name += label + (name[label] == '.');
	}
	out[at++] = 0;
	at = put16(out, at, h->record);
	return put16(out, at, 1); /* IN */
}

static const char *rcode_name(unsigned rcode)
{
	static const char *const names[] = {"NOERROR",  "FORMERR", "SERVFAIL",
					    "NXDOMAIN", "NOTIMP",  "REFUSED"};

	return rcode < sizeof(names) / sizeof(names[0]) ? names[rcode] : "an error";
}

enum expect_word expect_dns(const struct conf_health *h, uint16_t id, const char *answer,
			    size_t len, char why[EXPECT_WHY])
{
	char question[EXPECT_QUESTION];
	size_t n = expect_dns_ask(h, id, question);
	unsigned flags;

	/* Somebody else's, or a forged one: its id and question must be the ones that were sent. */
	if (len < n || get16(answer) != id || get16(answer + 4) != 1)
		return EXPECT_MORE;
	for (size_t i = DNS_HEAD; i < n; i++) {
		char a = answer[i], b = question[i];

		if (a != b && !((a | 32) == (b | 32) && (a | 32) >= 'a' && (a | 32) <= 'z'))
			return EXPECT_MORE;
	}
	flags = get16(answer + 2);
	if (!(flags & 0x8000) || flags & 0x7800)
		return EXPECT_MORE; /* no response, or to no query */
	if (flags & 0xf) {
		snprintf(why, EXPECT_WHY, "the answer is %s", rcode_name(flags & 0xf));
		return EXPECT_NO;
	}
	/* A truncated answer says as much. */
	if (get16(answer + 6) == 0 && !(flags & 0x0200))
		return no(why, "the answer has no record");
	return EXPECT_YES;
}

/* ---- UDP ------------------------------------------------------------------------------- */

enum expect_word expect_udp(const struct conf_health *h, const char *answer, size_t len,
			    char why[EXPECT_WHY])
{
	if (!h->expect.p || (len && find(answer, len, h->expect.p, h->expect.len)))
		return EXPECT_YES;
	return no(why, "the answer does not have the expected bytes");
}
