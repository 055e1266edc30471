// SPDX-License-Identifier: BSD-2-Clause
#include "l4/sieve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "sluice/sieve_ask.h"

#define BUCKET_FILL 4  /* entries to a bucket of 8, on the average */
#define SALTINGS    16 /* tries before a table is called impossible; one does but for bad luck */

/* ---- IPv4 ----------------------------------------------------------------------------- */

#define NETS 32 /* of a group */

/* 32 networks while the ranges pass by, in order. */
struct group {
	uint32_t number; /* its first address >> 13 */
	struct {
		uint8_t first, last; /* of the only range; */
		unsigned ranges;     /* 2: there are several */
		uint32_t bits[8];
	} net[NETS];
};

/* lines NULL: only counts. */
struct writing {
	union sluice_sieve_line *lines;
	size_t leaves, maps; /* so many so far, counted from the array's start */
};

static void set_bits(uint32_t bits[8], unsigned first, unsigned last)
{
	for (unsigned i = first; i <= last; i++)
		bits[i >> 5] |= 1U << (i & 31);
}

static void group_add(struct group *g, uint32_t first, uint32_t last)
{
	unsigned at = first >> 8 & (NETS - 1);

	g->net[at].ranges += g->net[at].ranges < 2;
	g->net[at].first = (uint8_t)first;
	g->net[at].last = (uint8_t)last;
	if (last - first < 255)
		set_bits(g->net[at].bits, first & 255, last & 255);
}

static bool is_whole(const struct group *g, unsigned at)
{
	return g->net[at].ranges == 1 && g->net[at].first == 0 && g->net[at].last == 255;
}

static uint32_t write_leaf(struct writing *w, const struct group *g, unsigned at)
{
	size_t map = w->maps;

	if (g->net[at].ranges == 1)
		return g->net[at].first | (uint32_t)g->net[at].last << 8;
	w->maps++;
	if (w->lines)
		memcpy(w->lines[map / 2].bits + map % 2 * 8, g->net[at].bits, 32);
	return SLUICE_SIEVE_BITS | (uint32_t)map;
}

static void group_write(struct writing *w, const struct group *g)
{
	size_t first = w->leaves;
	bool whole = true;
	uint32_t some = 0;

	for (unsigned at = 0; at < NETS; at++) {
		some |= (uint32_t)(g->net[at].ranges != 0) << at;
		whole &= !g->net[at].ranges || is_whole(g, at);
	}
	for (unsigned at = 0; !whole && at < NETS; at++) {
		uint32_t leaf;

		if (!g->net[at].ranges)
			continue;
		leaf = write_leaf(w, g, at);
		if (w->lines)
			w->lines[w->leaves / 16].leaf[w->leaves % 16] = leaf;
		w->leaves++;
	}
	if (w->lines)
		w->lines[g->number / 8].group[g->number % 8] =
			some | (whole ? (uint64_t)SLUICE_SIEVE_WHOLE : first) << 32;
}

/* The ranges cut at the networks' borders, a group after the other. */
static void write_ranges(struct writing *w, const struct feed *f)
{
	static const struct group empty;
	struct group g = empty;

	for (size_t i = 0; i < f->n[0]; i++) {
		uint64_t at = (uint64_t)f->ranges[0][i].first,
			 last = (uint64_t)f->ranges[0][i].last;

		for (; at <= last; at = (at | 255) + 1) {
			uint32_t number = (uint32_t)(at >> 13);

			if (number != g.number) {
				group_write(w, &g);
				g = empty;
				g.number = number;
			}
			group_add(&g, (uint32_t)at,
				  (uint32_t)(last < (at | 255) ? last : (at | 255)));
		}
	}
	group_write(w, &g);
}

static int build4(struct sieve *s, const struct feed *f)
{
	struct writing w = {.leaves = SLUICE_SIEVE_ROOTS * 16};
	size_t maps;

	write_ranges(&w, f);
	maps = (w.leaves + 15) / 16 * 2;
	if (w.leaves >= SLUICE_SIEVE_WHOLE || maps + w.maps >= SLUICE_SIEVE_BITS)
		return -E2BIG;
	s->n = (maps + w.maps + 1) / 2;
	s->lines = calloc(s->n, sizeof(*s->lines));
	if (!s->lines)
		return -ENOMEM;
	w = (struct writing){s->lines, SLUICE_SIEVE_ROOTS * 16, maps};
	write_ranges(&w, f);
	return 0;
}

