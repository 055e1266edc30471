// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice block import`: files, then what they name all together; that becomes a feed
 * (named.c), or what differs from the list, and then the edits. Everything that can be refused
 * is refused before the first edit.
 *
 * An entry of the list that was put there for another reason and lasts at least as long stays
 * as it is: a feed does not turn a person's "forever" into its own ten minutes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/lists.h"
#include "ctl/lockout.h"
#include "ctl/named.h"

struct import {
	struct feed feed;
	struct block_entry *wanted; /* in order; those to write end up at the front */
	size_t n_wanted, by_family[2];
	size_t n_write, n_new[2], n_renewed, n_kept;
	size_t n_listed[2]; /* in the list before */
};

static int read_files(struct import *im, const struct lists_import *w, struct err *e)
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < w->n_paths; i++) {
		bool is_stdin = strcmp(w->paths[i], "-") == 0;
		FILE *in = is_stdin ? stdin : fopen(w->paths[i], "re");

		if (!in)
			return err_set(e, errno, "cannot open %s: %s", w->paths[i],
				       strerror(errno));
		rc = feed_read(&im->feed, in, is_stdin ? "stdin" : w->paths[i], stderr, e);
		if (!is_stdin)
			fclose(in);
	}
	if (rc == 0 && im->feed.bad && !w->skip_bad)
		return err_set(e, EINVAL,
			       "%zu of %zu lines are wrong, so nothing was imported; --skip-bad "
			       "leaves them out",
			       im->feed.bad, im->feed.lines);
	return rc;
}

static void merge(struct import *im)
{
	feed_merge(&im->feed);
	for (int v6 = 0; v6 < 2; v6++)
		im->by_family[v6] = feed_prefixes(&im->feed, v6, NULL, 0);
	im->n_wanted = im->by_family[0] + im->by_family[1];
}

/* The feed that they become, or NULL. */
static const char *feed_name(const struct import *im, const struct lists_import *w,
			     char buf[FEEDS_NAME])
{
	if (w->name || w->valued)
		return w->name;
	named_after(w->paths[0], buf);
	return im->n_wanted > LISTS_SMALL || feeds_known(buf) ? buf : NULL;
}

static int make_wanted(struct import *im, const struct sluice_listed *value, struct err *e)
{
	struct cidr *nets;

	for (int v6 = 0; v6 < 2; v6++) {
		if (im->by_family[v6] > SLUICE_MAX_LIST)
			return err_set(e, ENOSPC,
				       "the files make %zu IPv%d prefixes, and a list holds %u; "
				       "nothing was imported",
				       im->by_family[v6], v6 ? 6 : 4, SLUICE_MAX_LIST);
	}
	nets = calloc(im->n_wanted + 1, sizeof(*nets));
	im->wanted = calloc(im->n_wanted + 1, sizeof(*im->wanted));
	if (!nets || !im->wanted) {
		free(nets);
		return err_set(e, ENOMEM, "out of memory for %zu prefixes", im->n_wanted);
	}
	feed_prefixes(&im->feed, false, nets, im->by_family[0]);
	feed_prefixes(&im->feed, true, nets + im->by_family[0], im->by_family[1]);
	for (size_t i = 0; i < im->n_wanted; i++)
		im->wanted[i] = (struct block_entry){nets[i], *value};
	free(nets);
	return 0;
}

static bool outlives(const struct sluice_listed *was, const struct sluice_listed *wanted)
{
	return !was->expires_ns || (wanted->expires_ns && was->expires_ns >= wanted->expires_ns);
}

/* Nothing to write where the list says the same, or more. */
static bool stays(const struct sluice_listed *was, const struct sluice_listed *wanted)
{
	return outlives(was, wanted) &&
	       (was->reason != wanted->reason || was->expires_ns == wanted->expires_ns);
}

/* Both in the same order: one walk along the two. */
static void compare(struct import *im, const struct block_entry *listed, size_t n_listed)
{
	size_t at = 0;

	for (size_t i = 0; i < n_listed; i++)
		im->n_listed[!addr_is_v4(&listed[i].net.addr)]++;
	for (size_t i = 0; i < im->n_wanted; i++) {
		const struct block_entry *x = &im->wanted[i];

		while (at < n_listed && block_order(&listed[at].net, &x->net) < 0)
			at++;
		if (at == n_listed || block_order(&listed[at].net, &x->net) != 0) {
			im->n_new[!addr_is_v4(&x->net.addr)]++;
		} else if (stays(&listed[at].value, &x->value)) {
			im->n_kept++;
			continue;
		} else {
			im->n_renewed++;
		}
		im->wanted[im->n_write++] = *x;
	}
}

static int check_room(const struct import *im, const struct block_list *l, struct err *e)
{
	for (int v6 = 0; v6 < 2; v6++) {
		size_t bound = block_bound(l, v6), after = im->n_listed[v6] + im->n_new[v6];

		if (im->n_new[v6] && after > bound)
			return err_set(e, ENOSPC,
				       "%s%d has %zu entries, and %zu new ones do not fit into "
				       "its %zu; nothing was imported; `sluice %s flush` with "
				       "--expired or --reason feed makes room",
				       l->name, v6 ? 6 : 4, im->n_listed[v6], im->n_new[v6], bound,
				       l->name);
	}
	return 0;
}

static int plan(struct import *im, const struct gate *g, const struct block_list *l,
		const struct lists_import *w, struct err *e)
{
	struct block_list allow = block_allow_of(g);
	struct block_entry *listed;
	size_t n_listed;
	int rc = make_wanted(im, &w->value, e);

	if (rc == 0 && !w->force)
		rc = lockout_check(&allow, im->wanted, im->n_wanted, e);
	rc = rc ? rc : block_read(l, &listed, &n_listed, e);
	if (rc)
		return rc;
	compare(im, listed, n_listed);
	free(listed);
	return check_room(im, l, e);
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void tell_files(const struct import *im)
{
	const struct feed *f = &im->feed;

	printf("%zu lines name %zu entries", f->lines, f->named);
	if (f->bad)
		printf(" (%zu wrong ones left out)", f->bad);
	printf(", which make %zu IPv4 and %zu IPv6 prefixes\n", im->by_family[0], im->by_family[1]);
}

static int into_list(struct import *im, const struct gate *g, const struct block_list *l,
		     const struct lists_import *w, char told[NAMED_TOLD], struct err *e)
{
	size_t done;
	int rc = plan(im, g, l, w, e);

	rc = rc ? rc : block_put_many(l, im->wanted, im->n_write, &done, e);
	if (rc == 0)
		snprintf(told, NAMED_TOLD, "%s: %zu new, %zu renewed, %zu kept as they were",
			 l->name, im->n_new[0] + im->n_new[1], im->n_renewed, im->n_kept);
	return rc;
}

int lists_import(const struct gate *g, const struct block_list *l, const struct lists_import *w,
		 struct err *e)
{
	struct import im = {0};
	char buf[FEEDS_NAME], told[NAMED_TOLD];
	struct timespec start;
	const char *name;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &start);
	rc = read_files(&im, w, e);
	if (rc)
		goto out;
	merge(&im);
	name = feed_name(&im, w, buf);
	rc = name ? named_import(g, w, name, &im.feed, told, e) : into_list(&im, g, l, w, told, e);
	if (rc)
		goto out;
	tell_files(&im);
	printf("%s, in %.2f s\n", told, seconds_since(&start));
out:
	feed_fini(&im.feed);
	free(im.wanted);
	return rc;
}
