// SPDX-License-Identifier: BSD-2-Clause
/* See bed.h. */
#include "bed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "base/addr.h"
#include "bed_nat.h"
#include "gate.skel.h"
#include "l4/arrays.h"
#include "l4/cookies.h"
#include "l4/rates.h"
#include "sluice/conn.h"

struct bed bed;

static struct gate_bpf *skel;
static size_t counters_bytes;
static uint32_t ingress_index;

/* What cannot fail unless the test or the machine is broken. */
#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #cond,              \
				strerror(errno));                                                  \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* ---- the network ---------------------------------------------------------------------- */

static void ip_batch(const char *text)
{
	FILE *ip = popen("ip -batch -", "w");

	MUST(ip);
	fputs(text, ip);
	MUST(pclose(ip) == 0);
}

static void write_file(const char *value, const char *format, const char *arg)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), format, arg);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	MUST(fd >= 0 && write(fd, value, strlen(value)) > 0);
	close(fd);
}

void bed_forwarding(bool on)
{
	memset(bed.counters->hops, 0, sizeof(bed.counters->hops));
	write_file(on ? "1" : "0", "/proc/sys/net/ipv4/conf/%s/forwarding", bed.ingress);
	write_file(on ? "1" : "0", "/proc/sys/net/ipv6/conf/%s/forwarding", bed.ingress);
}

/* The kernel raises a carrier a moment after `ip link` is done; IPv6 routes wait for it. */
static void await_running(const char *name)
{
	struct ifreq req = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	MUST(fd >= 0);
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	for (int i = 0; i < 10000; i++) {
		MUST(ioctl(fd, SIOCGIFFLAGS, &req) == 0);
		if (req.ifr_flags & IFF_RUNNING)
			break;
		usleep(1000);
	}
	MUST(req.ifr_flags & IFF_RUNNING);
	close(fd);
}

static void neighbours(void)
{
	char line[256];
	char text[4096] = "neigh add 10.83.0.98 dev gate0 nud failed\n"
			  "neigh add fd83::98 dev gate0 nud failed\n";

	for (const struct frame_host *h = frame_hosts; h->name; h++) {
		const char *dev = strncmp(h->v4, "10.84.", 6) == 0 ? "gate1" : "gate0";

		if (!h->mac || strncmp(h->name, "gate", 4) == 0)
			continue;
		snprintf(line, sizeof(line),
			 "neigh add %s lladdr 02:00:00:00:00:%02x dev %s nud permanent\n"
			 "neigh add %s lladdr 02:00:00:00:00:%02x dev %s nud permanent\n",
			 h->v4, h->mac, dev, h->v6, h->mac, dev);
		MUST(strlen(text) + strlen(line) < sizeof(text));
		strcat(text, line);
	}
	ip_batch(text);
}

static void network_make(void)
{
	ip_batch("link set lo up\n"
		 "link add gate0 address 02:00:00:00:00:02 type veth peer name wire0\n"
		 "link add gate1 address 02:00:00:00:00:03 type veth peer name wire1\n"
		 "link set gate1 mtu 1280\n"
		 "link set wire0 up\nlink set wire1 up\nlink set gate0 up\nlink set gate1 up\n");
	await_running("gate0");
	await_running("gate1");
	ip_batch("addr add 10.83.0.2/24 dev gate0\naddr add fd83::2/64 dev gate0 nodad\n"
		 "addr add 10.84.0.2/24 dev gate1\naddr add fd84::2/64 dev gate1 nodad\n");
	neighbours();
	ip_batch("route add 172.16.8.0/24 via 10.83.0.11\nroute add fd98::/64 via fd83::11\n");
}

/* ---- maps ----------------------------------------------------------------------------- */

int bed_map(const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(skel->obj, name);

	MUST(fd >= 0);
	return fd;
}

static void map_set(const char *name, const void *key, const void *value)
{
	MUST(bpf_map_update_elem(bed_map(name), key, value, BPF_ANY) == 0);
}

