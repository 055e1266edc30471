// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice flow`. flow_ask() is the gate's corridor from the lists to the choice of a
 * backend (bpf/guard.h, bpf/balance.h) in the same order, over the same maps, with the same
 * hash; tests run both on the same flows.
 */
#include "ctl/flow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <jansson.h>

#include "ctl/ctl.h"
#include "ctl/lists.h"
#include "ctl/named.h"
#include "ctl/status.h"
#include "l4/arrays.h"
#include "l4/before.h"
#include "l4/chatter.h"
#include "l4/conns.h"
#include "l4/nat.h"
#include "l4/pins.h"
#include "l4/sieves.h"
#include "sluice/conn.h"
#include "sluice/flow_hash.h"

/* ---- asking --------------------------------------------------------------------------- */

static void ask_lists(const struct gate *g, const struct sluice_flow *flow, struct flow_answer *a)
{
	struct block_list block = block_of(g), allow = block_allow_of(g);
	__u64 now = block_now();

	a->named = sieves_hold(g, &flow->src);
	a->blocked = block_listed(&block, &flow->src, now, &a->block);
	a->allowed = (a->named || a->blocked) && block_listed(&allow, &flow->src, now, &a->allow);
}

static void ask_service(const struct gate *g, const struct sluice_flow *flow, struct flow_answer *a)
{
	struct sluice_vip key = {.addr = flow->dst, .port = flow->dport, .proto = flow->proto};

	if (bpf_map_lookup_elem(g->vips, &key, &a->service) == 0)
		return;
	key.port = 0;
	if (bpf_map_lookup_elem(g->vips, &key, &a->service) != 0)
		a->service = (struct sluice_service){0};
}

/* RFC 6890, as bpf/guard.h has it. */
static bool is_martian(const struct sluice_addr *src)
{
	static const struct sluice_addr loopback = {.b = {[15] = 1}};

	if (addr_is_v4(src))
		return src->b[12] == 0 || src->b[12] == 127 || src->b[12] >= 224;
	return src->b[0] == 0xff || addr_is_any(src) || addr_equal(src, &loopback);
}

static bool is_l4(const struct sluice_service *s)
{
	return s->kind == SLUICE_L4 || s->kind == SLUICE_NAT;
}

/* What the ring says for a slot, 0 if it says nothing. */
static int read_slot(const struct gate *g, __u32 service, __u32 slot, __u32 *backend, struct err *e)
{
	int rc = array_inner(g->rings, service, slot, backend);

	if (rc == 0)
		return 0;
	return err_set(e, -rc, "cannot open the Maglev table: %s%s", strerror(-rc),
		       rc == -EPERM ? "; run as root (sudo)" : "");
}

/* generation 0 = whichever it is now. */
static bool take_backend(const struct gate *g, struct flow_answer *a, __u32 id, __u32 generation)
{
	struct sluice_backend b;

	if (bpf_map_lookup_elem(g->backends, &id, &b) != 0 || !b.service ||
	    (generation && generation != b.generation))
		return false;
	a->backend = id;
	a->to = b;
	return true;
}

static void ask_conns(const struct gate *g, const struct sluice_flow *flow, struct flow_answer *a)
{
	__u32 idle_ms;
	bool apart = a->service.fragments || a->service.server_ids;
	__u64 word = conns_find(g, flow, apart, &idle_ms);

	if (!word)
		return;
	a->conn_backend = sluice_conn_backend(word);
	a->conn_generation = sluice_conn_generation(word);
	if (!take_backend(g, a, a->conn_backend, a->conn_generation))
		a->conn = FLOW_CONN_STALE;
	else if (sluice_conn_expired(word, idle_ms, a->to.udp_timeout_ms))
		a->conn = FLOW_CONN_EXPIRED;
	else
		a->conn = FLOW_CONN_HIT;
}

