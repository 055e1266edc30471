// SPDX-License-Identifier: BSD-2-Clause
/*
 * After a change of the table: flows that are older stay where they were, also at a gate that
 * never saw them; flows that are younger go by the new table, from their first packet on.
 */
#include "shop.h"

#include <netinet/in.h>

#include <bpf/bpf.h>

#include "sluice/conn.h"

#define FLOWS 60

static uint32_t went[FLOWS]; /* by the table before */

/* Where the flows go before the change; then they are forgotten, as by another gate. */
static void begin(void)
{
	for (unsigned i = 0; i < FLOWS; i++)
		went[i] = shop_send(i & 1, 5000 + i, "S");
	bed_empty_conns();
}

/* Y gets most; some flows of X and of Z move. */
static void change(int seconds)
{
	shop_keep_table(seconds);
	shop_table(4099, 1, 9, 1);
}

static uint32_t goes(unsigned i)
{
	return shop_computed(i & 1, 5000 + i, IPPROTO_TCP);
}

static unsigned moved(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FLOWS; i++)
		n += goes(i) != went[i];
	assert_in_range(n, 10, FLOWS - 10);
	return n;
}

static void older_flows_stay_where_they_were(void **unused)
{
	unsigned previous = 0;

	(void)unused;
	begin();
	change(60);
	for (unsigned i = 0; i < FLOWS; i++) {
		assert_int_equal(shop_send(i & 1, 5000 + i, i % 3 ? "A" : "PA"), went[i]);
		assert_int_equal(noticed(SLUICE_N_conn_miss), 1);
		assert_int_equal(noticed(SLUICE_N_conn_new), 1);
		previous += noticed(SLUICE_N_conn_previous);
	}
	assert_int_equal(previous, moved());
	/* And longer than the table before is kept. */
	shop_keep_table(-1);
	for (unsigned i = 0; i < FLOWS; i++) {
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), went[i]);
		assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
	}
}

static void younger_flows_go_by_the_new_table(void **unused)
{
	(void)unused;
	begin();
	change(60);
	for (unsigned i = 0; i < FLOWS; i++) {
		assert_int_equal(shop_send(i & 1, 5000 + i, "S"), goes(i));
		assert_int_equal(noticed(SLUICE_N_conn_previous), 0);
		/* The next packet could be an older flow's, so this one is remembered. */
		assert_int_equal(noticed(SLUICE_N_conn_new), goes(i) != went[i]);
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), goes(i));
		assert_int_equal(noticed(SLUICE_N_conn_previous), 0);
	}
	assert_int_equal(bed_conns(), FLOWS);
}

/* The backends change between SYN and ACK. */
static void a_handshake_across_the_change(void **unused)
{
	uint32_t id;

	(void)unused;
	for (unsigned i = 0; i < FLOWS; i++) {
		shop_table(TABLE, 1, 1, 1);
		id = shop_send(i & 1, 5000 + i, "S");
		change(60);
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), id);
		bed_empty_conns();
	}
}

static void when_its_time_is_over(void **unused)
{
	(void)unused;
	begin();
	change(-1);
	for (unsigned i = 0; i < FLOWS; i++) {
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), goes(i));
		assert_int_equal(noticed(SLUICE_N_conn_previous), 0);
	}
	bed_empty_conns();
	shop_send(false, 5000, "S");
	assert_int_equal(bed_conns(), 0);
}

static void datagrams_go_by_the_new_table(void **unused)
{
	(void)unused;
	change(60);
	for (unsigned i = 0; i < FLOWS; i++) {
		assert_int_equal(shop_send(i & 1, 5000 + i, NULL),
				 shop_computed(i & 1, 5000 + i, IPPROTO_UDP));
		assert_int_equal(noticed(SLUICE_N_conn_previous), 0);
	}
}

static void only_backends_that_are_still_there(void **unused)
{
	(void)unused;
	begin();
	shop_keep_table(60);
	shop_table(TABLE, 0, 1, 0);
	shop_backend(X, 5, false); /* removed */
	shop_backend(Z, 6, true);  /* its id is another one's now */
	for (unsigned i = 0; i < FLOWS; i++) {
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), Y);
		assert_int_equal(noticed(SLUICE_N_conn_previous), 0);
		/* Nobody could take it for an older one. */
		assert_int_equal(shop_send(i & 1, 6000 + i, "S"), Y);
		assert_int_equal(noticed(SLUICE_N_conn_new), 0);
	}
}

