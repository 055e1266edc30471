// SPDX-License-Identifier: BSD-2-Clause
/*
 * A change goes in this order: the new sieves and the new feed's map are made, then the gate
 * gets the sieves, then the map is renamed into its place. Cut short in between, the gate
 * works by the new feed and the old one is remembered; the same change again mends that.
 */
#include "l4/feeds.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "l4/sieves.h"

#define PREFIX  "feed_"
#define NEW_PIN SLUICE_PIN_DIR "/new-feed" /* no name of a feed */
#define PATH    (sizeof(SLUICE_PIN_DIR "/" PREFIX) + FEEDS_NAME)
#define LAYOUT  1

/* A remembered feed: this, the ranges of IPv4, the ranges of IPv6. */
struct head {
	uint64_t layout;
	int64_t imported;
	uint64_t ranges[2], prefixes[2];
};

struct range4 {
	uint32_t first, last;
};

/* ---- maps in memory ------------------------------------------------------------------- */

/* All of an array map that may be mapped. */
struct view {
	void *at;
	size_t bytes; /* of the values */
};

static size_t pages(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) / page * page;
}

static int view_open(struct view *v, int fd, int prot)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) != 0)
		return -errno;
	v->bytes = (size_t)info.max_entries * info.value_size;
	v->at = mmap(NULL, pages(v->bytes), prot, MAP_SHARED, fd, 0);
	return v->at == MAP_FAILED ? -errno : 0;
}

static void view_close(struct view *v)
{
	munmap(v->at, pages(v->bytes));
}

/* ---- names ---------------------------------------------------------------------------- */

bool feeds_name_valid(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				  "-_");

	return len > 0 && len < FEEDS_NAME && !name[len];
}

static const char *pin_path(const char *name, char buf[PATH])
{
	snprintf(buf, PATH, SLUICE_PIN_DIR "/" PREFIX "%s", name);
	return buf;
}

bool feeds_known(const char *name)
{
	char path[PATH];

	return access(pin_path(name, path), F_OK) == 0;
}

/* ---- remembering ---------------------------------------------------------------------- */

static size_t remembered_bytes(const struct feed *f)
{
	return sizeof(struct head) + f->n[0] * sizeof(struct range4) +
	       f->n[1] * sizeof(struct feed_range);
}

static void write_ranges(void *at, const struct feed *f)
{
	struct head *h = at;
	struct range4 *r4 = (struct range4 *)(h + 1);

	*h = (struct head){
		.layout = LAYOUT,
		.imported = time(NULL),
		.ranges = {f->n[0], f->n[1]},
		.prefixes = {feed_prefixes(f, false, NULL, 0), feed_prefixes(f, true, NULL, 0)},
	};
	for (size_t i = 0; i < f->n[0]; i++)
		r4[i] = (struct range4){(uint32_t)f->ranges[0][i].first,
					(uint32_t)f->ranges[0][i].last};
	if (f->n[1]) /* not aligned there for what it is */
		memcpy(r4 + f->n[0], f->ranges[1], f->n[1] * sizeof(struct feed_range));
}

/* A map with the feed, pinned for the time being at NEW_PIN. */
static int remember(const struct feed *f, struct err *e)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	size_t words = (remembered_bytes(f) + 7) / 8;
	struct view v;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "feed", sizeof(__u32), 8, (__u32)words, &opts);
	int rc = fd < 0 ? -errno : view_open(&v, fd, PROT_READ | PROT_WRITE);

	if (rc == 0) {
		write_ranges(v.at, f);
		view_close(&v);
		(void)!unlink(NEW_PIN); /* of an import that was cut short */
		rc = bpf_obj_pin(fd, NEW_PIN) == 0 ? 0 : -errno;
	}
	if (fd >= 0)
		close(fd);
	return rc ? err_set(e, -rc, "cannot remember the feed in %s: %s", SLUICE_PIN_DIR,
			    strerror(-rc))
		  : 0;
}

/* What is not laid out as this version does is not read. */
static int remembered_open(const char *name, struct view *v)
{
	char path[PATH];
	int fd = bpf_obj_get(pin_path(name, path)), rc;
	const struct head *h;

	if (fd < 0)
		return -errno;
	rc = view_open(v, fd, PROT_READ);
	close(fd);
	if (rc)
		return rc;
	h = v->at;
	if (v->bytes >= sizeof(*h) && h->layout == LAYOUT &&
	    h->ranges[0] <= v->bytes / sizeof(struct range4) &&
	    h->ranges[1] <= v->bytes / sizeof(struct feed_range) &&
	    sizeof(*h) + h->ranges[0] * sizeof(struct range4) +
			    h->ranges[1] * sizeof(struct feed_range) <=
		    v->bytes)
		return 0;
	view_close(v);
	return -EPROTO;
}

static int read_failed(const char *name, int rc, struct err *e)
{
	char path[PATH];

	return err_set(e, -rc, "cannot read the feed at %s: %s", pin_path(name, path),
		       rc == -EPROTO ? "another version wrote it; `rm` it, or import it anew"
				     : strerror(-rc));
}

static int read_ranges(const struct view *v, struct feed *out, struct err *e)
{
	const struct head *h = v->at;
	const struct range4 *r4 = (const struct range4 *)(h + 1);
	struct feed_range r;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < h->ranges[0]; i++) {
		r = (struct feed_range){r4[i].first, r4[i].last};
		rc = feed_add(out, false, &r, e);
	}
	for (size_t i = 0; rc == 0 && i < h->ranges[1]; i++) {
		memcpy(&r, (const char *)(r4 + h->ranges[0]) + i * sizeof(r), sizeof(r));
		rc = feed_add(out, true, &r, e);
	}
	return rc;
}

