// SPDX-License-Identifier: BSD-2-Clause
#include "base/httpdate.h"

#include <time.h>

#define WORDS 6 /* weekday, day, month, year, time, zone */

static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";
static const char *const weekdays[] = {"sunday",   "monday", "tuesday", "wednesday",
				       "thursday", "friday", "saturday"};

/* Apart at spaces, commas and dashes. Returns how many, 0 when there are too many. */
static unsigned words_split(struct span text, struct span words[WORDS])
{
	unsigned n = 0;

	for (size_t i = 0; i < text.len;) {
		size_t start;

		while (i < text.len && memchr(" \t,-", text.p[i], 4))
			i++;
		for (start = i; i < text.len && !memchr(" \t,-", text.p[i], 4);)
			i++;
		if (i == start)
			break;
		if (n == WORDS)
			return 0;
		words[n++] = (struct span){text.p + start, i - start};
	}
	return n;
}

static bool is_weekday(struct span w)
{
	for (unsigned i = 0; i < 7; i++) {
		struct span name = {weekdays[i], strlen(weekdays[i])};

		if (span_equal_nocase(w, name) || span_equal_nocase(w, (struct span){name.p, 3}))
			return true;
	}
	return false;
}

/* 1 to 12, or 0. */
static unsigned month_of(struct span w)
{
	for (unsigned i = 0; w.len == 3 && i < 12; i++)
		if (strncasecmp(w.p, months + (size_t)3 * i, 3) == 0)
			return i + 1;
	return 0;
}

/* Of least to most digits; -1 = it is no such number. */
static int number_of(struct span w, size_t least, size_t most)
{
	int n = 0;

	if (w.len < least || w.len > most)
		return -1;
	for (size_t i = 0; i < w.len; i++) {
		if (w.p[i] < '0' || w.p[i] > '9')
			return -1;
		n = n * 10 + (w.p[i] - '0');
	}
	return n;
}

/* Seconds of the day of "2:01:18", or -1. */
static int time_of(struct span w)
{
	size_t hour = w.len == 7 ? 1 : 2;
	int h, m, s;

	if (w.len < 7 || w.len > 8 || w.p[hour] != ':' || w.p[hour + 3] != ':')
		return -1;
	h = number_of((struct span){w.p, hour}, 1, 2);
	m = number_of((struct span){w.p + hour + 1, 2}, 2, 2);
	s = number_of((struct span){w.p + hour + 4, 2}, 2, 2);
	if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60)
		return -1;
	return (h * 60 + m) * 60 + s;
}

/* Days since 1970-01-01 in the Gregorian calendar; years that begin in March put the leap day
 * last. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t m = month <= 2 ? month + 9 : month - 3;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int month_days(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month == 2 && leap ? 29 : days[month - 1];
}

static int year_of(struct span w, int64_t now)
{
	int this_year = (int)(1970 + now / 31556952), year;

	if (w.len != 2)
		return number_of(w, 4, 4);
	year = number_of(w, 2, 2);
	if (year < 0)
		return -1;
	year += this_year - this_year % 100;
	return year > this_year + 50 ? year - 100 : year;
}

bool httpdate_parse(int64_t *out, struct span text, int64_t now)
{
	struct span w[WORDS];
	unsigned n = words_split(text, w);
	bool asctime = n == 5 && month_of(w[1]);
	int day, month, year, seconds;

	if (n < 5 || !is_weekday(w[0]))
		return false;
	if (!asctime && (n != 6 || !(span_equal_nocase(w[5], SPAN("GMT")) ||
				     span_equal_nocase(w[5], SPAN("UTC")))))
		return false;
	day = number_of(asctime ? w[2] : w[1], 1, 2);
	month = (int)month_of(asctime ? w[1] : w[2]);
	year = asctime ? number_of(w[4], 4, 4) : year_of(w[3], now);
	seconds = time_of(asctime ? w[3] : w[4]);
	if (month == 0 || year < 0 || day < 1 || day > month_days(year, month) || seconds < 0)
		return false;
	*out = days_of(year, month, day) * 86400 + seconds;
	return true;
}

struct span httpdate_format(int64_t seconds, char text[HTTPDATE_TEXT])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || tm.tm_year < 0 || tm.tm_year > 9999 - 1900)
		return SPAN("");
	/* The C locale is never left, so the names are those of the RFC. */
	return (struct span){text, strftime(text, HTTPDATE_TEXT, "%a, %d %b %Y %H:%M:%S GMT", &tm)};
}
