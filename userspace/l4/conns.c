// SPDX-License-Identifier: BSD-2-Clause
#include "l4/conns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "l4/nat.h"
#include "l4/ticks.h"
#include "sluice/conn.h"

/* ---- the stamps' clock ---------------------------------------------------------------- */

#define STAMP_TICKS_LOG2 9 /* as conn_stamp() in bpf/balance.h has it */

__u32 conns_step_ms(void)
{
	return (__u32)((1000ULL << STAMP_TICKS_LOG2) / ticks_hz());
}

/* The stamp that the gate would write now. */
static int stamp_now(__u16 *now)
{
	__u32 ticks;
	int rc = ticks_now(&ticks);

	*now = rc ? 0 : (__u16)(ticks >> STAMP_TICKS_LOG2);
	return rc;
}

__u64 conns_find(const struct gate *g, const struct sluice_flow *flow, bool apart, __u32 *idle_ms)
{
	__u64 seed = g->meta_seen.seed;
	__u64 hash = sluice_conn_hash(flow, apart ? SLUICE_CONN_SEED_APART(seed) : seed);
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	__u16 now;

	if (bpf_obj_get_info_by_fd(g->conns, &info, &len) != 0 || stamp_now(&now) != 0)
		return 0;
	for (__u32 nth = 0; nth < SLUICE_CONN_PLACES; nth++) {
		__u32 index = sluice_conn_place(hash, nth, info.max_entries);
		struct sluice_conns b;

		if (bpf_map_lookup_elem(g->conns, &index, &b) != 0)
			return 0;
		for (int i = 0; i < SLUICE_CONN_WAYS; i++) {
			__u64 word = b.way[i].word;

			if (!word || sluice_conn_of(b.way[i].check, word) != hash)
				continue;
			*idle_ms = sluice_conn_idle_ms(word, now, conns_step_ms());
			return word;
		}
	}
	return 0;
}

/* ---- passing over the table ----------------------------------------------------------- */

/* What is known of a backend's id: asked once. */
struct owner {
	bool known;
	__u32 generation, service; /* service 0: nobody's */
	__u32 udp_timeout_ms;
};

struct pass {
	const struct gate *gate;
	const struct sluice_conns *buckets;
	const struct sluice_conn_keys *keys; /* NULL: not wanted */
	__u32 n;
	__u16 now;
	__u32 step_ms;
	struct owner *owners;
	struct conns_sum *sum;
	int (*each)(void *arg, const struct conns_flow *flow);
	void *arg;
};

