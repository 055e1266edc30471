// SPDX-License-Identifier: BSD-2-Clause
/* See frame.h. */
#include "frame_layers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct frame_host frame_hosts[] = {
	{"client", 0x64, "10.83.0.100", "fd83::100"},
	{"gate", 0x02, "10.83.0.2", "fd83::2"},
	{"gate1", 0x03, "10.84.0.2", "fd84::2"}, /* the gate's other interface */
	{"b1", 0x11, "10.83.0.11", "fd83::11"},
	{"b2", 0x12, "10.83.0.12", "fd83::12"},
	{"far", 0x31, "10.84.0.31", "fd84::31"}, /* behind gate1 */
	{"silent", 0, "10.83.0.99", "fd83::99"}, /* on the wire, but no MAC is known */
	{"asked", 0, "10.83.0.98", "fd83::98"},  /* nor is this one's, and the kernel has asked */
	{"lost", 0, "172.16.9.9", "fd99::9"},    /* no route goes there */
	{"routed", 0, "172.16.8.8", "fd98::8"},  /* behind b1 */
	{"nat", 0, "10.83.0.50", "fd83::50"},    /* nat sends from there */
	{"shop", 0, "198.51.100.10", "2001:db8:51::10"},
	{"site", 0, "198.51.100.20", "2001:db8:51::20"},
	{"mixed", 0, "198.51.100.30", "2001:db8:51::30"},
	{"every", 0, "198.51.100.40", "2001:db8:51::40"},
	{"bad", 0, "203.0.113.7", "2001:db8:bad::7"},
	{"router", 0, "192.0.2.1", "2001:db8:2::1"},
	{NULL, 0, NULL, NULL},
};

static _Noreturn void bad(const struct builder *b, const char *what)
{
	fprintf(stderr, "frame \"%s\": %s at \"%s\"\n", b->text, what, b->cursor);
	abort();
}

/* ---- words ---------------------------------------------------------------------------- */

/* The next word of this layer, without taking it; false at its end. */
static bool word_peek(struct builder *b, char *word, size_t size)
{
	size_t n;

	b->cursor += strspn(b->cursor, " ");
	n = strcspn(b->cursor, " ");
	if (n == 0 || *b->cursor == '/')
		return false;
	if (n >= size)
		bad(b, "too long a word");
	memcpy(word, b->cursor, n);
	word[n] = 0;
	return true;
}

static bool word(struct builder *b, char *word, size_t size)
{
	if (!word_peek(b, word, size))
		return false;
	b->cursor += strlen(word);
	return true;
}

static bool take(struct builder *b, const char *want)
{
	char w[64];

	if (!word_peek(b, w, sizeof(w)) || strcmp(w, want) != 0)
		return false;
	b->cursor += strlen(w);
	return true;
}

static uint32_t number(struct builder *b)
{
	char w[64], *end;
	unsigned long v;

	if (!word(b, w, sizeof(w)))
		bad(b, "a number is missing");
	v = strtoul(w, &end, 0);
	if (*end)
		bad(b, "no number");
	return v;
}

/* "NAME N" sets *v; whether it was there. */
static bool attribute(struct builder *b, const char *name, uint32_t *v)
{
	if (!take(b, name))
		return false;
	*v = number(b);
	return true;
}

static uint32_t number_or(struct builder *b, uint32_t otherwise)
{
	char w[64];

	return word_peek(b, w, sizeof(w)) ? number(b) : otherwise;
}

static const struct frame_host *host_find(const char *name)
{
	for (const struct frame_host *h = frame_hosts; h->name; h++)
		if (strcmp(h->name, name) == 0)
			return h;
	return NULL;
}

struct sluice_addr frame_addr(const char *name, bool v6)
{
	const struct frame_host *h = host_find(name);
	struct sluice_addr a = {.w = {0, 0, htonl(0xffff), 0}};

	if (h)
		name = v6 ? h->v6 : h->v4;
	if (inet_pton(v6 ? AF_INET6 : AF_INET, name, v6 ? a.b : a.b + 12) != 1) {
		fprintf(stderr, "no address: \"%s\"\n", name);
		abort();
	}
	return a;
}

