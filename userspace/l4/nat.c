// SPDX-License-Identifier: BSD-2-Clause
#include "l4/nat.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "l4/ticks.h"
#include "sluice/conn.h"

static const __u32 zero;

/* ---- sources -------------------------------------------------------------------------- */

static struct sluice_vip source_key(const struct plan_source *s, int i)
{
	const __u8 protos[] = {IPPROTO_TCP, IPPROTO_UDP,
			       addr_is_v4(&s->addr) ? IPPROTO_ICMP : IPPROTO_ICMPV6};

	return (struct sluice_vip){.addr = s->addr, .proto = protos[i]};
}

int nat_source_put(const struct gate *g, const struct plan_source *s)
{
	const struct sluice_service value = {.kind = SLUICE_SOURCE, .ring_size = s->number};
	int rc = 0;

	for (int i = 0; rc == 0 && i < NAT_SOURCE_KEYS; i++) {
		struct sluice_vip key = source_key(s, i);

		rc = bpf_map_update_elem(g->vips, &key, &value, BPF_ANY) ? -errno : 0;
	}
	return rc;
}

int nat_source_remove(const struct gate *g, const struct plan_source *s)
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < NAT_SOURCE_KEYS; i++) {
		struct sluice_vip key = source_key(s, i);

		rc = bpf_map_delete_elem(g->vips, &key) && errno != ENOENT ? -errno : 0;
	}
	return rc;
}

int nat_pool_write(const struct gate *g, const struct plan_state *s)
{
	struct sluice_nat_pool old, pool = {0};

	if (bpf_map_lookup_elem(g->nat_pool, &zero, &old) != 0)
		return -errno;
	pool.sources = old.sources;
	pool.first = old.first;
	pool.ports = old.ports;
	for (size_t i = 0; i < s->n_sources; i++) {
		const struct plan_source *source = &s->sources[i];
		bool v6 = !addr_is_v4(&source->addr);

		pool.addr[source->number] = source->addr;
		pool.number[v6][pool.n[v6]++] = (__u8)source->number;
	}
	return bpf_map_update_elem(g->nat_pool, &zero, &pool, BPF_ANY) ? -errno : 0;
}

int nat_read(const struct gate *g, struct plan_state *s)
{
	struct sluice_nat_pool pool;

	if (bpf_map_lookup_elem(g->nat_pool, &zero, &pool) != 0)
		return -errno;
	s->nat = (struct plan_nat){
		.sources = pool.sources, .first = pool.first, .ports = pool.ports};
	for (size_t i = 0; i < s->n_sources; i++) {
		struct plan_source *source = &s->sources[i];

		source->pooled = source->number < pool.sources &&
				 addr_equal(&pool.addr[source->number], &source->addr);
	}
	return 0;
}

/* ---- flows ---------------------------------------------------------------------------- */

#define BATCH 1024

struct ages {
	__u32 now, hz;
};

static int ages_init(struct ages *a)
{
	a->hz = ticks_hz();
	return ticks_now(&a->now);
}

static void fill(const struct sluice_nat_flow *f, const struct ages *a, struct nat_flow *out)
{
	__u32 idle = a->now - f->stamp;

	/* It may have been stamped since. */
	if ((__s32)idle < 0)
		idle = 0;
	out->flow = (struct sluice_flow){
		.src = f->client,
		.dst = f->vip,
		.sport = f->cport,
		.dport = f->vport,
		.proto = f->proto,
	};
	out->backend = f->id;
	out->generation = f->generation;
	out->source = (struct endpoint){f->source, ntohs(f->sport)};
	out->idle_s = idle / a->hz;
	out->ended = out->idle_s > sluice_nat_idle_s(f->proto == IPPROTO_UDP, f->state);
}

static int each_of(const struct sluice_nat_port *ports, __u32 n, const struct ages *a,
		   int (*each)(void *arg, const struct nat_flow *f), void *arg)
{
	struct nat_flow flow;
	int rc = 0;

	for (__u32 i = 0; i < n; i++) {
		for (int way = 0; rc == 0 && way < SLUICE_NAT_WAYS; way++) {
			if (ports[i].way[way].state == SLUICE_NAT_FREE)
				continue;
			fill(&ports[i].way[way], a, &flow);
			rc = each(arg, &flow);
		}
	}
	return rc;
}

int nat_each(const struct gate *g, int (*each)(void *arg, const struct nat_flow *f), void *arg)
{
	struct sluice_nat_port *ports = calloc(BATCH, sizeof(*ports));
	__u32 *keys = calloc(BATCH, sizeof(*keys)), from = 0, next = 0, n;
	struct ages ages;
	bool first = true, last = false;
	int rc = ports && keys ? ages_init(&ages) : -ENOMEM;

	while (rc == 0 && !last) {
		n = BATCH;
		if (bpf_map_lookup_batch(g->nat, first ? NULL : &from, &next, keys, ports, &n,
					 NULL) != 0) {
			last = errno == ENOENT;
			rc = last ? 0 : -errno;
		}
		rc = rc ? rc : each_of(ports, n, &ages, each, arg);
		from = next;
		first = false;
	}
	free(ports);
	free(keys);
	return rc;
}

/* What the index leads to, if that is this flow. */
static bool flow_at(const struct gate *g, __u32 place, const struct sluice_flow *flow,
		    struct nat_flow *out)
{
	__u32 port = place / SLUICE_NAT_WAYS;
	const struct sluice_nat_flow *f;
	struct sluice_nat_port b;
	struct ages ages;

	if (bpf_map_lookup_elem(g->nat, &port, &b) != 0 || ages_init(&ages) != 0)
		return false;
	f = &b.way[place % SLUICE_NAT_WAYS];
	fill(f, &ages, out);
	return f->state != SLUICE_NAT_FREE && memcmp(&out->flow, flow, sizeof(*flow)) == 0;
}

bool nat_find(const struct gate *g, const struct sluice_flow *flow, struct nat_flow *out)
{
	__u64 hash = sluice_conn_hash(flow, g->meta_seen.seed);
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(g->nat_index, &info, &len) != 0)
		return false;
	for (int second = 0; second < 2; second++) {
		__u32 index = sluice_conn_bucket(hash, second, info.max_entries);
		struct sluice_nat_line line;

		if (bpf_map_lookup_elem(g->nat_index, &index, &line) != 0)
			return false;
		for (int i = 0; i < SLUICE_NAT_LINE; i++)
			if (line.word[i] && line.word[i] >> 32 == hash >> 32 &&
			    flow_at(g, (__u32)line.word[i] - 1, flow, out))
				return true;
	}
	return false;
}
