/* SPDX-License-Identifier: BSD-2-Clause */
/* Which answers are compressed, and how: a section `compress` of the file. */
#ifndef CONF_COMPRESS_H
#define CONF_COMPRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define CONF_COMPRESS_TYPES 64

/* name as in Accept-Encoding and Content-Encoding, sentence */
#define CONF_ENCODINGS(ENCODING)                                                                   \
	ENCODING(gzip, "RFC 1952: understood by every client")                                     \
	ENCODING(br, "Brotli, RFC 7932: smallest for text")                                        \
	ENCODING(zstd, "Zstandard, RFC 8878: least work for its size")

enum conf_encoding {
	CONF_ENCODING_identity, /* as it is */
#define ENCODING(name, sentence) CONF_ENCODING_##name,
	CONF_ENCODINGS(ENCODING)
#undef ENCODING
		CONF_ENCODING_COUNT,
};

/* "" for identity. */
struct span conf_encoding_name(enum conf_encoding e);

struct conf_compress {
	bool on;
	enum conf_encoding order[CONF_ENCODING_COUNT]; /* what a client likes alike: first first */
	unsigned n_order;
	const struct span *types; /* lower case; "text/" means text and what follows */
	unsigned n_types;
	uint64_t min_length; /* bytes of a body, where its length is known */
	uint32_t gzip_level, br_level, zstd_level;
};

#endif
