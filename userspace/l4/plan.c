// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the difference between what runs and what is wanted.
 * Promises: the same inputs give the same edits; applied in their order they make actual
 * equal to wanted, and planned again there are none. A file that asks for too much plans
 * nothing.
 * Excludes: maps and sockets (sync.c), words for people (plan_text.c).
 * Cost: one Maglev table per l4 service; names and backends are matched by comparing each
 * with each (1023 and 4095 at most), VIP entries by binary search.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/maglev.h"
#include "l4/plan_internal.h"

void plan_state_fini(struct plan_state *s)
{
	for (size_t i = 0; i < s->n_services; i++)
		free(s->services[i].ring);
	free(s->services);
	free(s->backends);
	free(s->vips);
	free(s->pins);
	free(s->decap);
	memset(s, 0, sizeof(*s));
}

bool plan_is_marker(const struct plan_vip *vip)
{
	return vip->key.port == 0 &&
	       (vip->key.proto == IPPROTO_ICMP || vip->key.proto == IPPROTO_ICMPV6);
}

bool plan_is_listen(const struct plan_vip *vip)
{
	return !plan_is_marker(vip) && vip->key.proto != SLUICE_FRAGMENT;
}

void plan_fini(struct plan *p)
{
	free(p->edits);
	memset(p, 0, sizeof(*p));
}

void plan_push(struct planner *pl, struct plan_edit edit)
{
	struct plan *p = pl->plan;

	if (p->n == pl->room) {
		size_t room = pl->room ? pl->room * 2 : 64;
		struct plan_edit *more = realloc(p->edits, room * sizeof(*more));

		if (!more) {
			pl->oom = true;
			return;
		}
		p->edits = more;
		pl->room = room;
	}
	p->edits[p->n++] = edit;
}

/* ---- ids ------------------------------------------------------------------------------ */

/* Lowest id not taken, and takes it; 0 = none is left. */
static __u32 take_id(bool *taken, __u32 max)
{
	for (__u32 id = 1; id < max; id++) {
		if (!taken[id]) {
			taken[id] = true;
			return id;
		}
	}
	return 0;
}

static const struct plan_service *find_running(struct planner *pl, const char *name)
{
	for (size_t i = 0; i < pl->actual->n_services; i++) {
		const struct plan_service *s = &pl->actual->services[i];

		if (pl->kept_service[i] || s->name[0] == '\0' || strcmp(s->name, name) != 0)
			continue;
		pl->kept_service[i] = true;
		return s;
	}
	return NULL;
}

static int id_services(struct planner *pl)
{
	bool taken[SLUICE_MAX_SERVICES] = {0};

	for (size_t i = 0; i < pl->actual->n_services; i++)
		taken[pl->actual->services[i].id] = true;
	for (size_t i = 0; i < pl->want->n_services; i++) {
		struct plan_service *s = &pl->want->services[i];

		pl->running[i] = find_running(pl, s->name);
		s->id = pl->running[i] ? pl->running[i]->id : take_id(taken, SLUICE_MAX_SERVICES);
		if (s->id == 0)
			return err_set(
				pl->err, E2BIG,
				"no id is left for service %s: the gate holds %u services, "
				"old and new together; remove some first, nothing was changed",
				s->name, SLUICE_MAX_SERVICES - 1);
		if (!pl->running[i])
			plan_push(pl, (struct plan_edit){.step = PLAN_ADD_SERVICE, .service = s});
		else if (pl->running[i]->slots != s->ring_size ||
			 pl->running[i]->previous_ms != s->previous_ms ||
			 memcmp(&pl->running[i]->limit, &s->limit, sizeof(s->limit)) != 0)
			plan_push(pl, (struct plan_edit){.step = PLAN_CHANGE_SERVICE,
							 .service = s,
							 .old_service = pl->running[i]});
	}
	return 0;
}

