// SPDX-License-Identifier: BSD-2-Clause
/*
 * The command line. One table row per subcommand; a row is everything there is to know
 * about it here: its name, its function, its line in the list and its usage.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;  /* one line of the list */
	const char *usage; /* first line: arguments; further lines: options */
};

static const struct command commands[] = {
	{"attach", ctl_attach, "put the gate on a network interface",
	 "[IFACE...] [-c FILE] [--mode native|generic|auto] [--priority N]\n"
	 "  -c, --config FILE    the configuration; its services are applied too. Without\n"
	 "                       IFACE, its interfaces are attached\n"
	 "  -m, --mode MODE      native (in the driver), generic (slower, any driver), or\n"
	 "                       auto: native, else generic with a warning\n"
	 "  -p, --priority N     place among other XDP programs, lowest first (50)\n"},
	{"detach", ctl_detach, "take it off again; other XDP programs stay",
	 "IFACE... | --all [--keep-maps]\n"
	 "  -a, --all            every interface, and the maps even if none is attached\n"
	 "  -k, --keep-maps      keep maps (blocklists, services) when the last one goes\n"},
	{"status", ctl_status, "interfaces, services, backends, counters",
	 "[--json] [-i IFACE]\n"
	 "  -j, --json           for programs: exact numbers, stable names\n"
	 "  -i, --interface I    only this interface's line\n"},
	{"health", ctl_health, "backends as the daemon's checks find them",
	 "[--json] [--state DIR]\n"
	 "  -j, --json           for programs: exact numbers, stable names\n"
	 "  -s, --state DIR      where the daemon keeps it (/run/sluice)\n"},
	{"cache", ctl_cache, "what caches of the daemon hold and count",
	 "stat [--json] [--state DIR]\n"
	 "  -j, --json           for programs: exact numbers, stable names\n"
	 "  -s, --state DIR      where the daemon keeps it (/run/sluice)\n"},
	{"apply", ctl_apply, "bring a running gate to what a file says",
	 "-c FILE [--dry-run]\n"
	 "  -c, --config FILE    the configuration\n"
	 "  -n, --dry-run        print what would change, change nothing\n"},
	{"check", ctl_check, "read a configuration and report its mistakes",
	 "-c FILE [--backends]\n"
	 "  -c, --config FILE    the configuration\n"
	 "  -b, --backends       print what hosts behind its l4 services must run\n"},
	{"block", ctl_block, "the blocklist: add, del, list, import, feeds, flush",
	 "add CIDR... [--ttl TIME] [--reason NAME] [--force]\n"
	 "       sluice block del CIDR...\n"
	 "       sluice block list [--name FEED] [--json]\n"
	 "       sluice block import [--name FEED] FILE... [--watch] [--skip-bad] [--force]\n"
	 "       sluice block import FILE... [--ttl TIME] [--reason NAME] [--skip-bad] [--force]\n"
	 "       sluice block feeds [--json]\n"
	 "       sluice block flush [--expired] [--reason NAME] [--yes]\n"
	 "       sluice block flush --name FEED\n"
	 "  -t, --ttl TIME       until then: 30s, 10m, 2h, 7d; without it, forever\n"
	 "  -r, --reason NAME    manual, abuse, scan, flood, feed or daemon; flush: only these\n"
	 "  -n, --name FEED      import: the files are this feed from now on, whatever it was;\n"
	 "                       list, flush: all of this feed\n"
	 "  -w, --watch          import again whenever a file changes, until Ctrl-C\n"
	 "  -f, --force          even if it blocks your own SSH session or the default gateway\n"
	 "  -s, --skip-bad       import: leave wrong lines out instead of importing nothing\n"
	 "  -e, --expired        flush: only entries whose time is over\n"
	 "  -y, --yes            flush: do not ask\n"
	 "  -j, --json           list, feeds: for programs\n"},
	{"allow", ctl_allow, "the allow list, which always wins: add, del, list",
	 "add CIDR... [--ttl TIME] [--reason NAME]\n"
	 "       sluice allow del CIDR...\n"
	 "       sluice allow list [--json]\n"
	 "  -t, --ttl TIME       until then: 30s, 10m, 2h, 7d; without it, forever\n"
	 "  -r, --reason NAME    manual, abuse, scan, flood, feed or daemon\n"
	 "  -j, --json           list: for programs\n"},
	{"backend", ctl_backend, "weights of backends: list, drain, enable, weight",
	 "list [SERVICE] [--json]\n"
	 "       sluice backend drain SERVICE/BACKEND\n"
	 "       sluice backend enable SERVICE/BACKEND\n"
	 "       sluice backend weight SERVICE/BACKEND N\n"
	 "  drain                no new flows; those it has stay, and are counted\n"
	 "  enable               the weight that the file gives it\n"
	 "  -j, --json           list: for programs\n"},
	{"flow", ctl_flow, "which backend a flow takes, and why",
	 "SRC:PORT VIP:PORT[/tcp|udp] [--json]\n"
	 "  -j, --json           for programs\n"},
	{"flows", ctl_flows, "the flows in the connection table",
	 "[--service NAME] [--backend NAME] [--top N] [--json]\n"
	 "  -s, --service NAME   of this service alone\n"
	 "  -b, --backend NAME   of this backend alone; BACKEND or SERVICE/BACKEND\n"
	 "  -t, --top N          the sources that have most of them\n"
	 "  -j, --json           for programs\n"},
	{"why", ctl_why, "every reason to pass, drop or forward, with its count",
	 "[REASON] [--all] [--json]\n"
	 "       sluice why ADDRESS [--json]\n"
	 "  ADDRESS              is this source within the limits of services\n"
	 "  -a, --all            those that never happened, too\n"
	 "  -j, --json           for programs: exact numbers\n"},
	{"top", ctl_top, "packets and bits in a second, by reason, service and source",
	 "[-i SECONDS] [-n COUNT] [--json]\n"
	 "  -i, --interval S     seconds between two looks (1)\n"
	 "  -n, --count N        end after so many; without it, on Ctrl-C\n"
	 "  -j, --json           one object on each line\n"},
	{"events", ctl_events, "sampled dropped packets, as they happen",
	 "[--count N] [--json]\n"
	 "  -n, --count N        end after so many; without it, on Ctrl-C\n"
	 "  -j, --json           one object on each line\n"},
	{"capture", ctl_capture, "sampled packets with their verdict, for tcpdump and Wireshark",
	 "[--reason NAME]... [-w FILE] [--count N]\n"
	 "  -r, --reason NAME    these reasons alone, also of packets that are not dropped;\n"
	 "                       `all`: every one. Without it, every reason to drop\n"
	 "  -w, --write FILE     pcapng; `-` for stdout. Without it, in hex on the terminal\n"
	 "  -c, --count N        end after so many; without it, on Ctrl-C\n"},
	{"version", ctl_version, "this program, its libraries and the kernel", "\n"},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_list(FILE *out)
{
	fputs("usage: sluice COMMAND ...     (sluice COMMAND --help tells more)\n\n", out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
}

static void print_usage(FILE *out, const struct command *c)
{
	fprintf(out, "usage: sluice %s %s", c->name, c->usage);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int run_command(const struct command *c, int argc, char **argv)
{
	int status = c->run(argc, argv);

	if (status == CTL_USAGE)
		print_usage(stderr, c);
	if (status == CTL_HELP) {
		print_usage(stdout, c);
		status = CTL_OK;
	}
	/* A full disk or a closed pipe behind stdout is a failure too. */
	if (fflush(stdout) != 0 && status == CTL_OK) {
		struct err e;

		err_set(&e, errno, "cannot write the output: %s", strerror(errno));
		status = ctl_fail(&e);
	}
	return status;
}

int main(int argc, char **argv)
{
	static char name[] = "sluice";
	const struct command *c;

	if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0) {
		print_list(argc < 2 ? stderr : stdout);
		return argc < 2 ? CTL_USAGE : CTL_OK;
	}
	if (strcmp(argv[1], "--version") == 0)
		argv[1] += 2;
	c = find_command(argv[1]);
	if (!c) {
		ctl_usage("no such command: %s", argv[1]);
		print_list(stderr);
		return CTL_USAGE;
	}
	argv[1] = name;
	return run_command(c, argc - 1, argv + 1);
}
