// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the shape of `sluice status --json`. Keys are a promise (sluice(8) lists them): new
 * ones may come, none changes its meaning.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>

#include <jansson.h>

#include "ctl/status.h"
#include "l4/load.h"

/* jansson's *_new functions take the reference and accept NULL, so that running out of
 * memory anywhere shows once, at the end. */
static void put(json_t *object, const char *key, json_t *value, bool *oom)
{
	*oom |= json_object_set_new(object, key, value) != 0;
}

static void put_count(json_t *object, const struct sluice_count *c, bool *oom)
{
	put(object, "packets", json_integer((json_int_t)c->packets), oom);
	put(object, "bytes", json_integer((json_int_t)c->bytes), oom);
}

static json_t *hex64(uint64_t n)
{
	return json_sprintf("%016" PRIx64, n);
}

static json_t *addr_json(const struct sluice_addr *addr)
{
	char text[ADDR_TEXT];

	return json_string(addr_format(addr, text));
}

/* Empty: the gate is alone, without libxdp's dispatcher. */
static json_t *chain_json(const struct attach_place *p, bool *oom)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->chain; i++) {
		json_t *o = json_object();

		put(o, "name", json_string(p->links[i].name), oom);
		put(o, "program_id", json_integer(p->links[i].prog_id), oom);
		put(o, "priority", json_integer(p->links[i].priority), oom);
		*oom |= json_array_append_new(list, o) != 0;
	}
	return list;
}

static json_t *places_json(const struct status *s, bool *oom)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < s->n_places; i++) {
		const struct attach_place *p = &s->places[i];
		json_t *o = json_object();

		put(o, "name", json_string(p->ifname), oom);
		put(o, "index", json_integer(p->ifindex), oom);
		put(o, "mode", json_string(p->native ? "native" : "generic"), oom);
		put(o, "program_id", json_integer(p->prog_id), oom);
		put(o, "program_tag", json_string(p->tag), oom);
		put(o, "adopted", json_boolean(p->adopted), oom);
		put(o, "chain", chain_json(p, oom), oom);
		*oom |= json_array_append_new(list, o) != 0;
	}
	return list;
}

static json_t *listens_json(const struct status *s, uint32_t service, bool *oom)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->state.n_vips; i++) {
		const struct plan_vip *v = &s->state.vips[i];
		const char *proto = proto_name(v->key.proto);
		json_t *o;

		if (!plan_is_listen(v) || v->value.id != service)
			continue;
		o = json_object();
		put(o, "address", addr_json(&v->key.addr), oom);
		put(o, "port", json_integer(ntohs(v->key.port)), oom);
		put(o, "proto", json_string(proto ? proto : "?"), oom);
		*oom |= json_array_append_new(list, o) != 0;
	}
	return list;
}

static json_t *backends_json(const struct status *s, uint32_t service, bool *oom)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->state.n_backends; i++) {
		const struct plan_backend *b = &s->state.backends[i];
		struct health_record r;
		json_t *o;

		if (b->service != service)
			continue;
		o = json_object();
		put(o, "name", json_string(b->name), oom);
		put(o, "id", json_integer(b->id), oom);
		put(o, "address", addr_json(&b->addr), oom);
		put(o, "source", addr_json(&b->src), oom);
		put(o, "weight", json_integer(b->weight), oom);
		put(o, "configured_weight", json_integer(b->configured), oom);
		put(o, "down", json_boolean(b->down), oom);
		put(o, "health", status_health(s, b, &r) ? health_json(&r) : json_null(), oom);
		put(o, "flows", json_integer((json_int_t)s->flows[b->id].flows), oom);
		put(o, "recent_flows", json_integer((json_int_t)s->flows[b->id].recent), oom);
		put(o, "share", json_real(status_share(&s->state, b)), oom);
		put_count(o, &s->counters.backends[b->id], oom);
		*oom |= json_array_append_new(list, o) != 0;
	}
	return list;
}

