// SPDX-License-Identifier: BSD-2-Clause
/* Owns: the two looks of `sluice top`: a screen for people, a line of JSON for programs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/addr.h"
#include "base/units.h"
#include "ctl/sample.h"
#include "ctl/top.h"

static struct top_rate service_rate(const struct top *t, __u32 id)
{
	return top_rate(t, &t->before.services[id], &t->now.services[id]);
}

static struct top_rate backend_rate(const struct top *t, __u32 id)
{
	return top_rate(t, &t->before.backends[id], &t->now.backends[id]);
}

/* ---- for people ----------------------------------------------------------------------- */

/* Slower than one in a second is not nothing. */
static const char *rate_text(double rate, char buf[8])
{
	if (rate > 0 && rate < 9.95)
		snprintf(buf, 8, "%.1f", rate);
	else
		units_format_count((uint64_t)(rate + 0.5), buf);
	return buf;
}

static void print_rate(FILE *out, struct top_rate r)
{
	char packets[8], bits[8];

	fprintf(out, " %8s pps %8s bit/s", rate_text(r.packets, packets), rate_text(r.bits, bits));
}

static void print_head(const struct top *t, FILE *out)
{
	static const char *const rows[][2] = {
		{NULL, "all"}, {"TX", "sent on"}, {"PASS", "passed up"}, {"DROP", "dropped"}};
	char clock[16];
	time_t now = time(NULL);
	struct tm tm;

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
	fprintf(out, "sluice top  %s  the last %.1f s\n\n", clock, t->seconds);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fprintf(out, "%-32s", rows[i][1]);
		print_rate(out, top_rate_of(t, rows[i][0]));
		fputc('\n', out);
	}
}

struct row {
	unsigned reason;
	struct top_rate rate;
};

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->rate.packets != y->rate.packets)
		return x->rate.packets > y->rate.packets ? -1 : 1;
	return x->reason < y->reason ? -1 : x->reason > y->reason;
}

/* Most first; those that did not happen are left out. */
static void print_reasons(const struct top *t, FILE *out)
{
	struct row rows[SLUICE_R_COUNT];
	char rate[8];

	for (unsigned i = 0; i < SLUICE_R_COUNT; i++)
		rows[i] = (struct row){i, top_rate(t, &t->before.reasons[i], &t->now.reasons[i])};
	qsort(rows, SLUICE_R_COUNT, sizeof(rows[0]), compare_rows);
	for (unsigned i = 0; i < SLUICE_R_COUNT && rows[i].rate.packets > 0; i++) {
		const struct status_name *r = &status_reasons[rows[i].reason];

		fprintf(out, "%s  %-4s %-25s", i ? "" : "\nREASON\n", r->action, r->name);
		print_rate(out, rows[i].rate);
		fputc('\n', out);
	}
	for (unsigned i = 0; i < SLUICE_N_COUNT; i++)
		if (top_notice_rate(t, i) > 0)
			fprintf(out, "       %-25s %8s /s\n", status_notices[i].name,
				rate_text(top_notice_rate(t, i), rate));
}

static void print_services(const struct top *t, FILE *out)
{
	bool first = true;

	for (__u32 id = 1; id < SLUICE_MAX_SERVICES; id++) {
		if (!t->names.services[id].name[0])
			continue;
		fprintf(out, "%s  %-30s", first ? "\nSERVICE\n" : "", names_service(&t->names, id));
		print_rate(out, service_rate(t, id));
		fputc('\n', out);
		first = false;
		for (__u32 b = 1; b < SLUICE_MAX_BACKENDS; b++) {
			if (!t->names.backends[b].name[0] || t->names.backends[b].service != id)
				continue;
			fprintf(out, "    %-28s", names_backend(&t->names, b));
			print_rate(out, backend_rate(t, b));
			fputc('\n', out);
		}
	}
}

static void print_sources(const struct top *t, FILE *out)
{
	struct top_source sources[TOP_SHOWN];
	size_t n = top_busiest(t, sources);
	char addr[ADDR_TEXT], samples[8];

	if (!t->hears) {
		fputs("\nanother sluice reads the samples, so that sources are not known here\n",
		      out);
		return;
	}
	if (n)
		fprintf(out, "\nSOURCE of sampled drops\n");
	for (size_t i = 0; i < n; i++)
		fprintf(out, "  %-30s %8s samples  %s\n", addr_format(&sources[i].addr, addr),
			units_format_count(sources[i].samples, samples),
			sample_reason(sources[i].reason).name);
	if (t->unnamed)
		fprintf(out, "  %-30s %8s samples\n", "(of more sources)",
			units_format_count(t->unnamed, samples));
}