void bed_vip(const char *host, bool v6, uint16_t port, uint8_t proto, uint32_t service,
	     uint32_t kind)
{
	struct sluice_vip key = {.addr = frame_addr(host, v6), .port = htons(port), .proto = proto};
	struct sluice_service value = {.id = service, .kind = kind, .ring_size = 1};

	map_set("vips", &key, &value);
}

void bed_backend(uint32_t id, const char *host, bool v6, uint32_t generation, bool in_use)
{
	/* The source is the address of the interface that leads there. */
	bool far = strcmp(host, "far") == 0;
	struct sluice_backend b = {.addr = frame_addr(host, v6),
				   .src = frame_addr(far ? "gate1" : "gate", v6),
				   .generation = generation,
				   .service = in_use ? id : 0};

	map_set("backends", &id, &b);
}

void bed_mode(uint32_t id, enum sluice_mode mode)
{
	struct sluice_backend b;

	MUST(bpf_map_lookup_elem(bed_map("backends"), &id, &b) == 0);
	b.mode = mode;
	map_set("backends", &id, &b);
}

void bed_mss(uint32_t id, uint16_t mss)
{
	struct sluice_backend b;

	MUST(bpf_map_lookup_elem(bed_map("backends"), &id, &b) == 0);
	b.mss = mss;
	map_set("backends", &id, &b);
}

void bed_ring(uint32_t service, const uint32_t *table, uint32_t size)
{
	MUST(array_swap_in(bed_map("rings"), service, table, size) == 0);
}

void bed_filters(int byte)
{
	memset(bed.counters->filter_vips, byte, sizeof(bed.counters->filter_vips));
	memset(bed.counters->filter_l4, byte, sizeof(bed.counters->filter_l4));
}

unsigned bed_conns(void)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < bed.n_conns; i++)
		for (unsigned w = 0; w < SLUICE_CONN_WAYS; w++)
			n += bed.conns[i].way[w].word != 0;
	return n;
}

void bed_empty_conns(void)
{
	memset(bed.conns, 0, bed.n_conns * sizeof(*bed.conns));
}

void bed_empty_sources(void)
{
	memset(bed.sources, 0, bed.n_conns * sizeof(*bed.sources));
}

void bed_limit(uint32_t service, const struct sluice_limit *limit)
{
	struct sluice_limit entry = limit ? *limit : (struct sluice_limit){0};
	struct sluice_vip key, *prev = NULL;
	struct sluice_service s;

	if (limit)
		rates_masks(&entry);
	map_set("limits", &service, &entry);
	for (; bpf_map_get_next_key(bed_map("vips"), prev, &key) == 0; prev = &key) {
		MUST(bpf_map_lookup_elem(bed_map("vips"), &key, &s) == 0);
		s.limited = limit != NULL;
		if (s.id == service)
			map_set("vips", &key, &s);
	}
	bed_empty_sources();
}

/* ---- lists ---------------------------------------------------------------------------- */

static void list_one(const char *text, bool add)
{
	struct sluice_listed entry = {0};
	char list[8], prefix[64], when[16] = "", map[16];
	bool host_bits, v6;
	struct cidr cidr;
	struct timespec now;
	union {
		struct sluice_lpm4 v4;
		struct sluice_lpm6 v6;
	} key;

	MUST(sscanf(text, "%7s %63s %15s", list, prefix, when) >= 2);
	if (strcmp(list, "feed") == 0) {
		bed_feed(add ? prefix : NULL);
		return;
	}
	MUST(cidr_parse(&cidr, prefix, &host_bits));
	v6 = !addr_is_v4(&cidr.addr);
	MUST(v6 ? cidr_to_lpm6(&cidr, &key.v6) : cidr_to_lpm4(&cidr, &key.v4));
	clock_gettime(CLOCK_BOOTTIME, &now);
	if (strcmp(when, "expired") == 0)
		entry.expires_ns = 1;
	else if (strcmp(when, "later") == 0)
		entry.expires_ns = (now.tv_sec + 3600) * 1000000000ULL;
	snprintf(map, sizeof(map), "%s%c", list, v6 ? '6' : '4');
	if (add)
		map_set(map, &key, &entry);
	else
		MUST(bpf_map_delete_elem(bed_map(map), &key) == 0);
}

