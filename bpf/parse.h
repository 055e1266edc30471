/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * From bytes to struct packet: Ethernet with up to two VLAN tags, IPv4 with options, IPv6
 * with a bounded walk of its extension headers, TCP and UDP ports. A packet that cannot be
 * read is the host's to judge, except where the stage says otherwise.
 */
#ifndef BPF_PARSE_H
#define BPF_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>

#include "stats.h"

#define PARSE_EXT_HEADERS 8 /* IPv6 extension headers walked */

struct vlan_tag {
	__be16 tci;
	__be16 proto; /* of what follows */
};

struct ext_header {
	__u8 next;
	__u8 len;
	__be16 fragment; /* offset and M bit, of a fragment header */
};

struct ports {
	__be16 source, dest;
};

struct tcp_start { /* RFC 9293 section 3.1, as far as it is read */
	struct ports ports;
	__be32 seq, ack;
	__u8 offset, flags;
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

static __always_inline void addr_from_v4(struct sluice_addr *a, __be32 v4)
{
	a->w[0] = 0;
	a->w[1] = 0;
	a->w[2] = bpf_htonl(0xffff);
	a->w[3] = v4;
}

static __always_inline void addr_from_v6(struct sluice_addr *a, const struct in6_addr *v6)
{
	__builtin_memcpy(a, v6, sizeof(*a));
}

static __always_inline bool addr_mapped(const struct sluice_addr *a)
{
	return a->w[0] == 0 && a->w[1] == 0 && a->w[2] == bpf_htonl(0xffff);
}

static __always_inline bool addr_same(const struct sluice_addr *a, const struct sluice_addr *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1] && a->w[2] == b->w[2] && a->w[3] == b->w[3];
}

/* As they are in memory. */
static __always_inline __u64 addr_first(const struct sluice_addr *a)
{
	return (__u64)a->w[1] << 32 | a->w[0];
}

static __always_inline __u64 addr_second(const struct sluice_addr *a)
{
	return (__u64)a->w[3] << 32 | a->w[2];
}

static __always_inline int parse_l2(struct packet *p)
{
	struct ethhdr *eth = packet_at(p, 0, struct ethhdr);
	__be16 proto;

	if (!eth)
		return SLUICE_R_truncated;
	proto = eth->h_proto;
	p->l3 = sizeof(*eth);
	for (int i = 0; i < 2; i++) {
		struct vlan_tag *tag;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		tag = packet_at(p, p->l3, struct vlan_tag);
		if (!tag)
			return SLUICE_R_truncated;
		p->tags[2 * i] = proto;
		p->tags[2 * i + 1] = tag->tci;
		proto = tag->proto;
		p->l3 += sizeof(*tag);
	}
	if (proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD))
		return SLUICE_R_vlan_depth;
	if (proto != bpf_htons(ETH_P_IP) && proto != bpf_htons(ETH_P_IPV6))
		return SLUICE_R_not_ip;
	p->v6 = proto == bpf_htons(ETH_P_IPV6);
	return NEXT;
}

/* The addresses, as soon as the fixed header is there: the lists come before anything that
 * could be malformed deeper in. */
static __always_inline int parse_addresses(struct packet *p)
{
	if (p->v6) {
		struct ipv6hdr *ip = packet_at(p, p->l3, struct ipv6hdr);

		if (!ip)
			return SLUICE_R_truncated;
		addr_from_v6(&p->flow.src, &ip->saddr);
		addr_from_v6(&p->flow.dst, &ip->daddr);
	} else {
		struct iphdr *ip = packet_at(p, p->l3, struct iphdr);

		if (!ip)
			return SLUICE_R_truncated;
		addr_from_v4(&p->flow.src, ip->saddr);
		addr_from_v4(&p->flow.dst, ip->daddr);
	}
	return NEXT;
}

/* Does the IP packet itself go on for that many bytes after its headers? The frame may:
 * Ethernet pads short ones. */
static __always_inline bool l4_has(const struct packet *p, __u32 bytes)
{
	return p->l4 + bytes <= p->l3 + p->ip_bytes;
}

