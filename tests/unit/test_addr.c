// SPDX-License-Identifier: BSD-2-Clause
/* Addresses, endpoints and prefixes: what is read, what is refused, what is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/addr.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct sluice_addr addr(const char *text)
{
	struct sluice_addr a;

	memset(&a, 0xee, sizeof(a));
	if (!addr_parse(&a, text))
		fail_msg("%s is an address", text);
	return a;
}

static struct cidr cidr(const char *text)
{
	struct cidr net;
	bool host_bits = true;

	memset(&net, 0xee, sizeof(net));
	if (!cidr_parse(&net, text, &host_bits))
		fail_msg("%s is a prefix", text);
	assert_false(host_bits);
	return net;
}

/* What is typed, and how it is printed. */
struct pair {
	const char *in, *out;
};

/* ---- addresses ------------------------------------------------------------------------ */

static void test_addresses_are_read_and_printed(void **unused)
{
	static const struct pair pairs[] = {
		{"0.0.0.0", "0.0.0.0"},
		{"192.0.2.1", "192.0.2.1"},
		{"255.255.255.255", "255.255.255.255"},
		{"::", "::"},
		{"::1", "::1"},
		{"2001:DB8::000a", "2001:db8::a"},
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
		{"fe80::", "fe80::"},
		/* The maps cannot tell them apart from IPv4. */
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"::ffff:c000:201", "192.0.2.1"},
		{"0:0:0:0:0:ffff:255.255.255.255", "255.255.255.255"},
		/* Near it, but IPv6. */
		{"::fffe:192.0.2.1", "::fffe:c000:201"},
		{"1::ffff:192.0.2.1", "1::ffff:c000:201"},
		{"::192.0.2.1", "::192.0.2.1"},
		{"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
	};
	char text[ADDR_TEXT];

	(void)unused;
	for (size_t i = 0; i < LENGTH(pairs); i++) {
		struct sluice_addr a = addr(pairs[i].in);

		assert_ptr_equal(addr_format(&a, text), text);
		assert_string_equal(text, pairs[i].out);
	}
}

static void test_what_is_no_address_is_refused(void **unused)
{
	static const char *const bad[] = {
		"",
		" ",
		"*",
		"localhost",
		"192.0.2",
		"192.0.2.",
		"192.0.2.1.",
		"192.0.2.256",
		"192.0.2.01",
		"192.0.2.-1",
		"0x7f.0.0.1",
		"3221225985",
		" 192.0.2.1",
		"192.0.2.1 ",
		"192.0.2.1\n",
		"192.0.2.1/32",
		"192.0.2.1:80",
		":",
		":::",
		"::1::",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"12345::",
		"g::",
		"[::1]",
		"::1/128",
		"fe80::1%eth0",
		"::ffff:192.0.2.256",
		"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255.255",
	};
	struct sluice_addr a;

	(void)unused;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		if (addr_parse(&a, bad[i]))
			fail_msg("\"%s\" was taken for an address", bad[i]);
	}
}