/* ---- bytes ---------------------------------------------------------------------------- */

/* Room for a layer's header, zeroed, and its number in the layer before. */
static uint8_t *append(struct builder *b, enum kind kind, uint32_t bytes, uint32_t id)
{
	uint8_t *at = b->f->b + b->f->bytes;

	if (b->n == LAYERS || b->f->bytes + bytes > FRAME_MAX)
		bad(b, "too much");
	b->layers[b->n++] = (struct layer){.kind = kind, .at = b->f->bytes, .whole = true};
	memset(at, 0, bytes);
	if (b->next_size == 2)
		put16(b->f->b + b->next_at, id);
	else if (b->next_size == 1)
		b->f->b[b->next_at] = id;
	b->next_size = 0;
	b->f->bytes += bytes;
	return at;
}

static struct layer *last(struct builder *b)
{
	return &b->layers[b->n - 1];
}

/* The next layer's number goes there, unless the text says one. */
static void next_number(struct builder *b, const uint8_t *at, uint32_t size)
{
	b->next_at = at - b->f->b;
	b->next_size = size;
}

/* ---- layers --------------------------------------------------------------------------- */

static void mac(struct builder *b, uint8_t *at)
{
	const struct frame_host *h = NULL;
	char w[64];

	if (word(b, w, sizeof(w)))
		h = host_find(w);
	if (!h || !h->mac)
		bad(b, "no host with a MAC");
	memcpy(at, (uint8_t[]){2, 0, 0, 0, 0, h->mac}, 6);
}

static void eth(struct builder *b, uint32_t unused)
{
	uint8_t *at = append(b, ETH, 14, 0);
	uint32_t type;
	char w[64];

	(void)unused;
	memcpy(at, (uint8_t[]){2, 0, 0, 0, 0, 0x02, 2, 0, 0, 0, 0, 0x64}, 12);
	if (word_peek(b, w, sizeof(w)) && strcmp(w, "type") != 0) {
		mac(b, at + 6);
		if (!take(b, ">"))
			bad(b, "no \">\"");
		mac(b, at);
	}
	if (attribute(b, "type", &type))
		put16(at + 12, type);
	else
		next_number(b, at + 12, 2);
}

static void tag(struct builder *b, uint32_t tpid)
{
	uint8_t *at = append(b, TAG, 4, tpid);

	put16(at, number(b));
	next_number(b, at + 2, 2);
}

static void addresses(struct builder *b, uint8_t *src, uint8_t *dst, bool v6)
{
	struct sluice_flow *flow = &b->ips[b->ip = b->n - 1];
	char w[64];

	if (!word(b, w, sizeof(w)))
		bad(b, "no source address");
	flow->src = frame_addr(w, v6);
	if (!take(b, ">") || !word(b, w, sizeof(w)))
		bad(b, "no destination address");
	flow->dst = frame_addr(w, v6);
	memcpy(src, v6 ? flow->src.b : flow->src.b + 12, v6 ? 16 : 4);
	memcpy(dst, v6 ? flow->dst.b : flow->dst.b + 12, v6 ? 16 : 4);
}

static void ip4(struct builder *b, uint32_t unused)
{
	bool tagged = b->next_size == 2, numbered = false;
	uint8_t *at = append(b, IP4, 20, tagged ? 0x0800 : IPPROTO_IPIP);
	struct layer *me = last(b);
	uint32_t v;

	(void)unused;
	at[0] = 0x45;
	at[8] = 64;
	addresses(b, at + 12, at + 16, false);
	for (;;) {
		if (attribute(b, "ttl", &v))
			at[8] = v;
		else if (attribute(b, "tos", &v))
			at[1] = v;
		else if (attribute(b, "id", &v))
			put16(at + 4, v);
		else if (take(b, "df"))
			at[6] |= 0x40;
		else if (take(b, "mf"))
			at[6] |= 0x20, me->whole = false;
		else if (attribute(b, "offset", &v))
			put16(at + 6, v | (at[6] << 8)), me->whole = false;
		else if (attribute(b, "options", &v))
			memset(at + 20, 1, v), b->f->bytes += v, at[0] = 0x45 + v / 4;
		else if (attribute(b, "ihl", &v))
			at[0] = (at[0] & 0xf0) | v;
		else if (attribute(b, "version", &v))
			at[0] = (at[0] & 0x0f) | v << 4;
		else if (attribute(b, "len", &v))
			put16(at + 2, v), me->len_given = true;
		else if (attribute(b, "proto", &v))
			at[9] = v, numbered = true;
		else
			break;
	}
	if (!numbered)
		next_number(b, at + 9, 1);
}