static void backends_that_drain_are_there(void **unused)
{
	static struct frame in;
	static struct run run;

	(void)unused;
	begin();
	shop_keep_table(60);
	shop_table(TABLE, 0, 0, 0);
	for (unsigned i = 0; i < FLOWS; i++)
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), went[i]);
	frame_printf(&in, "eth / ip4 client > shop / tcp 6000 > %u S", SHOP_PORT);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_no_backend);
	assert_int_equal(bed_conns(), FLOWS);
}

/* Its own entry says that it was somewhere else. */
static void a_flow_whose_backend_is_gone(void **unused)
{
	(void)unused;
	begin();
	change(60);
	shop_backend(Y, 6, true);
	for (unsigned i = 0; i < FLOWS; i++) {
		/* An entry of Y as it was before it was another one. */
		const struct sluice_flow flow = shop_flow(i & 1, 5000 + i, IPPROTO_TCP);
		uint64_t hash = sluice_conn_hash(&flow, BED_SEED);
		uint64_t word = sluice_conn_word(Y, 5, 0);
		struct sluice_conn *way = bed.conns[sluice_conn_place(hash, 0, bed.n_conns)].way;

		*way = (struct sluice_conn){hash ^ sluice_conn_fold(word), word};
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), goes(i));
		assert_int_equal(noticed(SLUICE_N_conn_stale), 1);
		assert_int_equal(noticed(SLUICE_N_conn_previous), 0);
	}
}

/* SYNs were left out, so that an ACK may well be theirs. */
static void in_a_flood_the_new_table_alone(void **unused)
{
	(void)unused;
	begin();
	change(60);
	for (unsigned i = 0; i < FLOWS; i++) {
		window_hold();
		bed.counters->window_entries = 1U << 30;
		assert_int_equal(shop_send(i & 1, 5000 + i, "S"), goes(i));
		assert_int_equal(noticed(SLUICE_N_conn_skipped), goes(i) != went[i]);
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), goes(i));
	}
	/* And in the second after it. */
	window_hold();
	bed.counters->window_entries = 0;
	bed.counters->window_was_full = 1;
	for (unsigned i = 0; i < FLOWS; i++)
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), goes(i));
	bed.counters->window_was_full = 0;
}

static void not_for_a_service_that_remembers_none(void **unused)
{
	(void)unused;
	begin();
	shop_entry.track = SLUICE_TRACK_never;
	change(60);
	for (unsigned i = 0; i < FLOWS; i++) {
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), goes(i));
		assert_int_equal(shop_send(i & 1, 5000 + i, "S"), goes(i));
	}
	assert_int_equal(bed_conns(), 0);
}

/* A router's word on a packet of an older flow. */
static void errors_follow_their_flow(void **unused)
{
	static struct frame in;
	static struct run run;

	(void)unused;
	begin();
	change(60);
	for (unsigned i = 0; i < FLOWS; i += 2) {
		frame_printf(&in,
			     "eth / ip4 192.0.2.1 > shop / icmp4 3 code 4 rest 1400 / "
			     "ip4 shop > client / tcp8 %u > %u",
			     SHOP_PORT, 5000 + i);
		assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_icmp_forward);
		assert_int_equal(bed.counters->backends[went[i]].packets, 1);
		assert_int_equal(noticed(SLUICE_N_conn_previous), goes(i) != went[i]);
	}
	assert_int_equal(bed_conns(), 0);
}

#define TEST(f) cmocka_unit_test_setup(f, shop_open)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(older_flows_stay_where_they_were), TEST(younger_flows_go_by_the_new_table),
		TEST(a_handshake_across_the_change),    TEST(when_its_time_is_over),
		TEST(datagrams_go_by_the_new_table),    TEST(only_backends_that_are_still_there),
		TEST(backends_that_drain_are_there),    TEST(a_flow_whose_backend_is_gone),
		TEST(in_a_flood_the_new_table_alone),   TEST(not_for_a_service_that_remembers_none),
		TEST(errors_follow_their_flow),
	};

	return scenes_main("gate: the table before",
			   &(struct bed_tuning){1000000, 0, 1024, 0, false}, NULL, 0, tests,
			   sizeof(tests) / sizeof(tests[0]));
}
