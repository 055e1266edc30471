// SPDX-License-Identifier: BSD-2-Clause
#include "base/host_name.h"

#include <ctype.h>
#include <string.h>

#define LABEL_MAX 63

static bool is_label(const char *text, size_t len)
{
	if (len == 0 || len > LABEL_MAX || text[0] == '-' || text[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-' && text[i] != '_')
			return false;
	return true;
}

/* The last label is no number, of whatever base: what looks like an address is none (WHATWG URL,
 * "ends in a number"). */
static bool is_number(const char *text, size_t len)
{
	bool hex = len >= 2 && text[0] == '0' && (text[1] | 0x20) == 'x';

	for (size_t i = hex ? 2 : 0; i < len; i++)
		if (hex ? !isxdigit((unsigned char)text[i]) : !isdigit((unsigned char)text[i]))
			return false;
	return true;
}

bool host_is_name(const char *text, size_t len)
{
	const char *end, *dot;

	if (len && text[len - 1] == '.')
		len--;
	if (len == 0 || len >= HOST_NAME_BYTES)
		return false;
	end = text + len;
	while ((dot = memchr(text, '.', (size_t)(end - text)))) {
		if (!is_label(text, (size_t)(dot - text)))
			return false;
		text = dot + 1;
	}
	return is_label(text, (size_t)(end - text)) && !is_number(text, (size_t)(end - text));
}
