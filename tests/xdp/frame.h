/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames as text, so that a table of scenes reads like one:
 *
 *   eth / vlan 5 / ip4 client > shop ttl 9 / tcp 1000 > 80 S / data 20
 *
 *   eth [HOST > HOST] [type N]           client > gate when left out
 *   vlan ID | qinq ID                    tags 0x8100 and 0x88a8
 *   ip4 ADDR > ADDR [ttl N] [tos N] [id N] [df] [mf] [offset N] [options BYTES]
 *                   [proto N] [len N] [ihl N] [version N]
 *   ip6 ADDR > ADDR [hop N] [tc N] [label N|flow|quoted] [next N] [len N] [version N]
 *   hbh|rt|dst|ah [BYTES]                extension headers
 *   frag [offset N] [more]               offset in units of 8
 *   tcp P > P [SAFRPU] [opt HEX] [words N]   words: the header's length, as it says
 *   tcp8 P > P                           as much of it as an ICMP error must quote
 *   udp P > P
 *   icmp4|icmp6 TYPE [code N] [id N] [seq N] [rest N]
 *   data BYTES   pad BYTES               pad: behind the packet, in no length
 *
 * ADDR is a literal or a name of frame_hosts[]; the layer decides the family. Lengths,
 * protocol numbers and checksums are right unless written down. `label flow` is the hash of
 * the flow inside, `label quoted` of the flow that the ICMP error inside quotes.
 * A mistake in the text ends the process: it is a mistake in the test.
 */
#ifndef TESTS_XDP_FRAME_H
#define TESTS_XDP_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice/abi.h"

#define FRAME_MAX 3000

struct frame {
	uint32_t bytes;
	uint8_t b[FRAME_MAX];
};

struct frame_host {
	const char *name;
	uint8_t mac; /* last byte of 02:00:00:00:00:xx; 0 = not on the wire */
	const char *v4, *v6;
};

extern const struct frame_host frame_hosts[]; /* the last one's name is NULL */

void frame_parse(struct frame *f, const char *text);
/* The same with printf's conversions, for scenes in a loop. */
void frame_printf(struct frame *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct sluice_addr frame_addr(const char *name_or_literal, bool v6);

uint16_t frame_sum(const uint8_t *b, uint32_t bytes, uint32_t start);
/* Is the checksum of the ICMP message right that begins at that offset and ends the frame? */
bool frame_icmp_ok(const struct frame *f, uint32_t l3, uint32_t l4, bool v6);

void frame_dump(const char *title, const struct frame *f);

#endif
