// SPDX-License-Identifier: BSD-2-Clause
#include "base/target.h"

#include "base/scan.h"

/* Within a path: what may have to be rewritten, or ends it. */
static const bool notable[256] = {['%'] = true, ['\\'] = true, ['.'] = true, ['?'] = true};

static unsigned hex_value(unsigned char c)
{
	return c <= '9' ? (unsigned)c - '0' : ((unsigned)c | 0x20) - 'a' + 10;
}

static bool unreserved(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
	       c == '.' || c == '_' || c == '~';
}

/* "%XX" at p: its byte, or -1. */
static int escaped(const char *p, const char *end)
{
	if (end - p < 3 || !scan_is((unsigned char)p[1], SCAN_HEX) ||
	    !scan_is((unsigned char)p[2], SCAN_HEX))
		return -1;
	return (int)(hex_value((unsigned char)p[1]) << 4 | hex_value((unsigned char)p[2]));
}

size_t target_path(struct span target)
{
	const char *query = target.len ? memchr(target.p, '?', target.len) : NULL;

	return query ? (size_t)(query - target.p) : target.len;
}

/* One look at each byte, for the targets that almost everybody sends. */
static bool is_normal(struct span t, bool merge)
{
	char before = '\0';

	if (t.len == 0 || t.p[0] != '/')
		return false;
	for (size_t i = 0; i < t.len; i++) {
		char c = t.p[i];

		if (before == '/' && (c == '.' || (c == '/' && merge)))
			return false;
		if (notable[(unsigned char)c] && c != '.')
			return c == '?';
		before = c;
	}
	return true;
}

/* Copies a segment up to its '/' or the end, in the one spelling. NULL: it is refused. */
static const char *segment_copy(const char *p, const char *end, char **out)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; p < end && *p != '/'; p++) {
		int c;

		if (*p == '\\')
			return NULL;
		if (*p != '%') {
			*(*out)++ = *p;
			continue;
		}
		c = escaped(p, end);
		if (c <= 0)
			return NULL;
		p += 2;
		if (unreserved((unsigned char)c)) {
			*(*out)++ = (char)c;
			continue;
		}
		*(*out)++ = '%';
		*(*out)++ = digits[c >> 4];
		*(*out)++ = digits[c & 15];
	}
	return p;
}

/* From its '/' at `at`, the segment that ends at `end` is looked at: what of the path stays. */
static char *segment_settle(char *start, char *at, char *end, bool last, bool merge)
{
	struct span s = {at + 1, (size_t)(end - at) - 1};

	if (span_equal(s, SPAN("."))) {
		end = at;
	} else if (span_equal(s, SPAN(".."))) {
		end = at;
		while (end > start && *--end != '/')
			;
	} else if (s.len == 0 && merge && !last) {
		return at;
	} else {
		return end;
	}
	if (last)
		*end++ = '/';
	return end;
}

/* Returns the end of what it wrote to out, or NULL. */
static char *path_copy(const char *p, const char *end, bool merge, char *out)
{
	char *start = out;

	while (p < end) {
		char *at = out;

		*out++ = '/';
		p = segment_copy(p + 1, end, &out);
		if (!p)
			return NULL;
		out = segment_settle(start, at, out, p == end, merge);
	}
	if (out == start)
		*out++ = '/';
	return out;
}

bool target_normalise(struct span *out, struct span target, bool merge_slashes, char *buf)
{
	size_t path = target_path(target);
	char *end;

	*out = target;
	if (is_normal(target, merge_slashes) || span_equal(target, SPAN("*")))
		return true;
	if (path && target.p[0] != '/')
		return false;
	end = path_copy(target.p, target.p + path, merge_slashes, buf);
	if (!end)
		return false;
	if (target.len > path)
		memcpy(end, target.p + path, target.len - path);
	*out = (struct span){buf, (size_t)(end - buf) + target.len - path};
	return true;
}

bool target_decode(struct span *out, struct span path, char *buf)
{
	const char *p = path.p, *end = path.p + path.len;
	char *to = buf;

	for (; p < end; p++) {
		int c = *p == '%' ? escaped(p, end) : (unsigned char)*p;

		if (c <= 0 || (*p == '%' && c == '/'))
			return false;
		p += *p == '%' ? 2 : 0;
		*to++ = (char)c;
	}
	*out = (struct span){buf, (size_t)(to - buf)};
	return true;
}
