// SPDX-License-Identifier: BSD-2-Clause
#include "l7/trace.h"

#define PARENT (3 + TRACE_ID + 1)
#define FLAGS  (PARENT + TRACE_PARENT + 1)

/* n of them in small letters. */
static bool is_hex(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
			return false;
	return true;
}

static bool is_zero(const char *p, size_t n)
{
	while (n && *p == '0')
		p++, n--;
	return n == 0;
}

/* A later version may say more behind what this one knows. */
static bool is_sound(struct span v)
{
	const char *p = v.p;

	if (v.len < TRACE_LEN || !is_hex(p, 2) || memcmp(p, "ff", 2) == 0)
		return false;
	if (v.len > TRACE_LEN && (memcmp(p, "00", 2) == 0 || p[TRACE_LEN] != '-'))
		return false;
	return p[2] == '-' && is_hex(p + 3, TRACE_ID) && !is_zero(p + 3, TRACE_ID) &&
	       p[PARENT - 1] == '-' && is_hex(p + PARENT, TRACE_PARENT) &&
	       !is_zero(p + PARENT, TRACE_PARENT) && p[FLAGS - 1] == '-' && is_hex(p + FLAGS, 2);
}

bool trace_take(char out[TRACE_LEN], const struct http1_head *h)
{
	const struct http1_field *found = NULL;

	for (unsigned i = 0; i < h->n_fields; i++) {
		if (h->fields[i].id != HTTP1_F_TRACEPARENT)
			continue;
		if (found)
			return false;
		found = &h->fields[i];
	}
	if (!found || !is_sound(found->value))
		return false;
	memcpy(out, found->value.p, TRACE_LEN);
	/* Of the flags this version knows one, the last bit. */
	memcpy(out, "00", 2);
	out[FLAGS] = '0';
	out[FLAGS + 1] = memchr("13579bdf", out[FLAGS + 1], 8) ? '1' : '0';
	return true;
}

void trace_begin(char out[TRACE_LEN], const char *digits)
{
	memcpy(out, "00-", 3);
	memcpy(out + 3, digits, TRACE_ID);
	out[PARENT - 1] = out[FLAGS - 1] = '-';
	memcpy(out + FLAGS, "01", 2);
}

void trace_parent_set(char trace[TRACE_LEN], const char *digits)
{
	memcpy(trace + PARENT, digits, TRACE_PARENT);
}

struct span trace_id(const char trace[TRACE_LEN])
{
	return trace[0] ? (struct span){trace + 3, TRACE_ID} : SPAN("");
}
