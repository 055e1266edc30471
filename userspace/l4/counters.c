// SPDX-License-Identifier: BSD-2-Clause
#include "l4/counters.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

static uint64_t load(const __u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void add_counts(struct sluice_count *sum, const struct sluice_count *cpu, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sum[i].packets += load(&cpu[i].packets);
		sum[i].bytes += load(&cpu[i].bytes);
	}
}

static void add_cpu(struct counters_sum *sum, const struct sluice_counters *cpu)
{
	add_counts(sum->reasons, cpu->reasons, SLUICE_SLOTS);
	for (size_t i = 0; i < SLUICE_SLOTS; i++)
		sum->notices[i] += load(&cpu->notices[i]);
	add_counts(sum->services, cpu->services, SLUICE_MAX_SERVICES);
	add_counts(sum->backends, cpu->backends, SLUICE_MAX_BACKENDS);
}

int counters_read(const struct gate *g, struct counters_sum *sum, struct err *e)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	const struct sluice_counters *cpus;
	size_t bytes, page = (size_t)sysconf(_SC_PAGESIZE);

	if (bpf_obj_get_info_by_fd(g->counters, &info, &len))
		return err_set(e, errno, "cannot look at the map counters: %s", strerror(errno));
	if (info.value_size != sizeof(*cpus))
		return err_set(e, EPROTO,
			       "the map counters has another layout; it belongs to another build: "
			       "attach again with this one");
	bytes = ((size_t)info.max_entries * sizeof(*cpus) + page - 1) / page * page;
	cpus = mmap(NULL, bytes, PROT_READ, MAP_SHARED, g->counters, 0);
	if (cpus == MAP_FAILED)
		return err_set(e, errno, "cannot read the map counters: %s", strerror(errno));

	memset(sum, 0, sizeof(*sum));
	for (__u32 cpu = 0; cpu < info.max_entries; cpu++)
		add_cpu(sum, &cpus[cpu]);
	munmap((void *)cpus, bytes);
	return 0;
}