static json_t *services_json(const struct status *s, bool *oom)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->state.n_services; i++) {
		const struct plan_service *svc = &s->state.services[i];
		json_t *o = json_object();

		put(o, "name", json_string(svc->name), oom);
		put(o, "id", json_integer(svc->id), oom);
		put(o, "kind",
		    svc->kind ? json_string(svc->kind == SLUICE_L4 ? "l4" : "l7") : json_null(),
		    oom);
		put(o, "ring_size", json_integer(svc->ring_size), oom);
		if (svc->kind == SLUICE_L4) {
			put(o, "forward", json_string(plan_mode_name(status_mode(s, svc->id))),
			    oom);
			put(o, "hash", json_string(plan_hash_name(svc->entry.hash)), oom);
			put(o, "track", json_string(plan_track_name(svc->entry.track)), oom);
			put(o, "fragments", json_boolean(svc->entry.fragments), oom);
		} else if (svc->kind) {
			put(o, "syncookie", json_string(plan_syncookie_name(svc->entry.syncookie)),
			    oom);
		}
		put(o, "listens", listens_json(s, svc->id, oom), oom);
		put(o, "backends", backends_json(s, svc->id, oom), oom);
		put_count(o, &s->counters.services[svc->id], oom);
		*oom |= json_array_append_new(list, o) != 0;
	}
	return list;
}

static json_t *reasons_json(const struct status *s, bool *oom)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < SLUICE_R_COUNT; i++) {
		json_t *o = json_object();

		put(o, "action", json_string(status_reasons[i].action), oom);
		put_count(o, &s->counters.reasons[i], oom);
		put(all, status_reasons[i].name, o, oom);
	}
	return all;
}

static json_t *notices_json(const struct status *s, bool *oom)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < SLUICE_N_COUNT; i++)
		put(all, status_notices[i].name, json_integer((json_int_t)s->counters.notices[i]),
		    oom);
	return all;
}

static json_t *lists_json(const struct status *s, bool *oom)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < STATUS_LISTS; i++)
		put(all, s->lists[i].name, json_integer((json_int_t)s->lists[i].entries), oom);
	return all;
}

static json_t *feeds_json(const struct status *s, bool *oom)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < s->feeds.n; i++) {
		const struct feeds_info *f = &s->feeds.feed[i];
		json_t *o = json_object();

		put(o, "name", json_string(f->name), oom);
		put(o, "ipv4", json_integer((json_int_t)f->prefixes[0]), oom);
		put(o, "ipv6", json_integer((json_int_t)f->prefixes[1]), oom);
		put(o, "bytes", json_integer((json_int_t)f->bytes), oom);
		put(o, "imported", json_integer((json_int_t)f->imported), oom);
		*oom |= json_array_append_new(list, o) != 0;
	}
	return list;
}

static json_t *decap_json(const struct status *s, bool *oom)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->state.n_decap; i++)
		*oom |= json_array_append_new(list, addr_json(&s->state.decap[i])) != 0;
	return list;
}

int status_print_json(const struct status *s, FILE *out, struct err *e)
{
	json_t *root = json_object();
	bool oom = !root;
	int rc = 0;

	put(root, "version", json_string(SLUICE_VERSION), &oom);
	put(root, "abi", json_integer(s->meta.abi), &oom);
	put(root, "build", hex64(s->meta.build_id), &oom);
	put(root, "build_of_this_program", hex64(load_build_id()), &oom);
	put(root, "interfaces", places_json(s, &oom), &oom);
	put(root, "services", services_json(s, &oom), &oom);
	put(root, "reasons", reasons_json(s, &oom), &oom);
	put(root, "notices", notices_json(s, &oom), &oom);
	put(root, "lists", lists_json(s, &oom), &oom);
	put(root, "feeds", feeds_json(s, &oom), &oom);
	put(root, "feeds_gate_bytes",
	    json_integer((json_int_t)(s->feeds.sieve_bytes[0] + s->feeds.sieve_bytes[1])), &oom);
	put(root, "connections_max", json_integer((json_int_t)s->conns.made_for), &oom);
	put(root, "connections", json_integer((json_int_t)s->conns.live), &oom);
	put(root, "connections_ended", json_integer((json_int_t)s->conns.ended), &oom);
	put(root, "connections_stale", json_integer((json_int_t)s->conns.stale), &oom);
	put(root, "steering", json_boolean(s->steering), &oom);
	put(root, "workers", json_integer(s->meta.workers), &oom);
	put(root, "decap_from", decap_json(s, &oom), &oom);
	if (oom || json_dumpf(root, out, JSON_INDENT(2) | JSON_PRESERVE_ORDER) != 0)
		rc = err_set(e, ENOMEM, "cannot print JSON: out of memory");
	else
		fputc('\n', out);
	json_decref(root);
	return rc;
}