/* Nat keeps its flows in a table of its own. */
static void ask_nat(const struct gate *g, const struct sluice_flow *flow, struct flow_answer *a)
{
	struct nat_flow f;

	if (!nat_find(g, flow, &f))
		return;
	a->conn_backend = f.backend;
	a->conn_generation = f.generation;
	a->nat_source = f.source;
	if (!take_backend(g, a, f.backend, f.generation))
		a->conn = FLOW_CONN_STALE;
	else
		a->conn = f.ended ? FLOW_CONN_EXPIRED : FLOW_CONN_HIT;
}

/* True: the backend that the source is pinned to takes it. */
static bool ask_pin(const struct gate *g, const struct sluice_flow *flow, struct flow_answer *a)
{
	struct sluice_pin pin;

	if (!a->service.pins || !pins_find(g, a->service.id, &flow->src, &pin) ||
	    !take_backend(g, a, pin.backend, pin.generation))
		return false;
	if (a->to.drains) {
		a->backend = 0;
		return false;
	}
	a->pin_backend = pin.backend;
	return true;
}

/* The backend of an older flow, if that is another one. */
static __u32 ask_before(const struct gate *g, const struct flow_answer *a)
{
	__u32 generation, id = before_find(g, a->service.id, a->hash, &generation);
	struct sluice_backend b;

	if (!id || id == a->ring_backend || bpf_map_lookup_elem(g->backends, &id, &b) != 0 ||
	    !b.service || (b.generation & 0xffff) != generation)
		return 0;
	return id;
}

/* As the gate has it: that of a service which takes fragments has no ports. */
static struct sluice_flow flow_kept(const struct sluice_flow *flow, const struct flow_answer *a)
{
	struct sluice_flow kept = *flow;

	if (a->service.fragments)
		kept.sport = kept.dport = 0;
	return kept;
}

static int ask_backend(const struct gate *g, const struct sluice_flow *whole, struct flow_answer *a,
		       struct err *e)
{
	const struct sluice_flow kept = flow_kept(whole, a), *flow = &kept;
	int rc;

	a->hash = sluice_service_hash(flow, a->service.hash);
	a->slot = sluice_slot(a->hash, a->service.ring_size);
	rc = read_slot(g, a->service.id, a->slot, &a->ring_backend, e);
	if (rc)
		return rc;
	if (a->service.kind == SLUICE_NAT)
		ask_nat(g, flow, a);
	else if (a->service.track != SLUICE_TRACK_never)
		ask_conns(g, flow, a);
	if (a->conn == FLOW_CONN_HIT)
		return 0;
	a->backend = 0;
	if (ask_pin(g, flow, a))
		return 0;
	if (a->conn == FLOW_CONN_NONE && flow->proto == IPPROTO_TCP &&
	    a->service.kind == SLUICE_L4 && a->service.track != SLUICE_TRACK_never)
		a->before_backend = ask_before(g, a);
	if (a->ring_backend)
		take_backend(g, a, a->ring_backend, 0);
	return 0;
}

static enum sluice_reason decide(const struct sluice_flow *flow, const struct flow_answer *a)
{
	if (a->named && !a->allowed)
		return SLUICE_R_feed;
	if (a->blocked && !a->allowed)
		return SLUICE_R_block;
	if (!a->service.id)
		return SLUICE_R_no_service;
	if (a->service.kind & SLUICE_L7)
		return SLUICE_R_l7;
	if (addr_equal(&flow->src, &flow->dst))
		return SLUICE_R_land;
	if (is_martian(&flow->src))
		return SLUICE_R_martian;
	return a->backend ? SLUICE_R_forward : SLUICE_R_no_backend;
}

int flow_ask(const struct gate *g, const struct sluice_flow *flow, struct flow_answer *a,
	     struct err *e)
{
	int rc = 0;

	memset(a, 0, sizeof(*a));
	ask_lists(g, flow, a);
	ask_service(g, flow, a);
	if (is_l4(&a->service))
		rc = ask_backend(g, flow, a, e);
	a->reason = decide(flow, a);
	return rc;
}

