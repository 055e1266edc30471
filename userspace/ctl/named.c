// SPDX-License-Identifier: BSD-2-Clause
/* Owns: named feeds on the command line; the maps are l4/feeds. */
#include "ctl/named.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "ctl/lists.h"
#include "ctl/lockout.h"

/* ---- names ---------------------------------------------------------------------------- */

const char *named_after(const char *path, char buf[FEEDS_NAME])
{
	const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path, *dot;
	size_t len;

	if (strcmp(path, "-") == 0)
		file = "stdin";
	dot = strrchr(file, '.');
	len = dot && dot > file ? (size_t)(dot - file) : strlen(file);
	len = len < FEEDS_NAME ? len : FEEDS_NAME - 1;
	memcpy(buf, file, len);
	buf[len] = '\0';
	for (size_t i = 0; i < len; i++) {
		const char one[2] = {buf[i], '\0'};

		if (!feeds_name_valid(one))
			buf[i] = '_';
	}
	return buf;
}

static int no_such(const char *name, struct err *e)
{
	return err_set(e, ENOENT, "there is no feed %s; `sluice block feeds` shows those there are",
		       name);
}

/* ---- import --------------------------------------------------------------------------- */

/* The networks of a feed that matter to lockout_check: those with whom this host must go on
 * hearing, and whole families. */
static int check_lockout(const struct gate *g, const struct feed *f, struct err *e)
{
	static const struct sluice_addr any[2] = {{.b = {[10] = 0xff, [11] = 0xff}}};
	struct block_list allow = block_allow_of(g);
	struct block_entry nets[LOCKOUT_MAX + 2] = {0};
	struct lockout found[LOCKOUT_MAX];
	size_t n_found = lockout_find(found), n = 0;

	for (int v6 = 0; v6 < 2; v6++)
		n += feed_covering(f, &any[v6], &nets[n].net) && nets[n].net.prefix == 0;
	for (size_t i = 0; i < n_found; i++)
		n += feed_covering(f, &found[i].addr, &nets[n].net);
	return lockout_check(&allow, nets, n, e);
}

static int check(const struct gate *g, const struct lists_import *w, const char *name,
		 const struct feed *f, struct err *e)
{
	if (w->force)
		return 0;
	if (f->n[0] + f->n[1] == 0)
		return err_set(e, ENODATA,
			       "nothing is named there, so feed %s was left as it is; --force if "
			       "that is meant, or `sluice block flush --name %s`",
			       name, name);
	return check_lockout(g, f, e);
}

static const struct feeds_info *find(const struct feeds *feeds, const char *name)
{
	for (unsigned i = 0; i < feeds->n; i++)
		if (strcmp(feeds->feed[i].name, name) == 0)
			return &feeds->feed[i];
	return NULL;
}

static size_t prefixes_of(const struct feeds_info *feed)
{
	return feed->prefixes[0] + feed->prefixes[1];
}

int named_import(const struct gate *g, const struct lists_import *w, const char *name,
		 const struct feed *f, char told[NAMED_TOLD], struct err *e)
{
	struct feeds before, now;
	const struct feeds_info *was;
	char memory[16], instead[48] = "new";
	int rc = check(g, w, name, f, e);

	rc = rc ? rc : feeds_list(g, &before, e);
	rc = rc ? rc : feeds_put(g, name, f, e);
	rc = rc ? rc : feeds_list(g, &now, e);
	if (rc)
		return rc;
	was = find(&before, name);
	if (was)
		snprintf(instead, sizeof(instead), "in place of %zu prefixes", prefixes_of(was));
	snprintf(told, NAMED_TOLD, "feed %s: %s; the gate's feeds take %s", name, instead,
		 units_format_bytes(now.sieve_bytes[0] + now.sieve_bytes[1], memory));
	return 0;
}

/* ---- showing -------------------------------------------------------------------------- */

static const char *age(time_t imported, char buf[LISTS_VALUE])
{
	time_t now = time(NULL);

	return lists_time((__u64)(now > imported ? now - imported : 0) * 1000000000 + 1, buf);
}

