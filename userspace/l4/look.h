/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking at programs that the kernel runs: for attach.c, beside what attach.h promises. */
#ifndef L4_LOOK_H
#define L4_LOOK_H

#include <stddef.h>
#include <stdint.h>

/* The kernel's fingerprint of a program, in hex, into tag[17]. 0 or -errno. */
int look_tag(int prog_fd, char *tag);
/* The `size` bytes of the program's map *.rodata; -ENOENT when it has none of that size. */
int look_rodata(uint32_t prog_id, void *out, size_t size);

#endif
