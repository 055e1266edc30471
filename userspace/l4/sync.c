// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: every write that `sluice apply` makes into the gate's maps.
 * Promises: each edit is seen whole by the gate (one map update each; a ring is a new inner
 * map swapped in), in the order that plan.h gives.
 * Excludes: deciding what to do (plan.c), blocklists, routes.
 * Cost: a few system calls per entry; a ring is read and written by batches.
 */
#include "l4/sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "l4/arrays.h"
#include "l4/before.h"
#include "l4/counters.h"
#include "l4/nat.h"
#include "l4/pins.h"
#include "l4/rates.h"
#include "l4/route.h"
#include "sluice/filter.h"

/* ---- reading -------------------------------------------------------------------------- */

static int read_failed(const char *map, int errnum, struct err *e)
{
	return err_set(e, errnum, "cannot read the map %s: %s", map, strerror(errnum));
}

/* rings[id], copied; *size stays 0 when the service has none. Before Linux 6.8 each look into a
 * map of maps takes as long as a change of it: some hundredths of a second. */
static int read_ring(const struct gate *g, __u32 id, __u32 **ring, __u32 *size)
{
	struct bpf_map_info info = {0};
	__u32 inner, len = sizeof(info);
	int fd, rc = 0;

	if (bpf_map_lookup_elem(g->rings, &id, &inner) != 0)
		return errno == ENOENT ? 0 : -errno;
	fd = bpf_map_get_fd_by_id(inner);
	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) != 0)
		rc = -errno;
	if (rc == 0) {
		*ring = calloc(info.max_entries, sizeof(**ring));
		rc = *ring ? array_read(fd, *ring, info.max_entries) : -ENOMEM;
	}
	if (rc == 0)
		*size = info.max_entries;
	close(fd);
	return rc;
}

static int read_services(const struct gate *g, struct plan_state *s, struct err *e)
{
	__u32 previous_ms[SLUICE_MAX_SERVICES];
	struct sluice_limit *limits = calloc(SLUICE_MAX_SERVICES, sizeof(*limits));
	struct sluice_label *labels = calloc(SLUICE_MAX_SERVICES, sizeof(*labels));
	int rc = -ENOMEM;

	s->services = calloc(SLUICE_MAX_SERVICES, sizeof(*s->services));
	if (limits && labels && s->services)
		rc = array_read(g->service_labels, labels, SLUICE_MAX_SERVICES);
	rc = rc ? rc : rates_read(g, limits);
	rc = rc ? rc : before_kept(g, previous_ms);
	for (__u32 id = 0; rc == 0 && id < SLUICE_MAX_SERVICES; id++) {
		struct plan_service *svc = &s->services[s->n_services];

		if (!labels[id].name[0])
			continue; /* the label comes before the ring, and goes after it */
		if (labels[id].configured)
			rc = read_ring(g, id, &svc->ring, &svc->ring_size);
		memcpy(svc->name, labels[id].name, SLUICE_NAME - 1);
		svc->slots = labels[id].configured;
		svc->previous_ms = previous_ms[id];
		svc->limit = limits[id];
		svc->id = id;
		s->n_services++;
	}
	free(limits);
	free(labels);
	return rc ? read_failed("service_labels, limits, changes or rings", -rc, e) : 0;
}

static int read_backends(const struct gate *g, struct plan_state *s, struct err *e)
{
	struct sluice_label *labels = calloc(SLUICE_MAX_BACKENDS, sizeof(*labels));
	struct sluice_backend *all = calloc(SLUICE_MAX_BACKENDS, sizeof(*all));
	int rc = -ENOMEM;

	s->backends = calloc(SLUICE_MAX_BACKENDS, sizeof(*s->backends));
	if (labels && all && s->backends)
		rc = array_read(g->backend_labels, labels, SLUICE_MAX_BACKENDS);
	if (rc == 0)
		rc = array_read(g->backends, all, SLUICE_MAX_BACKENDS);
	for (__u32 id = 0; rc == 0 && id < SLUICE_MAX_BACKENDS; id++) {
		struct plan_backend *b = &s->backends[s->n_backends];

		if (!all[id].service)
			continue;
		memcpy(b->name, labels[id].name, SLUICE_NAME - 1);
		b->id = id;
		b->service = labels[id].service;
		b->weight = labels[id].weight;
		b->configured = labels[id].configured;
		b->down = all[id].drains & SLUICE_DRAINS_DOWN;
		b->mode = all[id].mode;
		b->udp_timeout_ms = all[id].udp_timeout_ms;
		b->mss = all[id].mss;
		b->addr = all[id].addr;
		b->port = all[id].port;
		b->src = all[id].src;
		s->n_backends++;
	}
	free(labels);
	free(all);
	return rc ? read_failed("backends", -rc, e) : 0;
}

