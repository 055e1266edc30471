// SPDX-License-Identifier: BSD-2-Clause
/*
 * Steering with real connections: a host with VIPs, the daemon's listening sockets (made by
 * listeners.c) and a client, which is the host itself or sits behind a veth pair. All in
 * namespaces of this test's own. Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "daemon/listeners.h"
#include "hosts.h"
#include "l4/chatter.h"
#include "l4/load.h"
#include "l4/steer.h"
#include "sluice/flow_hash.h"

#define THREADS 4

static struct gate gate;
static struct listeners listeners;
static struct err err;

/* ---- the stage ------------------------------------------------------------------------ */

static void add_vip(const char *ip, uint16_t port, uint8_t proto, __u32 kind)
{
	const struct sluice_vip key = {
		.addr = hosts_endpoint(ip, 0).addr, .port = htons(port), .proto = proto};
	const struct sluice_service value = {.id = 1, .kind = kind};

	assert_int_equal(bpf_map_update_elem(gate.vips, &key, &value, BPF_ANY), 0);
}

static void open_listeners(struct listeners *l, unsigned threads)
{
	static struct conf_listen listen = {.proto = IPPROTO_TCP};
	static struct conf_service service = {
		.kind = SLUICE_L7, .listens = &listen, .n_listens = 1};
	static const struct conf conf = {.path = "test", .services = &service, .n_services = 1};

	listen.endpoint = hosts_endpoint(VIP4, 80);
	if (listeners_open(l, &conf, threads, true, NULL, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(l->n, threads);
	assert_int_equal(l->n_steered, threads);
}

static void publish(const struct listeners *l, unsigned n)
{
	int fds[THREADS];

	for (unsigned i = 0; i < n; i++)
		fds[i] = l->items[i].fd;
	if (steer_publish(&gate, fds, n, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(steer_holds(&gate, fds, n));
}

static int setup_group(void **unused)
{
	(void)unused;
	chatter_catch();
	return hosts_make();
}

static int complain(void)
{
	struct err e;

	fprintf(stderr, "%s\n", err.text);
	chatter_print(stderr);
	gate_close(&gate);
	load_unpin(&e);
	return -1;
}

static int setup_pins(void **unused)
{
	static const struct load_tuning tuning = {.max_conns = 1024};
	struct load_sizes sizes;
	bool made;

	(void)unused;
	if (load_maps(&tuning, &made, &sizes, &err) == 0 && gate_open(&gate, &err) == 0)
		return 0;
	return complain();
}

/* The VIPs served on port 80 and PORTS4 on all but 25, which is l4's; four threads. */
static int setup(void **state)
{
	if (setup_pins(state) != 0)
		return -1;
	add_vip(VIP4, 80, IPPROTO_TCP, SLUICE_L7);
	add_vip(VIP6, 80, IPPROTO_TCP, SLUICE_L7);
	add_vip(PORTS4, 0, IPPROTO_TCP, SLUICE_L7);
	add_vip(PORTS4, 25, IPPROTO_TCP, SLUICE_L4);
	if (steer_attach(&err) != 0)
		return complain();
	open_listeners(&listeners, THREADS);
	publish(&listeners, THREADS);
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	listeners_close(&listeners);
	gate_close(&gate);
	return load_unpin(&err);
}

/* ---- actors --------------------------------------------------------------------------- */

/* The thread whose socket has a connection waiting; its connection is in *conn. */
static unsigned accept_any(const struct listeners *l, int *conn)
{
	struct pollfd p[THREADS];

	for (unsigned i = 0; i < l->n; i++)
		p[i] = (struct pollfd){.fd = l->items[i].fd, .events = POLLIN};
	assert_int_equal(poll(p, l->n, HOSTS_WAIT_MS), 1);
	for (unsigned i = 0; i < l->n; i++) {
		if (!p[i].revents)
			continue;
		*conn = accept4(p[i].fd, NULL, NULL, SOCK_CLOEXEC);
		assert_true(*conn >= 0);
		return l->items[i].thread;
	}
	return THREADS;
}

static void assert_endpoint(struct endpoint ep, const char *ip, uint16_t port)
{
	char text[ENDPOINT_TEXT], want[ENDPOINT_TEXT];
	const struct endpoint wanted = hosts_endpoint(ip, port);

	assert_string_equal(endpoint_format(&ep, text), endpoint_format(&wanted, want));
}

/* Connects, is taken by one of the threads under the address that was asked for, and bytes
 * go both ways. */
static unsigned assert_served(int ns, const char *ip, uint16_t port)
{
	int fd = hosts_connect(ns, ip, port), conn;
	unsigned thread;
	char byte = 0;

	if (fd < 0)
		fail_msg("%s port %u: %s", ip, port, strerror(-fd));
	thread = accept_any(&listeners, &conn);
	assert_endpoint(hosts_local(conn), ip, port);
	assert_int_equal(write(fd, "a", 1), 1);
	assert_int_equal(read(conn, &byte, 1), 1);
	assert_int_equal(byte, 'a');
	assert_int_equal(write(conn, "b", 1), 1);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'b');
	close(fd);
	close(conn);
	return thread;
}

static void assert_refused(int ns, const char *ip, uint16_t port)
{
	assert_int_equal(hosts_connect(ns, ip, port), -ECONNREFUSED);
}

/* ---- who gets what -------------------------------------------------------------------- */

static void test_one_socket_takes_both_families(void **unused)
{
	struct listeners one;

	(void)unused;
	listeners_close(&listeners);
	open_listeners(&one, 1);
	listeners = one; /* teardown closes it */
	publish(&listeners, 1);
	assert_int_equal(steer_taken(&gate), 1);
	assert_int_equal(assert_served(host_ns, VIP4, 80), 0);
	assert_int_equal(assert_served(host_ns, VIP6, 80), 0);
}

static void test_from_another_host(void **unused)
{
	int fd, conn;

	(void)unused;
	assert_served(client_ns, VIP4, 80);
	assert_served(client_ns, VIP6, 80);
	fd = hosts_connect(client_ns, VIP6, 80);
	accept_any(&listeners, &conn);
	assert_endpoint(hosts_peer(conn), "fd09::2", hosts_local(fd).port);
	close(conn);
	close(fd);
}

static void test_every_port_of_a_vip(void **unused)
{
	(void)unused;
	assert_served(client_ns, PORTS4, 1);
	assert_served(client_ns, PORTS4, 80);
	assert_served(host_ns, PORTS4, 65535);
}

static void test_a_port_of_its_own_wins_over_every_port(void **unused)
{
	(void)unused;
	assert_refused(client_ns, PORTS4, 25);
}

static int ordinary_socket(const char *ip, int type, struct endpoint *at)
{
	struct endpoint any = hosts_endpoint(ip, 0);
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&any, &ss);
	int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	*at = hosts_local(fd);
	return fd;
}

static void test_foreign_addresses_and_ports_are_left_alone(void **unused)
{
	/* VIP6 is local by a route alone, which IPv6 does not let anybody bind to. */
	static const char *const ips[] = {"127.0.0.1", "::1", "10.9.0.1", "fd09::1", VIP4};

	(void)unused;
	assert_refused(client_ns, VIP4, 81);
	assert_refused(client_ns, VIP6, 443);
	assert_refused(client_ns, "10.9.0.1", 80);
	for (size_t i = 0; i < sizeof(ips) / sizeof(ips[0]); i++) {
		struct endpoint at;
		int own = ordinary_socket(ips[i], SOCK_STREAM, &at);
		int fd = hosts_connect(host_ns, ips[i], at.port), conn;

		assert_true(fd >= 0);
		hosts_await(own);
		conn = accept(own, NULL, NULL);
		assert_true(conn >= 0);
		close(conn);
		close(fd);
		close(own);
	}
}

static void test_udp_is_left_alone(void **unused)
{
	struct endpoint at;
	int own = ordinary_socket(PORTS4, SOCK_DGRAM, &at), fd;
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&at, &ss);

	(void)unused;
	add_vip(PORTS4, 0, IPPROTO_UDP, SLUICE_L7);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&ss, len), 1);
	hosts_await(own);
	close(fd);
	close(own);
}

