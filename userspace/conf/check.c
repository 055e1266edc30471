// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: rules that join several settings, and the table behind conf_find. What was wrong by
 * itself is there as zeroes, and passed over.
 * Cost: VIPs are compared through a hash, names and addresses sorted, so a file of thousands
 * of services is checked in milliseconds.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "conf/read.h"

/* Open addressing, at most half full. Key: a listening endpoint. */
struct conf_slot {
	const struct conf_listen *listen; /* NULL = free */
	const struct conf_service *service;
};

static uint32_t endpoint_hash(const struct endpoint *ep, uint8_t proto)
{
	uint32_t h = 2166136261U ^ proto ^ ((uint32_t)ep->port << 8);

	for (unsigned i = 0; i < 4; i++) {
		h = (h ^ ep->addr.w[i]) * 0x9e3779b1U;
		h ^= h >> 15;
	}
	return h;
}

static struct conf_slot *slot_find(const struct conf *c, const struct endpoint *ep, uint8_t proto)
{
	uint32_t i = endpoint_hash(ep, proto) & c->slots_mask;

	while (c->slots[i].listen) {
		const struct conf_listen *l = c->slots[i].listen;

		if (l->proto == proto && l->endpoint.port == ep->port &&
		    addr_equal(&l->endpoint.addr, &ep->addr))
			break;
		i = (i + 1) & c->slots_mask;
	}
	return &c->slots[i];
}

static bool slots_alloc(struct conf *c)
{
	size_t listens = 0, size = 16;

	for (unsigned i = 0; i < c->n_services; i++)
		listens += c->services[i].n_listens;
	while (size < listens * 2)
		size *= 2;
	c->slots = arena_alloc(&c->arena, size, sizeof(*c->slots));
	c->slots_mask = (uint32_t)size - 1;
	return c->slots != NULL;
}

bool conf_index(struct conf *c)
{
	if (c->slots)
		return true;
	if (!slots_alloc(c))
		return false;
	for (unsigned i = 0; i < c->n_services; i++) {
		const struct conf_service *s = &c->services[i];

		for (unsigned k = 0; k < s->n_listens; k++)
			*slot_find(c, &s->listens[k].endpoint, s->listens[k].proto) =
				(struct conf_slot){&s->listens[k], s};
	}
	return true;
}

const struct conf_service *conf_find(const struct conf *c, const struct endpoint *local,
				     uint8_t proto)
{
	static const struct sluice_addr any4 = {.b = {[10] = 0xff, [11] = 0xff}}, any6;
	struct endpoint any_addr = {addr_is_v4(&local->addr) ? any4 : any6, local->port};
	struct endpoint any_port = {local->addr, 0};
	const struct endpoint *order[] = {local, &any_addr, &any_port};

	for (unsigned i = 0; i < 3; i++) {
		const struct conf_slot *slot = slot_find(c, order[i], proto);

		if (slot->listen)
			return slot->service;
	}
	return NULL;
}

/* ---- rules ---------------------------------------------------------------------------- */

static void check_vips(struct reading *r)
{
	struct conf *c = r->conf;
	char text[ENDPOINT_TEXT];

	if (!slots_alloc(c)) {
		r->oom = true;
		return;
	}
	for (unsigned i = 0; i < c->n_services; i++) {
		const struct conf_service *s = &c->services[i];

		for (unsigned k = 0; k < s->n_listens; k++) {
			const struct conf_listen *l = &s->listens[k];
			struct conf_slot *slot = slot_find(c, &l->endpoint, l->proto);

			if (slot->listen)
				complain(r, l->line,
					 "listen: %s/%s is taken by service \"%s\" in line %u; "
					 "remove one",
					 endpoint_format(&l->endpoint, text), proto_name(l->proto),
					 slot->service->name, slot->listen->line);
			else
				*slot = (struct conf_slot){l, s};
		}
	}
}

/* Something that must be alone among its like. */
struct mark {
	struct endpoint endpoint;
	const char *name;
	unsigned line;
};

static struct mark *marks_new(struct reading *r, size_t n)
{
	struct mark *marks = calloc(n + 1, sizeof(*marks));

	if (!marks)
		r->oom = true;
	return marks;
}

static int by_name(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;
	int d = strcmp(x->name, y->name);

	return d ? d : (x->line > y->line) - (x->line < y->line);
}

static int by_address(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;

	return memcmp(&x->endpoint.addr, &y->endpoint.addr, sizeof(x->endpoint.addr));
}

static int by_endpoint(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;
	int d = by_address(a, b);

	if (d == 0)
		d = (int)x->endpoint.port - (int)y->endpoint.port;
	return d ? d : (x->line > y->line) - (x->line < y->line);
}

