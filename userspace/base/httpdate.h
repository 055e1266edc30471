/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dates of HTTP (RFC 9110 section 5.6.7) as seconds since 1970: IMF-fixdate, RFC 850 and
 * asctime(3), and what servers make of them: other letter case, no comma, more spaces, dashes,
 * an hour of one digit, UTC for GMT. No other time zone, and nothing that is no day. Pure.
 */
#ifndef BASE_HTTPDATE_H
#define BASE_HTTPDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* now: for a year of two digits, which is never more than 50 years ahead. */
bool httpdate_parse(int64_t *out, struct span text, int64_t now);

#define HTTPDATE_TEXT 40
/* IMF-fixdate: "Sun, 06 Nov 1994 08:49:37 GMT". Empty for a year that has not four digits. */
struct span httpdate_format(int64_t seconds, char text[HTTPDATE_TEXT]);

#endif