/* ---- which socket --------------------------------------------------------------------- */

static unsigned slot_of(int fd, unsigned n)
{
	const struct endpoint from = hosts_local(fd), to = hosts_peer(fd);
	const struct sluice_flow flow = {.src = from.addr,
					 .dst = to.addr,
					 .sport = htons(from.port),
					 .dport = htons(to.port),
					 .proto = IPPROTO_TCP};

	return sluice_slot(sluice_flow_hash(&flow), n);
}

static void spread(const char *ip, unsigned *taken)
{
	for (int i = 0; i < 200; i++) {
		int fd = hosts_connect(client_ns, ip, 80), conn;
		unsigned thread;

		assert_true(fd >= 0);
		thread = accept_any(&listeners, &conn);
		assert_int_equal(thread, slot_of(fd, THREADS));
		taken[thread]++;
		close(conn);
		close(fd);
	}
}

/* 400 flows over 4: a share below 50 has a chance of about 1 in 10^8. */
static void test_flows_are_spread_by_their_hash(void **unused)
{
	unsigned taken[THREADS] = {0};

	(void)unused;
	spread(VIP4, taken);
	spread(VIP6, taken);
	for (unsigned i = 0; i < THREADS; i++)
		assert_true(taken[i] > 50);
}

static void close_one(unsigned i)
{
	close(listeners.items[i].fd);
	/* A place holder: the struct still owns a descriptor there. */
	listeners.items[i].fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void test_a_closed_socket_is_passed_over(void **unused)
{
	(void)unused;
	close_one(1);
	assert_int_equal(steer_taken(&gate), THREADS - 1);
	for (int i = 0; i < 40; i++) {
		int fd = hosts_connect(client_ns, VIP4, 80), conn;
		unsigned slot, want;

		assert_true(fd >= 0);
		slot = slot_of(fd, THREADS);
		want = slot == 1 ? 2 : slot;
		hosts_await(listeners.items[want].fd);
		conn = accept(listeners.items[want].fd, NULL, NULL);
		assert_true(conn >= 0);
		close(conn);
		close(fd);
	}
}

static void test_without_any_socket_clients_are_refused_at_once(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < THREADS; i++)
		close_one(i);
	assert_int_equal(steer_taken(&gate), 0);
	assert_refused(client_ns, VIP4, 80);
	assert_refused(client_ns, VIP6, 80);
}