/* ---- IPv6: the lengths to ask for ----------------------------------------------------- */

struct lengths {
	size_t count[129]; /* prefixes of that length */
	struct sluice_sieve_node node[SLUICE_SIEVE_NODES];
	unsigned n; /* nodes */
};

/*
 * The tree of the lengths from low to high. Those that most prefixes have come first: they
 * are found first then, and need no markers. But each half must fit into the levels that
 * are left.
 */
static unsigned add_nodes(struct lengths *l, const uint8_t *lengths, unsigned n, unsigned levels)
{
	unsigned fits = (1U << (levels - 1)) - 1, at = l->n++, root = 0, child;
	size_t total = 0, before = 0;

	for (unsigned i = 0; i < n; i++)
		total += l->count[lengths[i]];
	while (root + 1 < n && (before + l->count[lengths[root]]) * 2 < total)
		before += l->count[lengths[root++]];
	if (n - root - 1 > fits)
		root = n - fits - 1;
	if (root > fits)
		root = fits;
	l->node[at].prefixlen = lengths[root];
	child = root ? add_nodes(l, lengths, root, levels - 1) : 0;
	l->node[at].shorter = (uint8_t)child;
	child = n - root - 1 ? add_nodes(l, lengths + root + 1, n - root - 1, levels - 1) : 0;
	l->node[at].longer = (uint8_t)child;
	return at;
}

static void make_mask(struct sluice_sieve_node *n)
{
	struct cidr ones = {.prefix = n->prefixlen};

	memset(ones.addr.b, 0xff, sizeof(ones.addr.b));
	cidr_mask(&ones);
	memcpy(n->mask, ones.addr.b, sizeof(n->mask));
}

static void make_lengths(struct lengths *l, const struct cidr *nets, size_t n)
{
	uint8_t lengths[SLUICE_SIEVE_NODES];
	unsigned distinct = 0;

	for (size_t i = 0; i < n; i++)
		l->count[nets[i].prefix]++;
	for (unsigned i = 0; i <= 128; i++)
		if (l->count[i])
			lengths[distinct++] = (uint8_t)i;
	add_nodes(l, lengths, distinct, SLUICE_SIEVE_DEPTH);
	for (unsigned i = 0; i < l->n; i++)
		make_mask(&l->node[i]);
}

/* ---- IPv6: the table ------------------------------------------------------------------ */

struct words {
	uint64_t w[2];
};

static struct words words_of(const struct sluice_addr *addr)
{
	struct words words;

	memcpy(&words, addr->b, sizeof(words));
	return words;
}

static bool put(struct sieve *s, const struct sluice_sieve_node *node, const struct words *at,
		uint64_t kind)
{
	struct sluice_sieve_place place = sluice_sieve_place(node, at->w[0], at->w[1]);

	for (unsigned i = 0; i < SLUICE_SIEVE_CHAIN; i++) {
		__u64 *way = s->lines[place.line + i].way;

		for (unsigned k = 0; k < SLUICE_SIEVE_WAYS; k++) {
			if (way[k])
				continue;
			way[k] = place.print | kind;
			return true;
		}
		way[0] |= SLUICE_SIEVE_MORE;
	}
	return false;
}

/*
 * Enters the prefixes, and their markers on the way down the tree. Prefixes come in order, so
 * that those which share a marker come one after the other. s NULL: only counts. False: a
 * bucket ran over too far.
 */