static const void *map_whole(int fd, size_t value_size, __u32 *n)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	void *at;

	if (bpf_obj_get_info_by_fd(fd, &info, &len) != 0)
		return NULL;
	if (info.value_size != value_size || (*n && info.max_entries != *n)) {
		errno = EPROTO;
		return NULL;
	}
	*n = info.max_entries;
	at = mmap(NULL, value_size * *n, PROT_READ, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

static void pass_fini(struct pass *p)
{
	if (p->buckets)
		munmap((void *)p->buckets, sizeof(*p->buckets) * p->n);
	if (p->keys)
		munmap((void *)p->keys, sizeof(*p->keys) * p->n);
	free(p->owners);
}

static int pass_init(struct pass *p, bool keys, struct err *e)
{
	int rc = stamp_now(&p->now);

	if (rc)
		return err_set(e, -rc, "cannot ask the kernel for its ticks: %s", strerror(-rc));
	p->step_ms = conns_step_ms();
	p->owners = calloc(SLUICE_MAX_BACKENDS, sizeof(*p->owners));
	if (!p->owners)
		return err_set(e, ENOMEM, "out of memory");
	p->buckets = map_whole(p->gate->conns, sizeof(*p->buckets), &p->n);
	if (p->buckets && keys)
		p->keys = map_whole(p->gate->conn_keys, sizeof(*p->keys), &p->n);
	if (!p->buckets || (keys && !p->keys))
		return err_set(e, errno, "cannot read the connection table: %s", strerror(errno));
	memset(p->sum, 0, sizeof(*p->sum));
	p->sum->made_for = 2ULL * p->n;
	return 0;
}

static const struct owner *owner_of(struct pass *p, __u32 backend)
{
	static const struct owner nobody;
	struct sluice_backend b;
	struct owner *o;

	if (backend >= SLUICE_MAX_BACKENDS)
		return &nobody;
	o = &p->owners[backend];
	if (!o->known && bpf_map_lookup_elem(p->gate->backends, &backend, &b) == 0)
		*o = (struct owner){true, b.generation, b.service, b.udp_timeout_ms};
	return o;
}

/* Fills all of *f but the flow. False: the way is empty. */
static bool read_way(struct pass *p, __u64 word, struct conns_flow *f)
{
	__u32 idle_ms = sluice_conn_idle_ms(word, p->now, p->step_ms);
	const struct owner *o;

	if (!word)
		return false;
	f->backend = sluice_conn_backend(word);
	f->idle_s = (__u32)((__u64)(__u16)(p->now - (__u16)word) * p->step_ms / 1000);
	o = owner_of(p, f->backend);
	f->stale = !o->service || o->generation != sluice_conn_generation(word);
	f->service = f->stale ? 0 : o->service;
	f->ended = !f->stale && (sluice_conn_closed(word, idle_ms) ||
				 sluice_conn_expired(word, idle_ms, o->udp_timeout_ms));
	return true;
}

/* Is the key the one that the entry was made for? Neither is written in one piece. */
static bool read_key(const struct pass *p, __u32 bucket, int way, __u64 word, struct conns_flow *f)
{
	__u64 check = __atomic_load_n(&p->buckets[bucket].way[way].check, __ATOMIC_RELAXED);

	memcpy(&f->flow, &p->keys[bucket].way[way], sizeof(f->flow));
	return sluice_conn_of(check, word) == sluice_conn_hash(&f->flow, p->gate->meta_seen.seed);
}

static int pass_give(struct pass *p, const struct conns_flow *f)
{
	p->sum->live += !f->stale && !f->ended;
	p->sum->ended += f->ended;
	p->sum->stale += f->stale;
	return p->each(p->arg, f);
}

static int pass_table(struct pass *p)
{
	struct conns_flow f = {0};
	int rc = 0;

	for (__u32 i = 0; rc == 0 && i < p->n; i++) {
		for (int way = 0; rc == 0 && way < SLUICE_CONN_WAYS; way++) {
			__u64 word =
				__atomic_load_n(&p->buckets[i].way[way].word, __ATOMIC_ACQUIRE);

			if (!read_way(p, word, &f))
				continue;
			if (p->keys && !read_key(p, i, way, word, &f)) {
				p->sum->torn++;
				continue;
			}
			rc = pass_give(p, &f);
		}
	}
	return rc;
}

static int pass_nat(void *arg, const struct nat_flow *nat)
{
	struct pass *p = arg;
	const struct owner *o = owner_of(p, nat->backend);
	struct conns_flow f = {.flow = nat->flow, .backend = nat->backend, .idle_s = nat->idle_s};

	f.stale = !o->service || o->generation != nat->generation;
	f.service = f.stale ? 0 : o->service;
	f.ended = !f.stale && nat->ended;
	return pass_give(p, &f);
}

/* The table's flows and those of nat, which has its own. */
static int pass_run(struct pass *p, struct err *e)
{
	int rc = pass_table(p);

	if (rc)
		return rc;
	rc = nat_each(p->gate, pass_nat, p);
	return rc < 0 ? err_set(e, -rc, "cannot read the flows of nat: %s", strerror(-rc)) : rc;
}

int conns_each(const struct gate *g, int (*each)(void *arg, const struct conns_flow *flow),
	       void *arg, struct conns_sum *sum, struct err *e)
{
	struct pass p = {.gate = g, .sum = sum, .each = each, .arg = arg};
	int rc = pass_init(&p, true, e);

	rc = rc ? rc : pass_run(&p, e);
	pass_fini(&p);
	return rc;
}

static int count_one(void *arg, const struct conns_flow *f)
{
	struct conns_of_backend *of = arg;

	if (f->stale || f->ended)
		return 0;
	of[f->backend].flows++;
	of[f->backend].recent += f->idle_s < CONNS_RECENT_S;
	return 0;
}

int conns_count(const struct gate *g, struct conns_of_backend *of, struct conns_sum *sum,
		struct err *e)
{
	struct pass p = {.gate = g, .sum = sum, .each = count_one, .arg = of};
	int rc = pass_init(&p, false, e);

	memset(of, 0, SLUICE_MAX_BACKENDS * sizeof(*of));
	rc = rc ? rc : pass_run(&p, e);
	pass_fini(&p);
	return rc;
}