static void label(struct builder *b, uint8_t *at)
{
	if (take(b, "flow"))
		last(b)->label_flow = true;
	else if (take(b, "quoted"))
		last(b)->label_quoted = true;
	else
		put_label(at, number(b));
}

static void ip6(struct builder *b, uint32_t unused)
{
	bool tagged = b->next_size == 2, numbered = false;
	uint8_t *at = append(b, IP6, 40, tagged ? 0x86dd : IPPROTO_IPV6);
	uint32_t v;

	(void)unused;
	at[0] = 0x60;
	at[7] = 64;
	addresses(b, at + 8, at + 24, true);
	for (;;) {
		if (attribute(b, "hop", &v))
			at[7] = v;
		else if (attribute(b, "tc", &v))
			at[0] |= v >> 4, at[1] |= v << 4;
		else if (take(b, "label"))
			label(b, at);
		else if (attribute(b, "version", &v))
			at[0] = (at[0] & 0x0f) | v << 4;
		else if (attribute(b, "len", &v))
			put16(at + 4, v), last(b)->len_given = true;
		else if (attribute(b, "next", &v))
			at[6] = v, numbered = true;
		else
			break;
	}
	if (!numbered)
		next_number(b, at + 6, 1);
}

static void ext(struct builder *b, uint32_t id)
{
	uint32_t bytes = number_or(b, id == IPPROTO_AH ? 12 : 8);
	uint8_t *at = append(b, EXT, bytes, id);

	at[1] = id == IPPROTO_AH ? bytes / 4 - 2 : bytes / 8 - 1;
	next_number(b, at, 1);
}

static void frag(struct builder *b, uint32_t unused)
{
	uint8_t *at = append(b, FRAG, 8, IPPROTO_FRAGMENT);
	uint32_t offset = 0;
	bool more;

	(void)unused;
	attribute(b, "offset", &offset);
	more = take(b, "more");
	put16(at + 2, offset << 3 | more);
	put32(at + 4, 0x12345678);
	b->layers[b->ip].whole = !offset && !more;
	next_number(b, at, 1);
}

static void ports(struct builder *b, uint8_t *at, uint8_t proto)
{
	struct sluice_flow *flow = &b->ips[b->ip];

	put16(at, number(b));
	if (!take(b, ">"))
		bad(b, "no \">\"");
	put16(at + 2, number(b));
	memcpy(&flow->sport, at, 2);
	memcpy(&flow->dport, at + 2, 2);
	flow->proto = proto;
}

static void tcp_options(struct builder *b, uint8_t *tcp)
{
	uint8_t *at = tcp + 20;
	uint32_t words;
	char hex[96];

	if (take(b, "opt")) {
		if (!word(b, hex, sizeof(hex)))
			bad(b, "no options");
		for (const char *c = hex; c[0] && c[1]; c += 2)
			if (sscanf(c, "%2hhx", at++) != 1)
				bad(b, "no hex digits");
		b->f->bytes = at - b->f->b;
		tcp[12] = (at - tcp + 3) / 4 << 4;
	}
	if (attribute(b, "words", &words))
		tcp[12] = words << 4;
}

