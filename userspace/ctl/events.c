// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice events`: the event ring, followed until interrupted. The ring has one reader:
 * a second one takes events that the first then misses. Waiting costs nothing; the kernel
 * wakes the reader.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <jansson.h>

#include "ctl/ctl.h"
#include "ctl/status.h"
#include "l4/block.h"
#include "l4/chatter.h"

struct follow {
	const struct gate *gate;
	uint64_t left; /* events until the end; counts down only if `counted` */
	bool counted, json;
};

/* ---- one event ------------------------------------------------------------------------ */

/* As a clock on the wall shows it; the gate counts from boot. */
static void wall_time(__u64 boot_ns, bool utc, char *buf, size_t size)
{
	struct timespec now;
	struct tm tm;
	__u64 ns;
	time_t s;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	ns = (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec - block_now() + boot_ns;
	s = (time_t)(ns / 1000000000);
	if (utc)
		gmtime_r(&s, &tm);
	else
		localtime_r(&s, &tm);
	len = strftime(buf, size, utc ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &tm);
	snprintf(buf + len, size - len, ".%06u%s", (unsigned)(ns % 1000000000 / 1000),
		 utc ? "Z" : "");
}

static const char *proto_text(__u8 proto, char buf[8])
{
	if (proto_name(proto))
		return proto_name(proto);
	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		return proto == IPPROTO_ICMP ? "icmp" : "icmp6";
	snprintf(buf, 8, "%u", proto);
	return buf;
}

static const char *backend_name(const struct follow *f, __u32 id, struct sluice_label *label)
{
	*label = (struct sluice_label){0};
	if (id)
		bpf_map_lookup_elem(f->gate->backend_labels, &id, label);
	label->name[SLUICE_NAME - 1] = '\0';
	return label->name;
}

/* A newer gate may have more reasons than this program knows. */
static struct status_name reason_of(__u32 reason)
{
	static const struct status_name unknown = {"unknown", "?", ""};

	return reason < SLUICE_R_COUNT ? status_reasons[reason] : unknown;
}

/* What a packet was dropped before: without a port there is no ":0". */
static const char *end_text(const struct sluice_addr *addr, __be16 port, char buf[ENDPOINT_TEXT])
{
	struct endpoint ep = {*addr, ntohs(port)};

	return port ? endpoint_format(&ep, buf) : addr_format(addr, buf);
}

static void print_human(const struct follow *f, const struct sluice_event *ev, const char *ifname)
{
	char time[48], from[ENDPOINT_TEXT], to[ENDPOINT_TEXT], proto[8];
	struct status_name reason = reason_of(ev->reason);
	struct sluice_label label;
	const char *backend = backend_name(f, ev->backend, &label);

	wall_time(ev->time_ns, false, time, sizeof(time));
	printf("%s %s %s %s %s -> %s", time, ifname, reason.action, reason.name,
	       end_text(&ev->flow.src, ev->flow.sport, from),
	       end_text(&ev->flow.dst, ev->flow.dport, to));
	if (ev->flow.proto)
		printf("/%s", proto_text(ev->flow.proto, proto));
	printf(" %u bytes%s%s\n", ev->bytes, ev->backend ? " backend " : "", backend);
}

static int print_json(const struct follow *f, const struct sluice_event *ev, const char *ifname)
{
	char time[48], from[ADDR_TEXT], to[ADDR_TEXT], proto[8];
	struct status_name reason = reason_of(ev->reason);
	struct sluice_label label;
	json_t *o;

	wall_time(ev->time_ns, true, time, sizeof(time));
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:s, s:i, s:s, s:i}", "time", time,
		      "interface", ifname, "action", reason.action, "reason", reason.name, "source",
		      addr_format(&ev->flow.src, from), "source_port", ntohs(ev->flow.sport),
		      "destination", addr_format(&ev->flow.dst, to), "destination_port",
		      ntohs(ev->flow.dport), "proto", proto_text(ev->flow.proto, proto), "bytes",
		      (int)ev->bytes, "backend", backend_name(f, ev->backend, &label), "backend_id",
		      (int)ev->backend);
	if (!o || json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER) != 0)
		return -ENOMEM;
	putchar('\n');
	json_decref(o);
	return 0;
}

/* Called by libbpf for each record; anything but 0 ends the round. */
static int on_event(void *arg, void *data, size_t size)
{
	struct follow *f = arg;
	const struct sluice_event *ev = data;
	char ifname[IF_NAMESIZE];
	int rc = 0;

	if (size < sizeof(*ev))
		return 0;
	/* The interface may be gone, or in another network namespace. */
	if (!if_indextoname(ev->ifindex, ifname))
		snprintf(ifname, sizeof(ifname), "if%u", ev->ifindex);
	if (f->json)
		rc = print_json(f, ev, ifname);
	else
		print_human(f, ev, ifname);
	if (rc == 0 && f->counted && --f->left == 0)
		rc = -ECANCELED;
	return rc;
}

/* ---- following ------------------------------------------------------------------------ */

/* SIGINT and SIGTERM as something to poll for: no moment in which one could be missed. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int follow_until(struct ring_buffer *ring, int signals, struct err *e)
{
	struct pollfd fds[] = {{ring_buffer__epoll_fd(ring), POLLIN, 0}, {signals, POLLIN, 0}};

	for (;;) {
		int rc = ring_buffer__consume(ring);

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
	struct ring_buffer *ring = ring_buffer__new(f->gate->events, on_event, f, NULL);
	int signals = open_signals(), rc;

	if (!ring || signals < 0)
		rc = err_set(e, errno, "cannot open the event ring: %s", strerror(errno));
	else
		rc = follow_until(ring, signals, e);
	if (signals >= 0)
		close(signals);
	ring_buffer__free(ring);
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
