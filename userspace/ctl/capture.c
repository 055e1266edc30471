// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice capture`: sampled packets, with what the gate made of them, into a file or as
 * hex. Packets that are not dropped are sampled only while somebody asks for them; this asks, and
 * asks again until it ends.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pcapng.h"
#include "ctl/ctl.h"
#include "ctl/sample.h"
#include "l4/block.h"
#include "l4/chatter.h"
#include "l4/counters.h"
#include "l4/events.h"

#define ASK_SECONDS 5 /* how long a capture that was killed goes on */

struct capture {
	const struct gate *gate;
	uint64_t reasons; /* bits of enum sluice_reason */
	uint64_t asked;   /* of them, those that are not sampled by themselves */
	const char *path; /* NULL: text on stdout */
	FILE *out;
	uint64_t left, taken;
	bool counted, warned;
	__u32 *interfaces; /* ifindex of each that the file knows; owned */
	size_t n_interfaces;
};

static bool is_drop(unsigned reason)
{
	return strcmp(status_reasons[reason].action, "DROP") == 0;
}

/* ---- for tcpdump and Wireshark -------------------------------------------------------- */

/* Its number in the file, where it is entered when it is met first. */
static int interface_of(struct capture *c, __u32 ifindex, __u32 *number)
{
	char name[IF_NAMESIZE];
	__u32 *more;

	for (*number = 0; *number < c->n_interfaces; ++*number)
		if (c->interfaces[*number] == ifindex)
			return 0;
	more = realloc(c->interfaces, (c->n_interfaces + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	c->interfaces = more;
	c->interfaces[c->n_interfaces++] = ifindex;
	pcapng_interface(c->out, sample_interface(ifindex, name), SLUICE_EVENT_HEAD);
	return 0;
}

/* Of what is sent, the gate does not say whether by XDP_TX or by redirect. */
static uint8_t verdict_of(const char *action)
{
	return strcmp(action, "DROP") == 0 ? XDP_DROP : strcmp(action, "PASS") == 0 ? XDP_PASS : 0;
}

static int write_frame(struct capture *c, const struct sluice_event *ev)
{
	struct status_name reason = sample_reason(ev->reason);
	struct sluice_label backend;
	char comment[256];
	struct pcapng_frame frame = {
		.time_ns = sample_wall_ns(ev->time_ns),
		.head = ev->head,
		.held = ev->held < SLUICE_EVENT_HEAD ? ev->held : SLUICE_EVENT_HEAD,
		.bytes = ev->frame,
		.comment = comment,
		.xdp_verdict = verdict_of(reason.action),
	};
	int rc = interface_of(c, ev->ifindex, &frame.interface);

	snprintf(comment, sizeof(comment), "%s %s: %s%s%s", reason.action, reason.name,
		 reason.sentence, ev->backend ? "; backend " : "",
		 sample_backend(c->gate, ev->backend, &backend));
	if (rc == 0)
		pcapng_write(c->out, &frame);
	return rc;
}

/* ---- for people ----------------------------------------------------------------------- */

/* 16 bytes to a line, as tcpdump -XX has it. */
static void print_hex(FILE *out, const __u8 *bytes, __u32 n)
{
	for (__u32 line = 0; line < n; line += 16) {
		fprintf(out, "\t0x%04x: ", line);
		for (__u32 i = line; i < line + 16; i++) {
			fputs(i % 2 ? "" : " ", out);
			if (i < n)
				fprintf(out, "%02x", bytes[i]);
			else
				fputs("  ", out);
		}
		fputs("  ", out);
		for (__u32 i = line; i < line + 16 && i < n; i++)
			fputc(isprint(bytes[i]) ? bytes[i] : '.', out);
		fputc('\n', out);
	}
}

static void print_frame(struct capture *c, const struct sluice_event *ev)
{
	sample_print(c->gate, ev, c->out);
	fputc('\n', c->out);
	print_hex(c->out, ev->head, ev->held < SLUICE_EVENT_HEAD ? ev->held : SLUICE_EVENT_HEAD);
}

/* ---- capturing ------------------------------------------------------------------------ */

static int on_event(void *arg, const struct sluice_event *ev)
{
	struct capture *c = arg;
	int rc = 0;

	if (ev->reason >= 64 || !(c->reasons >> ev->reason & 1))
		return 0;
	if (!ev->held && !c->warned) {
		fputs("sluice: this kernel is locked down and lets no XDP program copy packets; "
		      "captured are times, lengths and reasons\n",
		      stderr);
		c->warned = true;
	}
	if (c->path)
		rc = write_frame(c, ev);
	else
		print_frame(c, ev);
	c->taken++;
	if (rc == 0 && c->counted && --c->left == 0)
		rc = -ECANCELED;
	return rc;
}

static int ask(const struct capture *c, struct err *e)
{
	int rc = 0;

	if (c->asked)
		rc = counters_capture(c->gate, c->asked, block_now() + ASK_SECONDS * 1000000000ULL);
	return rc ? err_set(e, -rc, "cannot ask the gate for samples: %s", strerror(-rc)) : 0;
}

static int capture_until(struct capture *c, struct events *events, int signals, struct err *e)
{
	struct pollfd fds[] = {{events_fd(events), POLLIN, 0}, {signals, POLLIN, 0}};

	for (;;) {
		int rc = events_take(events);

		if (fflush(c->out) != 0)
			return err_set(e, errno, "cannot write %s: %s",
				       c->path ? c->path : "the output", strerror(errno));
		if (rc == -ECANCELED)
			return 0;
		if (rc < 0)
			return err_set(e, -rc, "cannot follow the events: %s", strerror(-rc));
		rc = ask(c, e);
		if (rc)
			return rc;
		if (poll(fds, 2, c->asked ? 1000 : -1) < 0 && errno != EINTR)
			return err_set(e, errno, "cannot wait for events: %s", strerror(errno));
		if (fds[1].revents)
			return 0;
	}
}

static int run(struct capture *c, struct err *e)
{
	struct events *events = events_open(c->gate, on_event, c, e);
	int signals, rc;

	if (!events)
		return -errno;
	signals = ctl_signals();
	if (signals < 0)
		rc = err_set(e, errno, "cannot wait for signals: %s", strerror(errno));
	else
		rc = capture_until(c, events, signals, e);
	if (c->asked)
		counters_capture(c->gate, 0, 0);
	if (signals >= 0)
		close(signals);
	events_close(events);
	return rc;
}

/* Packets are other people's business: nobody else may read the file. */
static int open_file(struct capture *c, struct err *e)
{
	int fd;

	c->out = stdout;
	if (c->path && strcmp(c->path, "-") == 0 && isatty(STDOUT_FILENO))
		return err_set(e, EINVAL,
			       "-w - writes binary, and stdout is a terminal; `| tcpdump -r -`, or "
			       "-w FILE");
	if (c->path && strcmp(c->path, "-") != 0) {
		fd = open(c->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		c->out = fd < 0 ? NULL : fdopen(fd, "w");
		if (!c->out)
			return err_set(e, errno, "cannot write %s: %s", c->path, strerror(errno));
	}
	if (c->path)
		pcapng_begin(c->out, "sluice " SLUICE_VERSION);
	return 0;
}

static int close_file(struct capture *c, struct err *e)
{
	bool own = c->out && c->out != stdout;

	if (own && fclose(c->out) != 0)
		return err_set(e, errno, "cannot write %s: %s", c->path, strerror(errno));
	return 0;
}

static int capture(struct capture *c, struct err *e)
{
	struct err ignored;
	struct gate gate;
	int rc = gate_open(&gate, e);

	if (rc)
		return rc;
	c->gate = &gate;
	rc = open_file(c, e);
	if (rc == 0) {
		rc = run(c, e);
		if (c->path)
			fprintf(stderr, "%llu packet%s captured\n", (unsigned long long)c->taken,
				c->taken == 1 ? "" : "s");
	}
	if (rc)
		close_file(c, &ignored);
	else
		rc = close_file(c, e);
	free(c->interfaces);
	gate_close(&gate);
	return rc;
}

/* ---- the command ---------------------------------------------------------------------- */

static bool add_reason(struct capture *c, const char *name)
{
	bool all = strcmp(name, "all") == 0, known = all;

	for (unsigned i = 0; i < SLUICE_R_COUNT; i++) {
		if (!all && strcmp(name, status_reasons[i].name) != 0)
			continue;
		c->reasons |= 1ULL << i;
		known = true;
	}
	return known;
}

static void choose_reasons(struct capture *c)
{
	uint64_t drops = 0;

	for (unsigned i = 0; i < SLUICE_R_COUNT; i++)
		drops |= (uint64_t)is_drop(i) << i;
	if (!c->reasons)
		c->reasons = drops;
	c->asked = c->reasons & ~drops;
}

int ctl_capture(int argc, char **argv)
{
	static const struct option options[] = {
		{"reason", required_argument, NULL, 'r'},
		{"write", required_argument, NULL, 'w'},
		{"count", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct capture c = {0};
	struct err e;
	int opt;

	while ((opt = getopt_long(argc, argv, "r:w:c:h", options, NULL)) != -1) {
		switch (opt) {
		case 'r':
			if (!add_reason(&c, optarg))
				return ctl_usage("no such reason: %s; `sluice why --all` shows "
						 "every one",
						 optarg);
			break;
		case 'w':
			c.path = optarg;
			break;
		case 'c':
			c.counted = true;
			if (!ctl_parse_count(&c.left, optarg))
				return ctl_usage("not a number of packets: %s", optarg);
			break;
		case 'h':
			return CTL_HELP;
		default:
			return CTL_USAGE;
		}
	}
	if (optind < argc)
		return ctl_usage("unexpected word: %s", argv[optind]);
	choose_reasons(&c);
	chatter_catch();
	return capture(&c, &e) ? ctl_fail(&e) : CTL_OK;
}
