// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which backend a flow goes to: the hash and the table that userspace would compute, and the
 * connection table, which keeps what was chosen while everything around it changes.
 */
#include "shop.h"

#include <netinet/in.h>

#include <bpf/bpf.h>

#include "sluice/conn.h"

#define RATE  100 /* entries per CPU and second */
#define CONNS 1024

static struct frame in;
static struct run run;

/* ---- the hash ------------------------------------------------------------------------- */

static void agrees_with_userspace(void **unused)
{
	static const uint32_t sizes[] = {TABLE, 4099, 65537};
	uint32_t shares[BACKENDS] = {0};

	(void)unused;
	for (unsigned s = 0; s < 3; s++) {
		shop_table(sizes[s], 1, 2, 1);
		for (unsigned i = 0; i < 2000; i++) {
			unsigned sport = 1024 + i * 29;
			bool v6 = i & 1, udp = i & 2;
			uint32_t id = shop_send(v6, sport, udp ? NULL : "S");

			assert_int_equal(id,
					 shop_computed(v6, sport, udp ? IPPROTO_UDP : IPPROTO_TCP));
			shares[id]++;
			if (udp)
				bed_empty_conns();
		}
	}
	/* Four parts of 6000 flows, two of them Y's. */
	assert_in_range(shares[X], 1300, 1700);
	assert_in_range(shares[Y], 2700, 3300);
	assert_in_range(shares[Z], 1300, 1700);
}

static void a_table_shorter_than_told_is_no_backend(void **unused)
{
	const uint32_t one = X;

	(void)unused;
	bed_ring(SHOP, &one, 1);
	frame_printf(&in, "eth / ip4 client > shop / tcp 1000 > %u S", SHOP_PORT);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_no_backend);
	assert_int_equal(bed.counters->backends[X].packets, 0);
}

/* ---- who enters the table ------------------------------------------------------------- */

static void tcp_enters_with_more_than_a_syn(void **unused)
{
	static const char *const evidence[] = {"A", "PA", "FA", "SA", "F", "SAU"};

	(void)unused;
	for (unsigned i = 0; i < 6; i++) {
		bed_empty_conns();
		shop_send(i & 1, 2000, "S");
		assert_int_equal(bed_conns(), 0);
		assert_int_equal(noticed(SLUICE_N_conn_miss), 1);
		assert_int_equal(noticed(SLUICE_N_conn_skipped), 0);
		shop_send(i & 1, 2000, evidence[i]);
		assert_int_equal(bed_conns(), 1);
		assert_int_equal(noticed(SLUICE_N_conn_new), 1);
		shop_send(i & 1, 2000, evidence[i]);
		assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
		assert_int_equal(noticed(SLUICE_N_conn_miss), 0);
		assert_int_equal(noticed(SLUICE_N_conn_new), 0);
		assert_int_equal(bed_conns(), 1);
	}
}

static void the_first_datagram_enters(void **unused)
{
	(void)unused;
	shop_send(true, 2000, NULL);
	assert_int_equal(noticed(SLUICE_N_conn_new), 1);
	shop_send(false, 2000, NULL);
	assert_int_equal(noticed(SLUICE_N_conn_new), 1);
	shop_send(false, 2000, NULL);
	assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
	assert_int_equal(bed_conns(), 2);
}

static void an_entry_says_which_backend_and_generation(void **unused)
{
	const struct sluice_flow flow = shop_flow(false, 2000, IPPROTO_TCP);
	uint64_t hash = sluice_conn_hash(&flow, BED_SEED);
	uint32_t id, bucket = sluice_conn_place(hash, 0, bed.n_conns);
	const struct sluice_conn *conn = bed.conns[bucket].way;
	struct sluice_conn_keys keys;

	(void)unused;
	id = shop_send(false, 2000, "A");
	assert_int_equal(sluice_conn_of(conn->check, conn->word), hash);
	assert_int_equal(sluice_conn_backend(conn->word), id);
	assert_int_equal(sluice_conn_generation(conn->word), 5);
	assert_int_equal(bpf_map_lookup_elem(bed_map("conn_keys"), &bucket, &keys), 0);
	assert_memory_equal(&keys.way[0], &flow, sizeof(flow));
}

static void a_reset_neither_enters_nor_removes(void **unused)
{
	(void)unused;
	shop_send(false, 2000, "R");
	shop_send(false, 2000, "RA");
	assert_int_equal(bed_conns(), 0);
	assert_int_equal(noticed(SLUICE_N_conn_skipped), 0);
	shop_send(false, 2000, "A");
	shop_send(false, 2000, "RA");
	assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
	shop_send(false, 2000, "FA");
	assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
	assert_int_equal(bed_conns(), 1);
}