static int compare_vips(const void *a, const void *b)
{
	const struct plan_vip *x = a, *y = b;

	return memcmp(&x->key, &y->key, sizeof(x->key));
}

/* What a service's VIP entries alone tell. */
static void learn_service(struct plan_state *s, const struct plan_vip *vip)
{
	for (size_t i = 0; i < s->n_services; i++) {
		if (s->services[i].id != vip->value.id)
			continue;
		s->services[i].kind = vip->value.kind == SLUICE_NAT ? SLUICE_L4 : vip->value.kind;
		if (vip->value.kind == SLUICE_NAT)
			s->services[i].mode = SLUICE_MODE_nat;
		s->services[i].entry = vip->value;
	}
}

/* An entry of an address that nat sends from; it has several. */
static void learn_source(struct plan_state *s, const struct plan_vip *vip)
{
	for (size_t i = 0; i < s->n_sources; i++)
		if (addr_equal(&s->sources[i].addr, &vip->key.addr))
			return;
	if (s->n_sources < SLUICE_NAT_SOURCES)
		s->sources[s->n_sources++] =
			(struct plan_source){.addr = vip->key.addr, .number = vip->value.ring_size};
}

static int read_vips(const struct gate *g, struct plan_state *s, struct err *e)
{
	struct sluice_vip *prev = NULL, key;

	s->vips = calloc(SLUICE_MAX_VIPS, sizeof(*s->vips));
	if (!s->vips)
		return read_failed("vips", ENOMEM, e);
	while (s->n_vips < SLUICE_MAX_VIPS && bpf_map_get_next_key(g->vips, prev, &key) == 0) {
		struct plan_vip *vip = &s->vips[s->n_vips];

		vip->key = key;
		prev = &vip->key;
		if (bpf_map_lookup_elem(g->vips, &key, &vip->value) != 0)
			return read_failed("vips", errno, e);
		vip->service = vip->value.id;
		if (vip->value.kind == SLUICE_SOURCE) {
			learn_source(s, vip);
			continue;
		}
		if (plan_is_marker(vip))
			vip->service = PLAN_MARKER;
		else
			learn_service(s, vip);
		s->n_vips++;
	}
	qsort(s->vips, s->n_vips, sizeof(*s->vips), compare_vips);
	return 0;
}

static int read_decap(const struct gate *g, struct plan_state *s, struct err *e)
{
	struct sluice_addr *prev = NULL;

	s->decap = calloc(SLUICE_MAX_DECAP + 1, sizeof(*s->decap));
	if (!s->decap)
		return read_failed("decap_from", ENOMEM, e);
	while (s->n_decap < SLUICE_MAX_DECAP &&
	       bpf_map_get_next_key(g->decap_from, prev, &s->decap[s->n_decap]) == 0)
		prev = &s->decap[s->n_decap++];
	return 0;
}

static int read_pins(const struct gate *g, struct plan_state *s, struct err *e)
{
	int rc = pins_read(g, s);

	return rc ? read_failed("pins", -rc, e) : 0;
}

static int read_nat(const struct gate *g, struct plan_state *s, struct err *e)
{
	int rc = nat_read(g, s);

	return rc ? read_failed("nat_pool", -rc, e) : 0;
}

int sync_read(const struct gate *g, struct plan_state *actual, struct err *e)
{
	int rc;

	memset(actual, 0, sizeof(*actual));
	rc = read_services(g, actual, e);
	rc = rc ? rc : read_backends(g, actual, e);
	rc = rc ? rc : read_vips(g, actual, e);
	rc = rc ? rc : read_nat(g, actual, e);
	rc = rc ? rc : read_pins(g, actual, e);
	rc = rc ? rc : read_decap(g, actual, e);
	if (rc)
		plan_state_fini(actual);
	return rc;
}

/* ---- wanting -------------------------------------------------------------------------- */

int sync_want(const struct conf *c, struct plan_state *want, struct err *e)
{
	int rc = plan_want(want, c, e);

	for (size_t i = 0; rc == 0 && i < want->n_backends; i++) {
		struct plan_backend *b = &want->backends[i];

		if (addr_is_any(&b->src))
			rc = route_source(&b->addr, &b->src, e);
	}
	if (rc)
		plan_state_fini(want);
	return rc;
}