static void test_published_again_with_fewer_sockets(void **unused)
{
	struct listeners next;

	(void)unused;
	open_listeners(&next, 2);
	publish(&next, 2);
	assert_int_equal(steer_taken(&gate), 2);
	/* The old ones are open still, and get nothing new. */
	for (int i = 0; i < 20; i++) {
		int fd = hosts_connect(client_ns, VIP4, 80), conn;

		assert_true(fd >= 0);
		assert_true(accept_any(&next, &conn) < 2);
		close(conn);
		close(fd);
	}
	listeners_close(&listeners);
	listeners = next;
	publish(&listeners, 0);
	assert_int_equal(steer_taken(&gate), 0);
	assert_refused(client_ns, VIP4, 80);
}

static void test_what_waits_in_a_queue_survives_withdrawal(void **unused)
{
	int fd = hosts_connect(client_ns, VIP4, 80), conn;

	(void)unused;
	assert_true(fd >= 0);
	publish(&listeners, 0);
	accept_any(&listeners, &conn);
	assert_int_equal(write(conn, "x", 1), 1);
	hosts_await(fd);
	close(conn);
	close(fd);
}

static void test_more_sockets_than_slots_are_refused(void **unused)
{
	static int fds[SLUICE_MAX_WORKERS + 1];

	(void)unused;
	assert_int_equal(steer_publish(&gate, fds, SLUICE_MAX_WORKERS + 1, &err), -E2BIG);
	assert_int_equal(steer_taken(&gate), THREADS);
}

/* ---- the program's life --------------------------------------------------------------- */

static __u32 link_program(__u32 *link_id)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);
	int fd = bpf_obj_get(SLUICE_PIN_DIR "/steer_link");

	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	*link_id = info.id;
	return info.prog_id;
}

static void test_attached_again_replaces_within_the_link(void **unused)
{
	__u32 link_before, link_after, before = link_program(&link_before), after;

	(void)unused;
	assert_int_equal(steer_attach(&err), 0);
	after = link_program(&link_after);
	assert_int_equal(link_before, link_after);
	assert_int_not_equal(before, after);
	assert_served(client_ns, VIP4, 80);
}

static void test_detached_nothing_is_steered(void **unused)
{
	(void)unused;
	assert_true(steer_attached());
	assert_int_equal(steer_detach(&err), 0);
	assert_false(steer_attached());
	assert_refused(host_ns, VIP4, 80);
	assert_int_equal(steer_detach(&err), 0);
	assert_int_equal(steer_attach(&err), 0);
	assert_served(host_ns, VIP4, 80);
}

