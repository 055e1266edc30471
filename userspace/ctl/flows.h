/* SPDX-License-Identifier: BSD-2-Clause */
/* How many flows a backend has, in words: what drain, status and apply share. */
#ifndef CTL_FLOWS_H
#define CTL_FLOWS_H

#include "l4/conns.h"

#define FLOWS_LEFT 80

/* "12 flows left, 3 with a packet in the last minute"; returns buf. */
const char *flows_left(const struct conns_of_backend *of, char buf[FLOWS_LEFT]);

#endif
