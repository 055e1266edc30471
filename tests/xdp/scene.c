// SPDX-License-Identifier: BSD-2-Clause
/* See scene.h. */
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const reason_names[] = {
#define SLUICE_REASON(name, action, sentence) #name,
	SLUICE_REASONS(SLUICE_REASON)
#undef SLUICE_REASON
};

static const uint32_t reason_actions[] = {
#define SLUICE_REASON(name, action, sentence) XDP_##action,
	SLUICE_REASONS(SLUICE_REASON)
#undef SLUICE_REASON
};

static const char *const notice_names[] = {
#define SLUICE_NOTICE(name, sentence) #name,
	SLUICE_NOTICES(SLUICE_NOTICE)
#undef SLUICE_NOTICE
};

/* Every forwarded packet has some of these; tests of the connection table look at them. */
#define COMMON_NOTICES                                                                             \
	(1U << SLUICE_N_conn_hit | 1U << SLUICE_N_conn_miss | 1U << SLUICE_N_conn_new |            \
	 1U << SLUICE_N_conn_skipped)

static uint64_t seen_reasons, seen_notices;

const char *scene_reason_name(uint32_t reason)
{
	return reason < SLUICE_R_COUNT ? reason_names[reason] : "(no such reason)";
}

static int find(const char *const *names, unsigned n, const char *name, size_t len)
{
	for (unsigned i = 0; i < n; i++)
		if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
			return i;
	fail_msg("no reason or notice \"%.*s\"", (int)len, name);
	return -1;
}

int scene_reason_find(const char *name)
{
	return find(reason_names, SLUICE_R_COUNT, name, strlen(name));
}

uint32_t scene_action(uint32_t reason)
{
	return reason_actions[reason];
}

bool scene_saw_reason(uint32_t reason)
{
	return seen_reasons >> reason & 1;
}

bool scene_saw_notice(uint32_t notice)
{
	for (unsigned i = 0; i < SLUICE_N_COUNT; i++)
		if (bed.counters->notices[i])
			seen_notices |= 1ULL << i;
	return seen_notices >> notice & 1;
}

int scene_tx(void)
{
	return bed.same_wire ? XDP_TX : XDP_REDIRECT;
}

void scene_frames_equal(const struct frame *got, const struct frame *wanted)
{
	if (got->bytes == wanted->bytes && memcmp(got->b, wanted->b, got->bytes) == 0)
		return;
	frame_dump("came out", got);
	frame_dump("should have come out", wanted);
	fail_msg("another frame came out than should");
}

/* The windows of the connection table's rate stay: the gate's own, no count. */
static void counters_clear(void)
{
	scene_saw_notice(0);
	memset(bed.counters, 0, offsetof(struct sluice_counters, filter_vips));
}

uint32_t scene_reason(const struct frame *in, uint32_t meta, struct run *run)
{
	uint32_t reason = SLUICE_R_COUNT;
	int rc;

	counters_clear();
	rc = bed_run(in, meta, run);
	if (rc)
		fail_msg("the kernel refused to run the frame: %s", strerror(-rc));
	for (uint32_t i = 0; i < SLUICE_SLOTS; i++) {
		const struct sluice_count *c = &bed.counters->reasons[i];

		if (!c->packets && !c->bytes)
			continue;
		if (reason != SLUICE_R_COUNT)
			fail_msg("counted as %s and as %s", scene_reason_name(reason),
				 scene_reason_name(i));
		reason = i;
		assert_int_equal(c->packets, 1);
		assert_int_equal(c->bytes, in->bytes);
	}
	if (reason >= SLUICE_R_COUNT)
		fail_msg("not counted, or under no reason");
	seen_reasons |= 1ULL << reason;
	if (run->verdict != (int)scene_action(reason) &&
	    !(scene_action(reason) == XDP_TX && run->verdict == XDP_REDIRECT))
		fail_msg("verdict %d does not belong to %s", run->verdict,
			 scene_reason_name(reason));
	return reason;
}

/* ---- a scene's promises --------------------------------------------------------------- */

static int verdict_find(const char *name, bool own_answer)
{
	if (strcmp(name, "PASS") == 0)
		return XDP_PASS;
	if (strcmp(name, "DROP") == 0)
		return XDP_DROP;
	if (strcmp(name, "REDIRECT") == 0)
		return XDP_REDIRECT;
	assert_string_equal(name, "TX");
	return own_answer ? XDP_TX : scene_tx();
}

static void check_credit(const struct scene *s, const struct frame *in)
{
	int backend = s->service == BED_L7 ? 0 : s->service;

	for (int i = 0; i < SLUICE_MAX_SERVICES; i++) {
		assert_int_equal(bed.counters->services[i].packets, i && i == s->service);
		assert_int_equal(bed.counters->services[i].bytes,
				 i && i == s->service ? in->bytes : 0);
	}
	for (int i = 0; i < SLUICE_MAX_BACKENDS; i++) {
		assert_int_equal(bed.counters->backends[i].packets, i && i == backend);
		assert_int_equal(bed.counters->backends[i].bytes,
				 i && i == backend ? in->bytes : 0);
	}
}

