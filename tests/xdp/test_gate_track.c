// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which flows the connection table takes, by what their service says, and how long it believes
 * them: UDP by the clock, TCP until somebody else needs the place of one that was closed.
 */
#include "shop.h"

#include <netinet/in.h>

#include <bpf/bpf.h>

#include "sluice/conn.h"

#define TIMEOUT_MS 30000
#define LINGER     (SLUICE_CONN_LINGER_MS / BED_STEP_MS)

static void track(enum sluice_track how)
{
	shop_entry.track = how;
	shop_table(TABLE, 1, 1, 1);
}

/* ---- never ---------------------------------------------------------------------------- */

static void never_enters_nobody(void **unused)
{
	static const char *const packets[] = {"S", "A", "PA", "FA", "RA", NULL};

	(void)unused;
	track(SLUICE_TRACK_never);
	for (unsigned i = 0; i < 6; i++) {
		uint32_t id = shop_send(i & 1, 2000, packets[i]);

		assert_int_equal(
			id, shop_computed(i & 1, 2000, packets[i] ? IPPROTO_TCP : IPPROTO_UDP));
		assert_int_equal(noticed(SLUICE_N_conn_untracked), 1);
		assert_int_equal(noticed(SLUICE_N_conn_miss), 0);
		assert_int_equal(noticed(SLUICE_N_conn_new), 0);
		assert_int_equal(noticed(SLUICE_N_conn_skipped), 0);
	}
	assert_int_equal(bed_conns(), 0);
}

static void never_follows_the_table(void **unused)
{
	(void)unused;
	track(SLUICE_TRACK_never);
	for (unsigned i = 0; i < 60; i++) {
		shop_table(TABLE, 1, 1, 1);
		shop_send(i & 1, 5000 + i, "A");
		shop_table(4099, 1, 7, 1);
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"),
				 shop_computed(i & 1, 5000 + i, IPPROTO_TCP));
	}
}

/* As `sluice apply` writes the filters: the table is not even asked. */
static void never_is_not_looked_up(void **unused)
{
	uint32_t before;

	(void)unused;
	before = shop_send(false, 2000, "A");
	track(SLUICE_TRACK_never);
	shop_table(TABLE, before != X, before == X, 0);
	memset(bed.counters->filter_l4, 0, sizeof(bed.counters->filter_l4));
	assert_int_not_equal(shop_send(false, 2000, "A"), before);
	assert_int_equal(noticed(SLUICE_N_conn_untracked), 1);
	bed_filters(0xff);
}

/* ---- always --------------------------------------------------------------------------- */

static void always_enters_by_a_syn(void **unused)
{
	(void)unused;
	track(SLUICE_TRACK_always);
	for (unsigned i = 0; i < 60; i++) {
		uint32_t id;

		shop_table(TABLE, 1, 1, 1);
		id = shop_send(i & 1, 5000 + i, "S");
		assert_int_equal(noticed(SLUICE_N_conn_miss), 1);
		assert_int_equal(noticed(SLUICE_N_conn_new), 1);
		/* Backends change during the handshake. */
		shop_table(4099, 1, 7, 1);
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), id);
		assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
	}
	assert_int_equal(bed_conns(), 60);
}

static void always_is_not_for_resets(void **unused)
{
	(void)unused;
	track(SLUICE_TRACK_always);
	shop_send(false, 2000, "R");
	shop_send(false, 2000, "RA");
	shop_send(false, 2000, "SR");
	assert_int_equal(bed_conns(), 0);
}

static void always_is_held_by_the_rate_too(void **unused)
{
	(void)unused;
	track(SLUICE_TRACK_always);
	window_hold();
	bed.counters->window_entries = 1U << 30;
	shop_send(false, 2000, "S");
	assert_int_equal(noticed(SLUICE_N_conn_skipped), 1);
	assert_int_equal(bed_conns(), 0);
}

/* ---- time ----------------------------------------------------------------------------- */

static void udp_timeout(uint32_t ms)
{
	for (uint32_t id = X; id < BACKENDS; id++) {
		struct sluice_backend b;

		assert_int_equal(bpf_map_lookup_elem(bed_map("backends"), &id, &b), 0);
		b.udp_timeout_ms = ms;
		assert_int_equal(bpf_map_update_elem(bed_map("backends"), &id, &b, 0), 0);
	}
}

/* The only entry of the table. */
static struct sluice_conn *entry(void)
{
	assert_int_equal(bed_conns(), 1);
	for (uint32_t i = 0;; i++)
		for (unsigned w = 0; w < SLUICE_CONN_WAYS; w++)
			if (bed.conns[i].way[w].word)
				return &bed.conns[i].way[w];
}

/* As if the entry had last been used so many steps ago. */
static void grow_old(struct sluice_conn *conn, uint16_t steps)
{
	conn->word = (conn->word & ~SLUICE_CONN_STAMP) | (uint16_t)(conn->word - steps);
}

