// SPDX-License-Identifier: BSD-2-Clause
/* See bed.h. */
#include "bed_nat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "bed.h"
#include "gate.skel.h"
#include "sluice/nat.h"

static uint32_t n_elements, n_lines;

static void set(const char *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(bed_map(map), key, value, BPF_ANY) != 0) {
		fprintf(stderr, "cannot write the map %s: %s\n", map, strerror(errno));
		exit(1);
	}
}

void bed_nat_open(struct gate_bpf *skel, uint32_t ports)
{
	n_elements = ports ? 2 * ports : 1;
	n_lines = sluice_nat_lines(n_elements);
	skel->rodata->nat_sources = ports ? 2 : 0;
	skel->rodata->nat_first = BED_NAT_FIRST;
	skel->rodata->nat_ports = ports ? ports : 1;
	skel->rodata->nat_lines = n_lines;
	bpf_map__set_max_entries(skel->maps.nat, n_elements);
	bpf_map__set_max_entries(skel->maps.nat_index, n_lines);
}

void bed_nat_make(uint32_t ports)
{
	const uint32_t zero = 0;
	struct sluice_nat_pool pool = {
		.addr = {frame_addr("nat", false), frame_addr("nat", true)},
		.number = {{0}, {1}},
		.n = {1, 1},
	};

	if (!ports)
		return;
	set("nat_pool", &zero, &pool);
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP,
					  v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP};

		for (int i = 0; i < 3; i++) {
			const struct sluice_vip key = {.addr = pool.addr[v6], .proto = protos[i]};
			const struct sluice_service value = {.kind = SLUICE_SOURCE,
							     .ring_size = v6};

			set("vips", &key, &value);
		}
	}
}

void bed_nat_service(uint32_t id, bool v6, uint16_t vport, const char *host, uint16_t port)
{
	const struct sluice_backend b = {
		.addr = frame_addr(host, v6),
		.src = frame_addr("nat", v6),
		.generation = 1,
		.service = id,
		.mode = SLUICE_MODE_nat,
		.port = htons(port),
	};

	set("backends", &id, &b);
	bed_ring(id, &id, 1);
	bed_vip("shop", v6, vport, IPPROTO_TCP, id, SLUICE_NAT);
	bed_vip("shop", v6, vport, IPPROTO_UDP, id, SLUICE_NAT);
}

void bed_empty_nat(void)
{
	static const struct sluice_nat_port port;
	static const struct sluice_nat_line line;

	for (uint32_t i = 0; i < n_elements; i++)
		set("nat", &i, &port);
	for (uint32_t i = 0; i < n_lines; i++)
		set("nat_index", &i, &line);
}