/* Sorts by name. */
static void check_names(struct reading *r, const char *what, struct mark *marks, size_t n)
{
	qsort(marks, n, sizeof(*marks), by_name);
	for (size_t i = 1; i < n; i++) {
		/* Without a name: that has been complained about. */
		if (marks[i].name[0] && strcmp(marks[i].name, marks[i - 1].name) == 0)
			complain(r, marks[i].line,
				 "%s \"%s\" stands already in line %u; choose another name", what,
				 marks[i].name, marks[i - 1].line);
	}
}

/* Few are named, each of which takes many places. */
static void check_hosts(struct reading *r, const struct conf_backend *backends, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct conf_backend *b = &backends[i];

		for (size_t k = 0; b->host && b->seat == 0 && k < i; k++) {
			if (backends[k].host != b->host || backends[k].seat ||
			    backends[k].endpoint.port != b->endpoint.port)
				continue;
			complain(r, b->line,
				 "backend \"%s\" has the address of backend \"%s\" in line %u; "
				 "remove one, or give the other more weight",
				 b->name, backends[k].name, backends[k].line);
		}
	}
}

static void check_backends(struct reading *r, const struct conf_backend *backends, size_t n)
{
	struct mark *marks = marks_new(r, n);
	size_t used = 0;

	if (!marks)
		return;
	for (size_t i = 0; i < n; i++)
		if (backends[i].seat == 0)
			marks[used++] = (struct mark){backends[i].endpoint, backends[i].name,
						      backends[i].line};
	check_hosts(r, backends, n);
	n = used;
	check_names(r, "backend", marks, n);
	qsort(marks, n, sizeof(*marks), by_endpoint);
	for (size_t i = 1; i < n; i++) {
		if (by_address(&marks[i - 1], &marks[i]) == 0 &&
		    marks[i - 1].endpoint.port == marks[i].endpoint.port &&
		    !addr_is_any(&marks[i].endpoint.addr))
			complain(r, marks[i].line,
				 "backend \"%s\" has the address of backend \"%s\" in line %u; "
				 "remove one, or give the other more weight",
				 marks[i].name, marks[i - 1].name, marks[i - 1].line);
	}
	free(marks);
}

/* ---- pins ----------------------------------------------------------------------------- */

struct pin_mark {
	const struct conf_pin *pin;
	const char *backend;
};

static int by_net(const void *a, const void *b)
{
	const struct conf_pin *x = ((const struct pin_mark *)a)->pin,
			      *y = ((const struct pin_mark *)b)->pin;
	int d = memcmp(&x->net.addr, &y->net.addr, sizeof(x->net.addr));

	if (d == 0)
		d = (int)x->net.prefix - (int)y->net.prefix;
	return d ? d : (x->line > y->line) - (x->line < y->line);
}

static bool same_net(const struct conf_pin *a, const struct conf_pin *b)
{
	return a->net.prefix == b->net.prefix && addr_equal(&a->net.addr, &b->net.addr);
}

/* Of prefixes within one another the longest counts; but each can have one backend. Returns how
 * many there are. */
static unsigned check_pins(struct reading *r, const struct conf_service *s)
{
	struct pin_mark *marks;
	char text[ADDR_TEXT + 4];
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_backends; i++)
		n += s->backends[i].n_pins;
	marks = calloc(n + 1, sizeof(*marks));
	if (!marks) {
		r->oom = true;
		return n;
	}
	n = 0;
	for (unsigned i = 0; i < s->n_backends; i++)
		for (unsigned k = 0; k < s->backends[i].n_pins; k++)
			marks[n++] =
				(struct pin_mark){&s->backends[i].pins[k], s->backends[i].name};
	qsort(marks, n, sizeof(*marks), by_net);
	for (unsigned i = 1; i < n; i++)
		if (same_net(marks[i - 1].pin, marks[i].pin))
			complain(r, marks[i].pin->line,
				 "pin: %s is pinned to \"%s\" in line %u; remove one",
				 cidr_format(&marks[i].pin->net, text), marks[i - 1].backend,
				 marks[i - 1].pin->line);
	free(marks);
	return n;
}

/* ---- loops: a backend that is a VIP of the same file sends its traffic round and round -- */

/* All VIPs with an address of their own, sorted by address. */
static struct mark *vips_sorted(struct reading *r, size_t *n)
{
	const struct conf *c = r->conf;
	struct mark *vips;
	size_t listens = 0;

