/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One spelling for each request target, so that what a rule decides about is what a backend
 * gets (RFC 3986 section 6.2.2). Pure: bytes into the caller's buffer.
 *
 * In the path, `%41` becomes `A` where the letter is unreserved, other escapes have upper case
 * digits, segments `.` and `..` (however they are escaped) are gone, empty segments too if that
 * is asked for. `%2F` stays what it is: a byte within a segment. The query is left alone.
 * Refused: `%00`, an escape without two digits, a backslash, which some servers take for a slash.
 */
#ifndef BASE_TARGET_H
#define BASE_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* Room that the result may need. */
#define TARGET_ROOM(len) ((len) + 1)

/* How much of target, "/path?query", is its path. */
size_t target_path(struct span target);

/*
 * target: "/...", "?..." or nothing (then its path becomes "/"), or "*", which stays. Bytes are
 * those of SCAN_TARGET. *out is target itself where it is normal already, else it is in buf of
 * TARGET_ROOM(target.len) bytes. False: it is refused.
 */
bool target_normalise(struct span *out, struct span target, bool merge_slashes, char *buf);

/* Bytes of a normal path with all escapes undone, into buf of path.len bytes; they are not a
 * target any more. False when a slash or NUL would be among them that was none before. */
bool target_decode(struct span *out, struct span path, char *buf);

#endif
