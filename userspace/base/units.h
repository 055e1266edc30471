/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What people type and read: durations ("250ms", "5s", "10m", "2h", "7d"), sizes ("16k",
 * "1m", "2g": powers of 1024) and counts in human units. A bare number is refused for a
 * duration (which unit?) and means bytes for a size. Overflow is refused.
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

bool units_parse_ms(uint64_t *out_ms, const char *text);
bool units_parse_bytes(uint64_t *out, const char *text);
/* "30s", "90m", "250ms": exact; returns buf. */
#define UNITS_MS 24
const char *units_format_ms(uint64_t ms, char buf[UNITS_MS]);
/* "1.2M", "845", "3.4k": at most 8 bytes with the NUL; returns buf. */
const char *units_format_count(uint64_t n, char buf[8]);
/* "12 MiB", "845 B"; at most 16 bytes; returns buf. */
const char *units_format_bytes(uint64_t n, char buf[16]);

#endif
