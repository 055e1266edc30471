/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What must not come in: the operator's lists for all traffic, and addresses that cannot be
 * real for the traffic of l4 services (the host's own, DHCP for one, is not judged).
 */
#ifndef BPF_GUARD_H
#define BPF_GUARD_H

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

/* An entry whose time is over does not hide a shorter prefix that is still listed. key
 * starts with its prefix length, the family's longest. */
static __always_inline bool listed(struct packet *p, void *map, __u32 *key)
{
	struct sluice_listed *entry = bpf_map_lookup_elem(map, key);

	if (!entry)
		return false;
	if (!entry->expires_ns)
		return true;
	return listed_now(p->count, map, key, entry);
}

/* Is the source on that pair of lists? */
static __always_inline bool listed_source(struct packet *p, void *list4, void *list6)
{
	if (p->v6) {
		struct sluice_lpm6 key = {.prefixlen = 128};

		__builtin_memcpy(key.addr, p->flow.src.b, 16);
		return listed(p, list6, &key.prefixlen);
	} else {
		struct sluice_lpm4 key = {.prefixlen = 32};

		__builtin_memcpy(key.addr, &p->flow.src.w[3], 4);
		return listed(p, list4, &key.prefixlen);
	}
}

/*
 * The feeds and the lists, by source address. Allow wins; it is asked only when one of them
 * said yes, which means the same and spares most packets a lookup.
 */
static __always_inline int guard_lists(struct packet *p)
{
	int why = SLUICE_R_feed;

	if (!sieve_names(p)) {
		if (!listed_source(p, &block4, &block6))
			return NEXT;
		why = SLUICE_R_block;
	}
	if (!listed_source(p, &allow4, &allow6))
		return why;
	notice(p, SLUICE_N_allowed);
	return NEXT;
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
