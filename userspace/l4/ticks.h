/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's jiffies, by which the gate tells the age of its flows. */
#ifndef L4_TICKS_H
#define L4_TICKS_H

#include <linux/types.h>

/* In a second. */
__u32 ticks_hz(void);
/* The lower half of those that have been. 0 or -errno. */
int ticks_now(__u32 *now);

#endif
