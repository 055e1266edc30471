// SPDX-License-Identifier: BSD-2-Clause
/*
 * Bound: the last CHATTER_BYTES are kept; a verifier log is longest, and its end is what
 * explains a refusal.
 */
#include "l4/chatter.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#define CHATTER_BYTES 16384
#define CHATTER_LINES 16 /* shown by chatter_print */

static char said[CHATTER_BYTES + 1];
static size_t said_len;

static void keep(const char *text, size_t len)
{
	if (len > CHATTER_BYTES) {
		text += len - CHATTER_BYTES;
		len = CHATTER_BYTES;
	}
	if (said_len + len > CHATTER_BYTES) {
		size_t drop = said_len + len - CHATTER_BYTES;

		memmove(said, said + drop, said_len - drop);
		said_len -= drop;
	}
	memcpy(said + said_len, text, len);
	said_len += len;
	said[said_len] = '\0';
}

static int hear(int is_debug, const char *fmt, va_list ap)
{
	char *line;
	int len;

	if (is_debug && !getenv("SLUICE_DEBUG"))
		return 0;
	len = vasprintf(&line, fmt, ap);
	if (len < 0)
		return 0;
	if (getenv("SLUICE_DEBUG"))
		fputs(line, stderr);
	if (!is_debug)
		keep(line, (size_t)len);
	free(line);
	return len;
}

static int hear_libbpf(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return hear(level == LIBBPF_DEBUG, fmt, ap);
}

static int hear_libxdp(enum libxdp_print_level level, const char *fmt, va_list ap)
{
	return hear(level == LIBXDP_DEBUG, fmt, ap);
}

void chatter_catch(void)
{
	libbpf_set_print(hear_libbpf);
	libxdp_set_print(hear_libxdp);
}

void chatter_clear(void)
{
	said_len = 0;
	said[0] = '\0';
}

const char *chatter_after(const char *needle, char *buf, size_t size)
{
	const char *last = NULL, *hit = said;
	size_t len;

	while ((hit = strstr(hit, needle)) != NULL) {
		hit += strlen(needle);
		last = hit;
	}
	if (!last)
		return NULL;
	len = strcspn(last, "\n");
	if (len >= size)
		len = size - 1;
	memcpy(buf, last, len);
	buf[len] = '\0';
	return buf;
}

void chatter_print(FILE *out)
{
	const char *start = said + said_len;
	int lines = 0;

	while (start > said) {
		if (start[-1] == '\n' && start != said + said_len && ++lines == CHATTER_LINES)
			break;
		start--;
	}
	while (*start) {
		size_t len = strcspn(start, "\n");

		fprintf(out, "  | %.*s\n", (int)len, start);
		start += len + (start[len] == '\n');
	}
}
