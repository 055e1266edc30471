// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

int host_ns, client_ns;

static int run(const char *fmt, ...)
{
	char command[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	return system(command);
}

int hosts_enter(int ns)
{
	return setns(ns, CLONE_NEWNET);
}

int hosts_namespace(void)
{
	return unshare(CLONE_NEWNET) == 0 && run("ip link set lo up") == 0
		       ? open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)
		       : -1;
}

/* client 10.9.0.2 fd09::2 --veth-- 10.9.0.1 fd09::1 host, whose VIPs are local routes. */
int hosts_make(void)
{
	static const char *const host[] = {
		"ip address add 10.9.0.1/24 dev h0",
		"ip address add fd09::1/64 dev h0 nodad",
		"ip link set h0 up",
		"ip route add local " VIP4 " dev lo table local",
		"ip route add local " PORTS4 " dev lo table local",
		"ip -6 route add local " VIP6 " dev lo table local",
	};
	static const char *const client[] = {
		"ip address add 10.9.0.2/24 dev c0",
		"ip address add fd09::2/64 dev c0 nodad",
		"ip link set c0 up",
		"ip route add 198.51.100.0/24 via 10.9.0.1",
		"ip route add 2001:db8:51::/48 via fd09::1",
	};
	int rc;

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") != 0) {
		perror("a mount namespace of its own with bpffs (needs root)");
		return -1;
	}
	client_ns = hosts_namespace();
	host_ns = hosts_namespace();
	if (client_ns < 0 || host_ns < 0) {
		perror("network namespaces of its own (needs root)");
		return -1;
	}
	rc = run("ip link add h0 type veth peer name c0 netns /proc/%d/fd/%d", (int)getpid(),
		 client_ns);
	for (size_t i = 0; rc == 0 && i < sizeof(host) / sizeof(host[0]); i++)
		rc = run("%s", host[i]);
	rc = rc ? rc : hosts_enter(client_ns);
	for (size_t i = 0; rc == 0 && i < sizeof(client) / sizeof(client[0]); i++)
		rc = run("%s", client[i]);
	return rc ? rc : hosts_enter(host_ns);
}

struct endpoint hosts_endpoint(const char *ip, uint16_t port)
{
	struct endpoint ep = {.port = port};

	assert_true(addr_parse(&ep.addr, ip));
	return ep;
}

/* A connection from the namespace `ns`; -errno when it is refused. */
int hosts_connect(int ns, const char *ip, uint16_t port)
{
	const struct timeval limit = {.tv_sec = HOSTS_WAIT_MS / 1000};
	const struct endpoint to = hosts_endpoint(ip, port);
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&to, &ss);
	int fd, rc;

	assert_int_equal(hosts_enter(ns), 0);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(hosts_enter(host_ns), 0);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	rc = connect(fd, (struct sockaddr *)&ss, len) == 0 ? 0 : -errno;
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

void hosts_await(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, HOSTS_WAIT_MS), 1);
}

static struct endpoint name_of(int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint ep;

	assert_int_equal(ask(fd, (struct sockaddr *)&ss, &len), 0);
	assert_true(endpoint_from_sockaddr(&ep, (struct sockaddr *)&ss));
	return ep;
}

static int local_name(int fd, struct sockaddr *sa, socklen_t *len)
{
	return getsockname(fd, sa, len);
}

static int peer_name(int fd, struct sockaddr *sa, socklen_t *len)
{
	return getpeername(fd, sa, len);
}

struct endpoint hosts_local(int fd)
{
	return name_of(fd, local_name);
}

struct endpoint hosts_peer(int fd)
{
	return name_of(fd, peer_name);
}
