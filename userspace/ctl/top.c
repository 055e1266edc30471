// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice top`: two readings of the counters and what lies between them, again and again.
 * Excludes: how it looks (top_print.c).
 * Cost: 84 KB read for each CPU and interval; the gate does nothing more than it does anyway.
 */
#include "ctl/top.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/addr.h"
#include "ctl/ctl.h"
#include "l4/chatter.h"
#include "l4/events.h"

struct looker {
	const struct gate *gate;
	struct top *top;
	struct events *events; /* NULL: another process reads them */
	int signals;
	uint64_t interval_ns, left; /* left: snapshots; counts down only if `counted` */
	bool counted, json;
};

/* ---- what an interval holds ----------------------------------------------------------- */

static double per_second(const struct top *t, uint64_t before, uint64_t now)
{
	return (double)(now >= before ? now - before : now) / t->seconds;
}

struct top_rate top_rate(const struct top *t, const struct sluice_count *before,
			 const struct sluice_count *now)
{
	return (struct top_rate){
		.packets = per_second(t, before->packets, now->packets),
		.bits = 8 * per_second(t, before->bytes, now->bytes),
	};
}

double top_notice_rate(const struct top *t, unsigned notice)
{
	return per_second(t, t->before.notices[notice], t->now.notices[notice]);
}

struct top_rate top_rate_of(const struct top *t, const char *action)
{
	struct top_rate sum = {0};

	for (unsigned i = 0; i < SLUICE_R_COUNT; i++) {
		struct top_rate r = top_rate(t, &t->before.reasons[i], &t->now.reasons[i]);

		if (action && strcmp(status_reasons[i].action, action) != 0)
			continue;
		sum.packets += r.packets;
		sum.bits += r.bits;
	}
	return sum;
}

static int compare_sources(const void *a, const void *b)
{
	const struct top_source *x = a, *y = b;

	if (x->samples != y->samples)
		return x->samples > y->samples ? -1 : 1;
	return memcmp(&x->addr, &y->addr, sizeof(x->addr));
}

size_t top_busiest(const struct top *t, struct top_source *out)
{
	static struct top_source sorted[TOP_SOURCES];
	size_t n = 0;

	memcpy(sorted, t->sources, sizeof(sorted));
	qsort(sorted, TOP_SOURCES, sizeof(*sorted), compare_sources);
	while (n < TOP_SHOWN && sorted[n].samples) {
		out[n] = sorted[n];
		n++;
	}
	return n;
}

/* Its place, or a free one, among the few that its address allows; NULL: none. */
static struct top_source *place_of(struct top *t, const struct sluice_addr *addr)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (int i = 0; i < 16; i++)
		hash = (hash ^ addr->b[i]) * 16777619U;
	for (unsigned i = 0; i < 16; i++) {
		struct top_source *s = &t->sources[(hash + i) % TOP_SOURCES];

		if (s->samples == 0 || addr_equal(&s->addr, addr))
			return s;
	}
	return NULL;
}

static int on_event(void *arg, const struct sluice_event *ev)
{
	struct top *t = arg;
	struct top_source *s = place_of(t, &ev->flow.src);

	t->samples++;
	if (!s) {
		t->unnamed++;
		return 0;
	}
	s->addr = ev->flow.src;
	s->reason = ev->reason;
	s->samples++;
	return 0;
}

static void forget_sources(struct top *t)
{
	memset(t->sources, 0, sizeof(t->sources));
	t->samples = t->unnamed = 0;
}

/* ---- looking again and again ---------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Listens to events until then. 1 = interrupted, 0 or -errno. */
static int wait_until(struct looker *l, uint64_t end, struct err *e)
{
	struct pollfd fds[] = {{l->signals, POLLIN, 0},
			       {l->events ? events_fd(l->events) : -1, POLLIN, 0}};

	for (;;) {
		uint64_t now = now_ns();
		int rc;

		if (now >= end)
			return 0;
		rc = poll(fds, 2, (int)((end - now) / 1000000 + 1));
		if (rc < 0 && errno != EINTR)
			return err_set(e, errno, "cannot wait: %s", strerror(errno));
		if (fds[0].revents)
			return 1;
		rc = l->events ? events_take(l->events) : 0;
		if (rc)
			return err_set(e, -rc, "cannot follow the events: %s", strerror(-rc));
	}
}

