// SPDX-License-Identifier: BSD-2-Clause
/* Lengths, checksums and flow labels of a frame's layers; each covers what follows it. */
#include "frame_layers.h"

#include <netinet/in.h>
#include <stddef.h>

#include "sluice/flow_hash.h"

uint16_t frame_sum(const uint8_t *b, uint32_t bytes, uint32_t start)
{
	uint32_t sum = start;

	for (uint32_t i = 0; i < bytes; i++)
		sum += i % 2 ? b[i] : b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Of TCP, UDP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1). */
static uint32_t pseudo_header(const uint8_t *ip, bool v6, uint32_t proto, uint32_t bytes)
{
	return frame_sum(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, proto + bytes);
}

bool frame_icmp_ok(const struct frame *f, uint32_t l3, uint32_t l4, bool v6)
{
	uint32_t bytes = f->bytes - l4;
	uint32_t start = v6 ? pseudo_header(f->b + l3, true, IPPROTO_ICMPV6, bytes) : 0;

	return frame_sum(f->b + l4, bytes, start) == 0xffff;
}

/* The IP layer that a transport layer is in. */
static const struct layer *ip_of(const struct layer *l)
{
	do
		l--;
	while (l->kind != IP4 && l->kind != IP6);
	return l;
}

static void fill_transport(struct builder *b, const struct layer *l, uint32_t at, uint32_t proto)
{
	const struct layer *ip = ip_of(l);
	uint8_t *me = b->f->b + l->at;
	uint32_t bytes = b->end - l->at;
	uint16_t sum;

	if (!l->whole || !ip->whole)
		return;
	sum = ~frame_sum(me, bytes, pseudo_header(b->f->b + ip->at, ip->kind == IP6, proto, bytes));
	put16(me + at, sum ? sum : 0xffff);
}

/* The flow inside a tunnel, or the one that an ICMP error inside quotes, reversed. */
static uint32_t flow_label(const struct builder *b, const struct layer *l)
{
	const struct sluice_flow *flow = NULL;
	struct sluice_flow back;

	for (const struct layer *in = l + 1; in < b->layers + b->n; in++)
		if (in->kind == IP4 || in->kind == IP6) {
			flow = &b->ips[in - b->layers];
			if (l->label_flow)
				break;
		}
	if (!flow)
		return 0;
	back = *flow;
	if (l->label_quoted) {
		back.src = flow->dst, back.dst = flow->src;
		back.sport = flow->dport, back.dport = flow->sport;
	}
	return sluice_flow_hash(&back) & 0xfffff;
}

static void fill(struct builder *b, const struct layer *l)
{
	uint8_t *at = b->f->b + l->at;
	uint32_t bytes = b->end - l->at;

	switch (l->kind) {
	case IP4:
		if (!l->len_given)
			put16(at + 2, bytes);
		put16(at + 10, 0);
		if ((at[0] & 15) >= 5)
			put16(at + 10, ~frame_sum(at, (at[0] & 15) * 4, 0));
		break;
	case IP6:
		if (!l->len_given)
			put16(at + 4, bytes - 40);
		if (l->label_flow || l->label_quoted)
			put_label(at, flow_label(b, l));
		break;
	case TCP:
		fill_transport(b, l, 16, IPPROTO_TCP);
		break;
	case UDP:
		put16(at + 4, bytes);
		fill_transport(b, l, 6, IPPROTO_UDP);
		break;
	case ICMP4:
		put16(at + 2, ~frame_sum(at, bytes, 0));
		break;
	case ICMP6:
		fill_transport(b, l, 2, IPPROTO_ICMPV6);
		break;
	default:
		break;
	}
}

void frame_fill(struct builder *b)
{
	for (unsigned i = b->n; i-- > 0;)
		fill(b, &b->layers[i]);
}