/* ---- for people ----------------------------------------------------------------------- */

/* Empty when it has none. */
static struct sluice_label label(int labels, __u32 id)
{
	struct sluice_label l = {0};

	bpf_map_lookup_elem(labels, &id, &l);
	l.name[SLUICE_NAME - 1] = '\0';
	return l;
}

static const char *kind_name(const struct sluice_service *s)
{
	return is_l4(s) ? "l4" : "l7";
}

static void print_feed(const struct gate *g, const struct sluice_flow *flow)
{
	char name[FEEDS_NAME], text[ADDR_TEXT + 4];
	struct cidr net;

	if (named_covering(g, &flow->src, name, &net))
		printf("lists    feed %s names %s\n", name, cidr_format(&net, text));
	else
		puts("lists    a feed names the source");
}

static void print_lists(const struct gate *g, const struct sluice_flow *flow,
			const struct flow_answer *a)
{
	char net[ADDR_TEXT + 4], value[LISTS_VALUE];
	const char *label = a->named ? "" : "lists";
	__u64 now = block_now();

	if (a->named)
		print_feed(g, flow);
	if (!a->blocked)
		printf("%-8s the source is not on the blocklist\n", label);
	else
		printf("%-8s on the blocklist: %s, %s\n", label, cidr_format(&a->block.net, net),
		       lists_value(&a->block.value, now, value));
	if (a->allowed)
		printf("         on the allow list, which wins: %s, %s\n",
		       cidr_format(&a->allow.net, net), lists_value(&a->allow.value, now, value));
}

/* Why the connection table did not decide. */
static const char *conn_sentence(const struct flow_answer *a)
{
	if (a->service.kind == SLUICE_NAT)
		return a->conn == FLOW_CONN_STALE     ? "the backend that nat has for it is gone"
		       : a->conn == FLOW_CONN_EXPIRED ? "the flow was silent for too long"
						      : "nat does not have the flow";
	switch (a->conn) {
	case FLOW_CONN_STALE:
		return "the backend in the connection table is gone";
	case FLOW_CONN_EXPIRED:
		return "the flow was silent for longer than udp_timeout";
	default:
		return a->service.track == SLUICE_TRACK_never
			       ? "the service has track = never"
			       : "the flow is not in the connection table";
	}
}

static void print_backend(const struct gate *g, const struct flow_answer *a)
{
	struct sluice_label name = label(g->backend_labels, a->backend);
	struct endpoint to = {a->to.addr, ntohs(a->to.port)};
	char text[ENDPOINT_TEXT];

	if (!a->backend) {
		puts("backend  none");
		return;
	}
	printf("backend  %s %s\n", name.name,
	       to.port ? endpoint_format(&to, text) : addr_format(&to.addr, text));
	if (a->conn == FLOW_CONN_HIT && a->service.kind == SLUICE_NAT)
		printf("because  nat has the flow, from %s\n",
		       endpoint_format(&a->nat_source, text));
	else if (a->conn == FLOW_CONN_HIT)
		printf("because  the connection table says so (generation %u)\n",
		       a->conn_generation);
	else if (a->pin_backend)
		printf("because  the source is pinned to it; %s\n", conn_sentence(a));
	else
		printf("because  slot %u of %u in the Maglev table says so; %s\n", a->slot,
		       a->service.ring_size, conn_sentence(a));
	if (a->conn == FLOW_CONN_HIT && a->ring_backend != a->backend) {
		name = label(g->backend_labels, a->ring_backend);
		printf("         (a new flow would take %s)\n",
		       a->ring_backend ? name.name : "no backend");
	}
	if (a->service.server_ids)
		puts("         (a datagram whose connection ID names a backend goes there)");
	if (a->before_backend)
		printf("         (a flow that is older than the last change takes %s)\n",
		       label(g->backend_labels, a->before_backend).name);
}

