/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The programs that take health checks along the way that the gate forwards (bpf/probe.bpf.c):
 * loaded, told of backends, attached to the interfaces that lead there. They go with the
 * process that holds them; before Linux 6.6, when it is killed, they stay attached until the
 * next one replaces them, and do nothing.
 */
#ifndef L4_PROBE_H
#define L4_PROBE_H

#include "base/err.h"
#include "sluice/probe.h"

struct probe;

/* NULL with e filled: no privilege, or an older kernel. */
struct probe *probe_open(struct err *e);
void probe_close(struct probe *p); /* NULL is fine */

/* A number for a backend, from 0; or -errno. The outer source may be left "any": then it is the
 * one that the route says. */
int probe_add(struct probe *p, const struct sluice_probe *what, struct err *e);
/* Of a socket whose packets go to what has that number. 0 or -errno. */
int probe_mark(int fd, int number);

#endif
