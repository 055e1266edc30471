// SPDX-License-Identifier: BSD-2-Clause
/* `sluice flows` as it is typed: what frames through the gate leave in the connection table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <jansson.h>

#include "frame.h"
#include "l4/conns.h"
#include "sluice/conn.h"
#include "typed_gate.h"

static struct sluice_flow flow_of(const char *client, uint16_t port)
{
	return (struct sluice_flow){.src = frame_addr(client, false),
				    .dst = frame_addr("shop", false),
				    .sport = htons(port),
				    .dport = htons(80),
				    .proto = IPPROTO_TCP};
}

static void test_an_empty_table(void **unused)
{
	(void)unused;
	typed_works("sluice flows");
	typed_shows("0 flows in a table for 64\n");
	typed_hides("CLIENT");
}

/* The gate's own entry, whose age is counted by a clock that the gate and sluice both read. */
static void test_flows_that_the_gate_entered(void **unused)
{
	(void)unused;
	typed_shop(1);
	typed_send("eth / ip4 10.9.9.9 > shop / tcp 1000 > 80 A");
	typed_send("eth / ip4 10.9.9.9 > shop / tcp 1001 > 80 A");
	typed_send("eth / ip4 10.9.9.8 > shop / tcp 40000 > 80 S"); /* no evidence yet */
	typed_works("sluice flows");
	typed_shows("10.9.9.9:1000                198.51.100.10:80/tcp         shop/b1");
	typed_shows("10.9.9.9:1001 ");
	typed_hides("40000");
	typed_shows("\n2 flows in a table for 64\n");
	typed_shows("  shop/b1                              2\n");
	typed_works("sluice flows | awk '/:1000/ {print $4}'");
	assert_in_range(atoi(typed.out), 0, 2 * conns_step_ms() / 1000 + 1);
}

static void test_idle_time_is_coarse(void **unused)
{
	struct sluice_flow flow = flow_of("10.9.9.9", 1000);
	uint32_t hour = 3600 * 1000 / conns_step_ms() + 1, idle;
	struct sluice_conn_keys keys;

	(void)unused;
	typed_shop(1);
	typed_send("eth / ip4 10.9.9.9 > shop / tcp 1000 > 80 A");
	/* The same entry, an hour older: the stamp is the low half of its word. */
	for (uint32_t i = 0; bpf_map_lookup_elem(typed.gate.conn_keys, &i, &keys) == 0; i++) {
		struct sluice_conns b;

		assert_int_equal(bpf_map_lookup_elem(typed.gate.conns, &i, &b), 0);
		for (int way = 0; way < SLUICE_CONN_WAYS; way++)
			if (b.way[way].word)
				typed_enter(&flow, 1, TYPED_GENERATION,
					    (uint16_t)(b.way[way].word - hour));
	}
	typed_works("sluice flows --json | grep -o '\"idle_seconds\":[0-9]*' | cut -d: -f2");
	idle = (uint32_t)atoi(typed.out);
	assert_in_range(idle, 3600, 3600 + 3 * conns_step_ms() / 1000 + 1);
	typed_works("sluice flows");
	typed_shows(" 1h\n");
}

static void test_an_entry_whose_backend_is_gone_is_marked(void **unused)
{
	(void)unused;
	typed_shop(1);
	typed_send("eth / ip4 10.9.9.9 > shop / tcp 1000 > 80 A");
	typed_replace_backend(1);
	typed_works("sluice flows");
	typed_shows("198.51.100.10:80/tcp         (stale)");
	typed_shows("1 flow in a table for 64; 1 stale: their backend is gone");
	typed_hides("shop/b1");
	typed_works("sluice flows --backend b1");
	typed_hides("stale)");
}

/* A FIN ends nothing by itself: it can be forged. */
static void test_a_flow_that_was_closed_has_ended_after_a_while(void **unused)
{
	struct sluice_flow flow = flow_of("10.9.9.9", 1000);
	uint32_t ago = 2 * SLUICE_CONN_LINGER_MS / conns_step_ms() + 2;
	uint64_t word;

	(void)unused;
	typed_shop(1);
	typed_send("eth / ip4 10.9.9.9 > shop / tcp 1000 > 80 A");
	typed_send("eth / ip4 10.9.9.9 > shop / tcp 1000 > 80 FA");
	typed_works("sluice flows");
	typed_shows("\n1 flow in a table for 64\n");
	typed_hides("ended");
	word = typed_word(&flow);
	assert_true(word & SLUICE_CONN_CLOSING);
	typed_write(&flow, (word & ~SLUICE_CONN_STAMP) | (uint16_t)(word - ago));
	typed_works("sluice flows");
	typed_shows(", ended\n");
	typed_shows("\n1 flow in a table for 64; 1 ended\n");
	typed_works("sluice flows --json | tr -d ' \\n'");
	typed_shows("\"ended\":true,\"stale\":false}],\"backends\":[],\"live\":0,\"ended\":1,");
	typed_works("sluice status --json | tr -d ' \\n'");
	typed_shows("\"connections\":0,\"connections_ended\":1,\"connections_stale\":0,");
	typed_works("sluice backend drain shop/b1");
	typed_shows("no flows left");
}