static void print_human(const struct gate *g, const struct sluice_flow *flow,
			const struct flow_answer *a)
{
	struct endpoint src = {flow->src, ntohs(flow->sport)},
			dst = {flow->dst, ntohs(flow->dport)};
	char from[ENDPOINT_TEXT], to[ENDPOINT_TEXT];

	printf("flow     %s -> %s/%s\n", endpoint_format(&src, from), endpoint_format(&dst, to),
	       proto_name(flow->proto));
	if (a->service.id)
		printf("service  %s (%s)\n", label(g->service_labels, a->service.id).name,
		       kind_name(&a->service));
	else
		puts("service  none there; `sluice status` shows those there are");
	if (is_l4(&a->service))
		print_backend(g, a);
	print_lists(g, flow, a);
	printf("verdict  %s %s: %s\n", status_reasons[a->reason].action,
	       status_reasons[a->reason].name, status_reasons[a->reason].sentence);
}

/* ---- for programs --------------------------------------------------------------------- */

static json_t *endpoint_json(const struct sluice_addr *addr, __be16 port)
{
	char text[ADDR_TEXT];

	return json_pack("{s:s, s:i}", "address", addr_format(addr, text), "port", ntohs(port));
}

static json_t *entry_json(bool listed, const struct block_entry *entry)
{
	char net[ADDR_TEXT + 4];
	const char *reason = block_reason_name(entry->value.reason);
	__u64 now = block_now(), expires = entry->value.expires_ns;
	json_t *left;

	if (!listed)
		return json_null();
	left = expires ? json_real(expires > now ? (double)(expires - now) / 1e9 : 0) : json_null();
	return json_pack("{s:s, s:s, s:o}", "net", cidr_format(&entry->net, net), "reason",
			 reason ? reason : "unknown", "seconds_left", left);
}

static json_t *feed_json(const struct gate *g, const struct sluice_flow *flow,
			 const struct flow_answer *a)
{
	char name[FEEDS_NAME], text[ADDR_TEXT + 4];
	struct cidr net;

	if (!a->named)
		return json_null();
	if (!named_covering(g, &flow->src, name, &net))
		return json_object(); /* imported, and its name gone this moment */
	return json_pack("{s:s, s:s}", "name", name, "net", cidr_format(&net, text));
}

static json_t *service_json(const struct gate *g, const struct flow_answer *a)
{
	if (!a->service.id)
		return json_null();
	return json_pack("{s:s, s:I, s:s}", "name", label(g->service_labels, a->service.id).name,
			 "id", (json_int_t)a->service.id, "kind", kind_name(&a->service));
}

static json_t *backend_json(const struct gate *g, const struct flow_answer *a)
{
	char addr[ADDR_TEXT];

	if (!a->backend)
		return json_null();
	return json_pack("{s:s, s:I, s:s, s:I}", "name", label(g->backend_labels, a->backend).name,
			 "id", (json_int_t)a->backend, "address", addr_format(&a->to.addr, addr),
			 "generation", (json_int_t)a->to.generation);
}

static json_t *maglev_json(const struct gate *g, const struct flow_answer *a)
{
	if (!is_l4(&a->service))
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:s, s:s, s:s}", "hash", (json_int_t)a->hash, "slot",
			 (json_int_t)a->slot, "size", (json_int_t)a->service.ring_size, "backend",
			 a->ring_backend ? label(g->backend_labels, a->ring_backend).name : "",
			 "pinned",
			 a->pin_backend ? label(g->backend_labels, a->pin_backend).name : "",
			 "before_change",
			 a->before_backend ? label(g->backend_labels, a->before_backend).name : "");
}

