// SPDX-License-Identifier: BSD-2-Clause
#include "l4/sieve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

typedef const struct sieve *sluice_sieve;
#include "sluice/sieve_ask.h"

#define BUCKET_FILL 8 /* entries to a bucket of 11, on the average */

/* ---- IPv4 ----------------------------------------------------------------------------- */

#define GROUPS 8  /* of a network of 65536 addresses */
#define SMALLS 32 /* networks of 256 of a group */

struct small {
	uint8_t first, last; /* of the only range; */
	uint8_t ranges;      /* 2: there are several */
	uint32_t bits[8];
};

/* A network of 65536 addresses, while the ranges pass by in order. */
struct net {
	uint32_t number; /* its addresses >> 16 */
	size_t addresses;
	uint16_t list[SLUICE_SIEVE_LISTS]; /* the first of them */
	struct group {
		bool used;
		struct small small[SMALLS];
	} group[GROUPS];
};

/* lines NULL: only counts. */
struct writing {
	union sluice_sieve_line *lines;
	size_t nets, leaves, maps; /* so many so far, counted from the array's start */
};

static void set_bits(uint32_t bits[8], unsigned first, unsigned last)
{
	for (unsigned i = first; i <= last; i++)
		bits[i >> 5] |= 1U << (i & 31);
}

static void small_add(struct small *s, unsigned first, unsigned last)
{
	s->ranges += s->ranges < 2;
	s->first = (uint8_t)first;
	s->last = (uint8_t)last;
	if (last - first < 255)
		set_bits(s->bits, first, last);
}

/* A range within the network. */
static void net_add(struct net *n, unsigned first, unsigned last)
{
	size_t before = n->addresses;

	n->addresses += last - first + 1;
	for (size_t i = before; i < n->addresses && i < SLUICE_SIEVE_LISTS; i++)
		n->list[i] = (uint16_t)(first + (i - before));
	for (unsigned at = first; at <= last; at = (at | 255) + 1) {
		struct group *g = &n->group[at >> 13];

		if (!g->used)
			memset(g, 0, sizeof(*g));
		g->used = true;
		small_add(&g->small[at >> 8 & 31], at & 255,
			  (last < (at | 255) ? last : (at | 255)) & 255);
	}
}

static void net_begin(struct net *n, uint32_t number)
{
	n->number = number;
	n->addresses = 0;
	for (unsigned i = 0; i < GROUPS; i++)
		n->group[i].used = false;
}

static bool is_whole(const struct small *s)
{
	return s->ranges == 1 && s->first == 0 && s->last == 255;
}

/* Room is spent where it spares a look at a leaf. */
static unsigned choose_how(const struct group *g)
{
	unsigned some = 0, whole = 0, several = 0;

	for (unsigned i = 0; i < SMALLS; i++) {
		some += g->small[i].ranges != 0;
		several += g->small[i].ranges > 1;
		whole += is_whole(&g->small[i]);
	}
	if (whole == some)
		return SLUICE_SIEVE_WHOLE;
	return several * 2 >= some ? SLUICE_SIEVE_BITS : SLUICE_SIEVE_LEAVES;
}

static size_t write_map(struct writing *w, const struct small *s)
{
	size_t map = w->maps++;

	if (w->lines && is_whole(s))
		memset(w->lines[map / 2].bits + map % 2 * 8, 0xff, 32);
	else if (w->lines)
		memcpy(w->lines[map / 2].bits + map % 2 * 8, s->bits, 32);
	return map;
}

static void write_leaf(struct writing *w, const struct small *s)
{
	size_t number = w->leaves++;
	uint32_t leaf = s->first | (uint32_t)s->last << 8;

	if (s->ranges > 1)
		leaf = (uint32_t)SLUICE_SIEVE_BITS << SLUICE_SIEVE_HOW | (uint32_t)write_map(w, s);
	if (w->lines)
		w->lines[number / 16].leaf[number % 16] = leaf;
}

