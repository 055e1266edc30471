// SPDX-License-Identifier: BSD-2-Clause
/*
 * A sieve is in a run of slots of the map `sieves`, and a word in `counters` says in which.
 * A new one goes into free slots; then the word is changed, on each CPU at once for the packet
 * that comes next; then, when no packet is left that read the old word, the old slots are
 * emptied. Slots that no word speaks of are what an import left that was cut short: they are
 * free.
 */
#include "l4/sieves.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "l4/counters.h"

#define CHUNK_BYTES (SLUICE_SIEVE_CHUNK * sizeof(union sluice_sieve_line))

struct run {
	__u32 first, n; /* slots */
};

static struct run run_of(__u32 word)
{
	return (struct run){word >> 16, word & 0xffff};
}

static __u32 chunks_of(const struct sieve *s)
{
	return (__u32)((s->n + SLUICE_SIEVE_CHUNK - 1) / SLUICE_SIEVE_CHUNK);
}

/* ---- slots ---------------------------------------------------------------------------- */

/* -1: the slot is empty. The caller closes it. */
static int slot_open(const struct gate *g, __u32 slot)
{
	__u32 id;

	return bpf_map_lookup_elem(g->sieves, &slot, &id) == 0 ? bpf_map_get_fd_by_id(id) : -1;
}

static int slots_empty(const struct gate *g, struct run run)
{
	int rc = 0;

	for (__u32 i = 0; i < run.n; i++) {
		__u32 slot = run.first + i;

		if (bpf_map_delete_elem(g->sieves, &slot) != 0 && errno != ENOENT)
			rc = -errno;
	}
	return rc;
}

/* Until the packets that are on their way now are through. The kernel waits for them whenever
 * a slot is written; writing what is there changes nothing. */
static int await_packets(const struct gate *g, __u32 slot)
{
	int fd = slot_open(g, slot), rc;

	if (fd < 0)
		return -errno;
	rc = bpf_map_update_elem(g->sieves, &slot, &fd, BPF_ANY) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

/* The first n slots in a row that neither of the words speaks of. Empties what is left there. */
static int slots_find(const struct gate *g, const __u32 words[2], struct run *out)
{
	__u32 free = 0, id;

	for (__u32 slot = 0; slot < SLUICE_SIEVE_CHUNKS; slot++) {
		bool used = false;

		for (int v6 = 0; v6 < 2; v6++) {
			struct run run = run_of(words[v6]);

			used |= slot >= run.first && slot < run.first + run.n;
		}
		if (!used && bpf_map_lookup_elem(g->sieves, &slot, &id) == 0)
			slots_empty(g, (struct run){slot, 1});
		free = used ? 0 : free + 1;
		if (free == out->n) {
			out->first = slot + 1 - free;
			return 0;
		}
	}
	return -ENOSPC;
}

/* ---- swapping ------------------------------------------------------------------------- */

static int chunk_make(const struct sieve *s, __u32 number)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	size_t from = (size_t)number * SLUICE_SIEVE_CHUNK, n = s->n - from;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sieve", sizeof(__u32), sizeof(*s->lines),
				SLUICE_SIEVE_CHUNK, &opts);
	void *at;

	if (fd < 0)
		return -errno;
	at = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	memcpy(at, s->lines + from,
	       (n < SLUICE_SIEVE_CHUNK ? n : SLUICE_SIEVE_CHUNK) * sizeof(*s->lines));
	munmap(at, CHUNK_BYTES);
	return fd;
}

static int slots_fill(const struct gate *g, const struct sieve *s, struct run run)
{
	int rc = 0;

	for (__u32 i = 0; rc == 0 && i < run.n; i++) {
		__u32 slot = run.first + i;
		int fd = chunk_make(s, i);

		if (fd < 0)
			return fd;
		if (bpf_map_update_elem(g->sieves, &slot, &fd, BPF_ANY) != 0)
			rc = -errno;
		close(fd); /* the slot holds it now */
	}
	return rc;
}

static int swap(const struct gate *g, const struct sieve *s)
{
	struct run old, new = {.n = chunks_of(s)};
	__u32 words[2];
	int rc = counters_sieves(g, words);

	if (rc)
		return rc;
	old = run_of(words[s->v6]);
	rc = new.n ? slots_find(g, words, &new) : 0;
	rc = rc ? rc : slots_fill(g, s, new);
	words[s->v6] = new.n ? new.first << 16 | new.n : 0;
	rc = rc ? rc : counters_set_sieves(g, words);
	if (rc) {
		slots_empty(g, new);
		return rc;
	}
	/* The new one works: what is left to do cannot make that a failure. */
	if (old.n && await_packets(g, old.first) == 0)
		slots_empty(g, old);
	return 0;
}

int sieves_swap(const struct gate *g, const struct sieve *s, struct err *e)
{
	int rc = swap(g, s);

	if (rc == -ENOSPC)
		return err_set(
			e, ENOSPC,
			"the IPv%d feeds take %u MB, and all together may take %u while they "
			"are replaced",
			s->v6 ? 6 : 4, chunks_of(s), SLUICE_SIEVE_CHUNKS);
	return rc ? err_set(e, -rc, "cannot give the gate %u MB of IPv%d feeds: %s", chunks_of(s),
			    s->v6 ? 6 : 4, strerror(-rc))
		  : 0;
}

/* ---- asking --------------------------------------------------------------------------- */

size_t sieves_bytes(const struct gate *g, bool v6)
{
	__u32 words[2];

	return counters_sieves(g, words) == 0 ? run_of(words[v6]).n * CHUNK_BYTES : 0;
}

/* The chunks one after the other, in room that is there for all of them. */
static bool map_chunks(const struct gate *g, struct run run, char *room)
{
	bool done = true;

	for (__u32 i = 0; done && i < run.n; i++) {
		int fd = slot_open(g, run.first + i);

		done = fd >= 0 && mmap(room + i * CHUNK_BYTES, CHUNK_BYTES, PROT_READ,
				       MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
		if (fd >= 0)
			close(fd);
	}
	return done;
}

bool sieves_hold(const struct gate *g, const struct sluice_addr *addr)
{
	struct sieve s = {.v6 = !addr_is_v4(addr)};
	__u32 words[2];
	struct run run;
	bool holds = false;
	char *room;

	if (counters_sieves(g, words) != 0 || !words[s.v6])
		return false;
	run = run_of(words[s.v6]);
	room = mmap(NULL, run.n * CHUNK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED)
		return false;
	if (map_chunks(g, run, room)) {
		s.lines = (union sluice_sieve_line *)room;
		s.n = (size_t)run.n * SLUICE_SIEVE_CHUNK;
		holds = sieve_has(&s, addr);
	}
	munmap(room, run.n * CHUNK_BYTES);
	return holds;
}