/* TCP's eight first bytes are what an ICMP error must quote. */
static void tcp(struct builder *b, uint32_t bytes)
{
	static const char flags[] = "FSRPAU";
	uint8_t *at = append(b, TCP, bytes, IPPROTO_TCP);
	char w[64];

	ports(b, at, IPPROTO_TCP);
	put32(at + 4, 0x01020304);
	last(b)->whole = bytes == 20;
	if (bytes < 20)
		return;
	at[12] = 0x50;
	put16(at + 14, 0xfaf0);
	if (word_peek(b, w, sizeof(w)) && strspn(w, flags) == strlen(w)) {
		for (const char *c = w; *c; c++)
			at[13] |= 1 << (strchr(flags, *c) - flags);
		b->cursor += strlen(w);
	}
	tcp_options(b, at);
}

static void udp(struct builder *b, uint32_t unused)
{
	(void)unused;
	ports(b, append(b, UDP, 8, IPPROTO_UDP), IPPROTO_UDP);
}

static void icmp(struct builder *b, uint32_t kind)
{
	uint8_t *at = append(b, kind, 8, kind == ICMP6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	uint32_t v;

	at[0] = number(b);
	for (;;) {
		if (attribute(b, "code", &v))
			at[1] = v;
		else if (attribute(b, "id", &v))
			put16(at + 4, v);
		else if (attribute(b, "seq", &v))
			put16(at + 6, v);
		else if (attribute(b, "rest", &v))
			put32(at + 4, v);
		else
			break;
	}
}

static void data(struct builder *b, uint32_t unused)
{
	uint32_t bytes = number(b);
	uint8_t *at = append(b, BYTES, bytes, b->next_size == 2 ? 0x88cc : 253);

	(void)unused;
	for (uint32_t i = 0; i < bytes; i++)
		at[i] = 'a' + i % 26;
}

static void pad(struct builder *b, uint32_t unused)
{
	(void)unused;
	b->end = b->f->bytes;
	b->next_size = 0;
	append(b, BYTES, number(b), 0);
}

static const struct layer_type {
	const char *name;
	void (*append)(struct builder *, uint32_t arg);
	uint32_t arg;
} layer_types[] = {
	{"eth", eth, 0},
	{"vlan", tag, 0x8100},
	{"qinq", tag, 0x88a8},
	{"ip4", ip4, 0},
	{"ip6", ip6, 0},
	{"hbh", ext, IPPROTO_HOPOPTS},
	{"rt", ext, IPPROTO_ROUTING},
	{"dst", ext, IPPROTO_DSTOPTS},
	{"ah", ext, IPPROTO_AH},
	{"frag", frag, 0},
	{"tcp", tcp, 20},
	{"tcp8", tcp, 8},
	{"udp", udp, 0},
	{"icmp4", icmp, ICMP4},
	{"icmp6", icmp, ICMP6},
	{"data", data, 0},
	{"pad", pad, 0},
};

static void layer(struct builder *b)
{
	char w[64];

	if (!word(b, w, sizeof(w)))
		bad(b, "no layer");
	for (size_t i = 0; i < sizeof(layer_types) / sizeof(layer_types[0]); i++)
		if (strcmp(w, layer_types[i].name) == 0) {
			layer_types[i].append(b, layer_types[i].arg);
			return;
		}
	bad(b, "no such layer");
}

/* ---- the whole ------------------------------------------------------------------------ */

void frame_parse(struct frame *f, const char *text)
{
	struct builder b = {.f = f, .text = text, .cursor = text};

	f->bytes = 0;
	for (;;) {
		char w[64];

		layer(&b);
		if (word_peek(&b, w, sizeof(w)))
			bad(&b, "not understood");
		if (*b.cursor != '/')
			break;
		b.cursor++;
	}
	if (!b.end)
		b.end = f->bytes;
	frame_fill(&b);
}

void frame_printf(struct frame *f, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	frame_parse(f, text);
}

void frame_dump(const char *title, const struct frame *f)
{
	fprintf(stderr, "  %s, %u bytes\n", title, f->bytes);
	for (uint32_t i = 0; i < f->bytes; i++)
		fprintf(stderr, "%s%02x", i % 16 ? " " : i ? "\n    " : "    ", f->b[i]);
	fprintf(stderr, "\n");
}