/* Half of one entry and half of another: nobody's flow. */
static void test_a_torn_entry_is_not_shown(void **unused)
{
	struct sluice_flow flow = flow_of("10.9.9.9", 1000);
	struct sluice_conn_keys keys;

	(void)unused;
	typed_shop(1);
	typed_enter(&flow, 1, TYPED_GENERATION, 0);
	typed_works("sluice flows");
	typed_shows("10.9.9.9:1000");
	for (uint32_t i = 0; bpf_map_lookup_elem(typed.gate.conn_keys, &i, &keys) == 0; i++) {
		for (int way = 0; way < SLUICE_CONN_WAYS; way++)
			keys.way[way].sport ^= 1;
		assert_int_equal(bpf_map_update_elem(typed.gate.conn_keys, &i, &keys, BPF_ANY), 0);
	}
	typed_works("sluice flows");
	typed_shows("0 flows in a table for 64\n");
}

static void send_from(const char *client, unsigned flows)
{
	char text[128];

	for (unsigned i = 0; i < flows; i++) {
		snprintf(text, sizeof(text), "eth / ip4 %s > shop / tcp %u > 80 A", client,
			 1000 + i);
		typed_send(text);
	}
}

static void test_flows_of_one_backend(void **unused)
{
	unsigned b1, b2;

	(void)unused;
	typed_shop(2);
	send_from("10.9.9.9", 20);
	typed_works("sluice flows | awk '/shop.b1 / && /:/ {n++} END {print n+0}'");
	b1 = (unsigned)atoi(typed.out);
	typed_works("sluice flows --service shop --backend b2");
	typed_hides("shop/b1");
	typed_shows(" of 20 flows in a table for 64\n");
	typed_works("sluice flows --backend shop/b2 | grep -c '^10\\.'");
	b2 = (unsigned)atoi(typed.out);
	assert_true(b1 && b2);
	assert_int_equal(b1 + b2, 20);
}

static void test_sources_with_most_flows(void **unused)
{
	(void)unused;
	typed_shop(1);
	send_from("10.9.9.1", 2);
	send_from("10.9.9.2", 7);
	send_from("10.9.9.3", 4);
	typed_works("sluice flows --top 2");
	typed_shows("SOURCE                                      FLOWS\n"
		    "10.9.9.2                                        7\n"
		    "10.9.9.3                                        4\n\n");
	typed_hides("10.9.9.1 ");
	typed_shows("13 flows in a table for 64\n");
}

static void test_flows_for_programs(void **unused)
{
	const char *source, *service, *backend;
	json_int_t live, made_for;
	int port, stale;
	json_t *root;

	(void)unused;
	typed_works("sluice flows --json | tr -d ' \\n'");
	typed_shows("{\"flows\":[],\"backends\":[],\"live\":0,\"ended\":0,\"stale\":0,\"made_for\":"
		    "64}");
	typed_shop(1);
	send_from("10.9.9.1", 2);
	typed_works("sluice flows --json");
	root = json_loads(typed.out, 0, NULL);
	assert_int_equal(json_unpack(root, "{s:[{s:s, s:i, s:s, s:s, s:b}, {}], s:I, s:I}", "flows",
				     "source", &source, "source_port", &port, "service", &service,
				     "backend", &backend, "stale", &stale, "live", &live,
				     "made_for", &made_for),
			 0);
	assert_string_equal(source, "10.9.9.1");
	assert_int_equal(port, 1000);
	assert_string_equal(service, "shop");
	assert_string_equal(backend, "b1");
	assert_false(stale);
	assert_int_equal(live, 2);
	assert_int_equal(made_for, 64);
	json_decref(root);
	typed_works("sluice flows --json --top 1 | tr -d ' \\n'");
	typed_shows("{\"sources\":[{\"source\":\"10.9.9.1\",\"flows\":2}],\"backends\":"
		    "[{\"service\":\"shop\",\"backend\":\"b1\",\"flows\":2}],\"live\":2,");
}

static void test_words_that_are_none(void **unused)
{
	(void)unused;
	typed_ends(1, "sluice flows --service shop");
	typed_shows("no service is called shop: there is none");
	typed_shop(2);
	typed_ends(1, "sluice flows --service site");
	typed_shows("no service is called site; there are: shop\n");
	typed_ends(1, "sluice flows --backend b7");
	typed_shows("no backend is called b7; there are: shop/b1, shop/b2\n");
	typed_ends(1, "sluice flows --backend site/b1");
	typed_shows("no service is called site; there are: shop\n");
	typed_ends(2, "sluice flows --backend /b1");
	typed_ends(2, "sluice flows --backend shop/");
	typed_ends(2, "sluice flows --top 0");
	typed_shows("not a number of sources: 0");
	typed_ends(2, "sluice flows --top many");
	typed_ends(2, "sluice flows shop");
	typed_shows("usage: sluice flows");
	typed_ends(1, "sluice flows >/dev/full");
	typed_shows("cannot write the output");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_setup_teardown(name, typed_gate_open, typed_gate_close)
		SCENE(test_an_empty_table),
		SCENE(test_flows_that_the_gate_entered),
		SCENE(test_idle_time_is_coarse),
		SCENE(test_an_entry_whose_backend_is_gone_is_marked),
		SCENE(test_a_flow_that_was_closed_has_ended_after_a_while),
		SCENE(test_a_torn_entry_is_not_shown),
		SCENE(test_flows_of_one_backend),
		SCENE(test_sources_with_most_flows),
		SCENE(test_flows_for_programs),
		SCENE(test_words_that_are_none),
	};

	return cmocka_run_group_tests(tests, typed_host, NULL);
}
