/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files that tcpdump and Wireshark read: pcapng (draft-ietf-opsawg-pcapng), written block by
 * block to a stream. Frames are Ethernet, times are nanoseconds since 1970. Whether the stream
 * took all of it is for the caller to ask (ferror, fflush).
 */
#ifndef BASE_PCAPNG_H
#define BASE_PCAPNG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Longer texts are cut: an option's length has 16 bits. */
#define PCAPNG_TEXT 1024

/* The file's beginning; application is who writes it. */
void pcapng_begin(FILE *out, const char *application);

/* An interface, before its first frame. They are numbered from 0 in the order in which they are
 * named; snaplen is the most that is kept of a frame. */
void pcapng_interface(FILE *out, const char *name, uint32_t snaplen);

struct pcapng_frame {
	uint32_t interface;
	uint64_t time_ns;
	const void *head; /* its first `held` bytes */
	uint32_t held, bytes;
	const char *comment; /* NULL or empty: none */
	uint8_t xdp_verdict; /* XDP_DROP, ...; 0: not said */
};

void pcapng_write(FILE *out, const struct pcapng_frame *f);

#endif
