/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traceparent (W3C Trace Context, level 1): which trace a request belongs to. Pure.
 *
 *   00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *   version, trace, parent, flags: 1 = somebody records it
 */
#ifndef L7_TRACE_H
#define L7_TRACE_H

#include <stdbool.h>

#include "l7/http1.h"

#define TRACE_LEN    55
#define TRACE_ID     32 /* digits of the trace, behind "00-" */
#define TRACE_PARENT 16 /* and of the parent, behind it */

/* Goes on with the trace of a request, in what this version knows of it: false when it has none
 * that counts. The parent is the one that came. */
bool trace_take(char out[TRACE_LEN], const struct http1_head *h);
/* Without a trace a new one is begun: digits are TRACE_ID of chance. */
void trace_begin(char out[TRACE_LEN], const char *digits);
/* Whoever the request goes to sees this proxy as its parent: TRACE_PARENT digits of chance. */
void trace_parent_set(char trace[TRACE_LEN], const char *digits);
/* Empty: there is none. */
struct span trace_id(const char trace[TRACE_LEN]);

#endif