static void check_notices(const struct scene *s)
{
	const char *at = s->notices ? s->notices : "";
	uint32_t wanted = 0, seen = 0;

	while (*(at += strspn(at, " "))) {
		size_t n = strcspn(at, " ");

		wanted |= 1U << find(notice_names, SLUICE_N_COUNT, at, n);
		at += n;
	}
	for (unsigned i = 0; i < SLUICE_N_COUNT; i++)
		seen |= (uint32_t)(bed.counters->notices[i] != 0) << i;
	for (unsigned i = 0; i < SLUICE_N_COUNT; i++)
		if (((seen & ~COMMON_NOTICES) ^ wanted) >> i & 1)
			fail_msg("%s was%s noticed", notice_names[i],
				 wanted >> i & 1 ? " not" : "");
}

/* Tags do not go to another wire, and where the bed cannot say that frames came by b1's (see
 * bed.h) it is another one. */
static void untag(struct frame *f)
{
	while (f->b[12] == 0x81 || f->b[12] == 0x88) {
		f->bytes -= 4;
		memmove(f->b + 12, f->b + 16, f->bytes - 12);
	}
}

static void play(const struct scene *s)
{
	static struct frame in, wanted;
	static struct run run;
	uint32_t reason;

	frame_parse(&in, s->in);
	if (s->cut)
		in.bytes = s->cut;
	reason = scene_reason(&in, s->meta, &run);
	if ((int)reason != scene_reason_find(s->reason))
		fail_msg("%s was counted, not %s", scene_reason_name(reason), s->reason);
	assert_int_equal(run.verdict, verdict_find(s->verdict, reason == SLUICE_R_echo));
	check_credit(s, &in);
	check_notices(s);
	/* A dropped frame is nobody's: what it looks like does not matter. */
	if (run.verdict == XDP_DROP)
		return;
	wanted = in;
	if (s->out)
		frame_parse(&wanted, s->out);
	if (strcmp(s->verdict, "TX") == 0 && run.verdict == XDP_REDIRECT)
		untag(&wanted);
	scene_frames_equal(&run.out, &wanted);
}

static int scene_setup(void **state)
{
	const struct scene *s = *state;

	bed_empty_conns();
	if (s->lists)
		bed_list(s->lists);
	if (s->host_does_not_forward)
		bed_forwarding(false);
	return 0;
}

static int scene_teardown(void **state)
{
	const struct scene *s = *state;

	if (s->lists)
		bed_unlist(s->lists);
	if (s->host_does_not_forward)
		bed_forwarding(true);
	return 0;
}

/* Metadata takes the driver's room for outer headers; how much of it a kernel lets a test
 * have has grown over time. */
static bool meta_possible(uint32_t meta)
{
	struct frame arp;
	struct run run;

	frame_parse(&arp, "eth type 0x806 / data 28");
	return bed_run(&arp, meta, &run) == 0;
}

static void scene_test(void **state)
{
	const struct scene *s = *state;

	if (s->meta && (!bed.same_wire || !meta_possible(s->meta))) {
		print_message("SKIP: this kernel allows no %u bytes of metadata\n", s->meta);
		seen_reasons |= 1ULL << scene_reason_find(s->reason);
		skip();
	}
	play(s);
}

/* ---- the group ------------------------------------------------------------------------ */

static const char *no_bed;

static void no_bed_test(void **unused)
{
	(void)unused;
	print_message("SKIP: %s\n", no_bed);
	skip();
}

int scenes_main(const char *group, const struct bed_tuning *tuning, const struct scene *scenes,
		size_t n, const struct CMUnitTest *tests, size_t n_tests)
{
	static const struct CMUnitTest skipped[] = {cmocka_unit_test(no_bed_test)};
	struct CMUnitTest *all;
	int failed;

	no_bed = bed_open(tuning);
	if (no_bed)
		return _cmocka_run_group_tests(group, skipped, 1, NULL, NULL);
	all = calloc(n + n_tests, sizeof(*all));
	if (!all)
		return 1;
	for (size_t i = 0; i < n; i++)
		all[i] = (struct CMUnitTest){scenes[i].name, scene_test, scene_setup,
					     scene_teardown, (void *)(uintptr_t)&scenes[i]};
	if (n_tests)
		memcpy(all + n, tests, n_tests * sizeof(*all));
	failed = _cmocka_run_group_tests(group, all, n + n_tests, NULL, NULL);
	free(all);
	bed_close();
	return failed;
}
