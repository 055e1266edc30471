/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Command lines as an operator types them, on a host of the test's own: a mount namespace with
 * its own bpffs and an empty /mnt, and a network namespace, with the gate's maps pinned. All of
 * it ends with the process.
 */
#ifndef TESTS_XDP_TYPED_H
#define TESTS_XDP_TYPED_H

#include <stdbool.h>
#include <stdint.h>

#include "l4/gate.h"

struct typed {
	struct gate gate; /* between typed_open and typed_close */
	char out[65536];  /* of the last line: both streams */
	int status;       /* of the last line */
};

extern struct typed typed;

/* For cmocka's group: makes the host. 0, or -1 with the reason printed. */
int typed_host(void **unused);

/* For each test: fresh maps with an open gate, and none any more. */
int typed_open(void **unused);
int typed_close(void **unused);

/* Runs a line by sh, with the programs under test first on PATH. The test fails unless it
 * ends with that status. */
void typed_ends(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
void typed_works(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* About the output of the last line. */
void typed_shows(const char *text);
void typed_hides(const char *text);

#endif