long sync_vip_addrs(const struct plan_state *s, struct sluice_addr **out)
{
	long n = 0;

	*out = calloc(s->n_vips + 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_vips; i++)
		if (s->vips[i].service == PLAN_MARKER)
			(*out)[n++] = s->vips[i].key.addr;
	return n;
}

/* ---- writing -------------------------------------------------------------------------- */

static int update(int fd, const void *key, const void *value)
{
	return bpf_map_update_elem(fd, key, value, BPF_ANY) ? -errno : 0;
}

static int delete(int fd, const void *key)
{
	return bpf_map_delete_elem(fd, key) && errno != ENOENT ? -errno : 0;
}

static int label_service(const struct gate *g, const struct plan_service *s)
{
	struct sluice_label label = {.configured = s->ring_size};

	memcpy(label.name, s->name, strnlen(s->name, SLUICE_NAME - 1));
	return update(g->service_labels, &s->id, &label);
}

static int label_backend(const struct gate *g, const struct plan_backend *b, __u32 service)
{
	struct sluice_label label = {
		.service = service, .weight = b->weight, .configured = b->configured};

	memcpy(label.name, b->name, strnlen(b->name, SLUICE_NAME - 1));
	return update(g->backend_labels, &b->id, &label);
}

static int change_service(const struct gate *g, const struct plan_edit *x)
{
	int rc = before_keep(g, x->service->id, x->service->previous_ms);

	rc = rc ? rc : rates_write(g, x->service->id, &x->service->limit);
	return rc ? rc : label_service(g, x->service);
}

/* The id may have served another name: its counts are not this one's. */
static int add_service(const struct gate *g, const struct plan_edit *x)
{
	int rc = counters_clear_service(g, x->service->id);

	rc = rc ? rc : before_forget(g, x->service->id);
	return rc ? rc : change_service(g, x);
}

static int remove_service(const struct gate *g, __u32 id)
{
	const struct sluice_label none = {0};
	const struct sluice_limit unlimited = {0};
	int rc = before_forget(g, id);

	rc = rc ? rc : rates_write(g, id, &unlimited);
	return rc ? rc : update(g->service_labels, &id, &none);
}

/* The label goes first: an entry in use always has one, unless a crash came between. */
static int write_backend(const struct gate *g, const struct plan_edit *x)
{
	const struct plan_backend *b = x->backend;
	struct sluice_backend entry;
	int rc;

	if (bpf_map_lookup_elem(g->backends, &b->id, &entry) != 0)
		return -errno;
	if (x->step == PLAN_ADD_BACKEND) {
		entry.generation++;
		rc = counters_clear_backend(g, b->id);
		if (rc)
			return rc;
	}
	rc = label_backend(g, b, x->service->id);
	if (rc)
		return rc;
	/* Its flows are in another table from now on. */
	if (entry.mode != b->mode && (entry.mode == SLUICE_MODE_nat || b->mode == SLUICE_MODE_nat))
		entry.generation++;
	entry.mode = (__u8)b->mode;
	entry.port = b->port;
	entry.drains = (b->weight ? 0 : SLUICE_DRAINS_WEIGHT) | (b->down ? SLUICE_DRAINS_DOWN : 0);
	entry.udp_timeout_ms = b->udp_timeout_ms;
	entry.mss = b->mss;
	entry.addr = b->addr;
	entry.src = b->src;
	entry.service = (__u16)x->service->id;
	return update(g->backends, &b->id, &entry);
}

/* The generation stays, one higher: flows of the removed backend are hashed anew, and not
 * taken for those of the next one with this id. */
static int remove_backend(const struct gate *g, const struct plan_edit *x)
{
	__u32 id = x->old_backend->id;
	struct sluice_backend entry, freed = {0};
	const struct sluice_label none = {0};
	int rc;

	if (bpf_map_lookup_elem(g->backends, &id, &entry) != 0)
		return -errno;
	freed.generation = entry.generation + 1;
	rc = update(g->backends, &id, &freed);
	return rc ? rc : update(g->backend_labels, &id, &none);
}

/* Another table, or none. The gate is told of the old one first: there is no moment in which it
 * would take an older flow for a new one. */
static int change_ring(const struct gate *g, const struct plan_edit *x)
{
	const struct plan_service *old = x->old_service,
				  *s = x->step == PLAN_REMOVE_RING ? old : x->service;
	int rc = old && old->ring ? before_swap(g, s->id, old->ring, old->ring_size) : 0;

	if (rc)
		return rc;
	if (x->step == PLAN_REMOVE_RING)
		return delete (g->rings, &s->id);
	return array_swap_in(g->rings, s->id, s->ring, s->ring_size);
}

