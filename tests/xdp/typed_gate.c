// SPDX-License-Identifier: BSD-2-Clause
/* See typed_gate.h. */
#include "typed_gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "frame.h"
#include "gate.skel.h"
#include "l4/load.h"
#include "sluice/conn.h"

static struct gate_bpf *skel;

int typed_gate_open(void **unused)
{
	static const struct load_tuning tuning = {
		.given = true, .conn_rate = 1000000, .event_every = 1};
	struct err e;

	if (typed_open(unused) != 0)
		return -1;
	skel = load_open(&tuning, &e);
	if (skel && gate_bpf__load(skel) == 0)
		return 0;
	fprintf(stderr, "the gate does not load: %s\n", skel ? strerror(errno) : e.text);
	return -1;
}

int typed_gate_close(void **unused)
{
	gate_bpf__destroy(skel);
	return typed_close(unused);
}

void typed_send(const char *text)
{
	static unsigned char out[4096];
	struct frame f;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f.b, .data_out = out,
		    .data_size_out = sizeof(out));

	frame_parse(&f, text);
	opts.data_size_in = f.bytes;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.gate), &opts), 0);
}

static void set(int map, const void *key, const void *value)
{
	assert_int_equal(bpf_map_update_elem(map, key, value, BPF_ANY), 0);
}

void typed_shop(uint32_t n)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP);
	const struct sluice_vip key = {
		.addr = frame_addr("shop", false), .port = htons(80), .proto = IPPROTO_TCP};
	const struct sluice_service service = {.id = 1, .kind = SLUICE_L4, .ring_size = 3 * n};
	const struct sluice_label shop = {.name = "shop"};
	const uint32_t one = 1;
	int ring = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", 4, 4, 3 * n, &opts);

	assert_true(ring > 0);
	for (uint32_t i = 0; i < 3 * n; i++) {
		uint32_t id = 1 + i % n;

		set(ring, &i, &id);
	}
	set(typed.gate.rings, &one, &ring);
	set(typed.gate.vips, &key, &service);
	set(typed.gate.service_labels, &one, &shop);
	for (uint32_t id = 1; id <= n; id++) {
		struct sluice_backend b = {.addr = frame_addr("b1", false),
					   .generation = TYPED_GENERATION,
					   .service = 1};
		struct sluice_label name = {.service = 1, .weight = 1};

		b.addr.b[15] += (uint8_t)(id - 1);
		snprintf(name.name, sizeof(name.name), "b%u", id);
		set(typed.gate.backends, &id, &b);
		set(typed.gate.backend_labels, &id, &name);
	}
}

void typed_replace_backend(uint32_t id)
{
	struct sluice_backend b;

	assert_int_equal(bpf_map_lookup_elem(typed.gate.backends, &id, &b), 0);
	b.generation++;
	set(typed.gate.backends, &id, &b);
}

/* Its first bucket; the tables of these tests are never so full that it needs the second. */
static uint32_t bucket_of(const struct sluice_flow *flow)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(typed.gate.conns, &info, &len), 0);
	return sluice_conn_place(sluice_conn_hash(flow, typed.gate.meta_seen.seed), 0,
				 info.max_entries);
}

uint64_t typed_word(const struct sluice_flow *flow)
{
	uint64_t hash = sluice_conn_hash(flow, typed.gate.meta_seen.seed);
	uint32_t index = bucket_of(flow);
	struct sluice_conns b;

	assert_int_equal(bpf_map_lookup_elem(typed.gate.conns, &index, &b), 0);
	for (int way = 0; way < SLUICE_CONN_WAYS; way++)
		if (b.way[way].word && sluice_conn_of(b.way[way].check, b.way[way].word) == hash)
			return b.way[way].word;
	return 0;
}

void typed_write(const struct sluice_flow *flow, uint64_t word)
{
	uint64_t hash = sluice_conn_hash(flow, typed.gate.meta_seen.seed);
	struct sluice_conns bucket = {.way = {{hash ^ sluice_conn_fold(word), word}}};
	struct sluice_conn_keys keys = {.way = {*flow}};
	uint32_t index = bucket_of(flow);

	set(typed.gate.conn_keys, &index, &keys);
	set(typed.gate.conns, &index, &bucket);
}

void typed_enter(const struct sluice_flow *flow, uint32_t backend, uint32_t generation,
		 uint16_t stamp)
{
	typed_write(flow, sluice_conn_word(backend, generation, stamp));
}
