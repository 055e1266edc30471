// SPDX-License-Identifier: BSD-2-Clause
#include "l7/file_name.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/target.h"

static bool is_hidden(struct span name)
{
	static const struct span seen = SPAN(".well-known");
	const char *p = name.p, *end = name.p + name.len;

	if (name.len >= seen.len && memcmp(p, seen.p, seen.len) == 0 &&
	    (name.len == seen.len || p[seen.len] == '/'))
		p += seen.len;
	for (bool first = true; p < end; p++) {
		if (first && *p == '.')
			return true;
		first = *p == '/';
	}
	return false;
}

bool file_name(struct span *out, struct span path, char *buf)
{
	if (path.len > FILE_NAME_MOST || !target_decode(out, path, buf))
		return false;
	while (out->len && out->p[0] == '/') {
		out->p++;
		out->len--;
	}
	return !is_hidden(*out);
}

struct span file_etag(const struct file_facts *f, char text[FILE_ETAG])
{
	struct span encoding = conf_encoding_name(f->encoding);
	int n = snprintf(text, FILE_ETAG, "\"%" PRIx64 ".%08" PRIx32 "-%" PRIx64 "%s%.*s\"",
			 (uint64_t)f->modified, f->modified_ns, f->size, encoding.len ? "-" : "",
			 (int)encoding.len, encoding.p);

	return (struct span){text, (size_t)n};
}

struct span file_suffix(enum conf_encoding e)
{
	switch (e) {
	case CONF_ENCODING_br:
		return SPAN(".br");
	case CONF_ENCODING_gzip:
		return SPAN(".gz");
	case CONF_ENCODING_zstd:
		return SPAN(".zst");
	default:
		return SPAN("");
	}
}
