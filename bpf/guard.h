/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What must not come in: the operator's lists for all traffic, and addresses that cannot be
 * real for the traffic of l4 services (the host's own, DHCP for one, is not judged).
 */
#ifndef BPF_GUARD_H
#define BPF_GUARD_H

#include <bpf/bpf_core_read.h>

#include "sieve.h"

#define GUARD_LEVELS 4 /* nested prefixes looked at when the longer ones have expired */

/*
 * The entry of the next shorter prefix that covers the address, or NULL. A trie does not tell
 * how long the prefix is that it found, so the length is searched for by halves: every key at
 * least that long finds it again. No length decides a branch here, or the verifier would walk
 * each course of the search apart (more than a million instructions).
 */
static __always_inline struct sluice_listed *list_shorter(void *map, __u32 *prefixlen,
							  const struct sluice_listed *found)
{
	__u32 low = 0, high = *prefixlen;
	struct sluice_listed *next;

	for (int i = 0; i < 8; i++) { /* 129 lengths */
		*prefixlen = (low + high) / 2;
		if (bpf_map_lookup_elem(map, prefixlen) == found)
			high = *prefixlen;
		else
			low = *prefixlen + 1;
	}
	*prefixlen = high - ((high + 255) >> 8); /* one less; 0 stays 0 */
	next = bpf_map_lookup_elem(map, prefixlen);
	return next == found ? NULL : next;
}

/* A function of its own: it is rarely called, and would be inlined in many places. */
static __noinline int listed_now(struct sluice_counters *count, void *map, __u32 *key,
				 struct sluice_listed *entry)
{
	__u64 now = bpf_ktime_get_boot_ns();

	for (int level = 0; level < GUARD_LEVELS; level++) {
		if (!entry)
			return 0;
		if (!entry->expires_ns || entry->expires_ns > now)
			return 1;
		count->notices[SLUICE_N_expired]++;
		entry = list_shorter(map, key, entry);
	}
	return 0;
}

/* The kernel's own count of a trie's entries, which tells without a call that there are none: so
 * lists that nobody uses cost next to nothing. */
struct lpm_trie___counted {
	unsigned long n_entries;
} __attribute__((preserve_access_index));

static __always_inline bool list_empty(void *map)
{
	const struct lpm_trie___counted *trie = map;

	return bpf_core_field_exists(trie->n_entries) && !trie->n_entries;
}

/* An entry whose time is over does not hide a shorter prefix that is still listed. key
 * starts with its prefix length, the family's longest. */
static __always_inline bool listed(struct sluice_counters *count, void *map, __u32 *key)
{
	struct sluice_listed *entry;

	if (list_empty(map))
		return false;
	entry = bpf_map_lookup_elem(map, key);
	if (!entry)
		return false;
	if (!entry->expires_ns)
		return true;
	return listed_now(count, map, key, entry);
}

static __always_inline bool blocked(struct packet *p)
{
	if (p->v6) {
		struct sluice_lpm6 key = {.prefixlen = 128};

		__builtin_memcpy(key.addr, p->flow.src.b, 16);
		return listed(p->count, &block6, &key.prefixlen);
	} else {
		struct sluice_lpm4 key = {.prefixlen = 32};

		__builtin_memcpy(key.addr, &p->flow.src.w[3], 4);
		return listed(p->count, &block4, &key.prefixlen);
	}
}

/* Global, so that the verifier walks it once: by the halves of an address. */
__noinline int source_allowed(__u64 first, __u64 second, __u32 v6)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct sluice_counters *count = bpf_map_lookup_elem(&counters, &cpu);
	bool yes;

	if (!count)
		return 0;
	if (v6) {
		struct sluice_lpm6 key = {.prefixlen = 128};

		__builtin_memcpy(key.addr, &first, 8);
		__builtin_memcpy(key.addr + 8, &second, 8);
		yes = listed(count, &allow6, &key.prefixlen);
	} else {
		struct sluice_lpm4 key = {.prefixlen = 32};

		__builtin_memcpy(key.addr, (__u8 *)&second + 4, 4);
		yes = listed(count, &allow4, &key.prefixlen);
	}
	if (yes)
		count->notices[SLUICE_N_allowed]++;
	return yes;
}

/*
 * The feeds and the lists, by source address. Allow wins; it is asked only when one of them
 * said yes, which means the same and spares most packets a lookup.
 */
static __always_inline int guard_lists(struct packet *p)
{
	const struct sluice_addr *src = &p->flow.src;
	int why = SLUICE_R_feed;

	if (!sieve_names(p)) {
		if (!blocked(p))
			return NEXT;
		why = SLUICE_R_block;
	}
	p->allowed = source_allowed(addr_first(src), addr_second(src), p->v6);
	return p->allowed ? NEXT : why;
}

/* RFC 6890: 0/8, 127/8, 224/4 and 240/4 are nobody's source address; nor are ::, ::1,
 * ff00::/8 and, on a wire, ::ffff:0:0/96. */
static __always_inline bool martian(const struct packet *p)
{
	const struct sluice_addr *src = &p->flow.src;
	__u8 first = src->b[12];

	if (!p->v6)
		return first == 0 || first == 127 || first >= 224;
	return src->b[0] == 0xff || addr_mapped(src) ||
	       (src->w[0] == 0 && src->w[1] == 0 && src->w[2] == 0 &&
		(src->w[3] & bpf_htonl(~1U)) == 0);
}

/* Before a packet is forwarded or answered. */
static __always_inline int guard_addresses(const struct packet *p)
{
	if (addr_same(&p->flow.src, &p->flow.dst))
		return SLUICE_R_land;
	if (martian(p))
		return SLUICE_R_martian;
	return NEXT;
}

/* Before a packet is forwarded: the gate is a hop like any other, counts down and ends
 * loops. */
static __always_inline int guard_forward(const struct packet *p)
{
	int why = guard_addresses(p);

	if (why != NEXT)
		return why;
	return p->ttl <= 1 ? SLUICE_R_ttl : NEXT;
}

#endif
