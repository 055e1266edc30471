// SPDX-License-Identifier: BSD-2-Clause
/* Owns: `sluice version`: what to write into a bug report. */
#include <confuse.h>
#include <dlfcn.h>
#include <event2/event.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <bpf/libbpf.h>
#include <jansson.h>
#include <xdp/libxdp.h>

#include "ctl/ctl.h"
#include "l4/load.h"

/* libxdp cannot tell its version, but its file's name does. */
static void print_libxdp(void)
{
	char path[PATH_MAX];
	const char *slash;
	Dl_info info;

	if (!dladdr((void *)(uintptr_t)xdp_program__attach, &info) || !info.dli_fname ||
	    !realpath(info.dli_fname, path))
		return;
	slash = strrchr(path, '/');
	printf("libxdp %s\n", slash ? slash + 1 : path);
}

int ctl_version(int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
	const char *confuse;
	struct utsname u;
	int opt = getopt_long(argc, argv, "h", options, NULL);

	if (opt != -1)
		return opt == 'h' ? CTL_HELP : CTL_USAGE;
	if (optind < argc)
		return ctl_usage("unexpected word: %s", argv[optind]);
	printf("sluice %s, ABI %u, gate build %016" PRIx64 "\n", SLUICE_VERSION, SLUICE_ABI,
	       load_build_id());
	printf("libbpf %s\n", libbpf_version_string() + 1); /* it says v1.1 */
	print_libxdp();
	confuse = strpbrk(confuse_version, "0123456789"); /* "libConfuse 3.3 by ..." */
	printf("libConfuse %.*s\n", (int)strcspn(confuse, " "), confuse);
	printf("libevent %s\n", event_get_version());
	printf("jansson %s\n", jansson_version_str());
	if (uname(&u) == 0)
		printf("%s %s %s\n", u.sysname, u.release, u.machine);
	return CTL_OK;
}