/* A terminal shows as many lines as it has, each time from its top. */
static void show_on_terminal(const char *text)
{
	struct winsize size = {0};
	unsigned left;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	left = size.ws_row ? size.ws_row - 1U : UINT32_MAX;
	fputs("\033[H", stdout);
	while (*text && left--) {
		size_t n = strcspn(text, "\n");

		printf("%.*s\033[K\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
	fputs("\033[J", stdout);
}

static int show(struct looker *l, bool first)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int rc = 0;

	if (!out)
		return -ENOMEM;
	if (l->json)
		rc = top_print_json(l->top, out);
	else
		top_print(l->top, out);
	if (fclose(out) != 0)
		rc = -ENOMEM;
	if (rc == 0 && !l->json && isatty(STDOUT_FILENO))
		show_on_terminal(text);
	else if (rc == 0)
		printf("%s%s", first || l->json ? "" : "\n", text);
	free(text);
	return rc ? rc : fflush(stdout) ? -errno : 0;
}

static int look(struct looker *l, struct err *e)
{
	struct top *t = l->top;
	uint64_t from = now_ns(), to;
	int rc = counters_read(l->gate, &t->before, e);

	if (rc == 0 && l->events)
		events_take(l->events); /* those of the time before */
	forget_sources(t);
	for (bool first = true; rc == 0 && (!l->counted || l->left); first = false) {
		rc = wait_until(l, from + l->interval_ns, e);
		if (rc)
			break;
		to = now_ns();
		rc = counters_read(l->gate, &t->now, e);
		rc = rc ? rc : names_read(l->gate, &t->names, e);
		if (rc)
			break;
		t->seconds = (double)(to - from) / 1e9;
		rc = show(l, first);
		if (rc)
			return err_set(e, -rc, "cannot write the output: %s", strerror(-rc));
		forget_sources(t);
		t->before = t->now;
		from = to;
		l->left -= l->counted;
	}
	return rc > 0 ? 0 : rc;
}

static int top(struct looker *l, struct err *e)
{
	static struct top t; /* 400 KB */
	struct gate gate;
	int rc = gate_open(&gate, e);

	if (rc)
		return rc;
	l->gate = &gate;
	l->top = &t;
	l->signals = ctl_signals();
	l->events = events_open(&gate, on_event, &t, e);
	t.hears = l->events;
	if (l->signals < 0)
		rc = err_set(e, errno, "cannot wait for signals: %s", strerror(errno));
	else if (!l->events && errno != EBUSY)
		rc = -errno;
	else
		rc = look(l, e);
	events_close(l->events);
	if (l->signals >= 0)
		close(l->signals);
	gate_close(&gate);
	return rc;
}

/* ---- the command ---------------------------------------------------------------------- */

static bool parse_seconds(uint64_t *ns, const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !(s >= 0.1 && s <= 3600))
		return false;
	*ns = (uint64_t)(s * 1e9);
	return true;
}

int ctl_top(int argc, char **argv)
{
	static const struct option options[] = {
		{"interval", required_argument, NULL, 'i'},
		{"count", required_argument, NULL, 'n'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct looker l = {.interval_ns = 1000000000};
	struct err e;
	int opt;

	while ((opt = getopt_long(argc, argv, "i:n:jh", options, NULL)) != -1) {
		switch (opt) {
		case 'i':
			if (!parse_seconds(&l.interval_ns, optarg))
				return ctl_usage("no interval: %s; seconds, from 0.1 to 3600",
						 optarg);
			break;
		case 'n':
			l.counted = true;
			if (!ctl_parse_count(&l.left, optarg))
				return ctl_usage("not a number of times: %s", optarg);
			break;
		case 'j':
			l.json = true;
			break;
		case 'h':
			return CTL_HELP;
		default:
			return CTL_USAGE;
		}
	}
	if (optind < argc)
		return ctl_usage("unexpected word: %s", argv[optind]);
	chatter_catch();
	return top(&l, &e) ? ctl_fail(&e) : CTL_OK;
}