static const struct plan_backend *find_backend(struct planner *pl, const struct plan_backend *b)
{
	__u32 service = pl->want->services[b->service].id;

	for (size_t i = 0; i < pl->actual->n_backends; i++) {
		const struct plan_backend *old = &pl->actual->backends[i];

		if (pl->kept_backend[i] || old->service != service ||
		    !addr_equal(&old->addr, &b->addr) || old->port != b->port)
			continue;
		pl->kept_backend[i] = true;
		return old;
	}
	return NULL;
}

static bool backend_differs(const struct plan_backend *a, const struct plan_backend *b)
{
	return strcmp(a->name, b->name) != 0 || a->weight != b->weight || a->down != b->down ||
	       a->configured != b->configured || a->mode != b->mode ||
	       a->udp_timeout_ms != b->udp_timeout_ms || a->mss != b->mss ||
	       !addr_equal(&a->src, &b->src);
}

static int id_backends(struct planner *pl)
{
	bool taken[SLUICE_MAX_BACKENDS] = {0};

	for (size_t i = 0; i < pl->actual->n_backends; i++)
		taken[pl->actual->backends[i].id] = true;
	for (size_t i = 0; i < pl->want->n_backends; i++) {
		struct plan_backend *b = &pl->want->backends[i];
		const struct plan_service *s = &pl->want->services[b->service];
		const struct plan_backend *old =
			pl->running[b->service] ? find_backend(pl, b) : NULL;

		if (b->keep_down)
			b->down = old && old->down;
		b->id = old ? old->id : take_id(taken, SLUICE_MAX_BACKENDS);
		if (b->id == 0)
			return err_set(
				pl->err, E2BIG,
				"no id is left for backend %s/%s: the gate holds %u backends, "
				"old and new together; remove some first, nothing was changed",
				s->name, b->name, SLUICE_MAX_BACKENDS - 1);
		if (!old)
			plan_push(pl, (struct plan_edit){.step = PLAN_ADD_BACKEND,
							 .service = s,
							 .backend = b});
		else if (backend_differs(old, b))
			plan_push(pl, (struct plan_edit){.step = PLAN_CHANGE_BACKEND,
							 .service = s,
							 .backend = b,
							 .old_backend = old});
	}
	return 0;
}

/* ---- rings ---------------------------------------------------------------------------- */

/* Fills s->ring; leaves it NULL when no backend takes new flows. */
static int build_ring(struct planner *pl, struct plan_service *s)
{
	const struct plan_state *want = pl->want;
	size_t index = (size_t)(s - want->services), n = 0;
	bool weighs = false;
	struct maglev_member *members = calloc(want->n_backends + 1, sizeof(*members));
	char(*keys)[ENDPOINT_TEXT] = calloc(want->n_backends + 1, sizeof(*keys));
	int rc = -ENOMEM;

	if (!members || !keys)
		goto out;
	for (size_t i = 0; i < want->n_backends; i++) {
		const struct plan_backend *b = &want->backends[i];

		if (b->service != index)
			continue;
		members[n] = (struct maglev_member){.key = plan_backend_text(b, keys[n]),
						    .id = b->id,
						    .weight = b->down ? 0 : b->weight};
		weighs |= b->weight > 0 && !b->down;
		n++;
	}
	rc = 0;
	if (!weighs)
		goto out;
	s->ring = calloc(s->ring_size, sizeof(*s->ring));
	rc = s->ring ? maglev_build(s->ring, s->ring_size, members, n) : -ENOMEM;
out:
	free(members);
	free(keys);
	if (rc)
		err_set(pl->err, -rc, "cannot build the hash table of service %s (%u slots): %s",
			s->name, s->ring_size, strerror(-rc));
	return rc;
}

static __u32 slots_moved(const struct plan_service *new, const struct plan_service *old)
{
	__u32 moved = 0;

	for (__u32 i = 0; i < new->ring_size; i++)
		moved += i >= old->ring_size || new->ring[i] != old->ring[i];
	return moved;
}

