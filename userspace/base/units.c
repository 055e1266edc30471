// SPDX-License-Identifier: BSD-2-Clause
#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Digits at the start of text, at least one; *rest is what follows. */
static bool number(uint64_t *out, const char *text, const char **rest)
{
	const char *p = text;

	*out = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, (uint64_t)(*p - '0'), out))
			return false;
	}
	*rest = p;
	return p != text;
}

bool units_parse_ms(uint64_t *out_ms, const char *text)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	const char *rest;
	uint64_t n;

	if (!number(&n, text, &rest))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(rest, units[i].name) == 0)
			return !__builtin_mul_overflow(n, units[i].ms, out_ms);
	}
	return false;
}

bool units_parse_bytes(uint64_t *out, const char *text)
{
	static const struct {
		const char *name;
		unsigned shift;
	} units[] = {{"", 0}, {"k", 10}, {"m", 20}, {"g", 30}, {"t", 40}};
	const char *rest;
	uint64_t n;

	if (!number(&n, text, &rest))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcasecmp(rest, units[i].name) == 0)
			return !__builtin_mul_overflow(n, (uint64_t)1 << units[i].shift, out);
	}
	return false;
}

const char *units_format_count(uint64_t n, char buf[8])
{
	static const char letters[] = "kMGTPE";
	uint64_t unit = 1000;
	int i = 0;

	if (n < 1000) {
		snprintf(buf, 8, "%u", (unsigned)n);
		return buf;
	}
	while (n / unit >= 1000 && letters[i + 1]) {
		unit *= 1000;
		i++;
	}
	if (n / unit < 10)
		snprintf(buf, 8, "%u.%u%c", (unsigned)(n / unit),
			 (unsigned)(n % unit / (unit / 10)), letters[i]);
	else
		snprintf(buf, 8, "%u%c", (unsigned)(n / unit % 1000), letters[i]);
	return buf;
}

const char *units_format_ms(uint64_t ms, char buf[UNITS_MS])
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {{"d", 24 * 3600000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
	unsigned i = ms ? 0 : 4;

	while (ms % units[i].ms != 0)
		i++;
	snprintf(buf, UNITS_MS, "%" PRIu64 "%s", ms / units[i].ms, units[i].name);
	return buf;
}

const char *units_format_bytes(uint64_t n, char buf[16])
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned i = 0;
	uint64_t whole = n, tenth = 0;

	while (whole >= 1024 && i < 6) {
		tenth = (whole % 1024) * 10 / 1024;
		whole /= 1024;
		i++;
	}
	if (i && whole < 10)
		snprintf(buf, 16, "%u.%u %s", (unsigned)whole, (unsigned)tenth, names[i]);
	else
		snprintf(buf, 16, "%u %s", (unsigned)whole, names[i]);
	return buf;
}
