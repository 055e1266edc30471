/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regular expressions of the configuration: PCRE2, over bytes, compiled to machine code where
 * the host lets that be made. What an expression may take of a match is bounded, so that no
 * subject holds a thread up: beyond the bound a match has failed, which is not "no match".
 */
#ifndef BASE_REGEX_H
#define BASE_REGEX_H

#include <stdbool.h>

#include "base/span.h"

#define REGEX_CAPTURES 10    /* the whole match, $1 to $9 */
#define REGEX_STEPS    50000 /* of PCRE2's matcher, for one subject */

struct regex;
/* What one thread needs for matching. */
struct regex_run;

/* Whole or part of a subject. 0; -ENOMEM; -EINVAL: why[0..room) says what is wrong. */
int regex_compile(struct regex **out, const char *pattern, bool any_case, char *why, size_t room);
void regex_free(struct regex *r); /* NULL is fine */

struct regex_run *regex_run_new(void); /* or NULL */
void regex_run_free(struct regex_run *run);

enum regex_result { REGEX_NO, REGEX_YES, REGEX_FAILED };

/* With REGEX_YES each of captures (may be NULL) is a part of subject; one that took no part in
 * the match is empty. */
enum regex_result regex_match(const struct regex *r, struct regex_run *run, struct span subject,
			      struct span captures[REGEX_CAPTURES]);

#endif
