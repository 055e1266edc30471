// SPDX-License-Identifier: BSD-2-Clause
/*
 * Full NAT through the gate: the packets of a flow both ways, what ICMP errors quote of them,
 * how a flow begins, what a flood of beginnings cannot do, and what is the host's own.
 */
#include "scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "sluice/nat.h"

#define PORTS 8 /* that nat has, of each source address */
#define VPORT 9000
enum { SHOP = BED_FREE, SHOP6 };

static struct frame in, wanted;
static struct run run;

static void begin(const char *host, uint16_t port)
{
	for (int v6 = 0; v6 < 2; v6++)
		bed_nat_service(v6 ? SHOP6 : SHOP, v6, VPORT, host, port);
	bed_empty_nat();
	bed_forwarding(true);
}

/* One frame in; its reason by name. */
static const char *sent(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	frame_parse(&in, text);
	return scene_reason_name(scene_reason(&in, 0, &run));
}

#define expect_sent(reason, ...) assert_string_equal(sent(__VA_ARGS__), reason)

/* The frame that left is this one; checksums and all. */
static void expect_out(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	frame_parse(&wanted, text);
	scene_frames_equal(&run.out, &wanted);
}

static const char *ip(bool v6)
{
	return v6 ? "ip6" : "ip4";
}

static const char *hops(bool v6)
{
	return v6 ? "hop 63" : "ttl 63";
}

/* The source port of the frame that left. */
static unsigned port_given(bool v6)
{
	const uint8_t *l4 = run.out.b + 14 + (v6 ? 40 : 20);

	return (unsigned)(l4[0] << 8 | l4[1]);
}

/* A flow of a client, begun by SYN or a datagram; the source port that it was given, or 0. */
static unsigned flow_begun(bool v6, const char *client, unsigned cport, bool udp)
{
	const char *why = sent(udp ? "eth / %s %s > shop / udp %u > %u / data 9"
				   : "eth / %s %s > shop / tcp %u > %u S",
			       ip(v6), client, cport, VPORT);

	if (strcmp(why, "nat_full") == 0)
		return 0;
	assert_string_equal(why, "forward");
	return port_given(v6);
}

enum { SEQ = 4, ACK = 8 };

/* A word of the frame's TCP header; its packet has no options. */
static void tcp_word(unsigned offset, uint32_t value)
{
	value = htonl(value);
	memcpy(in.b + 14 + 20 + offset, &value, sizeof(value));
}

/* Makes the flow open: the backend answers, the client acknowledges that. */
static void flow_opened(unsigned cport, unsigned port)
{
	frame_printf(&in, "eth b1 > gate / ip4 b1 > nat / tcp %u > %u SA", VPORT, port);
	tcp_word(SEQ, 99);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_nat_reply);
	frame_printf(&in, "eth / ip4 client > shop / tcp %u > %u A", cport, VPORT);
	tcp_word(ACK, 100);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
}

/* ---- the way of a flow ---------------------------------------------------------------- */

/* There with the source and the backend's own port, back in the VIP's name. */
static void both_ways(bool v6, bool udp, uint16_t bport)
{
	const char *l4 = udp ? "udp %u > %u / data 33" : "tcp %u > %u A / data 33";
	char text[64];
	unsigned port;

	begin("b1", bport);
	port = flow_begun(v6, "client", 1000, udp);
	assert_in_range(port, BED_NAT_FIRST, BED_NAT_FIRST + PORTS - 1);
	assert_int_equal(run.verdict, scene_tx());
	if (!udp)
		expect_out("eth gate > b1 / %s nat > b1 %s / tcp %u > %u S", ip(v6), hops(v6), port,
			   bport ? bport : VPORT);
	snprintf(text, sizeof(text), l4, 1000, VPORT);
	expect_sent("forward", "eth / %s client > shop / %s", ip(v6), text);
	snprintf(text, sizeof(text), l4, port, bport ? bport : VPORT);
	expect_out("eth gate > b1 / %s nat > b1 %s / %s", ip(v6), hops(v6), text);

	snprintf(text, sizeof(text), l4, bport ? bport : VPORT, port);
	expect_sent("nat_reply", "eth b1 > gate / %s b1 > nat / %s", ip(v6), text);
	assert_int_equal(run.verdict, scene_tx());
	snprintf(text, sizeof(text), l4, VPORT, 1000);
	expect_out("eth gate > client / %s shop > client %s / %s", ip(v6), hops(v6), text);
}