static void what_is_not_forwarded_does_not_enter(void **unused)
{
	(void)unused;
	frame_printf(&in, "eth / ip4 client > shop ttl 1 / udp 1000 > %u", SHOP_PORT);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_ttl);
	frame_printf(&in, "eth / ip4 127.0.0.1 > shop / udp 1000 > %u", SHOP_PORT);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_martian);
	frame_printf(&in, "eth / ip4 client > site / tcp 1000 > 443 A");
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_l7);
	assert_int_equal(bed_conns(), 0);
}

/* ---- floods --------------------------------------------------------------------------- */

static void a_flood_of_syns_leaves_real_flows_alone(void **unused)
{
	uint32_t before;

	(void)unused;
	before = shop_send(false, 2000, "A");
	for (unsigned i = 0; i < 20000; i++) {
		frame_printf(&in, "eth / ip4 10.%u.%u.9 > shop / tcp 7 > %u S", i >> 8, i & 255,
			     SHOP_PORT);
		assert_int_equal(bed_run(&in, 0, &run), 0);
	}
	assert_int_equal(bed_conns(), 1);
	assert_int_equal(shop_send(false, 2000, "A"), before);
	assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
}

/* ACKs and datagrams can be made up too: what enters in a second is bounded. */
static void a_flood_of_acks_enters_at_a_rate(void **unused)
{
	uint32_t first;

	(void)unused;
	first = shop_send(false, 2999, "A");
	bed.counters->window_entries = 0;
	for (unsigned i = 0; i < 3 * RATE; i++) {
		window_hold();
		shop_send(i % 3, 3000 + i, i % 2 ? "A" : NULL);
		assert_int_equal(noticed(SLUICE_N_conn_new), i < RATE);
		assert_int_equal(noticed(SLUICE_N_conn_skipped), i >= RATE);
	}
	assert_int_equal(bed_conns(), 1 + RATE);
	/* A flow left out is hashed again, and one that is in is not asked for room. */
	window_hold();
	assert_int_equal(shop_send(true, 3000 + 2 * RATE + 1, "A"),
			 shop_computed(true, 3000 + 2 * RATE + 1, IPPROTO_TCP));
	assert_int_equal(noticed(SLUICE_N_conn_skipped), 1);
	assert_int_equal(shop_send(false, 2999, "A"), first);
	assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
	/* The next second. */
	window_new();
	shop_send(true, 3000 + 2 * RATE + 1, "A");
	assert_int_equal(noticed(SLUICE_N_conn_new), 1);
	assert_int_equal(bed.counters->window_entries, 1);
}

/* More flows than the table has room for: it takes them, and forgets old ones. */
static void a_full_table_goes_on(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 3 * CONNS; i++) {
		window_new();
		shop_send(true, 1024 + i, "A");
		assert_int_equal(noticed(SLUICE_N_conn_new), 1);
	}
	assert_in_range(bed_conns(), CONNS, 2 * CONNS);
	for (unsigned i = 0; i < 3 * CONNS; i += 97)
		assert_int_equal(shop_send(true, 1024 + i, "A"),
				 shop_computed(true, 1024 + i, IPPROTO_TCP));
}

/* All of a flow's buckets are full: the way that was used longest ago goes, here an old one
 * among others that were used just now. */
static void the_longest_unused_goes(void **unused)
{
	const struct sluice_flow flow = shop_flow(false, 2000, IPPROTO_TCP);
	uint64_t hash = sluice_conn_hash(&flow, BED_SEED);
	struct sluice_conns *first = &bed.conns[sluice_conn_place(hash, 0, bed.n_conns)];
	struct sluice_conns *second = &bed.conns[sluice_conn_place(hash, 1, bed.n_conns)];
	struct sluice_conns *third = &bed.conns[sluice_conn_place(hash, 2, bed.n_conns)];
	uint16_t now;

	(void)unused;
	assert_true(first != second && second != third && third != first);
	shop_send(false, 2000, "A");
	now = (uint16_t)first->way[0].word;
	for (uint16_t w = 0; w < SLUICE_CONN_WAYS; w++) {
		first->way[w] = (struct sluice_conn){w + 1, sluice_conn_word(X, 5, now)};
		second->way[w] = (struct sluice_conn){w + 1, sluice_conn_word(X, 5, now)};
		third->way[w] = (struct sluice_conn){w + 1, sluice_conn_word(X, 5, now)};
	}
	second->way[2].word = sluice_conn_word(X, 5, now - 900);
	first->way[1].word = sluice_conn_word(X, 5, now - 300);
	shop_send(false, 2000, "A");
	assert_int_equal(noticed(SLUICE_N_conn_evicted), 1);
	assert_int_equal(sluice_conn_of(second->way[2].check, second->way[2].word), hash);
	/* It is found in the second bucket, and its stamp is renewed there. */
	second->way[2].word = (second->way[2].word & ~SLUICE_CONN_STAMP) | (uint16_t)(now - 500);
	shop_send(false, 2000, "A");
	assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
	assert_in_range((uint16_t)(second->way[2].word - now), 0, 100);
	/* In the third likewise, once that has the oldest. */
	second->way[2] = (struct sluice_conn){9, sluice_conn_word(X, 5, now)};
	first->way[1].word = sluice_conn_word(X, 5, now);
	third->way[3].word = sluice_conn_word(X, 5, now - 300);
	shop_send(false, 2000, "A");
	assert_int_equal(sluice_conn_of(third->way[3].check, third->way[3].word), hash);
	shop_send(false, 2000, "A");
	assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
}