static json_t *connection_json(const struct flow_answer *a)
{
	if (a->conn == FLOW_CONN_NONE)
		return json_null();
	return json_pack(
		"{s:I, s:I, s:b, s:b, s:o}", "backend_id", (json_int_t)a->conn_backend,
		"generation", (json_int_t)a->conn_generation, "stale", a->conn == FLOW_CONN_STALE,
		"expired", a->conn == FLOW_CONN_EXPIRED, "nat_source",
		a->nat_source.port ? endpoint_json(&a->nat_source.addr, htons(a->nat_source.port))
				   : json_null());
}

static int print_json(const struct gate *g, const struct sluice_flow *flow,
		      const struct flow_answer *a, struct err *e)
{
	json_t *root = json_pack(
		"{s:o, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "source",
		endpoint_json(&flow->src, flow->sport), "destination",
		endpoint_json(&flow->dst, flow->dport), "proto", proto_name(flow->proto), "reason",
		status_reasons[a->reason].name, "action", status_reasons[a->reason].action, "feed",
		feed_json(g, flow, a), "block", entry_json(a->blocked, &a->block), "allow",
		entry_json(a->allowed, &a->allow), "service", service_json(g, a), "backend",
		backend_json(g, a), "connection", connection_json(a), "maglev", maglev_json(g, a));

	return ctl_print_json(root, !root, e);
}

/* ---- the command ---------------------------------------------------------------------- */

static bool parse_end(struct endpoint *ep, const char *text)
{
	if (endpoint_parse(ep, text) && ep->port)
		return true;
	ctl_usage("`%s` is no end of a flow; ADDRESS:PORT, as 192.0.2.1:40000 or "
		  "[2001:db8::1]:40000",
		  text);
	return false;
}

/* "VIP:PORT", "VIP:PORT/udp" */
static bool parse_vip(struct endpoint *ep, uint8_t *proto, const char *text)
{
	char end[ENDPOINT_TEXT + 8];
	char *slash;

	*proto = IPPROTO_TCP;
	if (strlen(text) < sizeof(end)) {
		strcpy(end, text);
		slash = strrchr(end, '/');
		if (slash)
			*slash = '\0';
		if (slash && !proto_parse(proto, slash + 1)) {
			ctl_usage("no such protocol: %s; /tcp (without one) or /udp", slash + 1);
			return false;
		}
		text = end;
	}
	return parse_end(ep, text);
}

static int parse_flow(struct sluice_flow *flow, const char *from, const char *to)
{
	struct endpoint src, dst;
	bool from_good, to_good;
	uint8_t proto;

	/* Both are told. */
	from_good = parse_end(&src, from);
	to_good = parse_vip(&dst, &proto, to);
	if (!from_good || !to_good)
		return CTL_USAGE;
	if (addr_is_v4(&src.addr) != addr_is_v4(&dst.addr))
		return ctl_usage("%s and %s are of two families; a flow has one", from, to);
	*flow = (struct sluice_flow){
		.src = src.addr,
		.dst = dst.addr,
		.sport = htons(src.port),
		.dport = htons(dst.port),
		.proto = proto,
	};
	return CTL_OK;
}

static int answer(const struct sluice_flow *flow, bool json, struct err *e)
{
	struct flow_answer a;
	struct gate gate;
	int rc = gate_open(&gate, e);

	if (rc)
		return rc;
	rc = flow_ask(&gate, flow, &a, e);
	if (rc == 0 && json)
		rc = print_json(&gate, flow, &a, e);
	else if (rc == 0)
		print_human(&gate, flow, &a);
	gate_close(&gate);
	return rc;
}

int ctl_flow(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct sluice_flow flow;
	bool json = false;
	struct err e;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		if (opt == 'h')
			return CTL_HELP;
		if (opt != 'j')
			return CTL_USAGE;
		json = true;
	}
	if (argc - optind != 2)
		return ctl_usage("flow needs two ends: the client's and the service's");
	rc = parse_flow(&flow, argv[optind], argv[optind + 1]);
	if (rc != CTL_OK)
		return rc;
	chatter_catch();
	return answer(&flow, json, &e) ? ctl_fail(&e) : CTL_OK;
}
