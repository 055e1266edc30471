// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the maps rings_before and changes.
 * Promises: the gate never takes one table for another: `changes` lets it ask only while the
 * table that it describes is in place.
 */
#include "l4/before.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "l4/arrays.h"
#include "sluice/flow_hash.h"

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (__u64)now.tv_sec * 1000000000ULL + (__u64)now.tv_nsec;
}

static int change_read(const struct gate *g, __u32 service, struct sluice_change *c)
{
	return bpf_map_lookup_elem(g->changes, &service, c) ? -errno : 0;
}

static int change_write(const struct gate *g, __u32 service, const struct sluice_change *c)
{
	return bpf_map_update_elem(g->changes, &service, c, BPF_ANY) ? -errno : 0;
}

static int table_drop(const struct gate *g, __u32 service)
{
	return bpf_map_delete_elem(g->rings_before, &service) && errno != ENOENT ? -errno : 0;
}

int before_keep(const struct gate *g, __u32 service, __u32 keep_ms)
{
	struct sluice_change c;
	int rc = change_read(g, service, &c);

	c.keep_ms = keep_ms;
	if (keep_ms == 0)
		c.until_ns = 0;
	rc = rc ? rc : change_write(g, service, &c);
	return rc || keep_ms ? rc : table_drop(g, service);
}

int before_kept(const struct gate *g, __u32 *keep_ms)
{
	struct sluice_change *all = calloc(SLUICE_MAX_SERVICES, sizeof(*all));
	int rc = all ? array_read(g->changes, all, SLUICE_MAX_SERVICES) : -ENOMEM;

	for (__u32 id = 0; rc == 0 && id < SLUICE_MAX_SERVICES; id++)
		keep_ms[id] = all[id].keep_ms;
	free(all);
	return rc;
}

/* The table with the generation of each backend, as it is now. */
static int slots_tag(const struct gate *g, const __u32 *ring, __u32 slots, __u32 *out)
{
	struct sluice_backend *all = calloc(SLUICE_MAX_BACKENDS, sizeof(*all));
	int rc = all ? array_read(g->backends, all, SLUICE_MAX_BACKENDS) : -ENOMEM;

	for (__u32 i = 0; rc == 0 && i < slots; i++) {
		__u32 id = ring[i];

		out[i] = id && id < SLUICE_MAX_BACKENDS ? SLUICE_BEFORE(id, all[id].generation) : 0;
	}
	free(all);
	return rc;
}

int before_swap(const struct gate *g, __u32 service, const __u32 *ring, __u32 slots)
{
	__u32 *tagged = calloc(slots, sizeof(*tagged));
	struct sluice_change c;
	int rc = tagged ? change_read(g, service, &c) : -ENOMEM;

	if (rc || c.keep_ms == 0)
		goto out;
	rc = slots_tag(g, ring, slots, tagged);
	c.until_ns = 0;
	rc = rc ? rc : change_write(g, service, &c);
	rc = rc ? rc : array_swap_in(g->rings_before, service, tagged, slots);
	c.until_ns = now_ns() + c.keep_ms * 1000000ULL;
	c.slots = slots;
	rc = rc ? rc : change_write(g, service, &c);
out:
	free(tagged);
	return rc;
}

int before_forget(const struct gate *g, __u32 service)
{
	static const struct sluice_change none;
	int rc = change_write(g, service, &none);

	return rc ? rc : table_drop(g, service);
}

int before_sweep(const struct gate *g)
{
	struct sluice_change *all = calloc(SLUICE_MAX_SERVICES, sizeof(*all));
	int rc = all ? array_read(g->changes, all, SLUICE_MAX_SERVICES) : -ENOMEM;
	__u64 now = now_ns();

	for (__u32 id = 0; rc == 0 && id < SLUICE_MAX_SERVICES; id++) {
		if (!all[id].until_ns || all[id].until_ns > now)
			continue;
		all[id].until_ns = 0;
		rc = change_write(g, id, &all[id]);
		rc = rc ? rc : table_drop(g, id);
	}
	free(all);
	return rc;
}

__u32 before_find(const struct gate *g, __u32 service, __u32 hash, __u32 *generation)
{
	struct sluice_change c;
	__u32 slot, was = 0;

	if (change_read(g, service, &c) != 0 || c.until_ns <= now_ns())
		return 0;
	slot = sluice_slot(hash, c.slots);
	if (array_inner(g->rings_before, service, slot, &was) != 0)
		return 0;
	*generation = SLUICE_BEFORE_GENERATION(was);
	return SLUICE_BEFORE_ID(was);
}
