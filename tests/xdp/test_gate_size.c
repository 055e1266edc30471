// SPDX-License-Identifier: BSD-2-Clause
/*
 * What packets say about how long others may be: the MSS of TCP, lowered to what a service says
 * wherever the option stands, and the sizes that ICMP errors name, raised to what every path
 * takes. Nothing else of a packet changes, and its checksum stays right, or as wrong as it was.
 */
#include "scene.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <bpf/bpf.h>

#define VPORT 9000 /* of nat */
#define MSS   1300 /* 0x514 */
enum { SHOP = BED_FREE, SHOP6 };

static struct frame in, wanted;
static struct run run;

static const char *ip(bool v6)
{
	return v6 ? "ip6" : "ip4";
}

static const char *hops(bool v6)
{
	return v6 ? "hop 63" : "ttl 63";
}

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

/* What left ends with this packet, whatever is before it. */
static void packet_out(const char *format, ...)
{
	char text[512];
	va_list args;
	uint32_t n;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	frame_parse(&wanted, text);
	n = wanted.bytes - 14;
	if (run.out.bytes > n && memcmp(run.out.b + run.out.bytes - n, wanted.b + 14, n) == 0)
		return;
	frame_dump("came out", &run.out);
	frame_dump("should have ended", &wanted);
	fail_msg("another packet came out than should");
}

/* ---- options ------------------------------------------------------------------------- */

#define NOPS36 "010101010101010101010101010101010101010101010101010101010101010101010101"
#define SAME   NULL

static const struct {
	const char *tcp, *out; /* flags and options */
} options[] = {
	{"S opt 020405b4", "S opt 02040514"},
	{"S opt 0204ffff", "S opt 02040514"},
	{"S opt 0101020405b40101", "S opt 0101020405140101"},
	{"S opt 01020405b4010101", "S opt 0102040514010101"}, /* at an odd place */
	{"S opt 010303070204ff000101", "S opt 01030307020405140101"},
	{"S opt 0402080a0102030405060708020405b4", "S opt 0402080a010203040506070802040514"},
	{"S opt " NOPS36 "020405b4", "S opt " NOPS36 "02040514"},
	{"S opt 020405b4020405b4", "S opt 020405b402040514"},   /* the last one counts */
	{"S opt 020405b4 words 15", "S opt 02040514 words 15"}, /* the packet ends before */
	{"SP opt 020405b4", "SP opt 02040514"},
	{"S", SAME},
	{"S opt 02040514", SAME}, /* as much, and less */
	{"S opt 02040200", SAME},
	{"S opt 02040000", SAME},
	{"S opt 00020405b4000000", SAME}, /* behind the end of the list */
	{"S opt 0203ff0100000000", SAME}, /* of another length */
	{"S opt 0205ffff00000000", SAME},
	{"S opt 0200ffff00000000", SAME},
	{"S opt 0300020405b40000", SAME}, /* behind an option that has none */
	{"S opt 0301020405b40000", SAME},
	{"S opt 03ff020405b40000", SAME}, /* or one that goes on too far */
	{"S opt 01010102", SAME},         /* cut off */
	{"S opt 01010204", SAME},
	{"S opt 010204ff", SAME},
	{"S opt 020405b4 words 5", SAME}, /* that is data */
	{"S opt 020405b4 words 0", SAME},
	{"A opt 020405b4", SAME}, /* says nothing but in a SYN */
	{"SA opt 020405b4", SAME},
	{"R opt 020405b4", SAME},
};

static void options_of_every_layout(void **unused)
{
	static const enum sluice_mode modes[] = {SLUICE_MODE_ipip, SLUICE_MODE_gue, SLUICE_MODE_l2};

	(void)unused;
	for (size_t i = 0; i < 6 * sizeof(options) / sizeof(options[0]); i++) {
		const char *tcp = options[i / 6].tcp, *out = options[i / 6].out ?: tcp;
		bool v6 = i % 2;

		bed_empty_conns();
		bed_mode(TO_B1, modes[i / 2 % 3]);
		bed_mss(TO_B1, MSS);
		assert_string_equal(sent("eth / vlan 5 / %s client > shop / tcp 1000 > 80 %s / "
					 "data 5",
					 ip(v6), tcp),
				    "forward");
		packet_out("eth / %s client > shop %s / tcp 1000 > 80 %s / data 5", ip(v6),
			   hops(v6), out);
	}
	bed_mode(TO_B1, SLUICE_MODE_ipip);
	bed_mss(TO_B1, 0);
}

