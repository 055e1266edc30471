/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of many members is next. Pure: what they carry and how they fare is written into them by
 * the owner, random numbers come from a seed, time is not known.
 *
 *   round_robin  by turns, smoothly: weights 5 1 1 give a a b a c a a
 *   least_conn   the one with the fewest requests for its weight
 *   p2c          of two at random, by weight, the one that is faster now: the latency that it
 *                had lately, times the requests that it has (Finagle's peak EWMA)
 *   random       by weight
 *   hash         by a key, the same one as long as it is there (Maglev), unless it has more than
 *                1.25 times its share of the requests that run now (Mirrokni et al., 2018)
 *
 * Cost of a choice: random, p2c and hash the same for any number of members; round_robin grows
 * with its logarithm; least_conn looks at all. A change of weights costs a step for each member,
 * a change of members for hash a table (base/maglev.h).
 */
#ifndef L7_BALANCE_H
#define L7_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/pool.h"

#define BALANCE_UNIT 256U  /* of `share` for each of weight: room for a slow start */
#define BALANCE_LOAD 5 / 4 /* of its share a member may carry, before hash goes on */

struct balance_member {
	uint32_t weight; /* as configured: hash places members by it; 0 = not there */
	uint32_t share;  /* now: up to weight * BALANCE_UNIT; 0 = takes nothing */
	uint32_t active; /* requests it carries */
	float ewma_us;   /* latency; 0 = not known */
	int64_t credit;  /* of round_robin among a few */
	double due;      /* of round_robin among many: virtual time of its next turn */
};

struct balance {
	enum conf_balance kind;
	struct balance_member *members; /* the owner writes into them, then calls balance_renew */
	unsigned n;                     /* room for so many, used or not */
	uint64_t seed;

	uint32_t *live; /* those with a share; for many by turns a heap, the next one on top */
	unsigned n_live;
	uint64_t shares; /* of all live ones */
	uint64_t active; /* requests of all; the owner's, as members' */
	double now;      /* virtual time */
	struct balance_alias {
		uint32_t other; /* index in live */
		float keep;     /* probability of itself */
	} *alias;
	uint32_t *table; /* hash: index + 1 */
	uint32_t table_size;
};

/* Whom to leave out, and by which key to choose. */
struct balance_ask {
	bool (*takes)(void *context, uint32_t index);
	void *context;
	uint64_t key;
};

/* 0 or -ENOMEM; balance_fini either way. Members are zero. */
int balance_init(struct balance *b, enum conf_balance kind, unsigned n, uint64_t seed);
void balance_fini(struct balance *b);

/* Shares have changed. */
void balance_renew(struct balance *b);
/* Members have changed: for hash, the key of each that has weight. 0 or -ENOMEM, the old table
 * stays then. */
int balance_place(struct balance *b, const char *const keys[]);

/* Index of the next one, or -1: there is none that takes it. */
int balance_choose(struct balance *b, const struct balance_ask *ask);

/* A latency of a member. Peaks count at once, what is better by and by; seconds: since the last
 * one. */
void balance_latency(struct balance_member *m, float us, float seconds);

uint64_t balance_key(const char *p, size_t len);

#endif
