// SPDX-License-Identifier: BSD-2-Clause
/* See site.h. */
#include "site.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/addr.h"

#define FLOOD_NS 3600000000000ULL

static int listener = -1;

void site_sysctl(const char *name, const char *value)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(write(fd, value, strlen(value)) > 0);
	close(fd);
}

/* The addresses come from the bed's namespace, which the process is in. */
static void addresses(void)
{
	FILE *ip = popen("ip -batch -", "w");

	assert_non_null(ip);
	fputs("addr add 198.51.100.20/32 dev lo\naddr add 2001:db8:51::20/128 dev lo nodad\n", ip);
	assert_int_equal(pclose(ip), 0);
}

void site_open(void)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
	const int no = 0, yes = 1;

	addresses();
	site_sysctl("tcp_syncookies", "2");
	site_sysctl("tcp_timestamps", "2");
	listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(listener >= 0);
	assert_int_equal(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)), 0);
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(listener, 16), 0);
}

void site_close(void)
{
	close(listener);
	listener = -1;
}

void site_syncookie(enum sluice_syncookie mode, uint32_t rate)
{
	const struct sluice_service value = {
		.id = BED_L7, .kind = SLUICE_L7, .syncookie = mode, .syn_rate = rate};

	for (int v6 = 0; v6 < 2; v6++) {
		const struct sluice_vip key = {
			.addr = frame_addr("site", v6), .port = htons(443), .proto = IPPROTO_TCP};

		assert_int_equal(bpf_map_update_elem(bed_map("vips"), &key, &value, BPF_ANY), 0);
	}
	memset(bed.counters->syns, 0, sizeof(bed.counters->syns));
}

void site_says(bool timestamp, bool sack, bool scale)
{
	const struct sluice_cookies c = {
		.mss = {SITE_MSS4, SITE_MSS6},
		.timestamp = timestamp,
		.sack = sack,
		.scale = scale ? SITE_SCALE + 1 : 0,
	};
	const __u32 zero = 0;

	assert_int_equal(bpf_map_update_elem(bed_map("cookies"), &zero, &c, BPF_ANY), 0);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

void site_flooded(bool yes)
{
	bed.counters->syns[BED_L7].until_ns = yes ? now_ns() + FLOOD_NS : 0;
}

void site_hold(void)
{
	bed.counters->syns[BED_L7].start_ns = now_ns();
}

int site_connect(bool v6, struct sluice_flow *flow)
{
	const char *vip = v6 ? "2001:db8:51::20" : "198.51.100.20";
	struct sockaddr_storage to, from;
	struct endpoint ep = {.port = 443}, own;
	socklen_t len = sizeof(from), to_len;
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && addr_parse(&ep.addr, vip));
	to_len = endpoint_to_sockaddr(&ep, &to);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, to_len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&from, &len), 0);
	assert_true(endpoint_from_sockaddr(&own, (struct sockaddr *)&from));
	*flow = (struct sluice_flow){.src = own.addr,
				     .dst = ep.addr,
				     .sport = htons(own.port),
				     .dport = htons(443),
				     .proto = IPPROTO_TCP};
	return fd;
}