static void test_v4_is_held_mapped(void **unused)
{
	static const uint8_t bytes[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
	struct sluice_addr a = addr("192.0.2.1");

	(void)unused;
	assert_memory_equal(a.b, bytes, sizeof(bytes));
	assert_true(addr_is_v4(&a));
}

static void test_questions_about_addresses(void **unused)
{
	struct sluice_addr any4 = addr("0.0.0.0"), any6 = addr("::"), one = addr("::1"),
			   v4 = addr("0.0.0.1"), near = addr("::fffe:0:0"), low = addr("::2");

	(void)unused;
	assert_true(addr_is_any(&any4));
	assert_true(addr_is_any(&any6));
	assert_false(addr_is_any(&one));
	assert_false(addr_is_any(&v4));
	assert_true(addr_is_v4(&any4));
	assert_false(addr_is_v4(&any6));
	assert_false(addr_is_v4(&near));
	assert_true(addr_equal(&one, &one));
	assert_false(addr_equal(&one, &low));
	assert_false(addr_equal(&any4, &any6));
}

/* ---- endpoints ------------------------------------------------------------------------ */

static void test_endpoints_are_read_and_printed(void **unused)
{
	static const struct pair pairs[] = {
		{"192.0.2.1:80", "192.0.2.1:80"},
		{"192.0.2.1:1", "192.0.2.1:1"},
		{"192.0.2.1:65535", "192.0.2.1:65535"},
		{"192.0.2.1:*", "192.0.2.1:*"},
		{"0.0.0.0:80", "0.0.0.0:80"},
		{"[::1]:80", "[::1]:80"},
		{"[2001:db8::1]:*", "[2001:db8::1]:*"},
		{"[::]:443", "[::]:443"},
		{"[::ffff:192.0.2.1]:80", "192.0.2.1:80"},
		{"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
		 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	};
	char text[ENDPOINT_TEXT];
	struct endpoint ep;

	(void)unused;
	for (size_t i = 0; i < LENGTH(pairs); i++) {
		if (!endpoint_parse(&ep, pairs[i].in))
			fail_msg("%s is an endpoint", pairs[i].in);
		assert_ptr_equal(endpoint_format(&ep, text), text);
		assert_string_equal(text, pairs[i].out);
	}
	assert_true(endpoint_parse(&ep, "192.0.2.1:8080"));
	assert_int_equal(ep.port, 8080);
	assert_true(endpoint_parse(&ep, "192.0.2.1:*"));
	assert_int_equal(ep.port, 0);
}

static void test_what_is_no_endpoint_is_refused(void **unused)
{
	static const char *const bad[] = {
		"",
		":",
		":80",
		"*:80",
		"192.0.2.1:",
		"192.0.2.1:0",
		"192.0.2.1:65536",
		"192.0.2.1:4294967376", /* 2^32 + 80 */
		"192.0.2.1:99999999999999999999",
		"192.0.2.1:080",
		"192.0.2.1:+80",
		"192.0.2.1:-1",
		"192.0.2.1:http",
		"192.0.2.1:80 ",
		"192.0.2.1: 80",
		"192.0.2.1:**",
		"192.0.2.1:80:80",
		"192.0.2:80",
		"[192.0.2.1]:80",
		"localhost:80",
		"[::1]:",
		"[::1]:0",
		"[::1]80",
		"[::1]]:80",
		"[::1:80",
		"::1]:80",
		"[]:80",
		"[:80",
		"[",
		"]",
		"[[::1]]:80",
		"[fe80::1%eth0]:80",
		"[::1/128]:80",
		"[00000000000000000000000000000000000000000000000::1]:80",
		"0000000000000000000000000000000000000000000000000:80",
	};
	struct endpoint ep;

	(void)unused;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		if (endpoint_parse(&ep, bad[i]))
			fail_msg("\"%s\" was taken for an endpoint", bad[i]);
		if (endpoint_parse_default(&ep, bad[i], 80))
			fail_msg("\"%s\" was taken for an endpoint without port", bad[i]);
	}
}

static void test_only_endpoint_parse_default_lets_the_port_out(void **unused)
{
	static const char *const bare[] = {"192.0.2.1", "::1", "2001:db8::80", "[2001:db8::80]"};
	struct endpoint ep;

	(void)unused;
	for (size_t i = 0; i < LENGTH(bare); i++) {
		assert_false(endpoint_parse(&ep, bare[i]));
		assert_true(endpoint_parse_default(&ep, bare[i], 8080));
		assert_int_equal(ep.port, 8080);
	}
	assert_true(endpoint_parse_default(&ep, "192.0.2.1:81", 8080));
	assert_int_equal(ep.port, 81);
	assert_true(endpoint_parse_default(&ep, "[::1]:*", 8080));
	assert_int_equal(ep.port, 0);
}

static void test_sockaddr_there_and_back(void **unused)
{
	static const char *const texts[] = {"192.0.2.1:80", "[2001:db8::1]:65535", "[::]:1"};
	struct sockaddr_storage ss;
	char text[ENDPOINT_TEXT];

	(void)unused;
	for (size_t i = 0; i < LENGTH(texts); i++) {
		struct endpoint ep, back;
		bool v6 = texts[i][0] == '[';

		assert_true(endpoint_parse(&ep, texts[i]));
		memset(&ss, 0xee, sizeof(ss));
		assert_int_equal(endpoint_to_sockaddr(&ep, &ss),
				 v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
		assert_int_equal(ss.ss_family, v6 ? AF_INET6 : AF_INET);
		assert_true(endpoint_from_sockaddr(&back, (struct sockaddr *)&ss));
		assert_string_equal(endpoint_format(&back, text), texts[i]);
	}
}

static void test_sockaddr_of_ipv6_has_no_scope_and_no_flow(void **unused)
{
	struct sockaddr_storage ss;
	struct endpoint ep;

	(void)unused;
	memset(&ss, 0xee, sizeof(ss));
	assert_true(endpoint_parse(&ep, "[fe80::1]:80"));
	endpoint_to_sockaddr(&ep, &ss);
	assert_int_equal(((struct sockaddr_in6 *)&ss)->sin6_scope_id, 0);
	assert_int_equal(((struct sockaddr_in6 *)&ss)->sin6_flowinfo, 0);
	assert_int_equal(((struct sockaddr_in6 *)&ss)->sin6_port, htons(80));
}

static void test_sockaddr_v4_mapped_is_ipv4_and_others_are_refused(void **unused)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
	struct sockaddr unix_socket = {.sa_family = AF_UNIX};
	char text[ENDPOINT_TEXT];
	struct endpoint ep;

	(void)unused;
	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &in6.sin6_addr), 1);
	assert_true(endpoint_from_sockaddr(&ep, (struct sockaddr *)&in6));
	assert_true(addr_is_v4(&ep.addr));
	assert_string_equal(endpoint_format(&ep, text), "192.0.2.7:443");
	assert_false(endpoint_from_sockaddr(&ep, &unix_socket));
}

