/* SPDX-License-Identifier: BSD-2-Clause */
/* Array maps whole, and arrays of 32-bit numbers within an array of maps (rings). */
#ifndef L4_ARRAYS_H
#define L4_ARRAYS_H

#include <linux/types.h>

/* The first n elements of an array map, in one system call. 0 or -errno. */
int array_read(int fd, void *out, __u32 n);

/* A new array with these values, swapped in at outer[id]. 0 or -errno. */
int array_swap_in(int outer, __u32 id, const __u32 *values, __u32 n);
/* Element `slot` of outer[id]; 0 if it is not there, or gone this moment. 0 or -errno. */
int array_inner(int outer, __u32 id, __u32 slot, __u32 *value);

#endif
