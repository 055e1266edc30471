// SPDX-License-Identifier: BSD-2-Clause
/* Configurations: defaults, what is read, the bounds of a whole file, and who takes what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>

#include "conf_load.h"

/* ---- values --------------------------------------------------------------------------- */

static struct sluice_addr addr(const char *text)
{
	struct sluice_addr a;

	assert_true(addr_parse(&a, text));
	return a;
}

static struct endpoint endpoint(const char *text)
{
	struct endpoint ep;

	assert_true(endpoint_parse(&ep, text));
	return ep;
}

static void test_defaults(void **unused)
{
	struct conf *c = load_text("service \"a\" { kind = l4 listen = { \"192.0.2.1:80\" }\n"
				   "backend \"b\" { address = \"10.0.0.1\" } }\n");

	(void)unused;
	assert_non_null(c);
	assert_int_equal(c->n_interfaces, 0);
	assert_int_equal(c->mode, CONF_MODE_AUTO);
	assert_int_equal(c->priority, 50);
	assert_int_equal(c->max_conns, SLUICE_MAX_CONNS);
	assert_int_equal(c->conn_rate, 100000);
	assert_int_equal(c->event_every, 64);
	assert_true(addr_is_any(&c->source4) && addr_is_any(&c->source6));
	assert_int_equal(c->n_decap_from, 0);
	assert_string_equal(c->user, "nobody");
	assert_int_equal(c->threads, 0);
	assert_int_equal(c->max_connections, 20000);
	assert_int_equal(c->drain_ms, 30000);
	assert_null(c->access_log);
	assert_string_equal(c->hop_name, "sluice");
	assert_int_equal(c->services[0].ring_size, 65537);
	assert_int_equal(c->services[0].n_listens, 1);
	assert_int_equal(c->services[0].listens[0].proto, IPPROTO_TCP);
	assert_int_equal(c->services[0].backends[0].weight, 1);
	conf_free(c);
}

static void test_defaults_of_an_l7_service(void **unused)
{
	struct conf *c = load_text("service \"a\" { kind = l7 listen = { \"192.0.2.1:80\" }\n"
				   "backend \"b\" { address = \"10.0.0.1:80\" } }\n");
	const struct conf_service *s;

	(void)unused;
	assert_non_null(c);
	s = &c->services[0];
	assert_int_equal(s->pool->connect_ms, 5000);
	assert_int_equal(s->pool->response_ms, 60000);
	assert_int_equal(s->header_ms, 10000);
	assert_int_equal(s->body_ms, 60000);
	assert_int_equal(s->idle_ms, 75000);
	assert_int_equal(s->pool->upstream_idle_ms, 60000);
	assert_int_equal(s->pool->upstream_idle_max, 1024);
	assert_int_equal(s->max_head, 32768);
	assert_int_equal(s->max_fields, 100);
	assert_int_equal(s->max_body, 1 << 30);
	conf_free(c);
}

static void test_values_of_gate_and_daemon(void **unused)
{
	struct conf *c = load_good(DATA "good-every-setting-most.conf");
	struct sluice_addr source4 = addr("10.83.0.2"), source6 = addr("fd83::2"),
			   decap6 = addr("fd83::3");

	(void)unused;
	assert_string_equal(c->path, DATA "good-every-setting-most.conf");
	assert_int_equal(c->n_interfaces, 2);
	assert_string_equal(c->interfaces[0], "eth0");
	assert_string_equal(c->interfaces[1], "a-name-15-bytes");
	assert_int_equal(c->mode, CONF_MODE_GENERIC);
	assert_int_equal(c->priority, 1000);
	assert_int_equal(c->max_conns, 67108864);
	assert_int_equal(c->conn_rate, 100000000);
	assert_int_equal(c->event_every, 1073741824);
	assert_true(addr_equal(&c->source4, &source4));
	assert_true(addr_equal(&c->source6, &source6));
	assert_int_equal(c->n_decap_from, 2);
	assert_true(addr_equal(&c->decap_from[1], &decap6));
	assert_int_equal(strlen(c->user), 32);
	assert_int_equal(c->threads, 256);
	assert_int_equal(c->max_connections, 1000000);
	assert_int_equal(c->drain_ms, 86400000);
	assert_string_equal(c->access_log, "/var/log/sluice.log");
	assert_int_equal(strlen(c->hop_name), 64);
	conf_free(c);
}

