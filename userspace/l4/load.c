// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: which maps are pinned, and that they fit the program that is put on them.
 * Promises: pins of another layout are refused before anything changes; meta.abi is written
 * before any program can run on the maps.
 * Why maps come first and programs later: the services can then be in place before the
 * first packet meets the gate, and every interface's program finds the same maps.
 */
#include "l4/load.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "gate.skel.h"
#include "l4/conns.h"
#include "l4/cookies.h"
#include "l4/rates.h"
#include "l4/ticks.h"
#include "sluice/abi.h"
#include "sluice/nat.h"
#include "sluice/rate.h"

uint64_t load_build_id(void)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	size_t size;
	const unsigned char *elf = gate_bpf__elf_bytes(&size);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ elf[i]) * 0x100000001b3ULL;
	return hash;
}

/* ---- the pins that are there ---------------------------------------------------------- */

static int pinned_info(const char *path, struct bpf_map_info *info)
{
	__u32 len = sizeof(*info);
	int fd = bpf_obj_get(path), rc = 0;

	if (fd < 0)
		return -errno;
	memset(info, 0, sizeof(*info));
	if (bpf_obj_get_info_by_fd(fd, info, &len) != 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* libbpf would refuse with a bare EINVAL. */
static int check_layout(struct bpf_map *map, struct err *e)
{
	struct bpf_map_info info;
	int rc = pinned_info(bpf_map__pin_path(map), &info);

	if (rc == -ENOENT)
		return 0;
	if (rc)
		return err_set(e, -rc, "cannot look at %s: %s", bpf_map__pin_path(map),
			       strerror(-rc));
	if (info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
	    info.value_size == bpf_map__value_size(map) &&
	    info.max_entries == bpf_map__max_entries(map) &&
	    info.map_flags == bpf_map__map_flags(map))
		return 0;
	return err_set(
		e, EPROTO,
		"%s was pinned by a version with another layout; `sluice detach --all` removes "
		"the old pins, lists included (`sluice block list` shows them), then attach "
		"again",
		bpf_map__pin_path(map));
}

static int check_abi(struct err *e)
{
	struct sluice_meta meta = {0};
	__u32 zero = 0;
	int fd = bpf_obj_get(SLUICE_PIN_DIR "/meta"), rc = 0;

	if (fd < 0)
		return 0; /* none yet */
	if (bpf_map_lookup_elem(fd, &zero, &meta) != 0)
		rc = err_set(e, EPROTO,
			     "%s/meta is not what this version pins there; `sluice detach --all` "
			     "removes the pins, then attach again",
			     SLUICE_PIN_DIR);
	/* 0: an attach was cut short between pinning and signing; it is taken up again. */
	else if (meta.abi != 0 && meta.abi != SLUICE_ABI)
		rc = err_set(
			e, EPROTO,
			"the pins in %s have ABI %u and this program speaks %u; `sluice detach "
			"--all` removes them, lists included (its own version's `sluice block "
			"list` shows them), then attach again",
			SLUICE_PIN_DIR, meta.abi, SLUICE_ABI);
	close(fd);
	return rc;
}

/* ---- opening -------------------------------------------------------------------------- */

/* Lines of a table. One that is there keeps its size: flows are worth more than a new bound. */
static uint32_t table_lines(const char *path, uint32_t wanted)
{
	struct bpf_map_info info;

	return pinned_info(path, &info) == 0 ? info.max_entries : wanted;
}

static uint32_t conn_buckets(const struct load_tuning *t)
{
	return table_lines(SLUICE_PIN_DIR "/conns",
			   sluice_conn_buckets(t->max_conns ? t->max_conns : SLUICE_MAX_CONNS));
}

static uint32_t rate_lines(const struct load_tuning *t)
{
	return table_lines(SLUICE_PIN_DIR "/sources",
			   sluice_rate_lines(t->max_sources ? t->max_sources : SLUICE_MAX_SOURCES));
}

/* Element 0 of a pinned map; zeroes: it is not pinned yet. */
static void pinned_element(const char *path, void *element, size_t size)
{
	__u32 zero = 0;
	int fd = bpf_obj_get(path);

	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, element) != 0)
		memset(element, 0, size);
	if (fd >= 0)
		close(fd);
}

