// SPDX-License-Identifier: BSD-2-Clause
#include "l7/pace.h"

static uint64_t due(uint32_t rate, uint64_t ms)
{
	uint64_t bytes;

	return __builtin_mul_overflow(ms, rate, &bytes) ? UINT64_MAX : bytes / 1000;
}

bool pace_given(struct pace *p, const struct pace_rule *rule, uint64_t now_ms, bool owes,
		uint64_t given)
{
	bool fast = true;

	if (p->wait_ms)
		p->owed_ms += now_ms - p->wait_ms;
	p->wait_ms = owes ? now_ms : 0;
	if (p->owed_ms >= rule->ms) {
		fast = given - p->given >= due(rule->rate, p->owed_ms);
		p->owed_ms = 0;
		p->given = given;
	}
	return fast;
}

bool pace_taken(struct pace *p, const struct pace_rule *rule, uint64_t acked)
{
	uint64_t taken = acked - p->acked;

	p->acked = acked;
	return taken > 0 && taken >= due(rule->rate, rule->ms);
}