/* ---- prefixes ------------------------------------------------------------------------- */

static void test_prefixes_are_read_and_printed(void **unused)
{
	static const struct pair pairs[] = {
		{"192.0.2.1", "192.0.2.1"},
		{"192.0.2.1/32", "192.0.2.1"},
		{"192.0.2.0/31", "192.0.2.0/31"},
		{"192.0.2.0/24", "192.0.2.0/24"},
		{"192.0.2.128/25", "192.0.2.128/25"},
		{"128.0.0.0/1", "128.0.0.0/1"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"2001:db8::1", "2001:db8::1"},
		{"2001:db8::1/128", "2001:db8::1"},
		{"2001:db8::/32", "2001:db8::/32"},
		{"8000::/1", "8000::/1"},
		{"::/0", "::/0"},
		/* As typed the prefix counts 128 bits; as held it counts IPv4's 32. */
		{"::ffff:10.0.0.0/104", "10.0.0.0/8"},
		{"::ffff:10.0.0.1/128", "10.0.0.1"},
		{"::ffff:0.0.0.0/96", "0.0.0.0/0"},
	};
	char text[ADDR_TEXT + 4];

	(void)unused;
	for (size_t i = 0; i < LENGTH(pairs); i++) {
		struct cidr net = cidr(pairs[i].in);

		assert_ptr_equal(cidr_format(&net, text), text);
		assert_string_equal(text, pairs[i].out);
	}
	assert_int_equal(cidr("192.0.2.0/24").prefix, 24);
	assert_int_equal(cidr("192.0.2.1").prefix, 32);
	assert_int_equal(cidr("::1").prefix, 128);
}

static void test_the_longest_prefix_fits_its_buffer(void **unused)
{
	static const char *const text = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127";
	struct cidr net = cidr(text);
	char buf[ADDR_TEXT + 4];

	(void)unused;
	assert_string_equal(cidr_format(&net, buf), text);
}

static void test_what_is_no_prefix_is_refused(void **unused)
{
	static const char *const bad[] = {
		"",
		"/",
		"/24",
		"192.0.2.0/",
		"192.0.2.0/33",
		"192.0.2.0/08",
		"192.0.2.0/00",
		"192.0.2.0/+8",
		"192.0.2.0/-1",
		"192.0.2.0/256",
		"192.0.2.0/4294967304", /* 2^32 + 8 */
		"192.0.2.0/24 ",
		"192.0.2.0/ 24",
		"192.0.2.0//24",
		"192.0.2.0/24/24",
		"192.0.2.0/255.255.255.0",
		"192.0.2/24",
		"10/8",
		"2001:db8::/129",
		"2001:db8::/",
		"::ffff:10.0.0.0/95",
		"::ffff:10.0.0.0/8",
		"::ffff:10.0.0.0/129",
		"[2001:db8::]/32",
		"0000000000000000000000000000000000000000000000000/8",
	};
	struct cidr net;
	bool host_bits;

	(void)unused;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		host_bits = true;
		if (cidr_parse(&net, bad[i], &host_bits))
			fail_msg("\"%s\" was taken for a prefix", bad[i]);
		if (host_bits)
			fail_msg("\"%s\" has no host bits: it is no prefix", bad[i]);
	}
}

static void test_host_bits_are_refused_and_masked(void **unused)
{
	static const struct pair pairs[] = {
		{"192.0.2.1/24", "192.0.2.0/24"},      {"192.0.2.1/31", "192.0.2.0/31"},
		{"192.0.2.129/25", "192.0.2.128/25"},  {"255.255.255.255/0", "0.0.0.0/0"},
		{"2001:db8::1/64", "2001:db8::/64"},   {"ffff::1/127", "ffff::/127"},
		{"ffff:ffff::/1", "8000::/1"},         {"::1/0", "::/0"},
		{"::ffff:10.1.2.3/104", "10.0.0.0/8"}, {"8000::ffff:1:2/0", "::/0"},
	};
	char text[ADDR_TEXT + 4];

	(void)unused;
	for (size_t i = 0; i < LENGTH(pairs); i++) {
		struct cidr net;
		bool host_bits = false;

		assert_false(cidr_parse(&net, pairs[i].in, &host_bits));
		assert_true(host_bits);
		cidr_mask(&net);
		assert_string_equal(cidr_format(&net, text), pairs[i].out);
	}
}

