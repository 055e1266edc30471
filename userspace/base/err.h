/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A message for the person at the keyboard, filled where the cause is known and printed
 * once, by main. Functions that take one return 0 or -errno and fill it on failure with
 * what is wrong and what would mend it.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
	char text[512];
};

/* Fills e (which may be NULL) and returns -errnum; errnum is positive. */
int err_set(struct err *e, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