/* As long as they are few, flows are near each other, however large the table. */
static void few_flows_are_near(void **unused)
{
	uint64_t hash = 0x123456789abcdefULL;

	(void)unused;
	for (uint32_t buckets = 16; buckets <= 1U << 27; buckets *= 2, hash *= hash) {
		uint32_t near = sluice_conn_place(hash, 0, buckets);

		assert_in_range(near, 0, (buckets < 8192 ? buckets : 8192) - 1);
		assert_in_range(sluice_conn_place(hash, 1, buckets), 0, buckets - 1);
		assert_in_range(sluice_conn_place(hash, 2, buckets), 0, buckets - 1);
	}
}

/* Two writers at once may leave the fingerprint of one with the backend of the other. */
static void a_torn_entry_is_nobodys(void **unused)
{
	const struct sluice_flow flow = shop_flow(false, 2000, IPPROTO_TCP);
	uint64_t hash = sluice_conn_hash(&flow, BED_SEED);
	struct sluice_conn *way = bed.conns[sluice_conn_place(hash, 0, bed.n_conns)].way;
	uint32_t id;

	(void)unused;
	id = shop_send(false, 2000, "A");
	way->word = sluice_conn_word(id == X ? Y : X, 5, (uint16_t)way->word);
	assert_int_equal(shop_send(false, 2000, "A"), id);
	assert_int_equal(noticed(SLUICE_N_conn_hit), 0);
	assert_int_equal(noticed(SLUICE_N_conn_miss), 1);
}

/* Clear bits are the last word: no VIP, no l4 service. */
static void filters_are_asked_first(void **unused)
{
	(void)unused;
	bed_filters(0);
	frame_printf(&in, "eth / ip4 client > shop / tcp 2000 > %u S", SHOP_PORT);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_no_service);
	memset(bed.counters->filter_vips, 0xff, sizeof(bed.counters->filter_vips));
	shop_send(false, 2000, "A");
	assert_int_equal(bed_conns(), 0);
	bed_filters(0xff);
	shop_send(false, 2000, "A");
	assert_int_equal(bed_conns(), 1);
}

/* The way to a backend is asked for once in a while: until then another answer of the host's
 * routes does not show, and not at all to another generation of the backend. */
static void next_hops_are_remembered(void **unused)
{
	struct sluice_hop *hop;
	uint32_t id;

	(void)unused;
	bed_forwarding(true);
	id = shop_send(false, 2000, "A");
	hop = &bed.counters->hops[id];
	assert_int_equal(hop->generation, 5);
	assert_int_not_equal(hop->until, 0);
	hop->dest[0] = 0x0e;
	assert_int_equal(shop_send(false, 2000, "A"), id);
	assert_int_equal(shop_run.out.b[0], 0x0e);
	hop->until = 1;
	shop_send(false, 2000, "A");
	assert_int_equal(shop_run.out.b[0], 0x02);
	hop->dest[0] = 0x0e;
	shop_backend(id, 6, true);
	shop_send(false, 2000, "A");
	assert_int_not_equal(shop_run.out.b[0], 0x0e);
}

/* ---- changes -------------------------------------------------------------------------- */

#define FLOWS 60

static uint32_t went[FLOWS];

/* Established flows, and where they went. Some of each backend. */
static void establish(void)
{
	unsigned of[BACKENDS] = {0};

	for (unsigned i = 0; i < FLOWS; i++)
		of[went[i] = shop_send(i & 1, 5000 + i, "A")]++;
	assert_true(of[X] && of[Y] && of[Z]);
}

static void a_flow_outlives_another_table(void **unused)
{
	(void)unused;
	establish();
	shop_table(4099, 1, 7, 1);
	for (unsigned i = 0; i < FLOWS; i++) {
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), went[i]);
		assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
		/* A new flow follows the new table. */
		assert_int_equal(shop_send(i & 1, 6000 + i, "S"),
				 shop_computed(i & 1, 6000 + i, IPPROTO_TCP));
	}
}

