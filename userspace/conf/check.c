// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: rules that join several settings, and the table behind conf_find.
 * Cost: each pair of VIPs and of backends is compared through a hash, so a file of
 * thousands of services is checked in milliseconds.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/maglev.h"
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
					 "listen: %s is taken by service \"%s\" in line %u; "
					 "remove one",
					 endpoint_format(&l->endpoint, text), slot->service->name,
					 slot->listen->line);
			else
				*slot = (struct conf_slot){l, s};
			if (s->kind == SLUICE_L4 && addr_is_any(&l->endpoint.addr))
				complain(r, l->line,
					 "listen: an l4 service needs an address of its own, not "
					 "%s; write the VIP",
					 endpoint_format(&l->endpoint, text));
		}
	}
}

static int address_compare(const void *a, const void *b)
{
	const struct conf_backend *const *x = a, *const *y = b;
	int d = memcmp(&(*x)->endpoint.addr, &(*y)->endpoint.addr, sizeof(struct sluice_addr));

	return d ? d : (int)(*x)->endpoint.port - (int)(*y)->endpoint.port;
}

static void check_backends(struct reading *r, const struct conf_service *s)
{
	const struct conf_backend **sorted = calloc(s->n_backends + 1, sizeof(*sorted));

	if (!sorted) {
		r->oom = true;
		return;
	}
	for (unsigned i = 0; i < s->n_backends; i++)
		sorted[i] = &s->backends[i];
	qsort(sorted, s->n_backends, sizeof(*sorted), address_compare);
	for (unsigned i = 1; i < s->n_backends; i++) {
		if (address_compare(&sorted[i - 1], &sorted[i]) == 0)
			complain(r, sorted[i]->line,
				 "backend \"%s\" has the address of backend \"%s\"; remove one, "
				 "or give the other more weight",
				 sorted[i]->name, sorted[i - 1]->name);
	}
	free(sorted);
}

/* A backend that is a VIP of the same file sends its traffic round and round. */
static void check_loop(struct reading *r, const struct conf_service *s)
{
	for (unsigned i = 0; i < s->n_backends; i++) {
		const struct conf_service *other =
			conf_find(r->conf, &s->backends[i].endpoint, IPPROTO_TCP);

		if (other && !addr_is_any(&other->listens[0].endpoint.addr))
			complain(r, s->backends[i].line,
				 "backend \"%s\" is a VIP of service \"%s\": a loop; write the "
				 "server's own address",
				 s->backends[i].name, other->name);
	}
}

static void check_ring(struct reading *r, const struct conf_service *s)
{
	uint32_t size = s->ring_size;

	if (s->kind != SLUICE_L4)
		return;
	while (size < MAGLEV_MAX_SIZE && !maglev_size_ok(size))
		size++;
	if (size != s->ring_size)
		complain(r, s->line, "ring_size: %u is not a prime; write %u", s->ring_size, size);
	else if (size < 100 * s->n_backends)
		complain(r, s->line,
			 "ring_size: %u is too small for %u backends; write a prime above %u "
			 "(%u suits)",
			 size, s->n_backends, 100 * s->n_backends, MAGLEV_MAX_SIZE);
}

void conf_check(struct reading *r)
{
	unsigned backends = 0, keys = 0;

	check_vips(r);
	if (r->oom)
		return;
	for (unsigned i = 0; i < r->conf->n_services; i++) {
		const struct conf_service *s = &r->conf->services[i];

		check_backends(r, s);
		check_loop(r, s);
		check_ring(r, s);
		backends += s->kind == SLUICE_L4 ? s->n_backends : 0;
		keys += s->n_listens * 2; /* with the VIP's own entry */
	}
	if (backends >= SLUICE_MAX_BACKENDS)
		complain(r, 1, "%u backends of l4 services; a gate holds %u", backends,
			 SLUICE_MAX_BACKENDS - 1);
	if (keys > SLUICE_MAX_VIPS)
		complain(r, 1, "%u addresses and ports; a gate holds about %u", keys / 2,
			 SLUICE_MAX_VIPS / 2);
}