static __always_inline int parse_v4(struct packet *p)
{
	struct iphdr *ip = packet_at(p, p->l3, struct iphdr);
	__u32 header, offset;

	if (!ip)
		return SLUICE_R_truncated;
	header = ip->ihl * 4;
	p->ip_bytes = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || header < sizeof(*ip) || p->ip_bytes < header)
		return SLUICE_R_malformed;
	if (p->l3 + p->ip_bytes > p->bytes)
		return SLUICE_R_truncated;
	p->l4 = p->l3 + header;
	p->tos = ip->tos;
	p->ttl = ip->ttl;
	p->flow.proto = ip->protocol;
	offset = bpf_ntohs(ip->frag_off) & 0x3fff; /* M bit and offset */
	if (offset & 0x1fff)
		p->portless = SLUICE_R_fragment;
	p->first_fragment = offset == 0x2000;
	return NEXT;
}

static __always_inline bool ext_is(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT || next == IPPROTO_AH;
}

/* Offset 0 without M is a whole packet (RFC 6946). */
static __always_inline void parse_fragment(struct packet *p, const struct ext_header *ext)
{
	if (ext->fragment & bpf_htons(0xfff8))
		p->portless = SLUICE_R_fragment;
	else if (ext->fragment & bpf_htons(1))
		p->first_fragment = 1;
}

/* Sets l4 and the protocol, if the headers end in time. */
static __always_inline int parse_ext_headers(struct packet *p, __u8 next)
{
	struct ext_header *ext;

	for (int i = 0; i < PARSE_EXT_HEADERS && ext_is(next); i++) {
		if (p->l4 > PACKET_MAX_OFFSET)
			break;
		ext = packet_at(p, p->l4, struct ext_header);
		if (!ext || !l4_has(p, 8))
			return SLUICE_R_truncated;
		if (next == IPPROTO_FRAGMENT) {
			parse_fragment(p, ext);
			/* What follows in a later fragment is the middle of something; the first
			 * one says of what. */
			if (p->portless) {
				p->flow.proto = ext->next;
				return NEXT;
			}
			p->l4 += 8;
		} else if (next == IPPROTO_AH) {
			p->l4 += (ext->len + 2) * 4;
		} else {
			p->l4 += (ext->len + 1) * 8;
		}
		next = ext->next;
	}
	p->flow.proto = next;
	if (ext_is(next) || p->l4 > PACKET_MAX_OFFSET)
		p->portless = SLUICE_R_ext_headers;
	return NEXT;
}

static __always_inline int parse_v6(struct packet *p)
{
	struct ipv6hdr *ip = packet_at(p, p->l3, struct ipv6hdr);

	if (!ip)
		return SLUICE_R_truncated;
	p->ip_bytes = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	/* A v4-mapped address must not be on a wire (RFC 6890), and would pass for IPv4 here. As a
	 * source it is a martian. */
	if (ip->version != 6 || addr_mapped(&p->flow.dst))
		return SLUICE_R_malformed;
	if (p->l3 + p->ip_bytes > p->bytes)
		return SLUICE_R_truncated;
	p->tos = (ip->priority << 4) | (ip->flow_lbl[0] >> 4);
	p->ttl = ip->hop_limit;
	p->l4 = p->l3 + sizeof(*ip);
	return parse_ext_headers(p, ip->nexthdr);
}

static __always_inline int parse_l3(struct packet *p)
{
	return p->v6 ? parse_v6(p) : parse_v4(p);
}

/* Ports of TCP and UDP; other protocols have none and need none. */
static __always_inline int parse_l4(struct packet *p)
{
	if (p->flow.proto == IPPROTO_TCP) {
		struct tcp_start *tcp = packet_at(p, p->l4, struct tcp_start);

		if (!tcp || !l4_has(p, 20))
			return SLUICE_R_truncated;
		p->flow.sport = tcp->ports.source;
		p->flow.dport = tcp->ports.dest;
		p->syn = (tcp->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
		p->rst = (tcp->flags & TCP_RST) != 0;
		p->closing = (tcp->flags & (TCP_FIN | TCP_RST)) != 0;
	} else if (p->flow.proto == IPPROTO_UDP) {
		struct ports *udp = packet_at(p, p->l4, struct ports);

		if (!udp || !l4_has(p, 8))
			return SLUICE_R_truncated;
		p->flow.sport = udp->source;
		p->flow.dport = udp->dest;
	}
	return NEXT;
}

#endif