static void list_each (const char *text, bool add)
{
	char copy[512], *rest = copy, *one;

	MUST(strlen(text) < sizeof(copy));
	strcpy(copy, text);
	while ((one = strsep(&rest, ",")))
		list_one(one, add);
}

void bed_list(const char *text)
{
	list_each (text, true)
		;
}

void bed_unlist(const char *text)
{
	list_each (text, false)
		;
}

/* ---- services ------------------------------------------------------------------------- */

static void services_make(void)
{
	static const struct {
		uint32_t id;
		uint16_t port;
		const char *backend;
		int family;
	} rows[] = {
#define X(name, port, host, family) {name, port, host, family},
		BED_SERVICES(X)
#undef X
	};
	const uint32_t zero = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			bed_vip("shop", v6, rows[i].port, IPPROTO_TCP, rows[i].id, SLUICE_L4);
			bed_vip("shop", v6, rows[i].port, IPPROTO_UDP, rows[i].id, SLUICE_L4);
		}
		if (rows[i].backend)
			bed_backend(rows[i].id, rows[i].backend, rows[i].family == 6, 1,
				    rows[i].id != TO_GONE);
		if (rows[i].id != WITHOUT_RING)
			bed_ring(rows[i].id, rows[i].backend ? &rows[i].id : &zero, 1);
	}
	for (int v6 = 0; v6 < 2; v6++) {
		uint8_t icmp = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

		bed_vip("shop", v6, 0, icmp, 0, SLUICE_L4);
		bed_vip("site", v6, 0, icmp, 0, SLUICE_L7);
		bed_vip("site", v6, 443, IPPROTO_TCP, BED_L7, SLUICE_L7);
		bed_vip("mixed", v6, 0, icmp, 0, SLUICE_L4 | SLUICE_L7);
		bed_vip("mixed", v6, 80, IPPROTO_TCP, TO_B1, SLUICE_L4);
		bed_vip("mixed", v6, 443, IPPROTO_TCP, BED_L7, SLUICE_L7);
		bed_vip("every", v6, 0, icmp, 0, SLUICE_L4 | SLUICE_L7);
		bed_vip("every", v6, 0, IPPROTO_TCP, TO_B2, SLUICE_L4);
		bed_vip("every", v6, 443, IPPROTO_TCP, BED_L7, SLUICE_L7);
	}
}

/* Tunnels from the gate's own addresses are unwrapped, as a backend's host would. */
static void decap_make(void)
{
	const uint32_t one = 1;

	for (int v6 = 0; v6 < 2; v6++) {
		struct sluice_addr gate = frame_addr("gate", v6), gate1 = frame_addr("gate1", v6);

		map_set("decap_from", &gate, &one);
		map_set("decap_from", &gate1, &one);
	}
}

/* ---- running -------------------------------------------------------------------------- */

int bed_run(const struct frame *in, uint32_t meta, struct run *run)
{
	uint8_t bytes[256 + FRAME_MAX];
	struct xdp_md ctx = {
		.data = meta, .data_end = meta + in->bytes, .ingress_ifindex = ingress_index};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bytes, .data_size_in = meta + in->bytes,
		    .data_out = run->out.b, .data_size_out = sizeof(run->out.b));

	if (bed.same_wire) {
		opts.ctx_in = &ctx;
		opts.ctx_size_in = sizeof(ctx);
	}
	memset(bytes, 0, meta);
	memcpy(bytes + meta, in->b, in->bytes);
	if (bpf_prog_test_run_opts(bed.prog, &opts) != 0)
		return -errno;
	run->verdict = opts.retval;
	run->out.bytes = opts.data_size_out;
	return 0;
}