/* A step is a second here, and an age of n steps at least n - 1 of them. The test's own time may
 * go on by a step meanwhile, but not by many. */
static void udp_is_believed_for_its_time(void **unused)
{
	uint32_t id;

	(void)unused;
	udp_timeout(TIMEOUT_MS);
	for (int v6 = 0; v6 < 2; v6++) {
		bed_empty_conns();
		shop_table(TABLE, 1, 1, 1);
		id = shop_send(v6, 2000, NULL);
		shop_table(TABLE, id != X, id == X, 0);
		grow_old(entry(), TIMEOUT_MS / BED_STEP_MS - 5);
		assert_int_equal(shop_send(v6, 2000, NULL), id);
		assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
		/* Its time begins anew with each datagram. */
		grow_old(entry(), TIMEOUT_MS / BED_STEP_MS - 5);
		assert_int_equal(shop_send(v6, 2000, NULL), id);
		grow_old(entry(), TIMEOUT_MS / BED_STEP_MS + 1);
		assert_int_not_equal(shop_send(v6, 2000, NULL), id);
		assert_int_equal(noticed(SLUICE_N_conn_expired), 1);
		assert_int_equal(noticed(SLUICE_N_conn_miss), 0);
		assert_int_equal(noticed(SLUICE_N_conn_new), 1);
		/* In the place that it had. */
		assert_int_equal(bed_conns(), 1);
		shop_send(v6, 2000, NULL);
		assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
	}
}

static void tcp_is_believed_however_long(void **unused)
{
	uint32_t id;

	(void)unused;
	udp_timeout(TIMEOUT_MS);
	id = shop_send(false, 2000, "A");
	shop_table(TABLE, id != X, id == X, 0);
	grow_old(entry(), 20000);
	assert_int_equal(shop_send(false, 2000, "A"), id);
	assert_int_equal(noticed(SLUICE_N_conn_expired), 0);
}

static void without_a_timeout_udp_is_believed_too(void **unused)
{
	uint32_t id = shop_send(false, 2000, NULL);

	(void)unused;
	shop_table(TABLE, id != X, id == X, 0);
	grow_old(entry(), 20000);
	assert_int_equal(shop_send(false, 2000, NULL), id);
}

/* Another CPU saw the clock tick before this one. */
static void a_stamp_from_ahead_is_not_old(void **unused)
{
	uint32_t id;

	(void)unused;
	udp_timeout(TIMEOUT_MS);
	id = shop_send(false, 2000, NULL);
	shop_table(TABLE, id != X, id == X, 0);
	grow_old(entry(), (uint16_t)-3);
	assert_int_equal(shop_send(false, 2000, NULL), id);
	assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
}

/* ---- closing -------------------------------------------------------------------------- */

static void fin_and_rst_mark_and_change_nothing(void **unused)
{
	static const char *const ends[] = {"FA", "F", "R", "RA", "FPA"};

	(void)unused;
	for (unsigned i = 0; i < 5; i++) {
		uint32_t id;

		bed_empty_conns();
		shop_table(TABLE, 1, 1, 1);
		id = shop_send(i & 1, 2000, "A");
		assert_false(entry()->word & SLUICE_CONN_CLOSING);
		shop_table(TABLE, id != X, id == X, 0);
		assert_int_equal(shop_send(i & 1, 2000, ends[i]), id);
		assert_true(entry()->word & SLUICE_CONN_CLOSING);
		/* Forged or not: the flow goes on as long as there are packets. */
		for (unsigned n = 0; n < 3; n++) {
			grow_old(entry(), 1000);
			assert_int_equal(shop_send(i & 1, 2000, "A"), id);
			assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
			assert_true(entry()->word & SLUICE_CONN_CLOSING);
		}
	}
}

static void a_fin_that_makes_the_entry_marks_it(void **unused)
{
	(void)unused;
	shop_send(false, 2000, "FA");
	assert_true(entry()->word & SLUICE_CONN_CLOSING);
}

/* The client uses its port again. */
static void a_syn_opens_again(void **unused)
{
	(void)unused;
	shop_send(false, 2000, "A");
	shop_send(false, 2000, "FA");
	shop_send(false, 2000, "S");
	assert_false(entry()->word & SLUICE_CONN_CLOSING);
	/* But not a SYN-ACK, which is no client's. */
	shop_send(false, 2000, "FA");
	shop_send(false, 2000, "SA");
	assert_true(entry()->word & SLUICE_CONN_CLOSING);
}

/* What anybody can send is not taken for a flow for long. */
static void a_syn_alone_is_opening(void **unused)
{
	(void)unused;
	track(SLUICE_TRACK_always);
	shop_send(false, 2000, "S");
	assert_true(entry()->word & SLUICE_CONN_OPENING);
	grow_old(entry(), 1000);
	shop_send(false, 2000, "S");
	assert_true(entry()->word & SLUICE_CONN_OPENING);
	shop_send(false, 2000, "A");
	assert_false(entry()->word & SLUICE_CONN_OPENING);
	shop_send(false, 2000, "S");
	assert_false(entry()->word & SLUICE_CONN_OPENING);
}