	*n = 0;
	for (unsigned i = 0; i < c->n_services; i++)
		listens += c->services[i].n_listens;
	vips = marks_new(r, listens);
	for (unsigned i = 0; vips && i < c->n_services; i++) {
		const struct conf_service *s = &c->services[i];

		for (unsigned k = 0; k < s->n_listens; k++) {
			const struct conf_listen *l = &s->listens[k];

			if (!addr_is_any(&l->endpoint.addr))
				vips[(*n)++] = (struct mark){l->endpoint, s->name, l->line};
		}
	}
	if (vips)
		qsort(vips, *n, sizeof(*vips), by_endpoint);
	return vips;
}

/* Behind an l4 service it is enough to have the address: the tunnel ends there. */
static const char *vip_name(const struct conf *c, uint32_t kind, const struct endpoint *backend,
			    const struct mark *vips, size_t n)
{
	struct mark wanted = {.endpoint = *backend};
	struct endpoint every_port = {backend->addr, 0};
	const struct mark *vip;
	const struct conf_slot *slot;

	if (kind == SLUICE_L4) {
		vip = bsearch(&wanted, vips, n, sizeof(*vips), by_address);
		return vip ? vip->name : NULL;
	}
	slot = slot_find(c, backend, IPPROTO_TCP);
	if (!slot->listen)
		slot = slot_find(c, &every_port, IPPROTO_TCP);
	return slot->listen ? slot->service->name : NULL;
}

static void check_loops_of(struct reading *r, const struct conf_backend *backends,
			   unsigned n_backends, uint32_t kind, const struct mark *vips, size_t n)
{
	for (unsigned k = 0; k < n_backends; k++) {
		const struct conf_backend *b = &backends[k];
		const char *name = addr_is_any(&b->endpoint.addr)
					   ? NULL
					   : vip_name(r->conf, kind, &b->endpoint, vips, n);

		if (name)
			complain(r, b->line,
				 "backend \"%s\" is a VIP of service \"%s\": a loop; write "
				 "the server's own address",
				 b->name, name);
	}
}

static void check_loops(struct reading *r)
{
	const struct conf *c = r->conf;
	size_t n;
	struct mark *vips = vips_sorted(r, &n);

	for (unsigned i = 0; vips && i < c->n_services; i++)
		check_loops_of(r, c->services[i].backends, c->services[i].n_backends, SLUICE_L4,
			       vips, n);
	for (unsigned i = 0; vips && i < c->n_pools; i++)
		check_loops_of(r, c->pools[i].backends, c->pools[i].n_backends, SLUICE_L7, vips, n);
	free(vips);
}

/* ---- all ------------------------------------------------------------------------------ */

static void check_section_names(struct reading *r)
{
	const struct conf *c = r->conf;
	struct mark *marks =
		marks_new(r, (size_t)c->n_services > c->n_pools ? c->n_services : c->n_pools);

	if (!marks)
		return;
	for (unsigned i = 0; i < c->n_services; i++) {
		marks[i].name = c->services[i].name;
		marks[i].line = c->services[i].line;
	}
	check_names(r, "service", marks, c->n_services);
	for (unsigned i = 0; i < c->n_named_pools; i++) {
		marks[i].name = c->pools[i].name;
		marks[i].line = c->pools[i].line;
	}
	check_names(r, "pool", marks, c->n_named_pools);
	free(marks);
}

void conf_check(struct reading *r)
{
	unsigned backends = 0, keys = 0, pins = 0;

	check_vips(r);
	if (r->oom)
		return;
	check_section_names(r);
	nat_check(r);
	health_check(r);
	l4_check(r);
	quic_check(r);
	check_loops(r);
	for (unsigned i = 0; i < r->conf->n_services; i++) {
		const struct conf_service *s = &r->conf->services[i];

		check_backends(r, s->backends, s->n_backends);
		pins += check_pins(r, s);
		backends += s->n_backends;
		/* With the VIP's own entry, and that of fragments. */
		keys += s->n_listens * (s->fragments ? 3 : 2);
	}
	for (unsigned i = 0; i < r->conf->n_pools; i++)
		check_backends(r, r->conf->pools[i].backends, r->conf->pools[i].n_backends);
	if (backends >= SLUICE_MAX_BACKENDS)
		complain(r, 1, "l4 services have %u backends; a gate holds %u", backends,
			 SLUICE_MAX_BACKENDS - 1);
	if (pins > SLUICE_MAX_PINS)
		complain(r, 1, "services pin %u sources; a gate holds %u", pins, SLUICE_MAX_PINS);
	if (keys > SLUICE_MAX_VIPS)
		complain(r, 1, "services listen on %u addresses and ports; a gate holds %u",
			 keys / 2, SLUICE_MAX_VIPS / 2);
}
