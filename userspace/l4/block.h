/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operator's lists: the tries block4/block6 and allow4/allow6 of a running gate, read and
 * edited entry by entry or by the million. Others (bpftool, sluiced) may edit them at the same
 * time; each entry is seen whole.
 */
#ifndef L4_BLOCK_H
#define L4_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/err.h"

struct gate;

#define BLOCK_FOREVER 0
/* Nested entries that the gate looks at when the longer ones have expired. */
#define BLOCK_LEVELS 4

/* Borrows the gate's descriptors. */
struct block_list {
	const char *name; /* "block" or "allow" */
	int fd[2];        /* by family: IPv4, IPv6 */
};

struct block_entry {
	struct cidr net;
	struct sluice_listed value;
};

struct block_list block_of(const struct gate *g);
struct block_list block_allow_of(const struct gate *g);

/* "manual", "abuse", ... <-> enum sluice_listing; the name of an unknown number is NULL. */
bool block_reason_parse(__u32 *out, const char *text);
const char *block_reason_name(__u32 reason);

/* CLOCK_BOOTTIME, as the gate reads it. */
__u64 block_now(void);
bool block_expired(const struct sluice_listed *value, __u64 now);

/* IPv4 first, by address, a network before its members. <0, 0 or >0. */
int block_order(const struct cidr *a, const struct cidr *b);

/* The whole list, in order; an entry that somebody adds or removes meanwhile may be there or
 * not. The caller frees *out. Cost: two passes, each 40 bytes an entry and one system call for
 * 4096 of them. */
int block_read(const struct block_list *l, struct block_entry **out, size_t *n, struct err *e);

/* How many entries a family's trie can have. */
size_t block_bound(const struct block_list *l, bool v6);

/* Entered, or given another value. -ENOSPC: full, told with the mend. */
int block_put(const struct block_list *l, const struct block_entry *entry, struct err *e);
/* Stops at the first failure; *done tells how many are in. */
int block_put_many(const struct block_list *l, const struct block_entry *entries, size_t n,
		   size_t *done, struct err *e);

/* -ENOENT, without words, when there is no such entry. */
int block_del(const struct block_list *l, const struct cidr *net, struct err *e);
/* Those that are gone already are fine. */
int block_del_many(const struct block_list *l, const struct block_entry *entries, size_t n,
		   struct err *e);

/* Entries that cover all of net, itself first if it is there, then ever shorter prefixes, as
 * far as room goes. Returns their number. A few system calls for each prefix length. */
size_t block_covering(const struct block_list *l, const struct cidr *net, struct block_entry *out,
		      size_t room);

/* Is the address listed at this time? Answers as the gate does; *which is the entry. */
bool block_listed(const struct block_list *l, const struct sluice_addr *addr, __u64 now,
		  struct block_entry *which);

#endif