static uint64_t write_group(struct writing *w, const struct group *g)
{
	unsigned how = choose_how(g);
	size_t base = how == SLUICE_SIEVE_BITS ? w->maps : w->leaves;
	uint32_t some = 0;

	for (unsigned i = 0; i < SMALLS; i++) {
		if (!g->small[i].ranges)
			continue;
		some |= 1U << i;
		if (how == SLUICE_SIEVE_BITS)
			write_map(w, &g->small[i]);
		else if (how == SLUICE_SIEVE_LEAVES)
			write_leaf(w, &g->small[i]);
	}
	return some | (uint64_t)(base | (uint64_t)how << SLUICE_SIEVE_HOW) << 32;
}

static void write_list(union sluice_sieve_line *line, const struct net *n)
{
	for (size_t i = 0; i < SLUICE_SIEVE_LISTS; i++)
		line->list[i] = n->list[i < n->addresses ? i : 0];
	line->group[7] = (uint64_t)SLUICE_SIEVE_LIST << (32 + SLUICE_SIEVE_HOW);
}

static void net_write(struct writing *w, const struct net *n)
{
	size_t at = w->nets++;
	struct sluice_sieve_root *root;

	if (w->lines) {
		root = &w->lines[n->number / 256].root[n->number / 64 % 4];
		root->base = root->some ? root->base : (uint32_t)at;
		root->some |= 1ULL << n->number % 64;
	}
	if (n->addresses <= SLUICE_SIEVE_LISTS) {
		if (w->lines)
			write_list(&w->lines[at], n);
		return;
	}
	for (unsigned i = 0; i < GROUPS; i++) {
		uint64_t group = n->group[i].used ? write_group(w, &n->group[i]) : 0;

		if (w->lines)
			w->lines[at].group[i] = group;
	}
}

/* The ranges cut at the networks' borders, a network after the other. */
static void write_ranges(struct writing *w, const struct feed *f, struct net *n)
{
	net_begin(n, 0);
	for (size_t i = 0; i < f->n[0]; i++) {
		uint64_t at = (uint64_t)f->ranges[0][i].first,
			 last = (uint64_t)f->ranges[0][i].last;

		for (; at <= last; at = (at | 0xffff) + 1) {
			uint64_t end = last < (at | 0xffff) ? last : at | 0xffff;

			if (at >> 16 != n->number && n->addresses)
				net_write(w, n);
			if (at >> 16 != n->number)
				net_begin(n, (uint32_t)(at >> 16));
			net_add(n, at & 0xffff, end & 0xffff);
		}
	}
	if (n->addresses)
		net_write(w, n);
}

