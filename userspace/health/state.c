// SPDX-License-Identifier: BSD-2-Clause
#include "health/state.h"

#define FIRST_MOST_MS 1000

enum health_turn health_note(struct health_state *s, bool ok, uint32_t rise, uint32_t fall)
{
	if (ok == s->up) {
		s->known = true;
		s->row = 0;
		return HEALTH_STAYS;
	}
	s->row++;
	if (s->known && s->row < (s->up ? fall : rise))
		return HEALTH_STAYS;
	*s = (struct health_state){.up = ok, .known = true};
	return ok ? HEALTH_WENT_UP : HEALTH_WENT_DOWN;
}

bool health_panics(const struct health_member *members, size_t n, uint32_t floor)
{
	uint64_t up = 0, all = 0;

	for (size_t i = 0; i < n; i++) {
		all += members[i].takes;
		up += members[i].takes && members[i].up;
	}
	return up < all && up * 100 < all * floor;
}

uint32_t health_pause_ms(uint32_t interval_ms, uint32_t jitter, uint32_t random)
{
	uint64_t spread = (uint64_t)interval_ms * jitter / 100;

	if (spread == 0)
		return interval_ms;
	return (uint32_t)(interval_ms - spread + random % (2 * spread + 1));
}

uint32_t health_first_ms(uint32_t interval_ms, uint32_t random)
{
	return random % ((interval_ms < FIRST_MOST_MS ? interval_ms : FIRST_MOST_MS) + 1);
}
