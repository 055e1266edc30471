// SPDX-License-Identifier: BSD-2-Clause
/* Where requests through a forward proxy may go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "l7/destination.h"

static bool parse(struct destination *d, const char *text, uint16_t port)
{
	return destination_parse(d, (struct span){text, strlen(text)}, port);
}

static void test_what_is_written(void **unused)
{
	static const struct {
		const char *text, *name;
		uint16_t port;
	} rows[] = {
		{"example.net:443", "example.net", 443}, {"EXAMPLE.net.:1", "example.net", 1},
		{"10.0.0.1:65535", "", 65535},           {"[::1]:8080", "", 8080},
		{"[::ffff:10.0.0.1]:80", "", 80},        {"a-b_c.d1:80", "a-b_c.d1", 80},
	};
	static const char *const none[] = {
		"",
		":80",
		"a",
		"a:",
		"a:0",
		"a:65536",
		"a:999999",
		"a: 80",
		"a:80 ",
		"[::1",
		"::1:80",
		"[]:80",
		"[a]:80",
		"1.2.3:80",
		"010.0.0.1:80",
		"2130706433:80",
		"0x7f.1:80",
		"a.0xff:80",
		"1.2.3.4.:80",
		"[1.2.3.4]:80",
		"u@a:80",
		"a..b:80",
		".:80",
		"a.:x",
	};
	struct destination d;

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(parse(&d, rows[i].text, 0));
		assert_string_equal(d.name, rows[i].name);
		assert_int_equal(d.port, rows[i].port);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (parse(&d, none[i], 0))
			fail_msg("\"%s\" is a destination", none[i]);
	assert_true(parse(&d, "a", 80) && d.port == 80);
	assert_true(parse(&d, "a:", 80) && d.port == 80);
	assert_true(parse(&d, "[::1]", 80) && d.port == 80);
	assert_false(parse(&d, "a:0", 80));
}

static void test_public_addresses(void **unused)
{
	static const char *const public[] = {"1.1.1.1",     "9.255.255.255",   "11.0.0.0",
					     "100.63.0.1",  "100.128.0.0",     "172.15.0.1",
					     "172.32.0.0",  "192.0.1.0",       "198.17.0.1",
					     "198.20.0.0",  "223.255.255.255", "2606:4700::1",
					     "2001:200::1", "2003::1",         "3ffe::1"},
				 *const special[] = {"0.0.0.0",
						     "10.0.0.0",
						     "10.255.255.255",
						     "100.64.0.0",
						     "100.127.0.1",
						     "127.255.0.1",
						     "169.254.1.1",
						     "172.16.0.0",
						     "172.31.255.255",
						     "192.0.0.1",
						     "192.0.2.1",
						     "192.88.99.1",
						     "192.168.0.0",
						     "198.18.0.0",
						     "198.19.255.255",
						     "198.51.100.1",
						     "203.0.113.1",
						     "224.0.0.0",
						     "240.0.0.1",
						     "255.255.255.255",
						     "::",
						     "::1",
						     "::2",
						     "::ffff:10.0.0.1",
						     "64:ff9b::1",
						     "100::1",
						     "2001::1",
						     "2001:1ff::1",
						     "2001:db8::1",
						     "2002::1",
						     "3fff::1",
						     "4000::1",
						     "fc00::1",
						     "fd00::1",
						     "fe80::1",
						     "fec0::1",
						     "ff02::1"};
	struct sluice_addr addr;

	(void)unused;
	for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++)
		if (!addr_parse(&addr, public[i]) || !destination_is_public(&addr))
			fail_msg("%s is public", public[i]);
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (!addr_parse(&addr, special[i]) || destination_is_public(&addr))
			fail_msg("%s is not public", special[i]);
}

static bool known(const struct conf_outgoing *o, const char *text)
{
	struct destination d;

	assert_true(parse(&d, text, 0));
	return destination_known(o, &d);
}

static bool allowed(const struct conf_outgoing *o, const char *text, const char *address)
{
	struct sluice_addr addr;
	struct destination d;

	assert_true(parse(&d, text, 0) && addr_parse(&addr, address));
	return destination_allowed(o, &d, &addr);
}

static void test_rules(void **unused)
{
	struct conf_destination rows[] = {{.name = "one.example", .port = 8443},
					  {.name = ".below.example"},
					  {.any_port = true}};
	const struct conf_outgoing o = {.destinations = rows, .n_destinations = 3};

	(void)unused;
	assert_true(addr_parse(&rows[2].net.addr, "10.1.0.0"));
	rows[2].net.prefix = 16;
	assert_true(known(&o, "one.example:8443"));
	assert_false(known(&o, "one.example:443"));
	assert_false(known(&o, "x.one.example:8443"));
	assert_true(known(&o, "a.b.below.example:443"));
	assert_true(known(&o, "a.below.example:80"));
	assert_false(known(&o, "a.below.example:81"));
	assert_false(known(&o, "below.example:443"));
	assert_false(known(&o, "xbelow.example:443"));
	assert_true(known(&o, "10.1.2.3:9"));
	assert_false(known(&o, "10.2.2.3:9"));

	assert_true(allowed(&o, "a.below.example:443", "1.1.1.1"));
	assert_true(allowed(&o, "a.below.example:443", "10.1.0.9"));
	assert_false(allowed(&o, "a.below.example:443", "10.2.0.9"));
	assert_false(allowed(&o, "a.below.example:443", "127.0.0.1"));
	assert_false(allowed(&o, "8.8.8.8:443", "8.8.8.8"));
}

static void test_all_is_not_what_is_private_or_nowhere(void **unused)
{
	struct conf_destination rows[] = {{.name = "", .any_port = true}, {.any_port = true}};
	const struct conf_outgoing all = {.destinations = rows, .n_destinations = 1},
				   every_net = {.destinations = rows, .n_destinations = 2};

	(void)unused;
	assert_true(known(&all, "any.example:1") && known(&all, "8.8.8.8:1"));
	assert_true(allowed(&all, "8.8.8.8:1", "8.8.8.8"));
	assert_false(allowed(&all, "127.0.0.1:1", "127.0.0.1"));
	/* ::/0, as somebody may write it: what is nowhere, or everywhere, stays out. */
	assert_true(allowed(&every_net, "[::1]:1", "::1"));
	assert_false(allowed(&every_net, "[::]:1", "::"));
	assert_false(allowed(&every_net, "0.0.0.0:1", "0.0.0.0"));
	assert_false(allowed(&every_net, "[ff02::1]:1", "ff02::1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written),
		cmocka_unit_test(test_public_addresses),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_all_is_not_what_is_private_or_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