/* A wrong checksum is not made right: who receives it must see that. */
static void a_wrong_checksum_stays_wrong(void **unused)
{
	(void)unused;
	bed_mss(TO_B1, MSS);
	frame_parse(&in, "eth / ip4 client > shop / tcp 1000 > 80 S opt 020405b4");
	in.b[14 + 20 + 16] ^= 1;
	assert_int_equal(scene_reason(&in, 0, &run), SLUICE_R_forward);
	frame_parse(&wanted, "eth / ip4 client > shop / tcp 1000 > 80 S opt 02040514");
	assert_int_not_equal(run.out.b[34 + 20 + 16] << 8 | run.out.b[34 + 20 + 17],
			     wanted.b[34 + 16] << 8 | wanted.b[34 + 17]);
	bed_mss(TO_B1, 0);
}

static void nothing_changes_where_nothing_is_said(void **unused)
{
	(void)unused;
	assert_string_equal(sent("eth / ip4 client > shop / tcp 1000 > 80 S opt 0204ffff"),
			    "forward");
	packet_out("eth / ip4 client > shop ttl 63 / tcp 1000 > 80 S opt 0204ffff");
	bed_mss(TO_B1, MSS);
	assert_string_equal(sent("eth / ip4 client > shop / udp 1000 > 80 / data 40"), "forward");
	packet_out("eth / ip4 client > shop ttl 63 / udp 1000 > 80 / data 40");
	bed_mss(TO_B1, 0);
	bed_empty_conns();
}

static uint32_t sum_of(const struct frame *f, uint32_t l3, uint32_t l4)
{
	return frame_sum(f->b + l4, f->bytes - l4,
			 frame_sum(f->b + l3 + 12, 8, IPPROTO_TCP + f->bytes - l4));
}

/* Each value that can be named, at an even and an odd place: the checksum that leaves is what a
 * sum over the whole segment says. */
static void every_value_and_every_checksum(void **unused)
{
	const uint32_t l4 = 14 + 20;

	(void)unused;
	bed_mss(TO_B1, MSS);
	for (uint32_t odd = 0; odd < 2; odd++) {
		uint8_t *value, *check;

		frame_parse(&in, odd ? "eth / ip4 client > shop / tcp 1000 > 80 S opt "
				       "0102040000010101"
				     : "eth / ip4 client > shop / tcp 1000 > 80 S opt 02040000");
		value = in.b + l4 + 22 + odd;
		check = in.b + l4 + 16;
		for (uint32_t mss = 0; mss < 65536; mss++) {
			uint32_t left, out = l4 + 20;
			uint16_t sum;

			value[0] = mss >> 8;
			value[1] = mss;
			check[0] = check[1] = 0;
			sum = ~sum_of(&in, 14, l4);
			check[0] = sum >> 8;
			check[1] = sum;
			assert_int_equal(bed_run(&in, 0, &run), 0);
			left = run.out.b[out + 22 + odd] << 8 | run.out.b[out + 23 + odd];
			assert_int_equal(left, mss < MSS ? mss : MSS);
			assert_int_equal(sum_of(&run.out, out - 20, out), 0xffff);
		}
	}
	bed_mss(TO_B1, 0);
}

/* ---- how much --------------------------------------------------------------------------- */

static bool tells_mtu(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	uname(&u);
	sscanf(u.release, "%d.%d", &major, &minor);
	return major > 5 || (major == 5 && minor >= 12);
}

static unsigned mss_left(bool v6, const char *host, bool host_v6, enum sluice_mode mode,
			 uint16_t mss)
{
	const uint8_t *end;

	bed_backend(TO_B1, host, host_v6, 1, true);
	bed_mode(TO_B1, mode);
	bed_mss(TO_B1, mss);
	bed_forwarding(true);
	assert_string_equal(sent("eth / %s client > shop / tcp 1000 > 80 S opt 0204ffff", ip(v6)),
			    "forward");
	end = run.out.b + run.out.bytes;
	bed_backend(TO_B1, "b1", false, 1, true);
	return (unsigned)(end[-2] << 8 | end[-1]);
}

/* The MTU of the way, less the tunnel and both headers; far's wire takes 1280. */
static void as_much_as_the_way_has_room_for(void **unused)
{
	const unsigned near = tells_mtu() ? 1500 : 1280, far = 1280;
	const uint16_t automatic = SLUICE_MSS_AUTO;

	(void)unused;
	assert_int_equal(mss_left(false, "b1", false, SLUICE_MODE_ipip, automatic), near - 60);
	assert_int_equal(mss_left(false, "b1", true, SLUICE_MODE_ipip, automatic), near - 80);
	assert_int_equal(mss_left(false, "b1", false, SLUICE_MODE_gue, automatic), near - 68);
	assert_int_equal(mss_left(false, "b1", true, SLUICE_MODE_gue, automatic), near - 88);
	assert_int_equal(mss_left(false, "b1", false, SLUICE_MODE_l2, automatic), near - 40);
	assert_int_equal(mss_left(false, "far", false, SLUICE_MODE_ipip, automatic), far - 60);
	assert_int_equal(mss_left(true, "b1", false, SLUICE_MODE_l2, automatic), near - 60);
	/* Less than that IPv6 is not meant for. */
	assert_int_equal(mss_left(true, "far", true, SLUICE_MODE_ipip, automatic), 1220);
}

