/* SPDX-License-Identifier: BSD-2-Clause */
/* Text into memory of a given size: writes until the room ends, and then remembers only that it
 * did. */
#ifndef BASE_WRITER_H
#define BASE_WRITER_H

#include <stdint.h>

#include "base/span.h"

struct writer {
	char *p, *end;
	bool full;
};

static inline void writer_put(struct writer *w, struct span s)
{
	if (w->full || (size_t)(w->end - w->p) < s.len) {
		w->full = true;
		return;
	}
	if (s.len == 0) /* may point nowhere */
		return;
	memcpy(w->p, s.p, s.len);
	w->p += s.len;
}

#define WRITER_PUT(w, literal) writer_put(w, SPAN(literal))

static inline void writer_byte(struct writer *w, char c)
{
	writer_put(w, (struct span){&c, 1});
}

static inline void writer_number(struct writer *w, uint64_t n)
{
	char text[20];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	writer_put(w, (struct span){text + at, sizeof(text) - at});
}

/* "Name: value\r\n". */
static inline void writer_field(struct writer *w, struct span name, struct span value)
{
	writer_put(w, name);
	WRITER_PUT(w, ": ");
	writer_put(w, value);
	WRITER_PUT(w, "\r\n");
}

#endif
