/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A gate on the maps of typed.h, given frames by BPF_PROG_RUN, for tests of what operators see
 * of it. The service shop is 198.51.100.10:80/tcp.
 */
#ifndef TESTS_XDP_TYPED_GATE_H
#define TESTS_XDP_TYPED_GATE_H

#include <stdint.h>

#include "typed.h"

/* For each test, instead of typed_open and typed_close. Every dropped packet is an event. */
int typed_gate_open(void **unused);
int typed_gate_close(void **unused);

/* A frame (frame.h) through the gate. */
void typed_send(const char *text);

/* shop with backends b1 to b<n>, each with as many slots as the next; their ids are 1 to n, their
 * generation is 4. */
void typed_shop(uint32_t n);

#define TYPED_GENERATION 4

/* The backend's id is given to another one: what its flows have in the connection table is
 * stale. */
void typed_replace_backend(uint32_t id);

/* Into the connection table, as the gate does it, with that stamp. */
void typed_enter(const struct sluice_flow *flow, uint32_t backend, uint32_t generation,
		 uint16_t stamp);
/* The flow's entry (conn.h), 0 if it has none; and that entry written anew. */
uint64_t typed_word(const struct sluice_flow *flow);
void typed_write(const struct sluice_flow *flow, uint64_t word);

#endif