static int build4(struct sieve *s, const struct feed *f)
{
	struct net *n = calloc(1, sizeof(*n));
	struct writing w = {0};
	size_t leaves, maps;
	int rc = -ENOMEM;

	if (!n)
		return rc;
	write_ranges(&w, f, n);
	leaves = (SLUICE_SIEVE_ROOTS + w.nets) * 16;
	maps = (leaves + w.leaves + 15) / 16 * 2;
	s->n = (maps + w.maps + 1) / 2;
	rc = leaves + w.leaves > SLUICE_SIEVE_BASE ? -E2BIG : -ENOMEM;
	s->lines = rc == -ENOMEM ? calloc(s->n, sizeof(*s->lines)) : NULL;
	if (s->lines) {
		w = (struct writing){s->lines, SLUICE_SIEVE_ROOTS, leaves, maps};
		write_ranges(&w, f, n);
		rc = 0;
	}
	free(n);
	return rc;
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

struct entry {
	uint64_t way; /* print and listed */
	uint32_t line;
};

static struct entry make_entry(const struct sluice_sieve_node *node, const struct words *at,
			       bool listed)
{
	struct sluice_sieve_place place = sluice_sieve_place(node, at->w[0], at->w[1]);

	return (struct entry){place.print | listed, place.line};
}

/*
 * Entries of the prefixes, and of their markers on the way down the tree; returns their
 * number. Prefixes come in order, so that those which share a marker come one after the
 * other. out NULL: only counts.
 */
static size_t make_entries(struct entry *out, const struct lengths *l, const struct cidr *nets,
			   size_t n)
{
	struct words marked[SLUICE_SIEVE_NODES];
	bool has[SLUICE_SIEVE_NODES] = {false};
	size_t made = 0;

	for (size_t i = 0; i < n; i++) {
		struct words at = words_of(&nets[i].addr);
		unsigned k = 0;

		while (l->node[k].prefixlen != nets[i].prefix) {
			const struct sluice_sieve_node *node = &l->node[k];
			struct words mark = {{at.w[0] & node->mask[0], at.w[1] & node->mask[1]}};
			bool longer = nets[i].prefix > node->prefixlen;

			if (longer && !(has[k] && memcmp(&marked[k], &mark, sizeof(mark)) == 0)) {
				has[k] = true;
				marked[k] = mark;
				if (out)
					out[made] = make_entry(node, &mark, false);
				made++;
			}
			k = longer ? node->longer : node->shorter;
		}
		if (out)
			out[made] = make_entry(&l->node[k], &at, true);
		made++;
	}
	return made;
}

static int by_line(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->line < y->line ? -1 : x->line > y->line;
}

static void set_way(union sluice_sieve_line *line, int way, uint64_t value)
{
	int bit = way * SLUICE_SIEVE_WAY, word = bit / 64, shift = bit % 64;

	line->word[word] |= value << shift;
	if (shift > 64 - SLUICE_SIEVE_WAY)
		line->word[word + 1] |= value >> (64 - shift);
}

/* In order of their lines, so that none is pushed far: what is full gives way to the next by
 * two lines at most, as a rule. -EAGAIN: further than the gate looks. */
static int place_entries(struct sieve *s, const struct entry *entries, size_t n)
{
	uint32_t at = 0;
	int way = 0;

	for (size_t i = 0; i < n; i++) {
		if (way == SLUICE_SIEVE_WAYS || at < entries[i].line) {
			at = at < entries[i].line ? entries[i].line : at + 1;
			way = 0;
		}
		if (at - entries[i].line >= SLUICE_SIEVE_CHAIN)
			return -EAGAIN;
		for (uint32_t line = entries[i].line; line < at; line++)
			s->lines[line].word[7] |= SLUICE_SIEVE_MORE;
		set_way(&s->lines[at], way++, entries[i].way);
	}
	return 0;
}

/* One try, with salts of its own. */
static int fill_once(struct sieve *s, struct lengths *l, const struct cidr *nets, size_t n,
		     struct entry *entries)
{
	size_t made;

	for (unsigned i = 0; i < l->n; i++)
		if (getrandom(&l->node[i].salt, sizeof(l->node[i].salt), 0) !=
		    sizeof(l->node[i].salt))
			return -errno;
	memset(s->lines, 0, s->n * sizeof(*s->lines));
	for (unsigned i = 0; i < l->n; i++)
		s->lines[i / 2].node[i % 2] = l->node[i];
	made = make_entries(entries, l, nets, n);
	qsort(entries, made, sizeof(*entries), by_line);
	return place_entries(s, entries, made);
}

static int fill(struct sieve *s, struct lengths *l, const struct cidr *nets, size_t n)
{
	size_t made = make_entries(NULL, l, nets, n), buckets = made / BUCKET_FILL + 1;
	struct entry *entries = malloc(made * sizeof(*entries));
	int rc = -EAGAIN;

	while (entries && rc == -EAGAIN) {
		s->n = SLUICE_SIEVE_NODES / 2 + buckets + SLUICE_SIEVE_CHAIN - 1;
		for (unsigned i = 0; i < l->n; i++)
			l->node[i].buckets = (uint32_t)buckets;
		free(s->lines);
		s->lines = s->n < UINT32_MAX ? malloc(s->n * sizeof(*s->lines)) : NULL;
		rc = s->lines ? fill_once(s, l, nets, n, entries) : -ENOMEM;
		buckets += buckets / 16 + 1;
	}
	free(entries);
	return entries ? rc : -ENOMEM;
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

static inline const union sluice_sieve_line *sluice_sieve_line(sluice_sieve sieve, __u32 number)
{
	return number < sieve->n ? &sieve->lines[number] : NULL;
}

bool sieve_has(const struct sieve *s, const struct sluice_addr *addr)
{
	struct words at = words_of(addr);

	if (s->n == 0 || addr_is_v4(addr) == s->v6)
		return false;
	if (s->v6)
		return sluice_sieve_has6(s, at.w[0], at.w[1]);
	return sluice_sieve_has4(s, ntohl(addr->w[3]));
}

void sieve_fini(struct sieve *s)
{
	free(s->lines);
	s->lines = NULL;
	s->n = 0;
}
