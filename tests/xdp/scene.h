/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A scene: a frame goes in, a verdict, a counted reason and a frame come out. Each scene is a
 * cmocka test of its own. Beside what it says, every scene checks that exactly one reason was
 * counted, with the bytes of the frame as it came; that the named service and backend were
 * credited and no other; and that nothing unusual was noticed that is not named.
 */
#ifndef TESTS_XDP_SCENE_H
#define TESTS_XDP_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/bpf.h>

#include "bed.h"

struct scene {
	const char *name;
	const char *in;      /* frame.h */
	const char *verdict; /* PASS, DROP, TX or REDIRECT */
	const char *reason;
	const char *out;     /* NULL: as it came in */
	int service;         /* of BED_SERVICES; credited, with the backend if it is an l4 one */
	const char *lists;   /* bed_list(), for this scene alone */
	const char *notices; /* of those that are rare: "allowed expired" */
	uint32_t cut;        /* only that many bytes of `in` arrive */
	uint32_t meta;       /* bytes of XDP metadata, which take headroom */
	bool host_does_not_forward;
};

/* PASS("reason", "story", "frame in", other members...), and so on. A dropped frame has no
 * `out`; one that is passed has one only if the gate changes it. */
#define PASS(reason_, name_, in_, ...)                                                             \
	{.verdict = "PASS", .reason = reason_, .name = name_, .in = in_, __VA_ARGS__}
#define DROP(reason_, name_, in_, ...)                                                             \
	{.verdict = "DROP", .reason = reason_, .name = name_, .in = in_, __VA_ARGS__}
#define TX(reason_, name_, in_, out_, ...)                                                         \
	{.verdict = "TX", .reason = reason_, .name = name_, .in = in_, .out = out_, __VA_ARGS__}
#define REDIRECT(reason_, name_, in_, out_, ...)                                                   \
	{.verdict = "REDIRECT",                                                                    \
	 .reason = reason_,                                                                        \
	 .name = name_,                                                                            \
	 .in = in_,                                                                                \
	 .out = out_,                                                                              \
	 __VA_ARGS__}

/* In messages. */
const char *scene_reason_name(uint32_t reason);
int scene_reason_find(const char *name);
uint32_t scene_action(uint32_t reason); /* XDP_PASS, XDP_DROP, XDP_TX */

/* Were they seen by any scene of this process? */
bool scene_saw_reason(uint32_t reason);
bool scene_saw_notice(uint32_t notice);

/* Runs a frame through the gate with fresh counters, and fails the test unless exactly one
 * reason was counted, once and rightly, and its action is the verdict. */
uint32_t scene_reason(const struct frame *in, uint32_t meta, struct run *run);
void scene_frames_equal(const struct frame *got, const struct frame *wanted);
/* The bed's two ways to a backend on b1's wire: see bed.h about same_wire. */
int scene_tx(void);

/* main() of a test: opens the bed, runs the scenes and then the other tests. */
int scenes_main(const char *group, const struct bed_tuning *tuning, const struct scene *scenes,
		size_t n, const struct CMUnitTest *tests, size_t n_tests);

#endif
