// SPDX-License-Identifier: BSD-2-Clause
/*
 * Cost: 32 bytes for each range in memory, one sort. An address is a number of 128 bits, so
 * that neighbours are found by adding one.
 */
#include "l4/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 number;

#define MARK       "\xef\xbb\xbf" /* UTF-8's byte order mark: some editors begin a file with it */
#define MARK_BYTES 3

/* ---- addresses and numbers ------------------------------------------------------------ */

static unsigned family_bits(bool v6)
{
	return v6 ? 128 : 32;
}

/* 2^bits - 1 */
static number ones(unsigned bits)
{
	return bits == 128 ? ~(number)0 : ((number)1 << bits) - 1;
}

static number to_number(const struct sluice_addr *addr)
{
	number n = 0;

	for (unsigned i = addr_is_v4(addr) ? 12 : 0; i < 16; i++)
		n = n << 8 | addr->b[i];
	return n;
}

static struct sluice_addr to_addr(number n, bool v6)
{
	struct sluice_addr addr = {0};

	for (unsigned i = 16; i-- > 0; n >>= 8)
		addr.b[i] = (uint8_t)n;
	if (!v6)
		addr.b[10] = addr.b[11] = 0xff;
	return addr;
}

/* ---- one line ------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void trim(const char **text, size_t *len)
{
	while (*len && is_blank(**text)) {
		++*text;
		--*len;
	}
	while (*len && is_blank((*text)[*len - 1]))
		--*len;
}

/* What stands before the comment. */
static size_t without_comment(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && line[n] != '#' && line[n] != ';')
		n++;
	return n;
}

static bool copy(char *out, size_t size, const char *text, size_t len)
{
	trim(&text, &len);
	if (len >= size || memchr(text, '\0', len))
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

/* Junk may hold anything, and goes to a terminal. */
static int junk(struct err *e, const char *text, size_t len)
{
	char shown[64];
	size_t n = 0;

	for (; n < len && n < sizeof(shown) - 1; n++)
		shown[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
	shown[n] = '\0';
	return err_set(e, EINVAL,
		       "`%s%s` is neither an address (192.0.2.1), a prefix (192.0.2.0/24) nor a "
		       "range (192.0.2.1-192.0.2.9)",
		       shown, n < len ? "..." : "");
}

static int parse_range(const char *text, size_t len, const char *dash, struct feed_range *out,
		       bool *v6, struct err *e)
{
	char first[ADDR_TEXT], last[ADDR_TEXT];
	struct sluice_addr a, b;

	if (!copy(first, sizeof(first), text, (size_t)(dash - text)) ||
	    !copy(last, sizeof(last), dash + 1, len - (size_t)(dash - text) - 1) ||
	    !addr_parse(&a, first) || !addr_parse(&b, last))
		return junk(e, text, len);
	if (addr_is_v4(&a) != addr_is_v4(&b))
		return err_set(e, EINVAL, "`%s-%s`: a range has one family", first, last);
	*v6 = !addr_is_v4(&a);
	*out = (struct feed_range){to_number(&a), to_number(&b)};
	if (out->first > out->last)
		return err_set(e, EINVAL, "`%s-%s`: the first address is above the last", first,
			       last);
	return 1;
}

static int parse_prefix(const char *text, size_t len, struct feed_range *out, bool *v6,
			struct err *e)
{
	char word[ADDR_TEXT + 4], right[ADDR_TEXT + 4];
	struct cidr net;
	bool host_bits;

	if (!copy(word, sizeof(word), text, len))
		return junk(e, text, len);
	if (!cidr_parse(&net, word, &host_bits)) {
		if (!host_bits)
			return junk(e, text, len);
		cidr_mask(&net);
		return err_set(e, EINVAL, "`%s` has bits beyond its prefix; %s is that network",
			       word, cidr_format(&net, right));
	}
	*v6 = !addr_is_v4(&net.addr);
	out->first = to_number(&net.addr);
	out->last = out->first + ones(family_bits(*v6) - net.prefix);
	return 1;
}

int feed_parse_line(const char *line, size_t len, struct feed_range *out, bool *v6, struct err *e)
{
	const char *dash;

	len = without_comment(line, len);
	trim(&line, &len);
	if (len == 0)
		return 0;
	dash = memchr(line, '-', len);
	return dash ? parse_range(line, len, dash, out, v6, e)
		    : parse_prefix(line, len, out, v6, e);
}

/* ---- a stream ------------------------------------------------------------------------- */

/* Reads a line; what does not fit is dropped. *len counts all of it. False at the end. */
static bool next_line(FILE *in, char buf[MARK_BYTES + FEED_LINE], size_t *len)
{
	int c = getc_unlocked(in);

	*len = 0;
	if (c == EOF)
		return false;
	for (; c != EOF && c != '\n'; c = getc_unlocked(in)) {
		if (*len < MARK_BYTES + FEED_LINE)
			buf[*len] = (char)c;
		++*len;
	}
	return true;
}

static int parse(const char *line, size_t len, struct feed_range *r, bool *v6, struct err *e)
{
	if (len <= FEED_LINE)
		return feed_parse_line(line, len, r, v6, e);
	/* Only a comment may be that long. */
	if (without_comment(line, FEED_LINE) < FEED_LINE)
		return feed_parse_line(line, FEED_LINE, r, v6, e);
	return err_set(e, EINVAL, "a line of %zu bytes; an entry has at most %d", len, FEED_LINE);
}

int feed_read(struct feed *f, FILE *in, const char *name, FILE *complaints, struct err *e)
{
	char buf[MARK_BYTES + FEED_LINE];
	size_t len, at = 0;
	struct err what;

	while (next_line(in, buf, &len)) {
		size_t skip = ++at == 1 && len >= MARK_BYTES && memcmp(buf, MARK, MARK_BYTES) == 0
				      ? MARK_BYTES
				      : 0;
		struct feed_range r;
		bool v6;
		int rc = parse(buf + skip, len - skip, &r, &v6, &what);

		f->lines++;
		if (rc < 0) {
			fprintf(complaints, "%s:%zu: %s\n", name, at, what.text);
			f->bad++;
		}
		f->named += rc == 1;
		rc = rc == 1 ? feed_add(f, v6, &r, e) : 0;
		if (rc)
			return rc;
	}
	return ferror(in) ? err_set(e, errno, "cannot read %s: %s", name, strerror(errno)) : 0;
}

/* ---- ranges --------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const struct feed_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static size_t merge(struct feed_range *r, size_t n)
{
	size_t kept = 0;

	if (n == 0)
		return 0;
	qsort(r, n, sizeof(*r), compare);
	for (size_t i = 1; i < n; i++) {
		/* Not first <= last + 1, which overflows at the last address there is. */
		if (r[i].first <= r[kept].last || r[i].first - 1 == r[kept].last)
			r[kept].last = r[i].last > r[kept].last ? r[i].last : r[kept].last;
		else
			r[++kept] = r[i];
	}
	return kept + 1;
}