static void a_flow_both_ways(void **unused)
{
	(void)unused;
	for (int i = 0; i < 8; i++)
		both_ways(i & 1, i & 2, i & 4 ? 8080 : 0);
}

static void by_another_interface(void **unused)
{
	unsigned port;

	(void)unused;
	begin("far", 0);
	expect_sent("forward", "eth / vlan 5 / ip4 client > shop / tcp 1000 > %u S", VPORT);
	assert_int_equal(run.verdict, XDP_REDIRECT);
	port = port_given(false);
	expect_out("eth gate1 > far / ip4 nat > far ttl 63 / tcp %u > %u S", port, VPORT);
	expect_sent("nat_reply", "eth far > gate1 / ip4 far > nat / tcp %u > %u SA", VPORT, port);
	expect_out("eth gate > client / ip4 shop > client ttl 63 / tcp %u > 1000 SA", VPORT);
}

/* A backend that is a client of its own service: no packet goes straight back. */
static void hairpin(void **unused)
{
	unsigned port;

	(void)unused;
	for (int v6 = 0; v6 < 2; v6++) {
		begin("b1", 0);
		expect_sent("forward", "eth b1 > gate / %s b1 > shop / tcp 1000 > %u S", ip(v6),
			    VPORT);
		port = port_given(v6);
		expect_out("eth gate > b1 / %s nat > b1 %s / tcp %u > %u S", ip(v6), hops(v6), port,
			   VPORT);
		expect_sent("nat_reply", "eth b1 > gate / %s b1 > nat / tcp %u > %u SA", ip(v6),
			    VPORT, port);
		expect_out("eth gate > b1 / %s shop > b1 %s / tcp %u > 1000 SA", ip(v6), hops(v6),
			   VPORT);
	}
}

/* ---- checksums ------------------------------------------------------------------------ */

static uint8_t *udp_check(struct frame *f)
{
	return f->b + 14 + 20 + 6;
}

static void udp_without_a_checksum(void **unused)
{
	(void)unused;
	begin("b1", 0);
	frame_printf(&in, "eth / ip4 client > shop / udp 1000 > %u / data 9", VPORT);
	memset(udp_check(&in), 0, 2);
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
	assert_memory_equal(udp_check(&run.out), "\0\0", 2);
}

/* All 65,536 sums that a datagram can have: what is 0 goes as 0xffff, and each one is right. */
static void every_udp_checksum(void **unused)
{
	unsigned port, ones = 0;

	(void)unused;
	begin("b1", 0);
	port = flow_begun(false, "client", 1000, true);
	for (unsigned word = 0; word < 65536; word += word % 8 ? 1 : 9) {
		struct frame out;

		frame_printf(&in, "eth / ip4 client > shop / udp 1000 > %u / data 2", VPORT);
		frame_printf(&out, "eth gate > b1 / ip4 nat > b1 ttl 63 / udp %u > %u / data 2",
			     port, VPORT);
		for (int i = 0; i < 2; i++) {
			struct frame *f = i ? &out : &in;
			uint8_t *data = f->b + f->bytes - 2;
			uint32_t sum = (uint32_t)(data[0] << 8 | data[1]);
			uint16_t check = (uint16_t)(udp_check(f)[0] << 8 | udp_check(f)[1]);

			/* The word takes the place of the data: RFC 1624, equation 3. */
			sum = (uint16_t)~check + (uint32_t)(uint16_t)~sum + word;
			sum = (sum & 0xffff) + (sum >> 16);
			sum = (sum & 0xffff) + (sum >> 16);
			check = (uint16_t)~sum;
			if (!check)
				check = 0xffff;
			data[0] = word >> 8;
			data[1] = word;
			udp_check(f)[0] = check >> 8;
			udp_check(f)[1] = check;
			ones += i && check == 0xffff;
		}
		assert_int_equal(bed_run(&in, 0, &run), 0);
		assert_memory_equal(run.out.b + 34, out.b + 34, 10);
	}
	assert_true(ones > 0);
}

