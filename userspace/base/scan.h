/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inner loops of text protocols: where does a run of allowed bytes end? 16 bytes at a
 * time where the machine has SSE2, one at a time elsewhere and at the end. Never reads at
 * or beyond `end`.
 */
#ifndef BASE_SCAN_H
#define BASE_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Character classes of RFC 9110 section 5.6 and RFC 3986. */
enum scan_class {
	SCAN_TOKEN = 1,  /* tchar */
	SCAN_TARGET = 2, /* what a request-target may hold: visible ASCII but '#' */
	SCAN_HOST = 4,   /* reg-name: unreserved, sub-delims and '%' */
	SCAN_HEX = 8,
};

extern const uint8_t scan_table[256];

static inline bool scan_is(unsigned char c, enum scan_class class)
{
	return scan_table[c] & class;
}

/* First byte that is not of the class, or end. */
static inline const char *scan_while(const char *p, const char *end, enum scan_class class)
{
	while (p < end && scan_is((unsigned char)*p, class))
		p++;
	return p;
}

/* First control byte other than HTAB (a field value holds none), or end. */
static inline const char *scan_value(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i low = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'),
		      del = _mm_set1_epi8(0x7f);

	for (; end - p >= 16; p += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)p);
		__m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, low), bytes);
		int mask;

		control = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control);
		control = _mm_or_si128(control, _mm_cmpeq_epi8(bytes, del));
		mask = _mm_movemask_epi8(control);
		if (mask)
			return p + __builtin_ctz((unsigned)mask);
	}
#endif
	for (; p < end; p++) {
		unsigned char c = (unsigned char)*p;

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			break;
	}
	return p;
}

#endif