/* The first two buckets of a flow are full, of others that were used `ages` steps ago; those in the
 * set `marked` (a bit for each way) have the mark. The third is full of younger ones. Which way
 * does the flow take? */
static unsigned way_taken_of(const uint16_t ages[8], uint64_t mark, unsigned marked)
{
	const struct sluice_flow flow = shop_flow(false, 2000, IPPROTO_TCP);
	uint64_t hash = sluice_conn_hash(&flow, BED_SEED);
	struct sluice_conns *buckets[] = {
		&bed.conns[sluice_conn_place(hash, 0, bed.n_conns)],
		&bed.conns[sluice_conn_place(hash, 1, bed.n_conns)],
		&bed.conns[sluice_conn_place(hash, 2, bed.n_conns)],
	};
	uint16_t now;

	assert_true(buckets[0] != buckets[1] && buckets[1] != buckets[2] &&
		    buckets[2] != buckets[0]);
	bed_empty_conns();
	shop_send(false, 2000, "A");
	now = (uint16_t)entry()->word;
	for (unsigned i = 0; i < 8; i++) {
		uint64_t word = sluice_conn_word(X, 5, (uint16_t)(now - ages[i]));

		if (marked >> i & 1)
			word |= mark;
		buckets[i / 4]->way[i % 4] = (struct sluice_conn){i + 1, word};
	}
	for (unsigned i = 0; i < 4; i++)
		buckets[2]->way[i] = (struct sluice_conn){9, sluice_conn_word(X, 5, now)};
	shop_send(false, 2000, "A");
	assert_int_equal(noticed(SLUICE_N_conn_new), 1);
	for (unsigned i = 0; i < 8; i++) {
		const struct sluice_conn *c = &buckets[i / 4]->way[i % 4];

		if (sluice_conn_of(c->check, c->word) == hash)
			return i;
	}
	fail_msg("the flow took no place");
	return 8;
}

static unsigned way_taken(const uint16_t ages[8], unsigned closing)
{
	return way_taken_of(ages, SLUICE_CONN_CLOSING, closing);
}

static void closed_flows_give_way_first(void **unused)
{
	(void)unused;
	assert_int_equal(way_taken((uint16_t[]){9, 9, 900, 9, 9, 9, 9, 9}, 0), 2);
	assert_int_equal(noticed(SLUICE_N_conn_evicted), 1);
	/* One that was closed a while ago, before the older one that was not; nobody's loss. */
	assert_int_equal(way_taken((uint16_t[]){9, 9, 900, 9, 9, 9, 2 * LINGER, 9}, 1 << 6), 6);
	assert_int_equal(noticed(SLUICE_N_conn_evicted), 0);
	/* Of two the older one. */
	assert_int_equal(
		way_taken((uint16_t[]){9, 40, 900, 9, 50, 9, 9, 9}, 1 << 1 | 1 << 4 | 1 << 5), 4);
	/* A flow that goes on is not closed, whoever sent a FIN in its name. */
	assert_int_equal(way_taken((uint16_t[]){1, 1, 30, 1, 2, 1, 1, 1}, 1 << 4), 2);
	assert_int_equal(noticed(SLUICE_N_conn_evicted), 1);
}

static void syns_that_nothing_followed_give_way_first(void **unused)
{
	const uint16_t ages[] = {9, 9, 900, 9, 9, 2 * LINGER, 9, 9};

	(void)unused;
	assert_int_equal(way_taken_of(ages, SLUICE_CONN_OPENING, 1 << 5), 5);
	assert_int_equal(noticed(SLUICE_N_conn_evicted), 0);
	assert_int_equal(way_taken_of(ages, SLUICE_CONN_OPENING, 1 << 6), 2);
}

#define TEST(f) cmocka_unit_test_setup(f, shop_open)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(never_enters_nobody),
		TEST(never_follows_the_table),
		TEST(never_is_not_looked_up),
		TEST(always_enters_by_a_syn),
		TEST(always_is_not_for_resets),
		TEST(always_is_held_by_the_rate_too),
		TEST(udp_is_believed_for_its_time),
		TEST(tcp_is_believed_however_long),
		TEST(without_a_timeout_udp_is_believed_too),
		TEST(a_stamp_from_ahead_is_not_old),
		TEST(fin_and_rst_mark_and_change_nothing),
		TEST(a_fin_that_makes_the_entry_marks_it),
		TEST(a_syn_opens_again),
		TEST(a_syn_alone_is_opening),
		TEST(closed_flows_give_way_first),
		TEST(syns_that_nothing_followed_give_way_first),
	};

	return scenes_main("gate: tracking", &(struct bed_tuning){1000000, 0, 1024, 0, false}, NULL,
			   0, tests, sizeof(tests) / sizeof(tests[0]));
}