/* ---- ICMP errors ---------------------------------------------------------------------- */

/* From the client's side, and from a router toward the backend; of both, the whole quote and
 * one of eight bytes. What was not quoted is not touched. */
static void errors_of_both_sides(void **unused)
{
	static const struct {
		const char *quote, *icmp4, *icmp6;
	} rows[] = {
		{"tcp %u > %u A / data 20", "icmp4 3 code 1", "icmp6 1"},
		{"tcp8 %u > %u", "icmp4 3 code 4 rest 1400", "icmp6 2 rest 1400"},
		{"udp %u > %u / data 12", "icmp4 11", "icmp6 3"},
	};

	(void)unused;
	for (int i = 0; i < 6; i++) {
		const char *icmp = i % 2 ? rows[i / 2].icmp6 : rows[i / 2].icmp4;
		bool v6 = i % 2, udp = i / 2 == 2;
		char quote[64];
		unsigned port;

		begin("b1", 8080);
		port = flow_begun(v6, "client", 1000, udp);
		snprintf(quote, sizeof(quote), rows[i / 2].quote, VPORT, 1000);
		expect_sent("icmp_forward", "eth / %s router > shop / %s / %s shop > client / %s",
			    ip(v6), icmp, ip(v6), quote);
		snprintf(quote, sizeof(quote), rows[i / 2].quote, 8080, port);
		expect_out("eth gate > b1 / %s nat > b1 %s / %s / %s b1 > nat / %s", ip(v6),
			   hops(v6), icmp, ip(v6), quote);

		snprintf(quote, sizeof(quote), rows[i / 2].quote, port, 8080);
		expect_sent("icmp_forward",
			    "eth b1 > gate / %s router > nat / %s / %s nat > b1 / %s", ip(v6), icmp,
			    ip(v6), quote);
		snprintf(quote, sizeof(quote), rows[i / 2].quote, 1000, VPORT);
		expect_out("eth gate > client / %s shop > client %s / %s / %s client > shop / %s",
			   ip(v6), hops(v6), icmp, ip(v6), quote);
	}
}

/* What they quote of RST and FIN ends no flow, of both sides. */
static void errors_end_no_flow(void **unused)
{
	unsigned port;

	(void)unused;
	begin("b1", 0);
	for (unsigned i = 0; i < PORTS; i++) {
		port = flow_begun(false, "client", 1000 + i, false);
		flow_opened(1000 + i, port);
	}
	for (const char *flags = "RFS"; *flags; flags++) {
		expect_sent("icmp_forward",
			    "eth / ip4 router > shop / icmp4 3 / ip4 shop > client / tcp %u > %u "
			    "%c",
			    VPORT, 1000 + PORTS - 1, *flags);
		expect_sent("icmp_forward",
			    "eth b1 > gate / ip4 router > nat / icmp4 3 / ip4 nat > b1 / "
			    "tcp %u > %u %c",
			    port, VPORT, *flags);
	}
	assert_int_equal(flow_begun(false, "client", 2000, false), 0);
	expect_sent("nat_reply", "eth b1 > gate / ip4 b1 > nat / tcp %u > %u A", VPORT, port);
}

/* ---- what there is no flow for -------------------------------------------------------- */

