/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Every map of the gate, and only maps. All are pinned by name under SLUICE_PIN_DIR, so
 * that they outlive the program: an upgrade swaps the program on the same maps. Beside
 * each: who writes it, its bound, and what happens at the bound.
 */
#ifndef BPF_MAPS_H
#define BPF_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sluice/abi.h"
#include "sluice/nat.h"
#include "sluice/quic.h"
#include "sluice/sieve.h"

#define LIST_MAP(name, key_type)                                                                   \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);                                               \
		__uint(max_entries, SLUICE_MAX_LIST);                                              \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                               \
		__type(key, key_type);                                                             \
		__type(value, struct sluice_listed);                                               \
	} name SEC(".maps")

/* The operator's lists (sluice, bpftool, sluiced). Full: the edit fails with ENOSPC. */
LIST_MAP(block4, struct sluice_lpm4);
LIST_MAP(block6, struct sluice_lpm6);
LIST_MAP(allow4, struct sluice_lpm4);
LIST_MAP(allow6, struct sluice_lpm6);

/* What imported feeds name, all of them together. A sieve is in slots that follow one another
 * (sluice_counters.sieves tells which); a new one is built in others, and then pointed at, so
 * that no packet sees a mixed one. Written by `sluice block`; full: refused. */
struct sieve {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_SIEVE_CHUNK);
	__uint(map_flags, BPF_F_MMAPABLE); /* lines are aligned, too */
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(union sluice_sieve_line));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SLUICE_SIEVE_CHUNKS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__array(values, struct sieve);
} sieves SEC(".maps");

/* (VIP, port, protocol) to service. Written by `sluice apply`, which refuses a file with
 * more. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLUICE_MAX_VIPS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct sluice_vip);
	__type(value, struct sluice_service);
} vips SEC(".maps");

/* Service id to Maglev table. A table is built beside and swapped in whole, so that no
 * packet sees a mixed one. Its length is vips' ring_size. */
struct ring {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_RING_SIZE);
	__uint(map_flags, BPF_F_INNER_MAP); /* lets tables differ in length (Linux 5.10) */
	__type(key, __u32);
	__type(value, __u32); /* backend id, 0 = none */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SLUICE_MAX_SERVICES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

/* Service id to the table that it had before the last change, and when that was. The slots are
 * SLUICE_BEFORE(). Written by whoever swaps a table in. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SLUICE_MAX_SERVICES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__array(values, struct ring);
} rings_before SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_SERVICES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_change);
} changes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_BACKENDS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_backend);
} backends SEC(".maps");

/* Sources with a backend of their own, by service. Written by `sluice apply`, which refuses a
 * file with more than SLUICE_MAX_PINS; twice as many fit, since new ones come before old ones
 * go. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 2 * SLUICE_MAX_PINS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct sluice_pin_key);
	__type(value, struct sluice_pin);
} pins SEC(".maps");

/* Backends by the server ID that QUIC's connection IDs have of them. Written by `sluice apply`,
 * which refuses a file with more than SLUICE_MAX_SERVER_IDS; twice as many fit, likewise. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * SLUICE_MAX_SERVER_IDS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct sluice_server_id);
	__type(value, struct sluice_pin);
} server_ids SEC(".maps");

/* Service id to what it takes of each source. Written by `sluice apply`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_SERVICES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_limit);
} limits SEC(".maps");

/* What sources have taken of their limits (rate.h). Written by the gate. Both lines of a source
 * full: the one goes that is nearest to having nothing taken. The size is set at load from the
 * configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_MMAPABLE); /* lines are aligned, too */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_sources);
} sources SEC(".maps");

/* What SYNs are answered with. Written by `sluice attach` and `sluice apply`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_cookies);
} cookies SEC(".maps");

/* Names of services and backends, by id: for userspace alone. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_SERVICES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_label);
} service_labels SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_BACKENDS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_label);
} backend_labels SEC(".maps");

/* Flow to the backend it was given (conn.h). Written by the gate on evidence that the flow is
 * real. Both buckets full: the way that was used longest ago goes, counted, and its flow is
 * hashed again if it comes back. The size is set at load from the configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_conns);
} conns SEC(".maps");

/* Whose entries those are: for userspace alone. As long as conns. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_conn_keys);
} conn_keys SEC(".maps");

/* The flows of nat, by source port, and their index by client (nat.h). Written by the gate; a
 * port that all its ways are taken of is passed over, and flows that have not come to be open
 * give way first. Made at load for the sources of the file, of one element without any. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_nat_port);
} nat SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_nat_line);
} nat_index SEC(".maps");

/* Written by `sluice apply`, which refuses more. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_nat_pool);
} nat_pool SEC(".maps");

/* Balancers whose tunnels this host unwraps. Written by `sluice apply`; full: refused. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLUICE_MAX_DECAP);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct sluice_addr);
	__type(value, __u32); /* 1 */
} decap_from SEC(".maps");

/* One element for each possible CPU; max_entries is set at load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_counters);
} counters SEC(".maps");

/* Sampled packets. Full: the event is dropped and counted. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SLUICE_EVENTS_BYTES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct sluice_meta);
} meta SEC(".maps");

/* The daemon's listening sockets, slots 0..meta.workers-1. A closed socket leaves its slot
 * by itself. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, SLUICE_MAX_WORKERS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
} workers SEC(".maps");

#endif