static void plan_ring(struct planner *pl, const struct plan_service *s,
		      const struct plan_service *old)
{
	bool runs = old && old->ring;
	struct plan_edit edit = {.service = s, .old_service = old};

	if (s->ring && (!runs || s->ring_size >= old->ring_size)) {
		edit.step = PLAN_GROW_RING;
		edit.slots_moved = runs ? slots_moved(s, old) : s->ring_size;
		if (edit.slots_moved)
			plan_push(pl, edit);
	} else if (s->ring) {
		edit.step = PLAN_SHRINK_RING;
		edit.slots_moved = s->ring_size;
		plan_push(pl, edit);
	} else if (runs) {
		edit.step = PLAN_REMOVE_RING;
		plan_push(pl, edit);
	}
}

static int plan_rings(struct planner *pl)
{
	for (size_t i = 0; i < pl->want->n_services; i++) {
		struct plan_service *s = &pl->want->services[i];
		int rc = s->kind == SLUICE_L4 ? build_ring(pl, s) : 0;

		if (rc)
			return rc;
		plan_ring(pl, s, pl->running[i]);
	}
	return 0;
}

const struct plan_service *plan_service_by_id(const struct plan_state *s, __u32 id)
{
	for (size_t i = 0; i < s->n_services; i++)
		if (s->services[i].id == id)
			return &s->services[i];
	return NULL;
}

/* ---- VIP entries and balancers -------------------------------------------------------- */

static int compare_vips(const void *a, const void *b)
{
	const struct plan_vip *const *x = a, *const *y = b;

	return memcmp(&(*x)->key, &(*y)->key, sizeof((*x)->key));
}

static const struct plan_vip **sort_vips(const struct plan_vip *vips, size_t n)
{
	const struct plan_vip **sorted = calloc(n + 1, sizeof(*sorted));

	if (!sorted)
		return NULL;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &vips[i];
	qsort(sorted, n, sizeof(*sorted), compare_vips);
	return sorted;
}

static const struct plan_vip *find_vip(const struct plan_vip **sorted, size_t n,
				       const struct plan_vip *vip)
{
	const struct plan_vip **hit = bsearch(&vip, sorted, n, sizeof(*sorted), compare_vips);

	return hit ? *hit : NULL;
}

static void plan_vip(struct planner *pl, struct plan_vip *vip, const struct plan_vip *old)
{
	struct plan_edit edit = {.vip = vip, .old_vip = old};

	if (vip->service != PLAN_MARKER) {
		const struct plan_service *s = &pl->want->services[vip->service];

		edit.service = s;
		edit.old_service = pl->running[vip->service];
		vip->value = s->entry;
		vip->value.id = s->id;
		vip->value.kind =
			s->kind == SLUICE_L4 && s->mode == SLUICE_MODE_nat ? SLUICE_NAT : s->kind;
		vip->value.ring_size = s->ring ? s->ring_size : 0;
	}
	edit.step = old ? PLAN_CHANGE_VIP : PLAN_ADD_VIP;
	if (!old || memcmp(&old->value, &vip->value, sizeof(vip->value)) != 0)
		plan_push(pl, edit);
}

static int plan_vips(struct planner *pl)
{
	struct plan_state *want = pl->want;
	const struct plan_state *actual = pl->actual;
	const struct plan_vip **old = sort_vips(actual->vips, actual->n_vips);
	const struct plan_vip **new = sort_vips(want->vips, want->n_vips);

	pl->oom |= !old || !new;
	for (size_t i = 0; !pl->oom && i < want->n_vips; i++)
		plan_vip(pl, &want->vips[i], find_vip(old, actual->n_vips, &want->vips[i]));
	for (size_t i = 0; !pl->oom && i < actual->n_vips; i++)
		if (!find_vip(new, want->n_vips, &actual->vips[i]))
			plan_push(pl, (struct plan_edit){.step = PLAN_REMOVE_VIP,
							 .old_service = plan_service_by_id(
								 actual, actual->vips[i].value.id),
							 .old_vip = &actual->vips[i]});
	free(old);
	free(new);
	return 0;
}