static void strangers(void **unused)
{
	static const struct {
		const char *frame, *reason;
	} rows[] = {
		{"eth / ip4 client > shop / tcp 1000 > 9000 A", "nat_unknown"},
		{"eth / ip4 client > shop / tcp 1000 > 9000 R", "nat_unknown"},
		{"eth / ip6 client > shop / tcp 1000 > 9000 SA", "nat_unknown"},
		{"eth / ip4 router > shop / icmp4 3 / ip4 shop > client / tcp8 9000 > 1000",
		 "icmp_quote"},
		/* The source is the host's own address, too. */
		{"eth / ip4 client > nat / tcp 9 > 22 S", "no_service"},
		{"eth / ip4 b1 > nat / tcp 9000 > 2001 A", "no_service"},
		{"eth / ip4 b1 > nat / udp 9000 > 2001", "no_service"},
		{"eth / ip4 b1 > nat / tcp 9000 > 1999 A", "no_service"},
		{"eth / ip4 b1 > nat / tcp 9000 > 2008 A", "no_service"},
		{"eth / ip4 client > nat mf / udp 9 > 2001 / data 8", "no_service"},
		{"eth / ip4 client > nat offset 4 proto 17 / data 8", "no_service"},
		{"eth / ip4 client > nat / icmp4 8", "no_service"},
		{"eth / ip6 client > nat / icmp6 128", "no_service"},
		{"eth / ip6 client > nat hop 255 / icmp6 135", "no_service"},
		{"eth / ip4 router > nat / icmp4 3 / ip4 nat > b1 / tcp8 2001 > 9000",
		 "no_service"},
		{"eth / ip4 router > nat ttl 1 / icmp4 3 / ip4 nat > lost / udp 40000 > 53",
		 "no_service"},
		{"eth / ip4 client > nat proto 89 / data 20", "no_service"},
	};

	(void)unused;
	begin("b1", 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(sent("%s", rows[i].frame), rows[i].reason);
}

/* An answer for another flow's port, of another backend, or from another port of it. */
static void answers_of_others(void **unused)
{
	unsigned port;

	(void)unused;
	begin("b1", 0);
	port = flow_begun(false, "client", 1000, false);
	expect_sent("no_service", "eth / ip4 b2 > nat / tcp %u > %u SA", VPORT, port);
	expect_sent("no_service", "eth / ip4 b1 > nat / tcp %u > %u SA", VPORT + 1, port);
	expect_sent("no_service", "eth / ip4 b1 > nat / udp %u > %u", VPORT, port);
	expect_sent("nat_reply", "eth / ip4 b1 > nat / tcp %u > %u SA", VPORT, port);
}

static void a_backend_that_went(void **unused)
{
	unsigned port;

	(void)unused;
	begin("b1", 0);
	port = flow_begun(false, "client", 1000, false);
	bed_backend(SHOP, "b2", false, 2, true);
	bed_mode(SHOP, SLUICE_MODE_nat);
	expect_sent("nat_unknown", "eth / ip4 client > shop / tcp 1000 > %u A", VPORT);
	expect_sent("no_service", "eth / ip4 b1 > nat / tcp %u > %u A", VPORT, port);
	expect_sent("forward", "eth / ip4 client > shop / tcp 1000 > %u S", VPORT);
	expect_out("eth gate > b2 / ip4 nat > b2 ttl 63 / tcp %u > %u S", port_given(false), VPORT);
}

/* ---- ports run out -------------------------------------------------------------------- */

/* To one backend as many as there are ports, none twice; to another as many again. */
static void a_port_for_each(void **unused)
{
	unsigned met = 0;

	(void)unused;
	begin("b1", 0);
	for (unsigned i = 0; i < PORTS; i++) {
		unsigned port = flow_begun(false, "client", 1000 + i, false);

		assert_false(met & 1U << (port - BED_NAT_FIRST));
		met |= 1U << (port - BED_NAT_FIRST);
		flow_opened(1000 + i, port);
	}
	assert_int_equal(flow_begun(false, "client", 2000, false), 0);
	assert_int_not_equal(flow_begun(false, "client", 2000, true), 0); /* UDP has its own */
	assert_int_not_equal(flow_begun(true, "client", 2000, false), 0); /* and IPv6 */
	bed_nat_service(SHOP, false, VPORT, "b2", 0);
	assert_int_not_equal(flow_begun(false, "client", 2000, false), 0);
}

/* Flows that are only begun make room for others, open ones do not: not for a flood of SYNs,
 * nor for one whose senders guess that they were answered. */
static void a_flood_takes_from_itself(void **unused)
{
	unsigned port, kept;

	(void)unused;
	begin("b1", 0);
	kept = flow_begun(false, "client", 1000, false);
	flow_opened(1000, kept);
	for (unsigned i = 0; i < 400; i++) {
		char client[16];

		snprintf(client, sizeof(client), "172.16.8.%u", i % 200 + 1);
		port = flow_begun(false, client, 5000 + i, false);
		assert_int_not_equal(port, 0);
		assert_int_not_equal(port, kept);
		expect_sent("nat_reply", "eth b1 > gate / ip4 b1 > nat / tcp %u > %u SA", VPORT,
			    port);
		frame_printf(&in, "eth / ip4 %s > shop / tcp %u > %u A", client, 5000 + i, VPORT);
		tcp_word(ACK, 77); /* a guess */
		assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
	}
	expect_sent("nat_reply", "eth b1 > gate / ip4 b1 > nat / tcp %u > %u A", VPORT, kept);
	expect_out("eth gate > client / ip4 shop > client ttl 63 / tcp %u > 1000 A", VPORT);
}

/* After both have said goodbye the place is for others; a client may use its port again. */
static void flows_that_end(void **unused)
{
	unsigned port;

	(void)unused;
	begin("b1", 0);
	for (unsigned i = 0; i < PORTS; i++) {
		port = flow_begun(false, "client", 1000 + i, false);
		flow_opened(1000 + i, port);
	}
	assert_int_equal(flow_begun(false, "client", 2000, false), 0);
	expect_sent("forward", "eth / ip4 client > shop / tcp %u > %u FA", 1000 + PORTS - 1, VPORT);
	assert_int_equal(flow_begun(false, "client", 2000, false), 0);
	expect_sent("nat_reply", "eth b1 > gate / ip4 b1 > nat / tcp %u > %u FA", VPORT, port);
	/* What is left of the goodbye goes its way. */
	expect_sent("forward", "eth / ip4 client > shop / tcp %u > %u A", 1000 + PORTS - 1, VPORT);
	assert_int_equal(flow_begun(false, "client", 2000, false), port);
	expect_sent("nat_unknown", "eth / ip4 client > shop / tcp %u > %u A", 1000 + PORTS - 1,
		    VPORT);
}

/* Sets the stamps of all flows so many seconds back. */
static void grow_old(unsigned seconds, unsigned hz)
{
	struct sluice_nat_port port;

	for (uint32_t i = 0; i < 2 * PORTS; i++) {
		assert_int_equal(bpf_map_lookup_elem(bed_map("nat"), &i, &port), 0);
		for (int way = 0; way < SLUICE_NAT_WAYS; way++)
			port.way[way].stamp -= seconds * hz;
		assert_int_equal(bpf_map_update_elem(bed_map("nat"), &i, &port, BPF_ANY), 0);
	}
}

static void flows_that_are_silent(void **unused)
{
	(void)unused;
	begin("b1", 0);
	for (unsigned i = 0; i < PORTS; i++)
		flow_opened(1000 + i, flow_begun(false, "client", 1000 + i, false));
	grow_old(7200, 250);
	assert_int_equal(flow_begun(false, "client", 2000, false), 0);
	grow_old(300, 250);
	assert_int_not_equal(flow_begun(false, "client", 2000, false), 0);
}

/* ---- size ----------------------------------------------------------------------------- */

static void answers_that_are_too_big(void **unused)
{
	unsigned port;

	(void)unused;
	begin("b1", 0);
	port = flow_begun(false, "far", 1000, true);
	expect_sent("too_big_told", "eth b1 > gate / ip4 b1 > nat df / udp %u > %u / data 1300",
		    VPORT, port);
	frame_parse(&wanted, "eth gate > b1 / ip4 nat > b1 / icmp4 3 code 4 / data 128");
	assert_memory_equal(run.out.b, wanted.b, 34);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flow_both_ways),
		cmocka_unit_test(by_another_interface),
		cmocka_unit_test(hairpin),
		cmocka_unit_test(udp_without_a_checksum),
		cmocka_unit_test(every_udp_checksum),
		cmocka_unit_test(errors_of_both_sides),
		cmocka_unit_test(errors_end_no_flow),
		cmocka_unit_test(strangers),
		cmocka_unit_test(answers_of_others),
		cmocka_unit_test(a_backend_that_went),
		cmocka_unit_test(a_port_for_each),
		cmocka_unit_test(a_flood_takes_from_itself),
		cmocka_unit_test(flows_that_end),
		cmocka_unit_test(flows_that_are_silent),
		cmocka_unit_test(answers_that_are_too_big),
	};

	return scenes_main("gate: nat",
			   &(struct bed_tuning){.conn_rate = 100000, .nat_ports = PORTS}, NULL, 0,
			   tests, sizeof(tests) / sizeof(tests[0]));
}
