/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keeper: the process that stays. It reads the file, holds what needs privilege (maps,
 * listening sockets, logs) and keeps one worker running, which talks to the network.
 */
#ifndef DAEMON_KEEPER_H
#define DAEMON_KEEPER_H

#include <stdbool.h>

struct keeper_options {
	const char *path; /* of the configuration */
	bool no_gate;     /* an ordinary proxy, even if a gate is attached */
	bool debug;       /* see jail.h: trap */
};

/* Runs until told to stop; returns the process's exit status. */
int keeper_run(const struct keeper_options *o);

/* Reads and checks the file and the worker's account; touches nothing. An exit status. */
int keeper_check(const char *path);

#endif
