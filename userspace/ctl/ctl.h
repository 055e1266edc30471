/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the subcommands of `sluice` share. Each is one function; sluice.c holds the table
 * that names them and everything that --help prints.
 *
 * argv[0] is "sluice" (so that getopt's complaints start with it) and argv[1] the first
 * word after the subcommand. They answer with one of enum ctl_status.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "conf/conf.h"
#include "l4/gate.h"
#include "l4/plan.h"

enum ctl_status {
	CTL_OK = 0,
	CTL_FAIL = 1,  /* told by ctl_fail */
	CTL_USAGE = 2, /* typed wrongly, told; main adds the usage */
	CTL_HELP = 3,  /* --help was asked for; main prints the usage and exits 0 */
};

/* Prints `sluice: what; mend` to stderr and returns CTL_FAIL. */
int ctl_fail(const struct err *e);
/* The same for words typed wrongly; returns CTL_USAGE. */
int ctl_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

struct json_t;
/* Prints root to stdout and gives it back; oom: it could not be made whole. 0 or -errno. */
int ctl_print_json(struct json_t *root, bool oom, struct err *e);

/* A number from 1 on, and nothing else. */
bool ctl_parse_count(uint64_t *out, const char *text);

/* SIGINT and SIGTERM as a descriptor to poll: no moment in which one could be missed. -1 with
 * errno. */
int ctl_signals(void);

/* One changer at a time: waits for another `sluice` that is at it. The lock goes with the
 * process. 0 or -errno. */
int ctl_lock(struct err *e);

/* Brings the maps to what the file says and prints each change to out; dry: prints only.
 * *state is what the maps hold then (or would); the caller frees it. Returns the number of
 * changes or -errno. */
int ctl_sync_maps(const struct gate *g, const struct conf *c, FILE *out, bool dry,
		  struct plan_state *state, struct err *e);
/* Brings to `state` what surrounds the gate on this host: local routes of the VIPs, steering
 * to the daemon (renew: by this build's program, even if another's runs), the backends' MAC
 * addresses. Returns the number of changes or -errno. */
int ctl_sync_host(const struct plan_state *state, bool dry, bool renew, struct err *e);

/* What SYNs are answered with, into the maps, if a service of the state has that; says to stderr
 * what is in its way. 0 or -errno. */
int ctl_sync_cookies(const struct gate *g, const struct plan_state *state, struct err *e);

int ctl_attach(int argc, char **argv);
int ctl_detach(int argc, char **argv);
int ctl_status(int argc, char **argv);
int ctl_apply(int argc, char **argv);
int ctl_check(int argc, char **argv);
int ctl_version(int argc, char **argv);

int ctl_block(int argc, char **argv);
int ctl_allow(int argc, char **argv);
int ctl_backend(int argc, char **argv);
int ctl_health(int argc, char **argv);
int ctl_cache(int argc, char **argv);
int ctl_flow(int argc, char **argv);
int ctl_flows(int argc, char **argv);
int ctl_why(int argc, char **argv);
int ctl_events(int argc, char **argv);
int ctl_capture(int argc, char **argv);
int ctl_top(int argc, char **argv);

#endif
