// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sends TCP packets of many flows into a veth as fast as one core can make them, without a
 * socket buffer in between: the other end's XDP program sees them as a driver's frames.
 *
 *   gen OBJECT IFACE COUNT FLOWS SRC:PORT DST:PORT ports|addrs|anywhere syn|ack
 *
 * OBJECT is gen.bpf.o; flows start at SRC:PORT and differ in the ports, or in addresses too.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/addr.h"
#include "gen.h"

#define BATCH   64
#define TCP_SYN 0x02
#define TCP_ACK 0x10

static int die(const char *what)
{
	fprintf(stderr, "gen: %s: %s\n", what, strerror(errno));
	return 1;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* l4.py gives its links these addresses. */
static void write_ethernet(struct gen_plan *p)
{
	memcpy(p->head, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01", 12);
	put16(p->head + 12, p->v6 ? 0x86dd : 0x0800);
}

static uint8_t *write_ip(struct gen_plan *p, const struct endpoint *src, const struct endpoint *dst)
{
	uint8_t *ip = p->head + GEN_ETH;

	if (p->v6) {
		ip[0] = 0x60;
		put16(ip + 4, p->len - GEN_ETH - 40);
		ip[6] = 6;
		ip[7] = 64;
		memcpy(ip + 8, src->addr.b, 16);
		memcpy(ip + 24, dst->addr.b, 16);
		return ip + 40;
	}
	ip[0] = 0x45;
	put16(ip + 2, p->len - GEN_ETH);
	ip[6] = 0x40; /* don't fragment, as TCP sends */
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, src->addr.b + 12, 4);
	memcpy(ip + 16, dst->addr.b + 12, 4);
	return ip + 20;
}

static void write_tcp(uint8_t *tcp, unsigned sport, unsigned dport, bool syn)
{
	put16(tcp, sport);
	put16(tcp + 2, dport);
	tcp[12] = 0x50;
	tcp[13] = syn ? TCP_SYN : TCP_ACK;
	put16(tcp + 14, 65535);
}

static bool plan_read(struct gen_plan *p, char **argv)
{
	struct endpoint src, dst;

	p->flows = strtoull(argv[4], NULL, 10);
	if (!p->flows || !endpoint_parse(&src, argv[5]) || !endpoint_parse(&dst, argv[6]) ||
	    addr_is_v4(&src.addr) != addr_is_v4(&dst.addr))
		return false;
	p->v6 = !addr_is_v4(&src.addr);
	p->len = p->v6 ? GEN_MAX : 60; /* the smallest frame, without its checksum */
	p->by_addr = strcmp(argv[7], "addrs") == 0      ? 1
		     : strcmp(argv[7], "anywhere") == 0 ? GEN_ANYWHERE
							: 0;
	write_ethernet(p);
	write_tcp(write_ip(p, &src, &dst), src.port, dst.port, strcmp(argv[8], "syn") == 0);
	return true;
}

static int run(int prog, const struct gen_plan *p, unsigned ifindex, unsigned count)
{
	uint8_t frame[GEN_MAX] = {0};
	struct xdp_md ctx = {.data_end = p->len, .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = p->len,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = (int)count,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);

	return bpf_prog_test_run_opts(prog, &opts);
}

int main(int argc, char **argv)
{
	struct gen_plan plan = {0};
	struct bpf_object *obj;
	struct bpf_map *map;
	unsigned ifindex, zero = 0;

	if (argc != 9 || !plan_read(&plan, argv)) {
		fprintf(stderr, "usage: gen OBJECT IFACE COUNT FLOWS SRC:PORT DST:PORT "
				"ports|addrs|anywhere syn|ack\n");
		return 2;
	}
	ifindex = if_nametoindex(argv[2]);
	if (!ifindex)
		return die(argv[2]);
	obj = bpf_object__open(argv[1]);
	if (!obj || bpf_object__load(obj))
		return die(argv[1]);
	map = bpf_object__find_map_by_name(obj, ".bss");
	if (!map || bpf_map_update_elem(bpf_map__fd(map), &zero, &plan, BPF_ANY))
		return die("writing the plan");
	if (run(bpf_program__fd(bpf_object__next_program(obj, NULL)), &plan, ifindex,
		(unsigned)strtoul(argv[3], NULL, 10)))
		return die("sending");
	bpf_object__close(obj);
	return 0;
}