static void test_pools(void **unused)
{
	struct conf *c = load_text(
		"service \"a\" { kind = l7 listen = { \"192.0.2.1:80\" } connect_timeout = 2s\n"
		"backend \"b\" { address = \"10.0.0.1:80\" } }\n"
		"pool \"app\" { response_timeout = 3s\n"
		"backend \"b\" { address = \"10.0.0.1:80\" }\n"
		"backend \"c\" { address = \"[fd00::1]:80\" weight = 7 } }\n");
	const struct conf_pool *p;

	(void)unused;
	assert_non_null(c);
	assert_int_equal(c->n_named_pools, 1);
	assert_int_equal(c->n_pools, 2);
	p = conf_pool_find(c, "app");
	assert_ptr_equal(p, &c->pools[0]);
	assert_int_equal(p->n_backends, 2);
	assert_int_equal(p->backends[1].weight, 7);
	assert_int_equal(p->connect_ms, 5000);
	assert_int_equal(p->response_ms, 3000);
	/* A service's own pool has its name, but not for others. */
	assert_null(conf_pool_find(c, "a"));
	p = c->services[0].pool;
	assert_ptr_equal(p, &c->pools[1]);
	assert_string_equal(p->name, "a");
	assert_int_equal(p->connect_ms, 2000);
	conf_free(c);
}

static void test_values_of_services(void **unused)
{
	struct conf *c = load_good(DATA "good-every-setting-most.conf");
	const struct conf_service *l4 = &c->services[0], *l7 = &c->services[1];

	(void)unused;
	assert_int_equal(c->n_services, 2);
	assert_int_equal(strlen(l4->name), 31);
	assert_int_equal(l4->kind, SLUICE_L4);
	assert_int_equal(l4->ring_size, 131101);
	assert_int_equal(l4->n_listens, 4); /* two addresses, two protocols */
	assert_int_equal(l4->n_backends, 1);
	assert_int_equal(l4->backends[0].weight, 1000);
	assert_int_equal(l4->backends[0].endpoint.port, 0);
	assert_int_equal(l7->kind, SLUICE_L7);
	assert_int_equal(l7->index, 1);
	assert_int_equal(l7->pool->connect_ms, 3600000);
	assert_int_equal(l7->pool->response_ms, 86400000);
	assert_int_equal(l7->header_ms, 3600000);
	assert_int_equal(l7->body_ms, 86400000);
	assert_int_equal(l7->idle_ms, 86400000);
	assert_int_equal(l7->pool->upstream_idle_ms, 86400000);
	assert_int_equal(l7->pool->upstream_idle_max, 100000);
	assert_int_equal(l7->max_head, 65536);
	assert_int_equal(l7->max_fields, 256);
	assert_int_equal(l7->max_body, 1ULL << 50);
	assert_int_equal(l7->pool->backends[0].endpoint.port, 65535);
	conf_free(c);
}

static void test_quotes_hold_everything_but_themselves(void **unused)
{
	struct conf *c = load_good(DATA "good-quotes.conf");

	(void)unused;
	assert_string_equal(c->access_log, "/var/log/\"sluice\" ${x} \\n #1.log");
	assert_string_equal(c->interfaces[2], "eth2");
	assert_string_equal(c->services[0].pool->backends[0].name, "b1");
	assert_int_equal(c->services[0].n_listens, 2);
	conf_free(c);
}

