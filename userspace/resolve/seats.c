// SPDX-License-Identifier: BSD-2-Clause
#include "resolve/seats.h"

#include <string.h>

#define RETRY_MOST_MS 60000

static bool has(const struct sluice_addr *addrs, uint32_t n, const struct sluice_addr *addr)
{
	for (uint32_t i = 0; i < n; i++)
		if (addr_equal(&addrs[i], addr))
			return true;
	return false;
}

bool seats_note(struct seats_known *k, unsigned family, const struct sluice_addr *addrs, uint32_t n,
		uint32_t found)
{
	if (n == 0 && k->n[!family] == 0 && k->n[family] > 0)
		return false;
	k->n[family] = 0;
	k->found[family] = found;
	for (uint32_t i = 0; i < n && k->n[family] < CONF_MAX_SEATS; i++)
		if (!has(k->addrs[family], k->n[family], &addrs[i]))
			k->addrs[family][k->n[family]++] = addrs[i];
	return true;
}

/* ---- seats ---------------------------------------------------------------------------- */

static bool is_known(const struct seats_known *k, const struct sluice_addr *addr)
{
	return has(k->addrs[0], k->n[0], addr) || has(k->addrs[1], k->n[1], addr);
}

static bool sits(const struct name_seat *seats, uint32_t n, const struct sluice_addr *addr)
{
	for (uint32_t i = 0; i < n; i++)
		if (seats[i].taken && addr_equal(&seats[i].addr, addr))
			return true;
	return false;
}

/* False: there is none left. */
static bool sit(struct name_seat *seats, uint32_t n, const struct sluice_addr *addr)
{
	for (uint32_t i = 0; i < n; i++) {
		if (seats[i].taken)
			continue;
		seats[i] = (struct name_seat){*addr, 1, seats[i].turn + 1};
		return true;
	}
	return false;
}

bool seats_assign(struct name_seat *seats, uint32_t n, const struct seats_known *k)
{
	uint32_t most = k->n[0] > k->n[1] ? k->n[0] : k->n[1];
	bool changed = false;

	for (uint32_t i = 0; i < n; i++) {
		if (!seats[i].taken || is_known(k, &seats[i].addr))
			continue;
		seats[i] = (struct name_seat){.turn = seats[i].turn + 1};
		changed = true;
	}
	for (uint32_t i = 0; i < most; i++) {
		for (unsigned family = 0; family < 2; family++) {
			const struct sluice_addr *addr = &k->addrs[family][i];

			if (i < k->n[family] && !sits(seats, n, addr))
				changed |= sit(seats, n, addr);
		}
	}
	return changed;
}

bool seats_fits(const struct sluice_addr *addr)
{
	const uint8_t *b = (const uint8_t *)addr;

	if (addr_is_any(addr))
		return false;
	return addr_is_v4(addr) ? b[12] != 0 && b[12] < 224 : b[0] != 0xff;
}

/* ---- time ----------------------------------------------------------------------------- */

static uint32_t less_a_tenth(uint64_t ms, uint32_t random)
{
	uint64_t spread = ms / 10;

	return (uint32_t)(ms - random % (spread + 1));
}

uint32_t seats_pause_ms(const struct conf_resolver *c, uint64_t ttl_ms, uint32_t random)
{
	if (ttl_ms < c->min_ttl_ms)
		ttl_ms = c->min_ttl_ms;
	if (ttl_ms > c->max_ttl_ms)
		ttl_ms = c->max_ttl_ms;
	return less_a_tenth(ttl_ms, random);
}

uint32_t seats_retry_ms(const struct conf_resolver *c, uint32_t failures, uint32_t random)
{
	uint64_t most = c->max_ttl_ms < RETRY_MOST_MS ? c->max_ttl_ms : RETRY_MOST_MS;
	uint64_t ms = c->min_ttl_ms;

	for (uint32_t i = 1; i < failures && ms < most; i++)
		ms *= 2;
	return less_a_tenth(ms < most ? ms : most, random);
}
