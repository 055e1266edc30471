/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line per event, `level: message key=value`, to stderr or syslog. Every call keeps
 * errno. Safe from any thread; a line is one write(2).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* program is borrowed for the process's life; syslog replaces stderr when asked. */
void log_init(const char *program, enum log_level most, bool to_syslog);

void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * For lines that the network can trigger: at most one per second for each `struct
 * log_rate` (one static per place); the next line tells how many were held back.
 */
struct log_rate {
	long second;
	unsigned held;
};
void log_limited(struct log_rate *rate, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