static int run_edit(const struct gate *g, const struct plan_edit *x)
{
	const __u32 one = 1;

	switch (x->step) {
	case PLAN_ADD_SERVICE:
		return add_service(g, x);
	case PLAN_CHANGE_SERVICE:
		return change_service(g, x);
	case PLAN_ADD_BACKEND:
	case PLAN_CHANGE_BACKEND:
		return write_backend(g, x);
	case PLAN_GROW_RING:
	case PLAN_SHRINK_RING:
	case PLAN_REMOVE_RING:
		return change_ring(g, x);
	case PLAN_ADD_VIP:
	case PLAN_CHANGE_VIP:
		return update(g->vips, &x->vip->key, &x->vip->value);
	case PLAN_ADD_PIN:
		return pins_put(g, x->service->id, x->pin, x->backend->id);
	case PLAN_REMOVE_PIN:
		return pins_remove(g, x->pin);
	case PLAN_ADD_SOURCE:
		return nat_source_put(g, x->source);
	case PLAN_REMOVE_SOURCE:
		return nat_source_remove(g, x->source);
	case PLAN_SET_POOL:
		return nat_pool_write(g, x->pool);
	case PLAN_ADD_DECAP:
		return update(g->decap_from, x->decap, &one);
	case PLAN_REMOVE_DECAP:
		return delete (g->decap_from, x->decap);
	case PLAN_REMOVE_VIP:
		return delete (g->vips, &x->old_vip->key);
	case PLAN_REMOVE_BACKEND:
		return remove_backend(g, x);
	case PLAN_REMOVE_SERVICE:
		return remove_service(g, x->old_service->id);
	}
	return -EINVAL;
}

/* ---- filters -------------------------------------------------------------------------- */

struct filters {
	__u64 vips[SLUICE_FILTER_WORDS], l4[SLUICE_FILTER_WORDS];
};

static void filter_set(__u64 *words, __u32 bit)
{
	words[bit >> 6] |= 1ULL << (bit & 63);
}

static void filter_add(struct filters *f, const struct plan_vip *vip)
{
	filter_set(f->vips, sluice_filter_bit(&vip->key.addr, 0));
	/* Flows without ports are looked up later. */
	if (vip->service != PLAN_MARKER && (vip->value.kind & SLUICE_L4) &&
	    vip->value.track != SLUICE_TRACK_never && !vip->value.fragments &&
	    !vip->value.server_ids)
		filter_set(f->l4, sluice_filter_bit(&vip->key.addr, vip->key.port));
}

static bool touches_vips(const struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->edits[i].vip || p->edits[i].old_vip || p->edits[i].source)
			return true;
	return false;
}

static int write_filters(const struct gate *g, const struct plan_state *s, struct filters *f)
{
	for (size_t i = 0; i < s->n_vips; i++)
		filter_add(f, &s->vips[i]);
	for (size_t i = 0; i < s->n_sources; i++)
		filter_set(f->vips, sluice_filter_bit(&s->sources[i].addr, 0));
	return counters_filter(g, f->vips, f->l4);
}

/* What vips holds, however it came there. */
static int renew_filters(const struct gate *g, struct err *e)
{
	struct plan_state s = {0};
	struct filters f = {0};
	int rc = read_vips(g, &s, e);

	rc = rc ? rc : write_filters(g, &s, &f);
	plan_state_fini(&s);
	return rc;
}

/* Before vips is edited, its filters let old and new through. */
static int open_filters(const struct gate *g, const struct plan *p, struct err *e)
{
	struct plan_state s = {0};
	struct filters f = {0};
	int rc = read_vips(g, &s, e);

	for (size_t i = 0; rc == 0 && i < p->n; i++) {
		if (p->edits[i].vip)
			filter_add(&f, p->edits[i].vip);
		if (p->edits[i].source)
			filter_set(f.vips, sluice_filter_bit(&p->edits[i].source->addr, 0));
	}
	rc = rc ? rc : write_filters(g, &s, &f);
	plan_state_fini(&s);
	return rc;
}

/* ---- all ------------------------------------------------------------------------------ */

int sync_run(const struct gate *g, const struct plan *p, struct err *e)
{
	int rc = touches_vips(p) ? open_filters(g, p, e) : 0;

	rc = rc ? rc : before_sweep(g);
	for (size_t i = 0; rc == 0 && i < p->n; i++) {
		rc = run_edit(g, &p->edits[i]);
		if (rc)
			return err_set(e, -rc,
				       "change %zu of %zu failed: %s; those before it are made, "
				       "`sluice apply` again goes on from there",
				       i + 1, p->n, strerror(-rc));
	}
	return rc ? rc : renew_filters(g, e);
}
