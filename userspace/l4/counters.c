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

/* The whole map in memory: one element per CPU. unmap_all gives it back. */
struct mapped {
	struct sluice_counters *cpus;
	__u32 n;
	size_t bytes;
};

static int map_all(const struct gate *g, int prot, struct mapped *m)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (bpf_obj_get_info_by_fd(g->counters, &info, &len))
		return -errno;
	if (info.value_size != sizeof(*m->cpus))
		return -EPROTO;
	m->n = info.max_entries;
	m->bytes = ((size_t)m->n * sizeof(*m->cpus) + page - 1) / page * page;
	m->cpus = mmap(NULL, m->bytes, prot, MAP_SHARED, g->counters, 0);
	return m->cpus == MAP_FAILED ? -errno : 0;
}

static void unmap_all(struct mapped *m)
{
	munmap(m->cpus, m->bytes);
}

int counters_read(const struct gate *g, struct counters_sum *sum, struct err *e)
{
	struct mapped m;
	int rc = map_all(g, PROT_READ, &m);

	if (rc == -EPROTO)
		return err_set(
			e, EPROTO,
			"the map counters has another layout: it belongs to another version; "
			"`sluice detach --all`, then attach with this one");
	if (rc)
		return err_set(e, -rc, "cannot read the map counters: %s", strerror(-rc));
	memset(sum, 0, sizeof(*sum));
	for (__u32 cpu = 0; cpu < m.n; cpu++)
		add_cpu(sum, &m.cpus[cpu]);
	unmap_all(&m);
	return 0;
}

static void clear(struct sluice_count *count)
{
	__atomic_store_n(&count->packets, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&count->bytes, 0, __ATOMIC_RELAXED);
}

int counters_clear_service(const struct gate *g, __u32 id)
{
	struct mapped m;
	int rc = map_all(g, PROT_READ | PROT_WRITE, &m);

	if (rc)
		return rc;
	for (__u32 cpu = 0; cpu < m.n; cpu++)
		clear(&m.cpus[cpu].services[id]);
	unmap_all(&m);
	return 0;
}

int counters_clear_backend(const struct gate *g, __u32 id)
{
	struct mapped m;
	int rc = map_all(g, PROT_READ | PROT_WRITE, &m);

	if (rc)
		return rc;
	for (__u32 cpu = 0; cpu < m.n; cpu++)
		clear(&m.cpus[cpu].backends[id]);
	unmap_all(&m);
	return 0;
}

static void copy_words(__u64 *to, const __u64 *from)
{
	for (size_t i = 0; i < SLUICE_FILTER_WORDS; i++)
		__atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
}

int counters_filter(const struct gate *g, const __u64 *vips, const __u64 *l4)
{
	struct mapped m;
	int rc = map_all(g, PROT_READ | PROT_WRITE, &m);

	if (rc)
		return rc;
	for (__u32 cpu = 0; cpu < m.n; cpu++) {
		copy_words(m.cpus[cpu].filter_vips, vips);
		copy_words(m.cpus[cpu].filter_l4, l4);
	}
	unmap_all(&m);
	return 0;
}

int counters_sieves(const struct gate *g, __u32 words[2])
{
	struct mapped m;
	int rc = map_all(g, PROT_READ, &m);

	if (rc)
		return rc;
	memcpy(words, m.cpus[0].sieves, sizeof(m.cpus[0].sieves)); /* all say the same */
	unmap_all(&m);
	return 0;
}

int counters_set_sieves(const struct gate *g, const __u32 words[2])
{
	struct mapped m;
	int rc = map_all(g, PROT_READ | PROT_WRITE, &m);

	if (rc)
		return rc;
	for (__u32 cpu = 0; cpu < m.n; cpu++)
		for (int v6 = 0; v6 < 2; v6++)
			__atomic_store_n(&m.cpus[cpu].sieves[v6], words[v6], __ATOMIC_RELEASE);
	unmap_all(&m);
	return 0;
}

int counters_capture(const struct gate *g, __u64 reasons, __u64 until_ns)
{
	struct mapped m;
	int rc = map_all(g, PROT_READ | PROT_WRITE, &m);

	if (rc)
		return rc;
	for (__u32 cpu = 0; cpu < m.n; cpu++) {
		__atomic_store_n(&m.cpus[cpu].capture_until_ns, until_ns, __ATOMIC_RELAXED);
		__atomic_store_n(&m.cpus[cpu].capture, reasons, __ATOMIC_RELAXED);
	}
	unmap_all(&m);
	return 0;
}