static void no_less_than_every_host_takes(void **unused)
{
	(void)unused;
	assert_int_equal(mss_left(false, "b1", false, SLUICE_MODE_ipip, 536), 536);
	assert_int_equal(mss_left(false, "b1", false, SLUICE_MODE_ipip, 200), 536);
	assert_int_equal(mss_left(true, "b1", false, SLUICE_MODE_ipip, 600), 1220);
	assert_int_equal(mss_left(true, "b1", false, SLUICE_MODE_ipip, 1221), 1221);
}

/* A SYN that finds its flow in the connection table is one as well. */
static void of_flows_that_are_known(void **unused)
{
	(void)unused;
	bed_empty_conns();
	bed_mss(TO_B1, MSS);
	assert_string_equal(sent("eth / ip4 client > shop / tcp 1000 > 80 A"), "forward");
	assert_int_equal(bed_conns(), 1);
	assert_string_equal(sent("eth / ip4 client > shop / tcp 1000 > 80 S opt 020405b4"),
			    "forward");
	assert_int_equal(bed.counters->notices[SLUICE_N_conn_hit], 1);
	packet_out("eth / ip4 client > shop ttl 63 / tcp 1000 > 80 S opt 02040514");
	bed_mss(TO_B1, 0);
	bed_empty_conns();
}

/* ---- nat -------------------------------------------------------------------------------- */

static void nat_begin(const char *host, uint16_t mss)
{
	for (int v6 = 0; v6 < 2; v6++) {
		bed_nat_service(v6 ? SHOP6 : SHOP, v6, VPORT, host, 0);
		bed_mss(v6 ? SHOP6 : SHOP, mss);
	}
	bed_empty_nat();
	bed_forwarding(true);
}

/* A SYN of the client, and the backend's answer: what both have been told in the end. */
static void nat_opens(bool v6, const char *host, uint16_t mss, unsigned there, unsigned back)
{
	const uint8_t *l4;
	unsigned port;

	nat_begin(host, mss);
	assert_string_equal(
		sent("eth / %s client > shop / tcp 1000 > %u S opt 0204ffff", ip(v6), VPORT),
		"forward");
	l4 = run.out.b + 14 + (v6 ? 40 : 20);
	port = (unsigned)(l4[0] << 8 | l4[1]);
	packet_out("eth / %s nat > %s %s / tcp %u > %u S opt 0204%04x", ip(v6), host, hops(v6),
		   port, VPORT, there);
	assert_string_equal(sent("eth %s > %s / %s %s > nat / tcp %u > %u SA opt 010204ffff010101",
				 host, strcmp(host, "far") ? "gate" : "gate1", ip(v6), host, VPORT,
				 port),
			    "nat_reply");
	packet_out("eth / %s shop > client %s / tcp %u > 1000 SA opt 010204%04x010101", ip(v6),
		   hops(v6), VPORT, back);
	assert_string_equal(sent("eth %s > gate / %s %s > nat / tcp %u > %u A opt 0204ffff", "b1",
				 ip(v6), host, VPORT, port),
			    "nat_reply");
	packet_out("eth / %s shop > client %s / tcp %u > 1000 A opt 0204ffff", ip(v6), hops(v6),
		   VPORT);
}

static void nat_tells_both_sides(void **unused)
{
	const unsigned near = tells_mtu() ? 1500 : 1280;

	(void)unused;
	nat_opens(false, "b1", MSS, MSS, MSS);
	nat_opens(true, "b1", MSS, MSS, MSS);
	nat_opens(false, "b1", SLUICE_MSS_AUTO, near - 40, near - 40);
	nat_opens(true, "b1", SLUICE_MSS_AUTO, near - 60, near - 60);
	/* The narrower of both ways. */
	nat_opens(false, "far", SLUICE_MSS_AUTO, 1240, 1240);
	nat_opens(true, "far", SLUICE_MSS_AUTO, 1220, 1220);
	nat_opens(false, "b1", 0, 0xffff, 0xffff);
}

/* ---- what ICMP errors name -------------------------------------------------------------- */

