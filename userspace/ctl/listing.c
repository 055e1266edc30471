// SPDX-License-Identifier: BSD-2-Clause
/* Owns: how the lists look, to people and to programs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/lists.h"
#include "ctl/named.h"

/* ---- values --------------------------------------------------------------------------- */

const char *lists_title(const struct block_list *l)
{
	return strcmp(l->name, "block") == 0 ? "blocklist" : "allow list";
}

const char *lists_time(__u64 ns, char buf[LISTS_VALUE])
{
	static const struct {
		unsigned seconds;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	__u64 seconds = ns / 1000000000 + (ns % 1000000000 != 0);
	size_t len = 0;
	int shown = 0;

	for (unsigned i = 0; i < 4 && shown < 2; i++) {
		__u64 n = seconds / units[i].seconds;

		if (n == 0 && (shown == 0 || i == 3))
			continue;
		shown++;
		seconds %= units[i].seconds;
		if (n)
			len += (size_t)snprintf(buf + len, LISTS_VALUE - len, "%s%" PRIu64 "%c",
						len ? " " : "", (uint64_t)n, units[i].unit);
	}
	return buf;
}

static const char *format_reason(__u32 reason, char buf[24])
{
	const char *name = block_reason_name(reason);

	if (name)
		return name;
	snprintf(buf, 24, "reason %u", reason);
	return buf;
}

static void format_time(const struct sluice_listed *value, __u64 now, char buf[LISTS_VALUE])
{
	if (!value->expires_ns)
		strcpy(buf, "forever");
	else if (block_expired(value, now))
		strcpy(buf, "expired");
	else
		lists_time(value->expires_ns - now, buf);
}

const char *lists_value(const struct sluice_listed *value, __u64 now, char buf[LISTS_VALUE])
{
	char time[LISTS_VALUE], reason[24];

	format_time(value, now, time);
	snprintf(buf, LISTS_VALUE, "%s%.30s (%s)",
		 value->expires_ns && !block_expired(value, now) ? "for " : "", time,
		 format_reason(value->reason, reason));
	return buf;
}

/* ---- the whole list ------------------------------------------------------------------- */

/* By hand, because a list may have a million entries and none of its texts needs escaping. */
static void print_json(const struct block_list *l, const struct block_entry *entries, size_t n,
		       const struct feeds *feeds)
{
	__u64 now = block_now();
	char text[ADDR_TEXT + 4], reason[24];

	printf("{\"list\": \"%s\", \"entries\": [", l->name);
	for (size_t i = 0; i < n; i++) {
		const struct sluice_listed *v = &entries[i].value;
		bool expired = block_expired(v, now);

		printf("%s\n  {\"net\": \"%s\", \"reason\": \"%s\", \"expired\": %s, "
		       "\"seconds_left\": ",
		       i ? "," : "", cidr_format(&entries[i].net, text),
		       format_reason(v->reason, reason), expired ? "true" : "false");
		if (!v->expires_ns)
			printf("null}");
		else
			printf("%.3f}", expired ? 0.0 : (double)(v->expires_ns - now) / 1e9);
	}
	printf("%s]", n ? "\n" : "");
	if (feeds) {
		printf(", ");
		named_print_json(feeds);
	}
	puts("}");
}

static void print_list(const struct block_entry *entries, size_t n, const struct feeds *feeds)
{
	__u64 now = block_now();
	char text[ADDR_TEXT + 4], time[LISTS_VALUE], reason[24];

	for (size_t i = 0; i < n; i++) {
		format_time(&entries[i].value, now, time);
		printf("%-24s  %-10s  %s\n", cidr_format(&entries[i].net, text), time,
		       format_reason(entries[i].value.reason, reason));
	}
	for (unsigned i = 0; feeds && i < feeds->n; i++)
		printf("feed %s: %zu IPv4 and %zu IPv6 prefixes\n", feeds->feed[i].name,
		       feeds->feed[i].prefixes[0], feeds->feed[i].prefixes[1]);
}

int lists_print(const struct gate *g, const struct block_list *l, bool json, struct err *e)
{
	bool is_block = strcmp(l->name, "block") == 0;
	static struct feeds feeds; /* 6 KB */
	struct block_entry *entries;
	size_t n;
	int rc = is_block ? feeds_list(g, &feeds, e) : 0;

	rc = rc ? rc : block_read(l, &entries, &n, e);
	if (rc)
		return rc;
	if (json)
		print_json(l, entries, n, is_block ? &feeds : NULL);
	else if (n == 0 && feeds.n == 0)
		printf("the %s is empty\n", lists_title(l));
	else
		print_list(entries, n, is_block ? &feeds : NULL);
	free(entries);
	return 0;
}