void feed_merge(struct feed *f)
{
	for (int v6 = 0; v6 < 2; v6++)
		f->n[v6] = merge(f->ranges[v6], f->n[v6]);
}

static int grow(struct feed *f, bool v6, struct err *e)
{
	size_t room = f->room[v6] ? f->room[v6] * 2 : 1024;
	struct feed_range *more;

	if (room > FEED_MAX_RANGES) {
		f->n[v6] = merge(f->ranges[v6], f->n[v6]);
		if (f->n[v6] <= f->room[v6] / 2)
			return 0;
		return err_set(e, E2BIG, "more than %u distinct ranges", FEED_MAX_RANGES / 2);
	}
	more = realloc(f->ranges[v6], room * sizeof(*more));
	if (!more)
		return err_set(e, ENOMEM, "out of memory for %zu ranges", room);
	f->ranges[v6] = more;
	f->room[v6] = room;
	return 0;
}

int feed_add(struct feed *f, bool v6, const struct feed_range *r, struct err *e)
{
	int rc = f->n[v6] == f->room[v6] ? grow(f, v6, e) : 0;

	if (rc == 0)
		f->ranges[v6][f->n[v6]++] = *r;
	return rc;
}

/* The largest block of addresses that starts at first, is aligned and ends by last. */
static unsigned block_bits(number first, number last, unsigned bits)
{
	unsigned k = 0;

	while (k < bits && (first & ones(k + 1)) == 0 && ones(k + 1) <= last - first)
		k++;
	return k;
}

/* Neither the maps nor a packet's source can hold an IPv4-mapped address of IPv6: in struct
 * cidr it means the IPv4 one. */
static bool is_holdable(const struct sluice_addr *addr, bool v6)
{
	return !v6 || !addr_is_v4(addr);
}

size_t feed_prefixes(const struct feed *f, bool v6, struct cidr *out, size_t room)
{
	unsigned bits = family_bits(v6);
	size_t n = 0;

	for (size_t i = 0; i < f->n[v6]; i++) {
		number first = f->ranges[v6][i].first, last = f->ranges[v6][i].last;

		for (;;) {
			unsigned k = block_bits(first, last, bits);
			struct cidr net = {to_addr(first, v6), (uint8_t)(bits - k)};

			if (is_holdable(&net.addr, v6)) {
				if (n < room)
					out[n] = net;
				n++;
			}
			if (last - first <= ones(k))
				break;
			first += ones(k) + 1;
		}
	}
	return n;
}

/* The last range that does not begin above n; NULL: there is none. */
static const struct feed_range *find_range(const struct feed *f, bool v6, number n)
{
	size_t low = 0, high = f->n[v6];

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (f->ranges[v6][middle].first <= n)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &f->ranges[v6][low - 1] : NULL;
}

bool feed_covering(const struct feed *f, const struct sluice_addr *addr, struct cidr *net)
{
	bool v6 = !addr_is_v4(addr);
	unsigned bits = family_bits(v6), k = 0;
	number n = to_number(addr);
	const struct feed_range *r = find_range(f, v6, n);

	if (!r || n > r->last)
		return false;
	while (k < bits && (n & ~ones(k + 1)) >= r->first && (n | ones(k + 1)) <= r->last)
		k++;
	*net = (struct cidr){to_addr(n & ~ones(k), v6), (uint8_t)(bits - k)};
	return true;
}

void feed_fini(struct feed *f)
{
	for (int v6 = 0; v6 < 2; v6++)
		free(f->ranges[v6]);
	memset(f, 0, sizeof(*f));
}
