// SPDX-License-Identifier: BSD-2-Clause
/*
 * A block is
 *
 *   type:32 | length:32 | body, filled up to 4 bytes | length:32
 *
 * in the writer's byte order, which the section header's magic tells. Options stand at the end of
 * a body, each code:16 | length:16 | value, filled up to 4 bytes; code 0 ends them.
 */
#include "base/pcapng.h"

#include <string.h>

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 6,
	MAGIC = 0x1a2b3c4d,
	LINKTYPE_ETHERNET = 1,
	OPTION_COMMENT = 1,
	OPTION_PACKET_VERDICT = 7,
	VERDICT_XDP = 2,
	OPTION_SECTION_APPLICATION = 4,
	OPTION_INTERFACE_NAME = 2,
	OPTION_INTERFACE_TSRESOL = 9,
};

static uint32_t filled(uint32_t bytes)
{
	return (bytes + 3) & ~3U;
}

static void put16(FILE *out, uint16_t n)
{
	fwrite(&n, sizeof(n), 1, out);
}

static void put32(FILE *out, uint32_t n)
{
	fwrite(&n, sizeof(n), 1, out);
}

static void put_filled(FILE *out, const void *bytes, uint32_t n)
{
	static const char zeros[4];

	if (n)
		fwrite(bytes, 1, n, out);
	fwrite(zeros, 1, filled(n) - n, out);
}

static uint32_t text_bytes(const char *text)
{
	return text ? (uint32_t)strnlen(text, PCAPNG_TEXT) : 0;
}

/* An empty one is left out. */
static uint32_t option_bytes(uint32_t value)
{
	return value ? 4 + filled(value) : 0;
}

static void put_option(FILE *out, uint16_t code, const void *value, uint32_t n)
{
	if (!n)
		return;
	put16(out, code);
	put16(out, (uint16_t)n);
	put_filled(out, value, n);
}

/* body: its bytes, options and their end included. */
static void put_start(FILE *out, uint32_t type, uint32_t body)
{
	put32(out, type);
	put32(out, body + 12);
}

static void put_end(FILE *out, uint32_t body)
{
	put32(out, 0); /* the options' end */
	put32(out, body + 12);
}

void pcapng_begin(FILE *out, const char *application)
{
	uint32_t text = text_bytes(application), body = 16 + option_bytes(text) + 4;

	put_start(out, BLOCK_SECTION, body);
	put32(out, MAGIC);
	put16(out, 1); /* version 1.0 */
	put16(out, 0);
	put32(out, UINT32_MAX); /* the section's length, 64 bits: not known */
	put32(out, UINT32_MAX);
	put_option(out, OPTION_SECTION_APPLICATION, application, text);
	put_end(out, body);
}

void pcapng_interface(FILE *out, const char *name, uint32_t snaplen)
{
	static const uint8_t nanoseconds = 9;
	uint32_t text = text_bytes(name), body = 8 + option_bytes(text) + option_bytes(1) + 4;

	put_start(out, BLOCK_INTERFACE, body);
	put16(out, LINKTYPE_ETHERNET);
	put16(out, 0);
	put32(out, snaplen);
	put_option(out, OPTION_INTERFACE_NAME, name, text);
	put_option(out, OPTION_INTERFACE_TSRESOL, &nanoseconds, 1);
	put_end(out, body);
}

void pcapng_write(FILE *out, const struct pcapng_frame *f)
{
	uint32_t text = text_bytes(f->comment);
	struct __attribute__((packed)) {
		uint8_t kind;
		uint64_t value;
	} verdict = {VERDICT_XDP, f->xdp_verdict};
	uint32_t said = f->xdp_verdict ? sizeof(verdict) : 0;
	uint32_t body = 20 + filled(f->held) + option_bytes(text) + option_bytes(said) + 4;

	put_start(out, BLOCK_PACKET, body);
	put32(out, f->interface);
	put32(out, (uint32_t)(f->time_ns >> 32));
	put32(out, (uint32_t)f->time_ns);
	put32(out, f->held);
	put32(out, f->bytes);
	put_filled(out, f->head, f->held);
	put_option(out, OPTION_COMMENT, f->comment, text);
	put_option(out, OPTION_PACKET_VERDICT, &verdict, said);
	put_end(out, body);
}