void top_print(const struct top *t, FILE *out)
{
	print_head(t, out);
	print_reasons(t, out);
	print_services(t, out);
	print_sources(t, out);
}

/* ---- for programs --------------------------------------------------------------------- */

/* jansson's *_new functions accept NULL, so that running out of memory shows once, at the end. */
static void put(json_t *object, const char *key, json_t *value, bool *oom)
{
	*oom |= json_object_set_new(object, key, value) != 0;
}

static void put_rate(json_t *object, struct top_rate r, bool *oom)
{
	put(object, "packets_per_second", json_real(r.packets), oom);
	put(object, "bits_per_second", json_real(r.bits), oom);
}

static json_t *rate_json(struct top_rate r, bool *oom)
{
	json_t *o = json_object();

	put_rate(o, r, oom);
	return o;
}

static json_t *reasons_json(const struct top *t, bool *oom)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < SLUICE_R_COUNT; i++) {
		json_t *o = json_object();

		put(o, "action", json_string(status_reasons[i].action), oom);
		put_rate(o, top_rate(t, &t->before.reasons[i], &t->now.reasons[i]), oom);
		put(all, status_reasons[i].name, o, oom);
	}
	return all;
}

static json_t *notices_json(const struct top *t, bool *oom)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < SLUICE_N_COUNT; i++)
		put(all, status_notices[i].name, json_real(top_notice_rate(t, i)), oom);
	return all;
}

static json_t *backends_json(const struct top *t, __u32 service, bool *oom)
{
	json_t *list = json_array();

	for (__u32 id = 1; id < SLUICE_MAX_BACKENDS; id++) {
		json_t *o;

		if (!t->names.backends[id].name[0] || t->names.backends[id].service != service)
			continue;
		o = json_object();
		put(o, "name", json_string(names_backend(&t->names, id)), oom);
		put_rate(o, backend_rate(t, id), oom);
		*oom |= json_array_append_new(list, o) != 0;
	}
	return list;
}

static json_t *services_json(const struct top *t, bool *oom)
{
	json_t *list = json_array();

	for (__u32 id = 1; id < SLUICE_MAX_SERVICES; id++) {
		json_t *o;

		if (!t->names.services[id].name[0])
			continue;
		o = json_object();
		put(o, "name", json_string(names_service(&t->names, id)), oom);
		put_rate(o, service_rate(t, id), oom);
		put(o, "backends", backends_json(t, id, oom), oom);
		*oom |= json_array_append_new(list, o) != 0;
	}
	return list;
}

static json_t *sources_json(const struct top *t, bool *oom)
{
	struct top_source sources[TOP_SHOWN];
	size_t n = top_busiest(t, sources);
	char addr[ADDR_TEXT];
	json_t *list;

	if (!t->hears)
		return json_null();
	list = json_array();
	for (size_t i = 0; i < n; i++)
		*oom |= json_array_append_new(
				list, json_pack("{s:s, s:I, s:s}", "source",
						addr_format(&sources[i].addr, addr), "samples",
						(json_int_t)sources[i].samples, "reason",
						sample_reason(sources[i].reason).name)) != 0;
	return list;
}

int top_print_json(const struct top *t, FILE *out)
{
	json_t *root = json_object();
	bool oom = !root;

	put(root, "seconds", json_real(t->seconds), &oom);
	put(root, "all", rate_json(top_rate_of(t, NULL), &oom), &oom);
	put(root, "dropped", rate_json(top_rate_of(t, "DROP"), &oom), &oom);
	put(root, "reasons", reasons_json(t, &oom), &oom);
	put(root, "notices", notices_json(t, &oom), &oom);
	put(root, "services", services_json(t, &oom), &oom);
	put(root, "samples", json_integer((json_int_t)t->samples), &oom);
	put(root, "sources", sources_json(t, &oom), &oom);
	oom |= json_dumpf(root, out, JSON_COMPACT | JSON_PRESERVE_ORDER) != 0;
	fputc('\n', out);
	json_decref(root);
	return oom ? -ENOMEM : 0;
}
