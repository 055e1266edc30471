/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What results of checks make of a backend and of its pool. Pure: no clock, no socket.
 *
 *            first result
 *   assumed up ─────────▶ up or down, at once
 *   up   ── `fall` failures in a row ──▶ down
 *   down ── `rise` successes in a row ──▶ up
 */
#ifndef HEALTH_STATE_H
#define HEALTH_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct health_state {
	bool up;
	bool known;   /* a check has said so; before that, up is assumed */
	uint32_t row; /* results in a row that speak against `up` */
};

#define HEALTH_ASSUMED {.up = true}

enum health_turn { HEALTH_STAYS, HEALTH_WENT_UP, HEALTH_WENT_DOWN };

/* Nothing to turn from: a first result that says `up` is HEALTH_STAYS. */
enum health_turn health_note(struct health_state *s, bool ok, uint32_t rise, uint32_t fall);

/* Of a pool: a backend that would take requests if it is up. */
struct health_member {
	bool up;
	bool takes; /* its weight is not 0 */
};

/*
 * Are so few up, of those that take requests, that all had better be used? A check that fails
 * everywhere at once says more about itself than about the backends; and the few that are left
 * would break under what all of them carried. floor: percent; 0 never panics.
 */
bool health_panics(const struct health_member *members, size_t n, uint32_t floor);

/* Until the next check: the interval, up to `jitter` percent less or more, so that checks of
 * many backends, by many balancers, do not march in step. */
uint32_t health_pause_ms(uint32_t interval_ms, uint32_t jitter, uint32_t random);
/* Until the first check: anywhere in the first interval, but within a second. */
uint32_t health_first_ms(uint32_t interval_ms, uint32_t random);

#endif
