// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice events`: the event ring, followed until interrupted. Waiting costs nothing; the
 * kernel wakes the reader.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/sample.h"
#include "l4/chatter.h"
#include "l4/events.h"

struct follow {
	const struct gate *gate;
	uint64_t left; /* events until the end; counts down only if `counted` */
	bool counted, json;
};

static int print_json(const struct follow *f, const struct sluice_event *ev)
{
	json_t *o = sample_json(f->gate, ev);
	int rc = 0;

	if (!o || json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER) != 0)
		rc = -ENOMEM;
	json_decref(o);
	return rc;
}

static int on_event(void *arg, const struct sluice_event *ev)
{
	struct follow *f = arg;
	int rc = 0;

	if (f->json)
		rc = print_json(f, ev);
	else
		sample_print(f->gate, ev, stdout);
	putchar('\n');
	if (rc == 0 && f->counted && --f->left == 0)
		rc = -ECANCELED;
	return rc;
}

static int follow_until(struct events *events, int signals, struct err *e)
{
	struct pollfd fds[] = {{events_fd(events), POLLIN, 0}, {signals, POLLIN, 0}};

	for (;;) {
		int rc = events_take(events);

		if (fflush(stdout) != 0)
			return err_set(e, errno, "cannot write the output: %s", strerror(errno));
		if (rc == -ECANCELED)
			return 0;
		if (rc < 0)
			return err_set(e, -rc, "cannot follow the events: %s", strerror(-rc));
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return err_set(e, errno, "cannot wait for events: %s", strerror(errno));
		if (fds[1].revents)
			return 0;
	}
}

static int follow(struct follow *f, struct err *e)
{
	struct events *events = events_open(f->gate, on_event, f, e);
	int signals, rc;

	if (!events)
		return -errno;
	signals = ctl_signals();
	if (signals < 0)
		rc = err_set(e, errno, "cannot wait for signals: %s", strerror(errno));
	else
		rc = follow_until(events, signals, e);
	if (signals >= 0)
		close(signals);
	events_close(events);
	return rc;
}

int ctl_events(int argc, char **argv)
{
	static const struct option options[] = {
		{"count", required_argument, NULL, 'n'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct follow f = {0};
	struct gate gate;
	struct err e;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "n:jh", options, NULL)) != -1) {
		switch (opt) {
		case 'n':
			f.counted = true;
			if (!ctl_parse_count(&f.left, optarg))
				return ctl_usage("not a number of events: %s", optarg);
			break;
		case 'j':
			f.json = true;
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
	rc = gate_open(&gate, &e);
	if (rc)
		return ctl_fail(&e);
	f.gate = &gate;
	rc = follow(&f, &e);
	gate_close(&gate);
	return rc ? ctl_fail(&e) : CTL_OK;
}