static void test_lines_are_where_things_stand(void **unused)
{
	struct conf *c = load_text("/* two\n   lines */\n\n"
				   "service \"a\"\n{\n"
				   "  listen = { \"192.0.2.1:80\", // one\n"
				   "             \"192.0.2.1:81\" } /* and */ kind = l4\n"
				   "  backend \"b\" { # here\n"
				   "    address = \"10.0.0.1\"\n  }\n}\n");

	(void)unused;
	assert_non_null(c);
	assert_int_equal(c->services[0].line, 4);
	assert_int_equal(c->services[0].listens[0].line, 6);
	assert_int_equal(c->services[0].listens[1].line, 7);
	assert_int_equal(c->services[0].backends[0].line, 8);
	conf_free(c);
}

/* ---- bounds of a whole file ----------------------------------------------------------- */

/* n l4 services with `backends` each, and as many listeners. */
static struct conf *load_many(unsigned n, unsigned listens, unsigned backends)
{
	struct conf *c;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	for (unsigned i = 0; i < n; i++) {
		fprintf(f, "service \"s%u\" {\nkind = l4\nring_size = 131101\nlisten = { ", i);
		for (unsigned k = 0; k < listens; k++)
			fprintf(f, "\"198.18.%u.%u:%u\", ", i / 256, i % 256, k + 1);
		fprintf(f, "}\n");
		for (unsigned k = 0; k < backends; k++)
			fprintf(f, "backend \"b%u\" { address = \"10.0.%u.%u\" }\n", k, k / 256,
				k % 256);
		fprintf(f, "}\n");
	}
	fclose(f);
	c = load_text(text);
	free(text);
	return c;
}

static void assert_many(unsigned n, unsigned listens, unsigned backends, const char *complaint)
{
	struct conf *c = load_many(n, listens, backends);

	assert_string_equal(told, complaint);
	assert_true((c != NULL) == (complaint[0] == '\0'));
	conf_free(c);
}

static void test_so_many_sources_are_pinned(void **unused)
{
	char *text = NULL;
	size_t len;
	FILE *f;

	(void)unused;
	for (unsigned more = 0; more < 2; more++) {
		struct conf *c;

		f = open_memstream(&text, &len);
		fputs("service \"s\" { kind = l4  listen = { \"198.51.100.10:80\" }\n"
		      "backend \"b1\" { address = \"10.0.0.11\"  pin = { \"192.0.2.1\"",
		      f);
		for (unsigned i = 1; i < SLUICE_MAX_PINS / 2; i++)
			fprintf(f, ",\n\"10.1.%u.%u\"", i >> 8, i & 255);
		fputs("} }\nbackend \"b2\" { address = \"10.0.0.12\"  pin = { \"192.0.2.2\"", f);
		for (unsigned i = 1; i < SLUICE_MAX_PINS / 2 + more; i++)
			fprintf(f, ",\n\"2001:db8::%x\"", i);
		fputs("} } }\n", f);
		fclose(f);
		c = load_text(text);
		assert_string_equal(
			told, more ? "1: services pin 65537 sources; a gate holds 65536\n" : "");
		assert_true((c != NULL) == !more);
		conf_free(c);
		free(text);
	}
}

static void test_a_gate_holds_so_many(void **unused)
{
	(void)unused;
	assert_many(1023, 1, 1, "");
	assert_many(1024, 1, 1, "1: there are 1024 services; a gate holds 1023\n");
	assert_many(1, 1, 1024, "");
	assert_many(1, 1, 1025, "1: service \"s0\" has 1025 backends; write at most 1024\n");
	assert_many(5, 1, 819, "");
	assert_many(4, 1, 1024, "1: l4 services have 4096 backends; a gate holds 4095\n");
	assert_many(1, 4096, 1, "");
	assert_many(1, 4097, 1,
		    "1: services listen on 4097 addresses and ports; a gate holds 4096\n");
}

/* ---- who takes a connection ----------------------------------------------------------- */

static const char *taker(const struct conf *c, const char *local, uint8_t proto)
{
	struct endpoint ep = endpoint(local);
	const struct conf_service *s = conf_find(c, &ep, proto);

	return s ? s->name : "nobody";
}

