// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: fingerprints of a ClientHello: JA4 (FoxIO, version of TCP) and JA3. Both are hashes over
 * what the client offers, GREASE left out; JA4 puts it in order first, since browsers shuffle.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "l7/hello.h"

#define EXT_SERVER_NAME 0
#define EXT_ALPN        16
#define TEXT            4096 /* JA3's: 4 lists, at most 6 bytes each of a value */

struct values {
	uint16_t v[HELLO_LIST];
	unsigned n;
	bool full;
};

static unsigned two(const char *p)
{
	return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static void add(struct values *to, unsigned v)
{
	if ((v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff))
		return;
	if (to->n == HELLO_LIST)
		to->full = true;
	else
		to->v[to->n++] = (uint16_t)v;
}

static void add_all(struct values *to, struct span pairs)
{
	*to = (struct values){0};
	for (size_t i = 0; i + 2 <= pairs.len; i += 2)
		add(to, two(pairs.p + i));
}

/* The types of a list that hello_parse has walked. */
static void add_extensions(struct values *to, struct span list)
{
	*to = (struct values){0};
	for (size_t at = 0; at + 4 <= list.len; at += 4 + two(list.p + at + 2))
		add(to, two(list.p + at));
}

static int by_value(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static void digest(char *out, const char *algorithm, const char *text, size_t len, size_t hex)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	size_t n = 0;

	EVP_Q_digest(NULL, algorithm, NULL, text, len, hash, &n);
	for (size_t i = 0; i < hex / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", i < n ? hash[i] : 0);
}

/* ---- JA4 ------------------------------------------------------------------------------ */

static const char *version_text(uint16_t v)
{
	switch (v) {
	case 0x0304:
		return "13";
	case 0x0303:
		return "12";
	case 0x0302:
		return "11";
	case 0x0301:
		return "10";
	case 0x0300:
		return "s3";
	default:
		return "00";
	}
}

/* First and last letter of the first protocol, or of its hexadecimal digits. */
static void protocol_text(char out[3], struct span first)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char a, z;

	memcpy(out, "00", 3);
	if (first.len == 0)
		return;
	a = (unsigned char)first.p[0];
	z = (unsigned char)first.p[first.len - 1];
	out[0] = isalnum(a) && isalnum(z) ? (char)a : digits[a >> 4];
	out[1] = isalnum(a) && isalnum(z) ? (char)z : digits[z & 15];
}

static size_t list_text(char *out, const struct values *of)
{
	size_t len = 0;

	for (unsigned i = 0; i < of->n; i++)
		len += (size_t)sprintf(out + len, "%s%04x", i ? "," : "", of->v[i]);
	return len;
}

static void list_hash(char out[13], const char *text, size_t len)
{
	if (len)
		digest(out, "SHA256", text, len, 12);
	else
		memcpy(out, "000000000000", 13);
}

bool hello_ja4(char out[HELLO_JA4], const struct hello *h)
{
	struct values ciphers, extensions, signatures, named = {0};
	char text[2 * 5 * HELLO_LIST + 2], b[13], c[13], alpn[3];
	size_t len;

	add_all(&ciphers, h->ciphers);
	add_all(&signatures, h->signatures);
	add_extensions(&extensions, h->extensions);
	if (ciphers.full || signatures.full || extensions.full)
		return false;
	for (unsigned i = 0; i < extensions.n; i++)
		if (extensions.v[i] != EXT_SERVER_NAME && extensions.v[i] != EXT_ALPN)
			add(&named, extensions.v[i]);
	qsort(ciphers.v, ciphers.n, sizeof(ciphers.v[0]), by_value);
	qsort(named.v, named.n, sizeof(named.v[0]), by_value);
	list_hash(b, text, list_text(text, &ciphers));
	len = list_text(text, &named);
	if (len && signatures.n) {
		text[len++] = '_';
		len += list_text(text + len, &signatures);
	}
	list_hash(c, text, len);
	protocol_text(alpn, h->first);
	snprintf(out, HELLO_JA4, "t%s%c%02u%02u%s_%s_%s", version_text(h->newest),
		 h->has_sni ? 'd' : 'i', ciphers.n < 99 ? ciphers.n : 99,
		 extensions.n < 99 ? extensions.n : 99, alpn, b, c);
	return true;
}

/* ---- JA3 ------------------------------------------------------------------------------ */

static size_t list_decimal(char *out, const struct values *of)
{
	size_t len = 0;

	out[len++] = ',';
	for (unsigned i = 0; i < of->n; i++)
		len += (size_t)sprintf(out + len, "%s%u", i ? "-" : "", of->v[i]);
	return len;
}

bool hello_ja3(char out[HELLO_JA3], const struct hello *h)
{
	struct values ciphers, extensions, groups, formats = {0};
	char text[TEXT + 6 * HELLO_LIST];
	size_t len;

	add_all(&ciphers, h->ciphers);
	add_all(&groups, h->groups);
	add_extensions(&extensions, h->extensions);
	for (size_t i = 0; i < h->formats.len; i++)
		add(&formats, (unsigned char)h->formats.p[i]);
	if (ciphers.full || groups.full || extensions.full)
		return false;
	len = (size_t)sprintf(text, "%u", h->version);
	len += list_decimal(text + len, &ciphers);
	len += list_decimal(text + len, &extensions);
	len += list_decimal(text + len, &groups);
	len += list_decimal(text + len, &formats);
	digest(out, "MD5", text, len, 32);
	return true;
}
