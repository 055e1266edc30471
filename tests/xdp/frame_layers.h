/* SPDX-License-Identifier: BSD-2-Clause */
/* Between frame.c, which appends layers from a text, and frame_fill.c, which fills in what
 * depends on the layers that follow. */
#ifndef TESTS_XDP_FRAME_LAYERS_H
#define TESTS_XDP_FRAME_LAYERS_H

#include "frame.h"

#define LAYERS 24

enum kind { ETH, TAG, IP4, IP6, EXT, FRAG, TCP, UDP, ICMP4, ICMP6, BYTES };

struct layer {
	enum kind kind;
	uint32_t at;
	bool len_given, label_flow, label_quoted, whole; /* whole: no fragment, no partial quote */
};

struct builder {
	struct frame *f;
	const char *text, *cursor;
	struct layer layers[LAYERS];
	unsigned n;
	uint32_t end;                   /* of the packet, before padding */
	uint32_t next_at, next_size;    /* where the next layer's number goes */
	struct sluice_flow ips[LAYERS]; /* addresses of IP layers, by layer */
	unsigned ip;                    /* the last one */
};

static inline void put16(uint8_t *at, uint32_t v)
{
	at[0] = v >> 8;
	at[1] = v;
}

static inline void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v);
}

/* The last 20 bits of an IPv6 header's first word. */
static inline void put_label(uint8_t *ip, uint32_t label)
{
	ip[1] = (ip[1] & 0xf0) | (label >> 16 & 0x0f);
	put16(ip + 2, label);
}

/* Lengths and checksums of every layer, from the last to the first. */
void frame_fill(struct builder *b);

#endif