static bool enter(struct sieve *s, const struct lengths *l, const struct cidr *nets, size_t n,
		  size_t *entries)
{
	struct words marked[SLUICE_SIEVE_NODES];
	bool has[SLUICE_SIEVE_NODES] = {false};

	*entries = n;
	for (size_t i = 0; i < n; i++) {
		struct words at = words_of(&nets[i].addr);
		unsigned k = 0;

		while (l->node[k].prefixlen != nets[i].prefix) {
			const struct sluice_sieve_node *node = &l->node[k];
			struct words mark = {{at.w[0] & node->mask[0], at.w[1] & node->mask[1]}};

			k = nets[i].prefix < node->prefixlen ? node->shorter : node->longer;
			if (nets[i].prefix < node->prefixlen ||
			    (has[node - l->node] &&
			     memcmp(&marked[node - l->node], &mark, sizeof(mark)) == 0))
				continue;
			has[node - l->node] = true;
			marked[node - l->node] = mark;
			++*entries;
			if (s && !put(s, node, &mark, SLUICE_SIEVE_MARKER))
				return false;
		}
		if (s && !put(s, &l->node[k], &at, SLUICE_SIEVE_LISTED))
			return false;
	}
	return true;
}

static int salt(struct sieve *s, struct lengths *l)
{
	for (unsigned i = 0; i < l->n; i++)
		if (getrandom(&l->node[i].salt, sizeof(l->node[i].salt), 0) !=
		    sizeof(l->node[i].salt))
			return -errno;
	memset(s->lines, 0, s->n * sizeof(*s->lines));
	for (unsigned i = 0; i < l->n; i++)
		s->lines[i / 2].node[i % 2] = l->node[i];
	return 0;
}

static int fill(struct sieve *s, struct lengths *l, const struct cidr *nets, size_t n)
{
	size_t entries, buckets;
	int rc = 0;

	enter(NULL, l, nets, n, &entries);
	buckets = entries / BUCKET_FILL + 1;
	s->n = SLUICE_SIEVE_NODES / 2 + buckets + SLUICE_SIEVE_CHAIN - 1;
	if (s->n > UINT32_MAX)
		return -E2BIG;
	for (unsigned i = 0; i < l->n; i++)
		l->node[i].buckets = (uint32_t)buckets;
	s->lines = malloc(s->n * sizeof(*s->lines));
	if (!s->lines)
		return -ENOMEM;
	for (int i = 0; i < SALTINGS; i++) {
		rc = salt(s, l);
		if (rc || enter(s, l, nets, n, &entries))
			return rc;
	}
	return -EXFULL;
}

static int build6(struct sieve *s, const struct feed *f)
{
	size_t n = feed_prefixes(f, true, NULL, 0);
	struct cidr *nets = malloc((n + 1) * sizeof(*nets));
	struct lengths *l = calloc(1, sizeof(*l));
	int rc = nets && l ? 0 : -ENOMEM;

	if (rc == 0 && n) {
		feed_prefixes(f, true, nets, n);
		make_lengths(l, nets, n);
		rc = fill(s, l, nets, n);
	}
	free(nets);
	free(l);
	return rc;
}

/* ---- both ----------------------------------------------------------------------------- */

int sieve_build(struct sieve *out, const struct feed *f, bool v6, struct err *e)
{
	int rc = 0;

	*out = (struct sieve){.v6 = v6};
	if (f->n[v6])
		rc = v6 ? build6(out, f) : build4(out, f);
	if (rc) {
		sieve_fini(out);
		return err_set(e, -rc, "cannot lay out the IPv%d feeds: %s", v6 ? 6 : 4,
			       strerror(-rc));
	}
	return 0;
}

static inline const union sluice_sieve_line *sluice_sieve_line(void *sieve, __u32 number)
{
	const struct sieve *s = sieve;

	return number < s->n ? &s->lines[number] : NULL;
}

bool sieve_has(const struct sieve *s, const struct sluice_addr *addr)
{
	struct words at = words_of(addr);
	struct sieve copy = *s; /* the gate's map is not const either */

	if (s->n == 0 || addr_is_v4(addr) == s->v6)
		return false;
	if (s->v6)
		return sluice_sieve_has6(&copy, at.w[0], at.w[1]);
	return sluice_sieve_has4(&copy, ntohl(addr->w[3]));
}

void sieve_fini(struct sieve *s)
{
	free(s->lines);
	s->lines = NULL;
	s->n = 0;
}