static unsigned count_pins(void)
{
	DIR *dir = opendir(SLUICE_PIN_DIR);
	unsigned n = 0;

	assert_non_null(dir);
	for (struct dirent *d; (d = readdir(dir)) != NULL;)
		n += d->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Only the three maps that it reads, and those of the gate: none of its own. */
static void test_steering_uses_the_gate_s_maps(void **unused)
{
	__u32 ids[8], len, link_id, prog_id, wanted[3] = {0};
	const int maps[3] = {gate.vips, gate.meta, gate.workers};
	struct bpf_prog_info info = {.nr_map_ids = 8, .map_ids = (__u64)(uintptr_t)ids};
	unsigned gate_pins = 0;
	int fd;

	(void)unused;
#define X(name) gate_pins++;
	GATE_MAPS(X)
#undef X
	assert_int_equal(count_pins(), gate_pins + 2);
	prog_id = link_program(&link_id);
	fd = bpf_prog_get_fd_by_id(prog_id);
	len = sizeof(info);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	assert_int_equal(info.nr_map_ids, 3);
	for (int i = 0; i < 3; i++) {
		struct bpf_map_info map = {0};

		len = sizeof(map);
		assert_int_equal(bpf_obj_get_info_by_fd(maps[i], &map, &len), 0);
		wanted[i] = map.id;
	}
	for (int i = 0; i < 3; i++)
		assert_true(ids[i] == wanted[0] || ids[i] == wanted[1] || ids[i] == wanted[2]);
}

static void test_another_namespace_on_the_same_pins_is_refused(void **unused)
{
	(void)unused;
	assert_int_equal(hosts_enter(client_ns), 0);
	assert_false(steer_attached());
	assert_int_equal(steer_attach(&err), -EBUSY);
	assert_int_equal(hosts_enter(host_ns), 0);
	assert_non_null(strstr(err.text, "another network namespace"));
	assert_served(client_ns, VIP4, 80);
}

/* The kernel takes a namespace down in its own time. */
static void test_a_link_of_a_namespace_that_is_gone_is_replaced(void **unused)
{
	int ns, rc;

	(void)unused;
	assert_int_equal(steer_detach(&err), 0);
	ns = hosts_namespace();
	assert_true(ns >= 0);
	assert_int_equal(steer_attach(&err), 0);
	assert_int_equal(hosts_enter(host_ns), 0);
	close(ns);
	for (int i = 0; (rc = steer_attach(&err)) == -EBUSY && i < HOSTS_WAIT_MS / 10; i++)
		usleep(10000);
	assert_int_equal(rc, 0);
	assert_served(client_ns, VIP6, 80);
}

static void test_without_a_gate_there_is_nothing_to_steer(void **unused)
{
	(void)unused;
	assert_int_equal(steer_attach(&err), -ENOENT);
	assert_non_null(strstr(err.text, "sluice attach"));
	assert_false(steer_attached());
	assert_int_equal(steer_detach(&err), 0);
}

/* A VIP that the gate knows but that nobody has published sockets for. */
static void test_before_the_first_publication(void **unused)
{
	(void)unused;
	add_vip(VIP4, 80, IPPROTO_TCP, SLUICE_L7);
	assert_int_equal(steer_attach(&err), 0);
	assert_refused(client_ns, VIP4, 80);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(test_one_socket_takes_both_families),
		SCENE(test_from_another_host),
		SCENE(test_every_port_of_a_vip),
		SCENE(test_a_port_of_its_own_wins_over_every_port),
		SCENE(test_foreign_addresses_and_ports_are_left_alone),
		SCENE(test_udp_is_left_alone),
		SCENE(test_flows_are_spread_by_their_hash),
		SCENE(test_a_closed_socket_is_passed_over),
		SCENE(test_without_any_socket_clients_are_refused_at_once),
		SCENE(test_published_again_with_fewer_sockets),
		SCENE(test_what_waits_in_a_queue_survives_withdrawal),
		SCENE(test_more_sockets_than_slots_are_refused),
		SCENE(test_attached_again_replaces_within_the_link),
		SCENE(test_detached_nothing_is_steered),
		SCENE(test_steering_uses_the_gate_s_maps),
		SCENE(test_another_namespace_on_the_same_pins_is_refused),
		SCENE(test_a_link_of_a_namespace_that_is_gone_is_replaced),
		cmocka_unit_test(test_without_a_gate_there_is_nothing_to_steer),
		cmocka_unit_test_setup_teardown(test_before_the_first_publication, setup_pins,
						teardown),
	};

	return cmocka_run_group_tests(tests, setup_group, NULL);
}