/* Against bit by bit, with every prefix length. */
static void test_contains_is_bit_by_bit(void **unused)
{
	static const char *const ends[] = {"10.20.30.40", "2001:db8:1:2:3:4:5:6"};

	(void)unused;
	for (size_t e = 0; e < LENGTH(ends); e++) {
		struct sluice_addr base = addr(ends[e]);
		unsigned first = addr_is_v4(&base) ? 96 : 0;

		for (unsigned prefix = 0; prefix <= 128 - first; prefix++) {
			struct cidr net = {base, (uint8_t)prefix};

			cidr_mask(&net);
			assert_true(cidr_contains(&net, &base));
			for (unsigned bit = first; bit < 128; bit++) {
				struct sluice_addr other = base;

				other.b[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
				assert_int_equal(cidr_contains(&net, &other),
						 bit >= first + prefix);
			}
		}
	}
}

static void test_a_prefix_holds_its_own_family_only(void **unused)
{
	struct cidr all4 = cidr("0.0.0.0/0"), all6 = cidr("::/0");
	struct sluice_addr v4 = addr("192.0.2.1"), v6 = addr("2001:db8::1");

	(void)unused;
	assert_true(cidr_contains(&all4, &v4));
	assert_false(cidr_contains(&all4, &v6));
	assert_true(cidr_contains(&all6, &v6));
	assert_false(cidr_contains(&all6, &v4));
}

static void test_keys_of_the_gates_tries(void **unused)
{
	struct cidr net4 = cidr("192.0.2.0/24"), net6 = cidr("2001:db8::/32");
	static const uint8_t want4[4] = {192, 0, 2}, want6[16] = {0x20, 0x01, 0x0d, 0xb8};
	struct sluice_lpm4 key4;
	struct sluice_lpm6 key6;

	(void)unused;
	assert_true(cidr_to_lpm4(&net4, &key4));
	assert_int_equal(key4.prefixlen, 24);
	assert_memory_equal(key4.addr, want4, sizeof(want4));
	assert_true(cidr_to_lpm6(&net6, &key6));
	assert_int_equal(key6.prefixlen, 32);
	assert_memory_equal(key6.addr, want6, sizeof(want6));
	assert_false(cidr_to_lpm4(&net6, &key4));
	assert_false(cidr_to_lpm6(&net4, &key6));
}

static void test_protocols(void **unused)
{
	static const char *const bad[] = {"", "TCP", "icmp", "6", "tcp ", "tc"};
	uint8_t proto;

	(void)unused;
	assert_true(proto_parse(&proto, "tcp"));
	assert_int_equal(proto, IPPROTO_TCP);
	assert_true(proto_parse(&proto, "udp"));
	assert_int_equal(proto, IPPROTO_UDP);
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(proto_parse(&proto, bad[i]));
	assert_string_equal(proto_name(IPPROTO_TCP), "tcp");
	assert_string_equal(proto_name(IPPROTO_UDP), "udp");
	assert_null(proto_name(IPPROTO_ICMP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_are_read_and_printed),
		cmocka_unit_test(test_what_is_no_address_is_refused),
		cmocka_unit_test(test_v4_is_held_mapped),
		cmocka_unit_test(test_questions_about_addresses),
		cmocka_unit_test(test_endpoints_are_read_and_printed),
		cmocka_unit_test(test_what_is_no_endpoint_is_refused),
		cmocka_unit_test(test_only_endpoint_parse_default_lets_the_port_out),
		cmocka_unit_test(test_sockaddr_there_and_back),
		cmocka_unit_test(test_sockaddr_of_ipv6_has_no_scope_and_no_flow),
		cmocka_unit_test(test_sockaddr_v4_mapped_is_ipv4_and_others_are_refused),
		cmocka_unit_test(test_prefixes_are_read_and_printed),
		cmocka_unit_test(test_the_longest_prefix_fits_its_buffer),
		cmocka_unit_test(test_what_is_no_prefix_is_refused),
		cmocka_unit_test(test_host_bits_are_refused_and_masked),
		cmocka_unit_test(test_contains_is_bit_by_bit),
		cmocka_unit_test(test_a_prefix_holds_its_own_family_only),
		cmocka_unit_test(test_keys_of_the_gates_tries),
		cmocka_unit_test(test_protocols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
