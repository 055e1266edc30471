// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: where log lines go and which are wanted. Promises: a line is one write(2) and holds
 * no control byte, whatever the network put into its arguments.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE 1024 /* longer lines are cut */

static struct {
	const char *program;
	enum log_level most;
	bool to_syslog;
} out = {.program = "sluice", .most = LOG_LEVEL_INFO};

void log_init(const char *program, enum log_level most, bool to_syslog)
{
	out.program = program;
	out.most = most;
	out.to_syslog = to_syslog;
	if (to_syslog)
		openlog(program, LOG_PID, LOG_DAEMON);
}

static void line_emit(enum log_level level, const char *text)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
	char line[LOG_LINE + 64];
	int len;

	if (out.to_syslog) {
		syslog(priorities[level], "%s", text);
		return;
	}
	len = snprintf(line, sizeof(line), "%s: %s: %s\n", out.program, names[level], text);
	if (len >= (int)sizeof(line)) {
		len = sizeof(line) - 1;
		line[len - 1] = '\n';
	}
	/* A log that cannot be written has nowhere to be reported. */
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		return;
}

static void log_va(enum log_level level, const char *suffix, const char *fmt, va_list ap)
{
	int saved = errno;
	char text[LOG_LINE];
	size_t len;

	if (level > out.most)
		return;
	/* The suffix has its room, however long the line. */
	vsnprintf(text, sizeof(text) - strlen(suffix), fmt, ap);
	len = strlen(text);
	snprintf(text + len, sizeof(text) - len, "%s", suffix);
	for (char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	line_emit(level, text);
	errno = saved;
}

#define LOG_FUNCTION(name, level)                                                                  \
	void name(const char *fmt, ...)                                                            \
	{                                                                                          \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, fmt);                                                                 \
		log_va(level, "", fmt, ap);                                                        \
		va_end(ap);                                                                        \
	}

LOG_FUNCTION(log_err, LOG_LEVEL_ERR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

void log_limited(struct log_rate *rate, enum log_level level, const char *fmt, ...)
{
	/* Threads may race for a place in the second; the loser is counted as held back. */
	_Atomic long *second = (_Atomic long *)&rate->second;
	_Atomic unsigned *held = (_Atomic unsigned *)&rate->held;
	int saved = errno;
	struct timespec now;
	long last = atomic_load(second);
	unsigned before;
	char suffix[48] = "";
	va_list ap;

	clock_gettime(CLOCK_MONOTONIC, &now);
	/* +1: a zeroed struct has never logged. */
	if (last == now.tv_sec + 1 ||
	    !atomic_compare_exchange_strong(second, &last, now.tv_sec + 1)) {
		atomic_fetch_add(held, 1);
		errno = saved;
		return;
	}
	before = atomic_exchange(held, 0);
	if (before)
		snprintf(suffix, sizeof(suffix), " held_back=%u", before);
	errno = saved;
	va_start(ap, fmt);
	log_va(level, suffix, fmt, ap);
	va_end(ap);
	errno = saved;
}