static uint64_t pinned_seed(void)
{
	struct sluice_meta meta;

	pinned_element(SLUICE_PIN_DIR "/meta", &meta, sizeof(meta));
	return meta.seed;
}

/* ---- nat ------------------------------------------------------------------------------ */

/* What nat's maps are to be like: as asked for, or as they are. True: those that are there are
 * others. */
static bool nat_layout(const struct load_tuning *t, struct sluice_nat_pool *pool)
{
	bool other;

	pinned_element(SLUICE_PIN_DIR "/nat_pool", pool, sizeof(*pool));
	other = t->nat_sources && (pool->sources != t->nat_sources || pool->first != t->nat_first ||
				   pool->ports != t->nat_ports);
	if (!other)
		return false;
	memset(pool, 0, sizeof(*pool));
	pool->sources = t->nat_sources;
	pool->first = t->nat_first;
	pool->ports = t->nat_ports;
	return true;
}

static void nat_size(struct gate_bpf *skel, const struct sluice_nat_pool *pool)
{
	__u32 elements = pool->sources ? pool->sources * pool->ports : 1;

	skel->rodata->nat_sources = pool->sources;
	skel->rodata->nat_first = pool->first;
	skel->rodata->nat_ports = pool->ports ? pool->ports : 1;
	skel->rodata->nat_lines = sluice_nat_lines(elements);
	skel->rodata->tick_hz = ticks_hz();
	bpf_map__set_max_entries(skel->maps.nat, elements);
	bpf_map__set_max_entries(skel->maps.nat_index, sluice_nat_lines(elements));
}

/* The pins go; a program that runs on the maps keeps them until it is replaced. */
static int nat_unpin(struct err *e)
{
	static const char *const pins[] = {"nat", "nat_index", "nat_pool"};
	char path[sizeof(SLUICE_PIN_DIR) + 16];

	for (unsigned i = 0; i < sizeof(pins) / sizeof(pins[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", SLUICE_PIN_DIR, pins[i]);
		if (unlink(path) != 0 && errno != ENOENT)
			return err_set(e, errno, "cannot remove %s: %s", path, strerror(errno));
	}
	return 0;
}

static int nat_sign(const struct gate_bpf *skel, const struct sluice_nat_pool *pool, struct err *e)
{
	__u32 zero = 0;

	if (bpf_map_update_elem(bpf_map__fd(skel->maps.nat_pool), &zero, pool, BPF_ANY) == 0)
		return 0;
	return err_set(e, errno, "cannot write %s/nat_pool: %s", SLUICE_PIN_DIR, strerror(errno));
}

struct gate_bpf *load_open(const struct load_tuning *t, struct err *e)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = SLUICE_PIN_DIR);
	struct gate_bpf *skel = gate_bpf__open_opts(&opts);
	struct sluice_nat_pool pool;

	if (!skel) {
		err_set(e, errno, "cannot open the gate's object: %s", strerror(errno));
		return NULL;
	}
	if (t->given) {
		skel->rodata->conn_rate = t->conn_rate;
		skel->rodata->event_step = SLUICE_EVENT_STEP(t->event_every);
	}
	/* Not where the kernel is locked down for confidentiality. */
	skel->rodata->event_heads =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_probe_read_kernel, NULL) == 1;
	skel->rodata->syncookies = cookies_possible();
	skel->rodata->conn_seed = pinned_seed();
	skel->rodata->conn_step_ms = conns_step_ms();
	skel->rodata->conn_buckets = conn_buckets(t);
	skel->rodata->rate_lines = rate_lines(t);
	/* Services come into the maps before programs are loaded. */
	skel->rodata->rates_on = rates_of_known(SLUICE_PIN_DIR "/limits");
	bpf_map__set_max_entries(skel->maps.sources, rate_lines(t));
	bpf_map__set_max_entries(skel->maps.conns, conn_buckets(t));
	bpf_map__set_max_entries(skel->maps.conn_keys, conn_buckets(t));
	bpf_map__set_max_entries(skel->maps.counters, (__u32)libbpf_num_possible_cpus());
	nat_layout(t, &pool);
	nat_size(skel, &pool);
	return skel;
}