static void print_table(const struct feeds *feeds)
{
	char memory[16], memory6[16], ago[LISTS_VALUE];

	if (feeds->n == 0) {
		puts("there are no feeds; `sluice block import --name NAME FILE` makes one");
		return;
	}
	printf("%-31s %9s %9s %9s  %s\n", "FEED", "IPV4", "IPV6", "MEMORY", "IMPORTED");
	for (unsigned i = 0; i < feeds->n; i++) {
		const struct feeds_info *f = &feeds->feed[i];

		if (f->foreign) {
			printf("%-31s another version wrote it; import it anew, or flush it\n",
			       f->name);
			continue;
		}
		printf("%-31s %9zu %9zu %9s  %s ago\n", f->name, f->prefixes[0], f->prefixes[1],
		       units_format_bytes(f->bytes, memory), age(f->imported, ago));
	}
	printf("\nat the gate, together: %s for IPv4, %s for IPv6\n",
	       units_format_bytes(feeds->sieve_bytes[0], memory),
	       units_format_bytes(feeds->sieve_bytes[1], memory6));
}

void named_print_json(const struct feeds *feeds)
{
	printf("\"feeds\": [");
	for (unsigned i = 0; i < feeds->n; i++) {
		const struct feeds_info *f = &feeds->feed[i];

		printf("%s\n  {\"name\": \"%s\", \"ipv4\": %zu, \"ipv6\": %zu, \"bytes\": %zu, "
		       "\"imported\": %lld}",
		       i ? "," : "", f->name, f->prefixes[0], f->prefixes[1], f->bytes,
		       (long long)f->imported);
	}
	printf("%s]", feeds->n ? "\n" : "");
}

int named_print(const struct gate *g, bool json, struct err *e)
{
	struct feeds feeds;
	int rc = feeds_list(g, &feeds, e);

	if (rc)
		return rc;
	if (!json) {
		print_table(&feeds);
		return 0;
	}
	putchar('{');
	named_print_json(&feeds);
	printf(", \"gate_bytes\": {\"ipv4\": %zu, \"ipv6\": %zu}}\n", feeds.sieve_bytes[0],
	       feeds.sieve_bytes[1]);
	return 0;
}

static void print_nets(const struct cidr *nets, size_t n, bool json, bool *first)
{
	char text[ADDR_TEXT + 4];

	for (size_t i = 0; i < n; i++) {
		cidr_format(&nets[i], text);
		if (json)
			printf("%s\n  \"%s\"", *first ? "" : ",", text);
		else
			puts(text);
		*first = false;
	}
}

int named_list(const char *name, bool json, struct err *e)
{
	struct feed f = {0};
	bool first = true;
	int rc = feeds_read(name, &f, e);

	if (rc)
		return rc == -ENOENT ? no_such(name, e) : rc;
	if (json)
		printf("{\"feed\": \"%s\", \"nets\": [", name);
	for (int v6 = 0; rc == 0 && v6 < 2; v6++) {
		size_t n = feed_prefixes(&f, v6, NULL, 0);
		struct cidr *nets = malloc((n + 1) * sizeof(*nets));

		if (nets)
			print_nets(nets, feed_prefixes(&f, v6, nets, n), json, &first);
		else
			rc = err_set(e, ENOMEM, "out of memory for %zu prefixes", n);
		free(nets);
	}
	if (json)
		printf("%s]}\n", first ? "" : "\n");
	feed_fini(&f);
	return rc;
}

/* ---- the rest ------------------------------------------------------------------------- */

int named_flush(const struct gate *g, const char *name, struct err *e)
{
	struct feeds before;
	const struct feeds_info *was;
	int rc = feeds_list(g, &before, e);

	rc = rc ? rc : feeds_remove(g, name, e);
	if (rc)
		return rc == -ENOENT ? no_such(name, e) : rc;
	was = find(&before, name);
	printf("feed %s is gone, with %zu prefixes\n", name, was ? prefixes_of(was) : 0);
	return 0;
}

bool named_covering(const struct gate *g, const struct sluice_addr *addr, char name[FEEDS_NAME],
		    struct cidr *net)
{
	struct feeds feeds;
	bool found = false;

	if (feeds_list(g, &feeds, NULL) != 0)
		return false;
	for (unsigned i = 0; !found && i < feeds.n; i++) {
		struct feed f = {0};

		strcpy(name, feeds.feed[i].name);
		found = feeds_read(name, &f, NULL) == 0 && feed_covering(&f, addr, net);
		feed_fini(&f);
	}
	return found;
}
