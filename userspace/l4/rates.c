// SPDX-License-Identifier: BSD-2-Clause
#include "l4/rates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "l4/arrays.h"
#include "sluice/rate.h"

const char *const rates_names[SLUICE_RATE_COUNT] = {
#define NAME(name, sentence) #name,
	SLUICE_RATES(NAME)
#undef NAME
};

/* ---- limits --------------------------------------------------------------------------- */

static struct sluice_addr mask_of(unsigned prefix)
{
	struct sluice_addr mask;

	for (unsigned i = 0; i < sizeof(mask.b); i++) {
		unsigned bits = prefix > 8 * i ? prefix - 8 * i : 0;

		mask.b[i] = bits >= 8 ? 0xff : (__u8)(0xff00 >> bits);
	}
	return mask;
}

void rates_masks(struct sluice_limit *l)
{
	l->mask[0] = mask_of(96U + l->prefix4);
	l->mask[1] = mask_of(l->prefix6);
}

struct sluice_limit rates_limit(const struct conf_service *s)
{
	const struct conf_limit *from = &s->limit;
	struct sluice_limit l = {
		.rate = {[SLUICE_RATE_packets] = from->packets,
			 [SLUICE_RATE_connections] = from->connections},
		.burst_ms = from->burst_ms,
		.prefix4 = (__u8)from->source_prefix4,
		.prefix6 = (__u8)from->source_prefix6,
		.known = s->kind == SLUICE_L4 && s->forward != SLUICE_MODE_nat,
	};

	if (!from->packets && !from->connections)
		return (struct sluice_limit){0};
	for (unsigned i = 0; i < SLUICE_RATE_COUNT; i++)
		l.gap_ns[i] = l.rate[i] ? 1000000000ULL / l.rate[i] : 0;
	rates_masks(&l);
	return l;
}

int rates_read(const struct gate *g, struct sluice_limit *all)
{
	return array_read(g->limits, all, SLUICE_MAX_SERVICES);
}

int rates_write(const struct gate *g, __u32 service, const struct sluice_limit *l)
{
	return bpf_map_update_elem(g->limits, &service, l, BPF_ANY) ? -errno : 0;
}

bool rates_of_known(const char *path)
{
	struct sluice_limit *all = calloc(SLUICE_MAX_SERVICES, sizeof(*all));
	int fd = bpf_obj_get(path);
	bool any = false;

	if (all && fd >= 0 && array_read(fd, all, SLUICE_MAX_SERVICES) == 0)
		for (unsigned i = 0; i < SLUICE_MAX_SERVICES; i++)
			any |= all[i].known;
	free(all);
	if (fd >= 0)
		close(fd);
	return any;
}

/* ---- sources -------------------------------------------------------------------------- */

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000000000ULL + (__u64)now.tv_nsec;
}

static __u64 who_is(const struct sluice_limit *l, __u32 service, enum sluice_rate kind,
		    const struct sluice_addr *source, __u64 seed)
{
	unsigned v6 = !addr_is_v4(source);
	__u64 half[2], mask[2];

	memcpy(half, source, sizeof(half));
	memcpy(mask, &l->mask[v6], sizeof(mask));
	return sluice_rate_who(half[0] & mask[0], half[1] & mask[1], service, v6, kind, seed);
}

/* 0 when the gate has no bucket of it: it is full. */
static int full_ns(const struct gate *g, __u64 who, __u64 *full)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	*full = 0;
	if (bpf_obj_get_info_by_fd(g->sources, &info, &len) != 0)
		return -errno;
	for (int second = 0; second < 2; second++) {
		__u32 index = sluice_conn_bucket(who, second, info.max_entries);
		struct sluice_sources line;

		if (bpf_map_lookup_elem(g->sources, &index, &line) != 0)
			return -errno;
		for (unsigned i = 0; i < SLUICE_SOURCE_WAYS; i++)
			if (line.way[i].who == who)
				*full = line.way[i].full_ns;
	}
	return 0;
}

int rates_ask(const struct gate *g, __u32 service, const struct sluice_limit *l,
	      enum sluice_rate kind, const struct sluice_addr *source, struct rates_state *state)
{
	__u64 gap = l->gap_ns[kind], burst = sluice_limit_burst_ns(l), full, taken;
	int rc = full_ns(g, who_is(l, service, kind, source, g->meta_seen.seed), &full);

	if (burst < gap)
		burst = gap;
	taken = sluice_rate_taken(full, now_ns());
	if (taken > burst)
		taken = burst;
	state->left = 1 - (double)taken / (double)burst;
	state->wait_ns = sluice_rate_over(taken, gap, burst) ? taken + gap - burst : 0;
	return rc;
}
