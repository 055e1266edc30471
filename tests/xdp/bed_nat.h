/* SPDX-License-Identifier: BSD-2-Clause */
/* The bed's own part of nat; tests use bed.h. */
#ifndef TESTS_XDP_BED_NAT_H
#define TESTS_XDP_BED_NAT_H

#include <stdint.h>

struct gate_bpf;
void bed_nat_open(struct gate_bpf *skel, uint32_t ports); /* before load */
void bed_nat_make(uint32_t ports);                        /* after it */

#endif