static bool holds_addr(const struct sluice_addr *list, size_t n, const struct sluice_addr *addr)
{
	for (size_t i = 0; i < n; i++)
		if (addr_equal(&list[i], addr))
			return true;
	return false;
}

static int plan_decap(struct planner *pl)
{
	const struct plan_state *want = pl->want, *actual = pl->actual;

	for (size_t i = 0; i < want->n_decap; i++)
		if (!holds_addr(actual->decap, actual->n_decap, &want->decap[i]))
			plan_push(pl, (struct plan_edit){.step = PLAN_ADD_DECAP,
							 .decap = &want->decap[i]});
	for (size_t i = 0; i < actual->n_decap; i++)
		if (!holds_addr(want->decap, want->n_decap, &actual->decap[i]))
			plan_push(pl, (struct plan_edit){.step = PLAN_REMOVE_DECAP,
							 .decap = &actual->decap[i]});
	return 0;
}

/* ---- what is no longer wanted --------------------------------------------------------- */

static int plan_removals(struct planner *pl)
{
	const struct plan_state *actual = pl->actual;

	for (size_t i = 0; i < actual->n_backends; i++) {
		const struct plan_backend *b = &actual->backends[i];

		if (!pl->kept_backend[i])
			plan_push(pl, (struct plan_edit){
					      .step = PLAN_REMOVE_BACKEND,
					      .old_service = plan_service_by_id(actual, b->service),
					      .old_backend = b});
	}
	for (size_t i = 0; i < actual->n_services; i++) {
		const struct plan_service *s = &actual->services[i];

		if (pl->kept_service[i])
			continue;
		if (s->ring)
			plan_push(pl,
				  (struct plan_edit){.step = PLAN_REMOVE_RING, .old_service = s});
		plan_push(pl, (struct plan_edit){.step = PLAN_REMOVE_SERVICE, .old_service = s});
	}
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------ */

/* By step, and within a step in the order of planning. */
static int sort_edits(struct planner *pl)
{
	struct plan *p = pl->plan;
	struct plan_edit *sorted = calloc(p->n + 1, sizeof(*sorted));
	size_t n = 0;

	if (!sorted)
		return -ENOMEM;
	for (int step = 0; step <= PLAN_REMOVE_SERVICE; step++)
		for (size_t i = 0; i < p->n; i++)
			if ((int)p->edits[i].step == step)
				sorted[n++] = p->edits[i];
	free(p->edits);
	p->edits = sorted;
	return 0;
}

static int run_planner(struct planner *pl)
{
	static int (*const stages[])(struct planner *) = {
		id_services,  id_backends, plan_pins,  plan_rings,
		plan_sources, plan_vips,   plan_decap, plan_removals,
	};

	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
		int rc = stages[i](pl);

		if (rc)
			return rc;
	}
	return pl->oom || sort_edits(pl) ? -ENOMEM : 0;
}

int plan_make(struct plan *p, struct plan_state *want, const struct plan_state *actual,
	      struct err *e)
{
	struct planner pl = {.plan = p, .want = want, .actual = actual, .err = e};
	int rc = -ENOMEM;

	memset(p, 0, sizeof(*p));
	pl.running = calloc(want->n_services + 1, sizeof(*pl.running));
	pl.kept_service = calloc(actual->n_services + 1, sizeof(*pl.kept_service));
	pl.kept_backend = calloc(actual->n_backends + 1, sizeof(*pl.kept_backend));
	if (pl.running && pl.kept_service && pl.kept_backend)
		rc = run_planner(&pl);
	free(pl.running);
	free(pl.kept_service);
	free(pl.kept_backend);
	if (rc == -ENOMEM)
		err_set(e, ENOMEM, "out of memory while planning; nothing was changed");
	if (rc)
		plan_fini(p);
	return rc;
}
