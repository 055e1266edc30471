// SPDX-License-Identifier: BSD-2-Clause
/* The daemon's command line. What it does is in daemon/ (keeper) and l7/ (worker). */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/keeper.h"
#include "daemon/title.h"

static void usage(FILE *out)
{
	fputs("usage: sluiced -c FILE [-n] [--no-gate] [-d]\n"
	      "  -c, --config FILE    the configuration\n"
	      "  -n, --check          only check it\n"
	      "      --no-gate        an ordinary proxy on bound sockets\n"
	      "  -d, --debug          log more\n"
	      "  -h, --help           this\n"
	      "  -V, --version        the version\n",
	      out);
}

/* Whoever started it may have closed some: no socket may take their place. */
static void standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'n'},
		{"no-gate", no_argument, NULL, 'G'},
		{"debug", no_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	struct keeper_options o = {0};
	bool check = false;
	int opt;

	standard_descriptors();
	while ((opt = getopt_long(argc, argv, "c:ndhV", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			o.path = optarg;
			break;
		case 'n':
			check = true;
			break;
		case 'G':
			o.no_gate = true;
			break;
		case 'd':
			o.debug = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			puts("sluiced " SLUICE_VERSION);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (!o.path || optind < argc) {
		if (o.path)
			fprintf(stderr, "sluiced: unexpected word: %s\n", argv[optind]);
		else
			fputs("sluiced: which file? -c FILE\n", stderr);
		usage(stderr);
		return 2;
	}
	log_init("sluiced", o.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, false);
	if (check)
		return keeper_check(o.path);
	title_init(argc, argv);
	return keeper_run(&o);
}