static void weight_zero_drains(void **unused)
{
	(void)unused;
	establish();
	shop_table(TABLE, 1, 0, 1);
	for (unsigned i = 0; i < FLOWS; i++) {
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), went[i]);
		assert_int_not_equal(shop_send(i & 1, 6000 + i, "S"), Y);
	}
	/* Even the last one: whoever is there stays there. */
	shop_table(TABLE, 0, 0, 0);
	for (unsigned i = 0; i < FLOWS; i++)
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), went[i]);
	frame_printf(&in, "eth / ip4 client > shop / tcp 6000 > %u S", SHOP_PORT);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_no_backend);
}

static void flows_of_a_removed_backend_are_hashed_anew(void **unused)
{
	(void)unused;
	establish();
	shop_table(TABLE, 1, 0, 1);
	shop_backend(Y, 5, false);
	for (unsigned i = 0; i < FLOWS; i++) {
		uint32_t now = shop_send(i & 1, 5000 + i, "A");

		if (went[i] != Y) {
			assert_int_equal(now, went[i]);
			continue;
		}
		assert_int_equal(noticed(SLUICE_N_conn_stale), 1);
		assert_int_equal(noticed(SLUICE_N_conn_new), 1);
		assert_int_equal(now, shop_computed(i & 1, 5000 + i, IPPROTO_TCP));
		/* And is there to stay. */
		assert_int_equal(shop_send(i & 1, 5000 + i, "A"), now);
		assert_int_equal(noticed(SLUICE_N_conn_hit), 1);
	}
}

/* The id is given to another host: old entries must not lead to it. */
static void an_id_used_again_inherits_no_flows(void **unused)
{
	(void)unused;
	establish();
	bed_backend(Y, "b2", true, 6, true);
	shop_table(TABLE, 1, 0, 1);
	for (unsigned i = 0; i < FLOWS; i++) {
		uint32_t now = shop_send(i & 1, 5000 + i, "A");

		assert_int_not_equal(now, Y);
		assert_int_equal(noticed(SLUICE_N_conn_stale), went[i] == Y);
	}
}

/* A SYN makes no entry and removes none: the stale one waits for the flow's next packet. */
static void a_syn_on_a_stale_entry_is_hashed(void **unused)
{
	uint32_t other;

	(void)unused;
	establish();
	for (uint32_t id = X; id < BACKENDS; id++)
		bed_backend(id, "b1", false, 6, true);
	other = shop_send(false, 5000, "S");
	assert_int_equal(noticed(SLUICE_N_conn_stale), 1);
	assert_int_equal(noticed(SLUICE_N_conn_new), 0);
	assert_int_equal(other, shop_computed(false, 5000, IPPROTO_TCP));
	assert_int_equal(shop_send(false, 5000, "A"), other);
	assert_int_equal(noticed(SLUICE_N_conn_new), 1);
}

/* Entries are a flow's own: the other family, protocol or port is another flow. */
static void flows_do_not_share_entries(void **unused)
{
	(void)unused;
	shop_send(false, 2000, "A");
	shop_send(true, 2000, "S");
	assert_int_equal(noticed(SLUICE_N_conn_miss), 1);
	shop_send(false, 2001, "S");
	assert_int_equal(noticed(SLUICE_N_conn_miss), 1);
	shop_send(false, 2000, NULL);
	assert_int_equal(noticed(SLUICE_N_conn_miss), 1);
}

#define TEST(f) cmocka_unit_test_setup(f, shop_open)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(agrees_with_userspace),
		TEST(a_table_shorter_than_told_is_no_backend),
		TEST(tcp_enters_with_more_than_a_syn),
		TEST(the_first_datagram_enters),
		TEST(an_entry_says_which_backend_and_generation),
		TEST(a_reset_neither_enters_nor_removes),
		TEST(what_is_not_forwarded_does_not_enter),
		TEST(a_flood_of_syns_leaves_real_flows_alone),
		TEST(a_flood_of_acks_enters_at_a_rate),
		TEST(a_full_table_goes_on),
		TEST(the_longest_unused_goes),
		cmocka_unit_test(few_flows_are_near),
		TEST(a_torn_entry_is_nobodys),
		TEST(filters_are_asked_first),
		TEST(next_hops_are_remembered),
		TEST(a_flow_outlives_another_table),
		TEST(weight_zero_drains),
		TEST(flows_of_a_removed_backend_are_hashed_anew),
		TEST(an_id_used_again_inherits_no_flows),
		TEST(a_syn_on_a_stale_entry_is_hashed),
		TEST(flows_do_not_share_entries),
	};

	return scenes_main("gate: connections", &(struct bed_tuning){RATE, 0, CONNS, 0, false},
			   NULL, 0, tests, sizeof(tests) / sizeof(tests[0]));
}