static int check_pins(struct gate_bpf *skel, struct err *e)
{
	struct bpf_map *map;
	int rc = check_abi(e);

	bpf_object__for_each_map(map, skel->obj)
	{
		if (rc == 0 && bpf_map__pin_path(map))
			rc = check_layout(map, e);
	}
	return rc;
}

/* Written only when it says something else: `workers` is sluiced's to change meanwhile. */
static int write_meta(int fd, uint64_t build_id, struct err *e)
{
	struct sluice_meta meta = {0};
	__u32 zero = 0;

	if (bpf_map_lookup_elem(fd, &zero, &meta) != 0)
		goto failed;
	if (build_id == 0)
		build_id = meta.build_id;
	if (meta.abi == SLUICE_ABI && meta.build_id == build_id && meta.seed)
		return 0;
	if (!meta.seed && getrandom(&meta.seed, sizeof(meta.seed), 0) != sizeof(meta.seed))
		goto failed;
	meta.abi = SLUICE_ABI;
	meta.build_id = build_id;
	if (bpf_map_update_elem(fd, &zero, &meta, BPF_ANY) == 0)
		return 0;
failed:
	return err_set(e, errno, "cannot write %s/meta: %s", SLUICE_PIN_DIR, strerror(errno));
}

int load_maps(const struct load_tuning *t, bool *made, struct load_sizes *sizes, struct err *e)
{
	struct gate_bpf *skel = load_open(t, e);
	struct sluice_nat_pool pool;
	bool other_nat = nat_layout(t, &pool);
	int rc;

	*made = access(SLUICE_PIN_DIR "/meta", F_OK) != 0;
	if (!skel)
		return -EINVAL;
	rc = other_nat ? nat_unpin(e) : 0;
	rc = rc ? rc : check_pins(skel, e);
	if (rc)
		goto out;
	bpf_program__set_autoload(skel->progs.gate, false);
	rc = bpf_object__load(skel->obj);
	if (rc) {
		err_set(e, -rc, "cannot make the gate's maps in %s: %s%s", SLUICE_PIN_DIR,
			strerror(-rc),
			rc == -ENOMEM ? "; smaller max_conns and sources need less memory" : "");
		goto out;
	}
	sizes->conns = bpf_map__max_entries(skel->maps.conns) * 2;
	sizes->sources = bpf_map__max_entries(skel->maps.sources) * 2;
	rc = write_meta(bpf_map__fd(skel->maps.meta), 0, e);
	if (rc == 0 && other_nat)
		rc = nat_sign(skel, &pool, e);
out:
	gate_bpf__destroy(skel);
	return rc;
}

int load_sign(struct err *e)
{
	int fd = bpf_obj_get(SLUICE_PIN_DIR "/meta"), rc;

	if (fd < 0)
		return err_set(e, errno, "cannot open %s/meta: %s", SLUICE_PIN_DIR,
			       strerror(errno));
	rc = write_meta(fd, load_build_id(), e);
	close(fd);
	return rc;
}

/* ---- closing -------------------------------------------------------------------------- */

int load_unpin(struct err *e)
{
	struct dirent *entry;
	int rc = 0;
	DIR *dir;

	(void)!rmdir("/sys/fs/bpf/xdp"); /* refused while any dispatcher is pinned there */
	dir = opendir(SLUICE_PIN_DIR);
	if (!dir)
		return errno == ENOENT ? 0
				       : err_set(e, errno, "cannot open %s: %s", SLUICE_PIN_DIR,
						 strerror(errno));
	while (rc == 0 && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) != 0)
			rc = err_set(e, errno, "cannot remove %s/%s: %s", SLUICE_PIN_DIR,
				     entry->d_name, strerror(errno));
	}
	closedir(dir);
	if (rc == 0 && rmdir(SLUICE_PIN_DIR) != 0)
		rc = err_set(e, errno, "cannot remove %s: %s", SLUICE_PIN_DIR, strerror(errno));
	return rc;
}