int bed_repeat(const struct frame *in, uint32_t times)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->b, .data_size_in = in->bytes,
		    .repeat = times);

	return bpf_prog_test_run_opts(bed.prog, &opts) == 0 ? 0 : -errno;
}

/* Linux before 5.14 cannot be told the interface; frames then come in by lo. */
static void ingress_find(void)
{
	struct frame arp;
	struct run run;

	frame_parse(&arp, "eth type 0x806 / data 28");
	bed.ingress = "gate0";
	bed.same_wire = true;
	ingress_index = if_nametoindex("gate0");
	if (bed_run(&arp, 0, &run) == 0)
		return;
	bed.ingress = "lo";
	bed.same_wire = false;
	MUST(bed_run(&arp, 0, &run) == 0);
}

/* ---- open and close ------------------------------------------------------------------- */

static int chatter(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static const char *gate_load(const struct bed_tuning *t)
{
	struct bpf_map *map;
	int rc;

	libbpf_set_print(chatter);
	skel = gate_bpf__open();
	MUST(skel);
	bpf_object__for_each_map(map, skel->obj) MUST(bpf_map__set_pin_path(map, NULL) == 0);
	MUST(bpf_map__set_max_entries(skel->maps.counters, libbpf_num_possible_cpus()) == 0);
	bed.n_conns = sluice_conn_buckets(t->max_conns ? t->max_conns : 4096);
	MUST(bpf_map__set_max_entries(skel->maps.conns, bed.n_conns) == 0);
	MUST(bpf_map__set_max_entries(skel->maps.conn_keys, bed.n_conns) == 0);
	MUST(bpf_map__set_max_entries(skel->maps.sources, bed.n_conns) == 0);
	skel->rodata->conn_buckets = bed.n_conns;
	skel->rodata->rate_lines = bed.n_conns;
	skel->rodata->rates_on = t->rates_on;
	skel->rodata->syncookies = cookies_possible();
	skel->rodata->conn_seed = BED_SEED;
	skel->rodata->conn_step_ms = BED_STEP_MS;
	skel->rodata->conn_rate = t->conn_rate;
	skel->rodata->event_step = SLUICE_EVENT_STEP(t->event_every);
	bed_nat_open(skel, t->nat_ports);
	rc = gate_bpf__load(skel);
	if (rc == -EPERM)
		return "the kernel refuses BPF programs here";
	MUST(rc == 0);
	bed.prog = bpf_program__fd(skel->progs.gate);
	return NULL;
}

/* Counters are read where the gate writes them; frames stay on one CPU so that there is one
 * element to look at. */
static void counters_open(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;
	void *map;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	MUST(sched_setaffinity(0, sizeof(set), &set) == 0);
	counters_bytes = (cpu + 1) * sizeof(struct sluice_counters);
	map = mmap(NULL, counters_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bed_map("counters"),
		   0);
	MUST(map != MAP_FAILED);
	bed.counters = (struct sluice_counters *)map + cpu;
	bed_filters(0xff);
	bed.conns = mmap(NULL, bed.n_conns * sizeof(*bed.conns), PROT_READ | PROT_WRITE, MAP_SHARED,
			 bed_map("conns"), 0);
	MUST(bed.conns != MAP_FAILED);
	bed.sources = mmap(NULL, bed.n_conns * sizeof(*bed.sources), PROT_READ | PROT_WRITE,
			   MAP_SHARED, bed_map("sources"), 0);
	MUST(bed.sources != MAP_FAILED);
}

const char *bed_open(const struct bed_tuning *t)
{
	const char *why;

	if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0)
		return "needs root";
	why = gate_load(t);
	if (why)
		return why;
	network_make();
	counters_open();
	services_make();
	decap_make();
	bed_nat_make(t->nat_ports);
	ingress_find();
	bed_forwarding(true);
	return NULL;
}

void bed_close(void)
{
	gate_bpf__destroy(skel);
	skel = NULL;
}
