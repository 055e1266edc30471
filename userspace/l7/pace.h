/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast a client is: whether it gives and takes bytes at a rate that is worth the
 * connection. Only time in which nobody but the client was waited for counts, and so much of
 * it before there is a verdict: a pause is no crime. Pure: times and bytes are the caller's.
 */
#ifndef L7_PACE_H
#define L7_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace_rule {
	uint32_t rate; /* bytes a second */
	uint32_t ms;   /* over which they are counted */
};

/* Of one request; zero when it begins. All of it is private. */
struct pace {
	uint64_t wait_ms; /* the client is waited for since then; 0 = it is not */
	uint64_t owed_ms; /* so long so far */
	uint64_t given;   /* bytes when this began */
	uint64_t acked;   /* bytes when they were asked for last */
};

/* Of a body that the client sends: it has given so many bytes of it. owes: it is the client
 * alone that is waited for from now on. False: it is too slow. */
bool pace_given(struct pace *p, const struct pace_rule *rule, uint64_t now_ms, bool owes,
		uint64_t given);

/* Of what is sent to the client: so many bytes of the connection have reached it, rule->ms
 * after the last such question. False: it is too slow, or takes nothing at all. */
bool pace_taken(struct pace *p, const struct pace_rule *rule, uint64_t acked);

#endif