static const struct {
	const char *icmp, *out;
} errors4[] =
	{
		{"icmp4 3 code 4 rest 68", "icmp4 3 code 4 rest 576"},
		{"icmp4 3 code 4 rest 1", "icmp4 3 code 4 rest 576"},
		{"icmp4 3 code 4 rest 575", "icmp4 3 code 4 rest 576"},
		{"icmp4 3 code 4 rest 0x12340044", "icmp4 3 code 4 rest 0x12340240"},
		{"icmp4 3 code 4 rest 0", SAME}, /* is not told */
		{"icmp4 3 code 4 rest 576", SAME},
		{"icmp4 3 code 4 rest 1400", SAME},
		{"icmp4 3 code 4 rest 0xffff", SAME},
		{"icmp4 3 code 1 rest 68", SAME},
		{"icmp4 11 code 4 rest 68", SAME},
},
  errors6[] = {
	  {"icmp6 2 rest 1", "icmp6 2 rest 1280"},
	  {"icmp6 2 rest 1279", "icmp6 2 rest 1280"},
	  {"icmp6 2 rest 0", SAME},
	  {"icmp6 2 rest 1280", SAME},
	  {"icmp6 2 rest 0x10000", SAME},
	  {"icmp6 2 rest 0xffffffff", SAME},
	  {"icmp6 1 rest 68", SAME},
	  {"icmp6 3 rest 68", SAME},
};

#define ERRORS4 (sizeof(errors4) / sizeof(errors4[0]))
#define ERRORS6 (sizeof(errors6) / sizeof(errors6[0]))

static void sizes_that_no_path_has(void **unused)
{
	(void)unused;
	bed_mss(TO_B1, MSS); /* means nothing to them */
	for (size_t i = 0; i < ERRORS4 + ERRORS6; i++) {
		bool v6 = i >= ERRORS4;
		const char *icmp = v6 ? errors6[i - ERRORS4].icmp : errors4[i].icmp;
		const char *out = v6 ? errors6[i - ERRORS4].out : errors4[i].out;

		assert_string_equal(sent("eth / %s router > shop / %s / %s shop > client / "
					 "tcp8 80 > 1000",
					 ip(v6), icmp, ip(v6)),
				    "icmp_forward");
		packet_out("eth / %s router > shop %s / %s / %s shop > client / tcp8 80 > 1000",
			   ip(v6), hops(v6), out ?: icmp, ip(v6));
	}
	bed_mss(TO_B1, 0);
}

/* Through nat, from both sides; the quote changes too. */
static void sizes_that_no_path_has_through_nat(void **unused)
{
	(void)unused;
	for (int v6 = 0; v6 < 2; v6++) {
		const char *icmp = v6 ? "icmp6 2 rest 68" : "icmp4 3 code 4 rest 68";
		const char *out = v6 ? "icmp6 2 rest 1280" : "icmp4 3 code 4 rest 576";
		const uint8_t *l4;
		unsigned port;

		nat_begin("b1", 0);
		assert_string_equal(sent("eth / %s client > shop / tcp 1000 > %u S", ip(v6), VPORT),
				    "forward");
		l4 = run.out.b + 14 + (v6 ? 40 : 20);
		port = (unsigned)(l4[0] << 8 | l4[1]);
		assert_string_equal(sent("eth / %s router > shop / %s / %s shop > client / "
					 "tcp8 %u > 1000",
					 ip(v6), icmp, ip(v6), VPORT),
				    "icmp_forward");
		packet_out("eth / %s nat > b1 %s / %s / %s b1 > nat / tcp8 %u > %u", ip(v6),
			   hops(v6), out, ip(v6), VPORT, port);
		assert_string_equal(sent("eth b1 > gate / %s router > nat / %s / %s nat > b1 / "
					 "tcp8 %u > %u",
					 ip(v6), icmp, ip(v6), port, VPORT),
				    "icmp_forward");
		packet_out("eth / %s shop > client %s / %s / %s client > shop / tcp8 1000 > %u",
			   ip(v6), hops(v6), out, ip(v6), VPORT);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_of_every_layout),
		cmocka_unit_test(a_wrong_checksum_stays_wrong),
		cmocka_unit_test(nothing_changes_where_nothing_is_said),
		cmocka_unit_test(every_value_and_every_checksum),
		cmocka_unit_test(as_much_as_the_way_has_room_for),
		cmocka_unit_test(no_less_than_every_host_takes),
		cmocka_unit_test(of_flows_that_are_known),
		cmocka_unit_test(nat_tells_both_sides),
		cmocka_unit_test(sizes_that_no_path_has),
		cmocka_unit_test(sizes_that_no_path_has_through_nat),
	};

	return scenes_main("gate: sizes", &(struct bed_tuning){.conn_rate = 100000, .nat_ports = 8},
			   NULL, 0, tests, sizeof(tests) / sizeof(tests[0]));
}