int feeds_read(const char *name, struct feed *out, struct err *e)
{
	struct view v;
	int rc = remembered_open(name, &v);

	if (rc)
		return rc == -ENOENT ? rc : read_failed(name, rc, e);
	rc = read_ranges(&v, out, e);
	view_close(&v);
	return rc;
}

/* ---- listing -------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct feeds_info *)a)->name, ((const struct feeds_info *)b)->name);
}

static int list_one(struct feeds *out, const char *name, struct err *e)
{
	struct feeds_info *info = &out->feed[out->n];
	const struct head *h;
	struct view v;
	int rc = out->n == FEEDS_MAX ? -E2BIG : remembered_open(name, &v);

	if (rc == -ENOENT)
		return 0; /* removed meanwhile */
	if (rc && rc != -EPROTO)
		return read_failed(name, rc, e);
	*info = (struct feeds_info){.foreign = rc == -EPROTO};
	strcpy(info->name, name);
	out->n++;
	if (info->foreign)
		return 0;
	h = v.at;
	info->imported = (time_t)h->imported;
	info->prefixes[0] = h->prefixes[0];
	info->prefixes[1] = h->prefixes[1];
	info->bytes = pages(v.bytes);
	view_close(&v);
	return 0;
}

int feeds_list(const struct gate *g, struct feeds *out, struct err *e)
{
	DIR *dir = opendir(SLUICE_PIN_DIR);
	struct dirent *entry;
	int rc = 0;

	*out = (struct feeds){.sieve_bytes = {sieves_bytes(g, false), sieves_bytes(g, true)}};
	if (!dir)
		return err_set(e, errno, "cannot open %s: %s", SLUICE_PIN_DIR, strerror(errno));
	while (rc == 0 && (entry = readdir(dir)) != NULL) {
		const char *name = entry->d_name + sizeof(PREFIX) - 1;

		if (strncmp(entry->d_name, PREFIX, sizeof(PREFIX) - 1) == 0 &&
		    feeds_name_valid(name))
			rc = list_one(out, name, e);
	}
	closedir(dir);
	qsort(out->feed, out->n, sizeof(out->feed[0]), by_name);
	return rc;
}

/* ---- changing ------------------------------------------------------------------------- */

/* Adds every feed but the one of that name. */
static int add_others(const struct gate *g, const char *name, struct feed *all, struct err *e)
{
	struct feeds *there = malloc(sizeof(*there));
	int rc = there ? feeds_list(g, there, e) : err_set(e, ENOMEM, "out of memory");
	unsigned others = 0;

	for (unsigned i = 0; rc == 0 && i < there->n; i++) {
		if (strcmp(there->feed[i].name, name) == 0)
			continue;
		others++;
		rc = feeds_read(there->feed[i].name, all, e);
		rc = rc == -ENOENT ? 0 : rc;
	}
	if (rc == 0 && others == FEEDS_MAX)
		rc = err_set(e, E2BIG,
			     "there are %d feeds, which is as many as there may be; "
			     "`sluice block flush --name NAME` removes one",
			     FEEDS_MAX);
	free(there);
	return rc;
}

static int add_all(struct feed *all, const struct feed *f, struct err *e)
{
	int rc = 0;

	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; rc == 0 && i < f->n[v6]; i++)
			rc = feed_add(all, v6, &f->ranges[v6][i], e);
	return rc;
}

/* The gate gets what all feeds name, with f (NULL: nothing) for the named one. */
static int install(const struct gate *g, const char *name, const struct feed *f, struct err *e)
{
	struct sieve sieves[2] = {0};
	struct feed all = {0};
	int rc = add_others(g, name, &all, e);

	rc = rc || !f ? rc : add_all(&all, f, e);
	feed_merge(&all);
	for (int v6 = 0; rc == 0 && v6 < 2; v6++)
		rc = sieve_build(&sieves[v6], &all, v6, e);
	feed_fini(&all);
	/* Both are there: from here on little can fail. */
	rc = rc || !f ? rc : remember(f, e);
	for (int v6 = 0; rc == 0 && v6 < 2; v6++)
		rc = sieves_swap(g, &sieves[v6], e);
	sieve_fini(&sieves[0]);
	sieve_fini(&sieves[1]);
	return rc;
}

int feeds_put(const struct gate *g, const char *name, const struct feed *f, struct err *e)
{
	char path[PATH];
	int rc = install(g, name, f, e);

	if (rc == 0 && rename(NEW_PIN, pin_path(name, path)) != 0)
		rc = err_set(e, errno, "cannot rename %s to %s: %s", NEW_PIN, path,
			     strerror(errno));
	if (rc)
		(void)!unlink(NEW_PIN);
	return rc;
}

int feeds_remove(const struct gate *g, const char *name, struct err *e)
{
	char path[PATH];
	int rc;

	if (!feeds_known(name))
		return -ENOENT;
	rc = install(g, name, NULL, e);
	if (rc == 0 && unlink(pin_path(name, path)) != 0)
		rc = err_set(e, errno, "cannot remove %s: %s", path, strerror(errno));
	return rc;
}