static void test_find(void **unused)
{
	static const struct {
		const char *local, *name;
		uint8_t proto;
	} rows[] = {
		{"192.0.2.1:80", "exact", IPPROTO_TCP},
		{"192.0.2.1:81", "every-port", IPPROTO_TCP},
		{"192.0.2.2:80", "any-address", IPPROTO_TCP},
		{"192.0.2.2:81", "nobody", IPPROTO_TCP},
		/* Any address comes before every port. */
		{"192.0.2.1:8080", "any-address", IPPROTO_TCP},
		/* Families are apart; v4-mapped is IPv4. */
		{"[::ffff:192.0.2.1]:80", "exact", IPPROTO_TCP},
		{"[::ffff:192.0.2.9]:80", "any-address", IPPROTO_TCP},
		{"[2001:db8::1]:80", "exact", IPPROTO_TCP},
		{"[2001:db8::1]:443", "every-port", IPPROTO_TCP},
		{"[2001:db8::2]:80", "nobody", IPPROTO_TCP},
		{"[2001:db8::2]:8080", "any-address", IPPROTO_TCP},
		/* Protocols too. */
		{"192.0.2.1:80", "nobody", IPPROTO_UDP},
		{"198.51.100.1:53", "dns", IPPROTO_UDP},
		{"198.51.100.1:53", "dns", IPPROTO_TCP},
		{"198.51.100.1:54", "nobody", IPPROTO_UDP},
	};
	struct conf *c = load_text(
		"service \"exact\" { kind = l7 backend \"b\" { address = \"10.0.0.1:80\" }\n"
		"  listen = { \"192.0.2.1:80\", \"[2001:db8::1]:80\" } }\n"
		"service \"any-address\" { kind = l7 backend \"b\" { address = \"10.0.0.1:81\" }\n"
		"  listen = { \"0.0.0.0:80\", \"0.0.0.0:8080\", \"[::]:8080\" } }\n"
		"service \"every-port\" { kind = l7 backend \"b\" { address = \"10.0.0.1:82\" }\n"
		"  listen = { \"192.0.2.1:*\", \"[2001:db8::1]:*\" } }\n"
		"service \"dns\" { kind = l4 backend \"b\" { address = \"10.0.0.1\" }\n"
		"  listen = { \"198.51.100.1:53\" } proto = { tcp, udp } }\n");

	(void)unused;
	assert_string_equal(told, "");
	assert_non_null(c);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *name = taker(c, rows[i].local, rows[i].proto);

		if (strcmp(name, rows[i].name) != 0)
			fail_msg("%s is taken by %s, not by %s", rows[i].local, name, rows[i].name);
	}
	conf_free(c);
}

static void test_find_each_of_many(void **unused)
{
	struct conf *c = load_many(1000, 4, 1);

	(void)unused;
	assert_non_null(c);
	for (unsigned i = 0; i < c->n_services; i++) {
		for (unsigned k = 0; k < c->services[i].n_listens; k++)
			assert_ptr_equal(
				conf_find(c, &c->services[i].listens[k].endpoint, IPPROTO_TCP),
				&c->services[i]);
	}
	assert_string_equal(taker(c, "198.18.0.0:5", IPPROTO_TCP), "nobody");
	conf_free(c);
}

static void test_find_without_services(void **unused)
{
	struct conf *c = load_text("gate { }\n");

	(void)unused;
	assert_non_null(c);
	assert_string_equal(taker(c, "192.0.2.1:80", IPPROTO_TCP), "nobody");
	conf_free(c);
	conf_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_defaults_of_an_l7_service),
		cmocka_unit_test(test_values_of_gate_and_daemon),
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_values_of_services),
		cmocka_unit_test(test_quotes_hold_everything_but_themselves),
		cmocka_unit_test(test_lines_are_where_things_stand),
		cmocka_unit_test(test_so_many_sources_are_pinned),
		cmocka_unit_test(test_a_gate_holds_so_many),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_find_each_of_many),
		cmocka_unit_test(test_find_without_services),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
