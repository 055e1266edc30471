// SPDX-License-Identifier: BSD-2-Clause
/*
 * Two things about tries shape this file. A lookup answers with the longest prefix that
 * matches, and does not say which: whether a very key is there is found out by asking for the
 * key after it. And they are walked in a fixed order (postorder), but from a key that has just
 * been deleted the walk starts over: the order tells what was seen already.
 *
 * Kernels before 6.13, without its fix of trie_get_next_key(), may take a key that is not
 * there for another of the same length: a walk during edits can then miss entries.
 */
#include "l4/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "l4/gate.h"

#define CHUNK 4096 /* entries to a system call */

union key {
	__u32 prefixlen;
	struct sluice_lpm4 v4;
	struct sluice_lpm6 v6;
};

static const char *const reason_names[SLUICE_L_COUNT] = {
#define SLUICE_LISTING(name, sentence) #name,
	SLUICE_LISTINGS(SLUICE_LISTING)
#undef SLUICE_LISTING
};

struct block_list block_of(const struct gate *g)
{
	return (struct block_list){"block", {g->block4, g->block6}};
}

struct block_list block_allow_of(const struct gate *g)
{
	return (struct block_list){"allow", {g->allow4, g->allow6}};
}

bool block_reason_parse(__u32 *out, const char *text)
{
	for (__u32 i = 0; i < SLUICE_L_COUNT; i++) {
		if (strcmp(reason_names[i], text) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

const char *block_reason_name(__u32 reason)
{
	return reason < SLUICE_L_COUNT ? reason_names[reason] : NULL;
}

__u64 block_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (__u64)ts.tv_sec * 1000000000 + (__u64)ts.tv_nsec;
}

bool block_expired(const struct sluice_listed *value, __u64 now)
{
	return value->expires_ns && value->expires_ns <= now;
}

/* ---- keys ----------------------------------------------------------------------------- */

static size_t key_size(bool v6)
{
	return v6 ? sizeof(struct sluice_lpm6) : sizeof(struct sluice_lpm4);
}

static bool is_v6(const struct cidr *net)
{
	return !addr_is_v4(&net->addr);
}

static union key to_key(const struct cidr *net)
{
	union key key = {0};

	if (!cidr_to_lpm4(net, &key.v4))
		cidr_to_lpm6(net, &key.v6);
	return key;
}

/* Whoever types a key with bpftool may leave bits beyond the prefix in it; they mean nothing. */
static struct cidr from_key(const union key *key, bool v6)
{
	struct cidr net = {.prefix = (uint8_t)key->prefixlen};

	if (v6) {
		memcpy(net.addr.b, key->v6.addr, 16);
	} else {
		net.addr.b[10] = net.addr.b[11] = 0xff;
		memcpy(net.addr.b + 12, key->v4.addr, 4);
	}
	cidr_mask(&net);
	return net;
}

/* Is a before b in the walk of a trie? Children come before their parent, bit 0 before 1. */
static bool walks_before(const struct cidr *a, const struct cidr *b)
{
	struct cidr x = *a, y = *b;
	int order;

	x.prefix = y.prefix = a->prefix < b->prefix ? a->prefix : b->prefix;
	cidr_mask(&x);
	cidr_mask(&y);
	order = memcmp(x.addr.b, y.addr.b, sizeof(x.addr.b));
	return order ? order < 0 : a->prefix > b->prefix;
}

static bool same_net(const struct cidr *a, const struct cidr *b)
{
	return a->prefix == b->prefix && addr_equal(&a->addr, &b->addr);
}

/* ---- reading -------------------------------------------------------------------------- */

struct reading {
	int fd;
	bool v6;
	struct block_entry *entries; /* of both families */
	size_t n, room;
	size_t start;  /* where those of this walk begin */
	size_t looked; /* entries that the kernel gave, doubled ones too */
};

static int take(struct reading *r, const union key *key, const struct sluice_listed *value)
{
	struct cidr net = from_key(key, r->v6);

	r->looked++;
	if (r->n > r->start && !walks_before(&r->entries[r->n - 1].net, &net))
		return 0; /* the walk has started over */
	if (r->n == r->room) {
		size_t room = r->room ? r->room * 2 : 256;
		struct block_entry *more = realloc(r->entries, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->entries = more;
		r->room = room;
	}
	r->entries[r->n++] = (struct block_entry){net, *value};
	return 0;
}

/* Somebody who deletes fast enough could make a walk start over for ever. */
static bool is_hopeless(const struct reading *r)
{
	return r->looked > 16 * (size_t)SLUICE_MAX_LIST;
}

static int read_one_by_one(struct reading *r)
{
	union key at, next;
	bool first = true;
	int rc = 0;

	while (rc == 0 && bpf_map_get_next_key(r->fd, first ? NULL : &at, &next) == 0) {
		struct sluice_listed value;

		if (is_hopeless(r))
			return -EAGAIN;
		if (bpf_map_lookup_elem(r->fd, &next, &value) == 0)
			rc = take(r, &next, &value);
		at = next;
		first = false;
	}
	return rc ? rc : errno == ENOENT ? 0 : -errno;
}

static int read_batch(struct reading *r, char *keys, struct sluice_listed *values)
{
	union key at, next;
	bool first = true;

	for (;;) {
		__u32 n = CHUNK;
		int rc = bpf_map_lookup_batch(r->fd, first ? NULL : &at, &next, keys, values, &n,
					      NULL);

		if (rc && errno == EINTR) { /* what it was at is gone */
			r->looked += CHUNK;
			if (is_hopeless(r))
				return -EAGAIN;
			continue;
		}
		if (rc && errno != ENOENT)
			return -errno;
		for (__u32 i = 0; i < n; i++) {
			union key key = {0};
			int failed;

			memcpy(&key, keys + i * key_size(r->v6), key_size(r->v6));
			failed = take(r, &key, &values[i]);
			if (failed)
				return failed;
		}
		if (rc)
			return 0;
		if (is_hopeless(r))
			return -EAGAIN;
		at = next;
		first = false;
	}
}

static int read_family(struct reading *r)
{
	char *keys = malloc(CHUNK * sizeof(union key));
	struct sluice_listed *values = malloc(CHUNK * sizeof(*values));
	int rc = keys && values ? read_batch(r, keys, values) : -ENOMEM;

	free(keys);
	free(values);
	/* Linux has batches for tries since 5.15; ENOTSUPP has no name in userspace. */
	if (rc && rc != -ENOMEM && rc != -EAGAIN)
		rc = read_one_by_one(r);
	return rc;
}

int block_order(const struct cidr *a, const struct cidr *b)
{
	int order = is_v6(a) - is_v6(b);

	order = order ? order : memcmp(a->addr.b, b->addr.b, sizeof(a->addr.b));
	return order ? order : a->prefix - b->prefix;
}

static int by_order(const void *a, const void *b)
{
	const struct block_entry *x = a, *y = b;

	return block_order(&x->net, &y->net);
}

/* Of what was met twice, one; entries are sorted from `from` on. */
static void drop_doubles(struct reading *r, size_t from)
{
	size_t kept = from;

	for (size_t i = from; i < r->n; i++)
		if (i == from || by_order(&r->entries[kept - 1], &r->entries[i]) != 0)
			r->entries[kept++] = r->entries[i];
	r->n = kept;
}

/* Twice: when a node moves under it, the kernel's walk may pass over the one beside it, though
 * nobody touches that (trie_get_next_key() in kernel/bpf/lpm_trie.c). */
static int read_family_surely(struct reading *r)
{
	size_t from = r->n;
	int rc = 0;

	for (int pass = 0; rc == 0 && pass < 2; pass++) {
		r->start = r->n;
		r->looked = 0;
		rc = read_family(r);
	}
	if (rc == 0 && r->n > from) {
		qsort(r->entries + from, r->n - from, sizeof(*r->entries), by_order);
		drop_doubles(r, from);
	}
	return rc;
}

int block_read(const struct block_list *l, struct block_entry **out, size_t *n, struct err *e)
{
	struct reading r = {0};
	int rc = 0;

	for (int v6 = 0; rc == 0 && v6 < 2; v6++) {
		r.fd = l->fd[v6];
		r.v6 = v6;
		rc = read_family_surely(&r);
	}
	if (rc) {
		free(r.entries);
		return err_set(e, -rc, "cannot read the %s list: %s", l->name,
			       rc == -EAGAIN ? "it is edited too fast; try again" : strerror(-rc));
	}
	*out = r.entries;
	*n = r.n;
	return 0;
}

size_t block_bound(const struct block_list *l, bool v6)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(l->fd[v6], &info, &len) == 0 ? info.max_entries : 0;
}

/* ---- writing -------------------------------------------------------------------------- */

static int put_failed(const struct block_list *l, const struct cidr *net, int errnum, struct err *e)
{
	char text[ADDR_TEXT + 4];
	bool v6 = is_v6(net);

	if (errnum == ENOSPC)
		return err_set(e, ENOSPC,
			       "%s%d is full (%zu entries), %s does not fit; `sluice %s flush "
			       "--expired` makes room, and so do networks instead of addresses",
			       l->name, v6 ? 6 : 4, block_bound(l, v6), cidr_format(net, text),
			       l->name);
	return err_set(e, errnum, "cannot enter %s into the %s list: %s", cidr_format(net, text),
		       l->name, strerror(errnum));
}

int block_put(const struct block_list *l, const struct block_entry *entry, struct err *e)
{
	union key key = to_key(&entry->net);

	if (bpf_map_update_elem(l->fd[is_v6(&entry->net)], &key, &entry->value, BPF_ANY) != 0)
		return put_failed(l, &entry->net, errno, e);
	return 0;
}

int block_del(const struct block_list *l, const struct cidr *net, struct err *e)
{
	union key key = to_key(net);
	char text[ADDR_TEXT + 4];

	if (bpf_map_delete_elem(l->fd[is_v6(net)], &key) == 0)
		return 0;
	if (errno == ENOENT)
		return -ENOENT;
	return err_set(e, errno, "cannot take %s from the %s list: %s", cidr_format(net, text),
		       l->name, strerror(errno));
}

/* Up to CHUNK entries of one family, laid out for one system call. */
struct batch {
	char keys[CHUNK * sizeof(union key)];
	struct sluice_listed values[CHUNK];
	__u32 n;
};

static void batch_fill(struct batch *b, const struct block_entry *entries, size_t n)
{
	size_t size = key_size(is_v6(&entries[0].net));

	for (b->n = 0; b->n < n && b->n < CHUNK; b->n++) {
		const struct block_entry *entry = &entries[b->n];
		union key key = to_key(&entry->net);

		if (is_v6(&entry->net) != is_v6(&entries[0].net))
			break;
		memcpy(b->keys + b->n * size, &key, size);
		b->values[b->n] = entry->value;
	}
}

int block_put_many(const struct block_list *l, const struct block_entry *entries, size_t n,
		   size_t *done, struct err *e)
{
	struct batch *b = malloc(sizeof(*b));
	int rc = b ? 0 : err_set(e, ENOMEM, "out of memory");

	*done = 0;
	while (rc == 0 && *done < n) {
		__u32 taken;

		batch_fill(b, entries + *done, n - *done);
		taken = b->n;
		if (bpf_map_update_batch(l->fd[is_v6(&entries[*done].net)], b->keys, b->values,
					 &taken, NULL) == 0) {
			*done += b->n;
			continue;
		}
		/* No batches on this kernel, or an entry that fails: which one is told so. */
		for (__u32 i = 0; rc == 0 && i < b->n; i++) {
			rc = block_put(l, &entries[*done], e);
			*done += rc == 0;
		}
	}
	free(b);
	return rc;
}

int block_del_many(const struct block_list *l, const struct block_entry *entries, size_t n,
		   struct err *e)
{
	struct batch *b = malloc(sizeof(*b));
	int rc = b ? 0 : err_set(e, ENOMEM, "out of memory");
	size_t done = 0;

	while (rc == 0 && done < n) {
		__u32 taken;

		batch_fill(b, entries + done, n - done);
		taken = b->n;
		if (bpf_map_delete_batch(l->fd[is_v6(&entries[done].net)], b->keys, &taken, NULL) !=
		    0) {
			for (__u32 i = 0; rc == 0 && i < b->n; i++) {
				rc = block_del(l, &entries[done + i].net, e);
				rc = rc == -ENOENT ? 0 : rc;
			}
		}
		done += b->n;
	}
	free(b);
	return rc;
}

/* ---- asking --------------------------------------------------------------------------- */

static bool first_key(int fd, union key *key)
{
	return bpf_map_get_next_key(fd, NULL, key) == 0;
}

/*
 * After a key that is not there the walk starts over, so: a key is there if the walk starts
 * with it, or what comes after it is not the start.
 */
static bool is_there(int fd, const struct cidr *net)
{
	union key key = to_key(net), first, next, again;
	bool v6 = is_v6(net);
	struct cidr start, after;

	/* Until nobody moves the start meanwhile; a few tries will do. */
	for (int tries = 0; tries < 8; tries++) {
		bool last;

		if (!first_key(fd, &first))
			return false;
		last = bpf_map_get_next_key(fd, &key, &next) != 0;
		start = from_key(&first, v6);
		if (!first_key(fd, &again) || memcmp(&again, &first, key_size(v6)) != 0)
			continue;
		if (last || same_net(&start, net))
			return true;
		after = from_key(&next, v6);
		return !same_net(&after, &start);
	}
	return false;
}

size_t block_covering(const struct block_list *l, const struct cidr *net, struct block_entry *out,
		      size_t room)
{
	int fd = l->fd[is_v6(net)];
	struct cidr at = *net;
	size_t n = 0;

	for (; n < room; at.prefix--) {
		struct sluice_listed value, shorter;
		struct cidr above;
		union key key;

		cidr_mask(&at);
		key = to_key(&at);
		if (bpf_map_lookup_elem(fd, &key, &value) != 0)
			break; /* and nothing shorter either */
		above = at;
		above.prefix--;
		key = to_key(&above);
		/* Another answer one bit shorter: this one is of this very length. */
		if (at.prefix == 0 || bpf_map_lookup_elem(fd, &key, &shorter) != 0 ||
		    memcmp(&value, &shorter, sizeof(value)) != 0 || is_there(fd, &at))
			out[n++] = (struct block_entry){at, value};
		if (at.prefix == 0)
			break;
	}
	return n;
}

bool block_listed(const struct block_list *l, const struct sluice_addr *addr, __u64 now,
		  struct block_entry *which)
{
	struct cidr host = {.addr = *addr, .prefix = addr_is_v4(addr) ? 32 : 128};
	struct block_entry entries[BLOCK_LEVELS];
	size_t n = block_covering(l, &host, entries, BLOCK_LEVELS);

	for (size_t i = 0; i < n; i++) {
		if (!block_expired(&entries[i].value, now)) {
			*which = entries[i];
			return true;
		}
	}
	return false;
}
