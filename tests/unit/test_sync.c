// SPDX-License-Identifier: BSD-2-Clause
/*
 * What `sluice apply` decides: a file against what runs, as edits. Each scene builds the
 * file, pretends to have run the edits of an earlier one (enact), and plans again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/maglev.h"
#include "l4/plan.h"

#define RING 251

/* ---- the file ------------------------------------------------------------------------- */

struct file {
	struct conf conf;
	struct conf_service services[4];
	struct conf_listen listens[4][4];
	struct conf_backend backends[4][8];
	struct sluice_addr decap[4];
};

static struct sluice_addr addr(const char *text)
{
	struct sluice_addr a;

	assert_true(addr_parse(&a, text));
	return a;
}

static void file_init(struct file *f)
{
	memset(f, 0, sizeof(*f));
	f->conf.path = "test.conf";
	f->conf.services = f->services;
	f->conf.decap_from = f->decap;
	f->conf.source4 = addr("10.0.0.1");
	f->conf.source6 = addr("fd00::1");
}

static struct conf_service *add_service(struct file *f, const char *name, uint32_t kind)
{
	unsigned i = f->conf.n_services++;
	struct conf_service *s = &f->services[i];

	s->name = name;
	s->kind = kind;
	s->index = i;
	s->ring_size = RING;
	s->listens = f->listens[i];
	s->backends = f->backends[i];
	return s;
}

static void add_listen(struct conf_service *s, const char *ip, uint16_t port, uint8_t proto)
{
	s->listens[s->n_listens++] =
		(struct conf_listen){.endpoint = {.addr = addr(ip), .port = port}, .proto = proto};
}

static struct conf_backend *add_backend(struct conf_service *s, const char *name, const char *ip,
					uint32_t weight)
{
	struct conf_backend *b = &s->backends[s->n_backends++];

	*b = (struct conf_backend){.name = name, .endpoint = {.addr = addr(ip)}, .weight = weight};
	return b;
}

/* One l4 service, two backends, both families of VIP. */
static struct conf_service *shop(struct file *f)
{
	struct conf_service *s;

	file_init(f);
	s = add_service(f, "shop", SLUICE_L4);
	add_listen(s, "198.51.100.10", 80, IPPROTO_TCP);
	add_listen(s, "2001:db8::10", 80, IPPROTO_TCP);
	add_backend(s, "b1", "10.0.0.11", 1);
	add_backend(s, "b2", "10.0.0.12", 1);
	return s;
}

/* ---- what runs ------------------------------------------------------------------------ */

/* The state that the gate is in once all edits toward `want` are made. */
static void enact(struct plan_state *actual, const struct plan_state *want)
{
	plan_state_fini(actual);
	actual->services = calloc(want->n_services + 1, sizeof(*actual->services));
	actual->backends = calloc(want->n_backends + 1, sizeof(*actual->backends));
	actual->vips = calloc(want->n_vips + 1, sizeof(*actual->vips));
	actual->decap = calloc(want->n_decap + 1, sizeof(*actual->decap));
	for (size_t i = 0; i < want->n_services; i++) {
		struct plan_service *s = &actual->services[actual->n_services++];

		*s = want->services[i];
		s->slots = s->ring_size;
		if (!s->ring) {
			s->ring_size = 0;
			continue;
		}
		s->ring = calloc(s->ring_size, sizeof(*s->ring));
		memcpy(s->ring, want->services[i].ring, s->ring_size * sizeof(*s->ring));
	}
	for (size_t i = 0; i < want->n_backends; i++) {
		struct plan_backend *b = &actual->backends[actual->n_backends++];

		*b = want->backends[i];
		b->service = want->services[b->service].id;
	}
	memcpy(actual->vips, want->vips, want->n_vips * sizeof(*want->vips));
	actual->n_vips = want->n_vips;
	memcpy(actual->decap, want->decap, want->n_decap * sizeof(*want->decap));
	actual->n_decap = want->n_decap;
}

struct scene {
	struct plan_state want, actual;
	struct plan plan;
	struct err err;
};

static void plan_file(struct scene *s, const struct file *f)
{
	plan_fini(&s->plan);
	plan_state_fini(&s->want);
	assert_int_equal(plan_want(&s->want, &f->conf, &s->err), 0);
	assert_int_equal(plan_make(&s->plan, &s->want, &s->actual, &s->err), 0);
}

/* Plans, and then lets it be what runs. */
static void run_file(struct scene *s, const struct file *f)
{
	plan_file(s, f);
	enact(&s->actual, &s->want);
}

static void scene_fini(struct scene *s)
{
	plan_fini(&s->plan);
	plan_state_fini(&s->want);
	plan_state_fini(&s->actual);
}

static unsigned count(const struct scene *s, enum plan_step step)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->plan.n; i++)
		n += s->plan.edits[i].step == step;
	return n;
}

static const struct plan_edit *only(const struct scene *s, enum plan_step step)
{
	const struct plan_edit *hit = NULL;

	assert_int_equal(count(s, step), 1);
	for (size_t i = 0; i < s->plan.n; i++)
		if (s->plan.edits[i].step == step)
			hit = &s->plan.edits[i];
	return hit;
}

static void assert_prints(const struct scene *s, const char *expected)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	plan_print(&s->plan, out);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

static const struct plan_vip *vip_of(const struct plan_state *s, const char *ip, uint16_t port,
				     uint8_t proto)
{
	struct sluice_addr a = addr(ip);

	for (size_t i = 0; i < s->n_vips; i++)
		if (addr_equal(&s->vips[i].key.addr, &a) && s->vips[i].key.port == htons(port) &&
		    s->vips[i].key.proto == proto)
			return &s->vips[i];
	return NULL;
}

/* ---- scenes --------------------------------------------------------------------------- */

static void test_first_apply_adds_all(void **unused)
{
	struct scene s = {0};
	struct file f;

	(void)unused;
	shop(&f);
	f.decap[f.conf.n_decap_from++] = addr("10.0.0.99");
	plan_file(&s, &f);
	assert_int_equal(count(&s, PLAN_ADD_SERVICE), 1);
	assert_int_equal(count(&s, PLAN_ADD_BACKEND), 2);
	assert_int_equal(count(&s, PLAN_GROW_RING), 1);
	assert_int_equal(count(&s, PLAN_ADD_VIP), 4); /* two listens, two VIPs of their own */
	assert_int_equal(s.plan.n, 9);
	assert_prints(&s, "+ backend shop/b1 10.0.0.11 weight 1\n"
			  "+ backend shop/b2 10.0.0.12 weight 1\n"
			  "+ service shop 198.51.100.10:80/tcp -> l4\n"
			  "+ service shop [2001:db8::10]:80/tcp -> l4\n"
			  "+ decap_from 10.0.0.99\n");
	scene_fini(&s);
}

static void test_second_apply_is_empty(void **unused)
{
	struct scene s = {0};
	struct file f;

	(void)unused;
	shop(&f);
	f.decap[f.conf.n_decap_from++] = addr("10.0.0.99");
	run_file(&s, &f);
	plan_file(&s, &f);
	assert_int_equal(s.plan.n, 0);
	scene_fini(&s);
}

static void test_ring_is_the_shared_maglev(void **unused)
{
	struct maglev_member members[] = {{"10.0.0.11", 1, 1}, {"10.0.0.12", 2, 1}};
	struct scene s = {0};
	uint32_t table[RING];
	struct file f;

	(void)unused;
	shop(&f);
	plan_file(&s, &f);
	assert_int_equal(maglev_build(table, RING, members, 2), 0);
	assert_memory_equal(s.want.services[0].ring, table, sizeof(table));
	scene_fini(&s);
}

/* Readers may rely on it: what an entry points to is there before it and gone after it. */
static void test_edits_come_in_safe_order(void **unused)
{
	struct scene s = {0};
	struct file f, g;
	struct conf_service *site;

	(void)unused;
	shop(&f);
	run_file(&s, &f);
	file_init(&g);
	site = add_service(&g, "other", SLUICE_L4);
	add_listen(site, "198.51.100.11", 80, IPPROTO_UDP);
	add_backend(site, "b9", "10.0.0.19", 1);
	plan_file(&s, &g);
	assert_true(s.plan.n > 6);
	for (size_t i = 1; i < s.plan.n; i++)
		assert_true(s.plan.edits[i - 1].step <= s.plan.edits[i].step);
	assert_int_equal(s.plan.edits[0].step, PLAN_ADD_SERVICE);
	assert_int_equal(s.plan.edits[s.plan.n - 1].step, PLAN_REMOVE_SERVICE);
	scene_fini(&s);
}

static void test_weight_changes_alone(void **unused)
{
	struct scene s = {0};
	struct file f;
	struct conf_service *svc = shop(&f);
	const struct plan_edit *ring;

	(void)unused;
	run_file(&s, &f);
	svc->backends[1].weight = 2;
	plan_file(&s, &f);
	assert_int_equal(s.plan.n, 2);
	assert_int_equal(only(&s, PLAN_CHANGE_BACKEND)->backend->id, 2);
	ring = only(&s, PLAN_GROW_RING);
	assert_in_range(ring->slots_moved, RING / 8, RING / 4);
	scene_fini(&s);
}

static void test_change_is_told_in_words(void **unused)
{
	struct scene s = {0};
	struct file f;
	struct conf_service *svc = shop(&f);

	(void)unused;
	run_file(&s, &f);
	svc->backends[1].weight = 0;
	svc->backends[1].name = "old";
	f.conf.source4 = addr("10.0.0.2");
	svc->backends[0].endpoint.addr = addr("10.0.0.13");
	plan_file(&s, &f);
	assert_prints(&s, "+ backend shop/b1 10.0.0.13 weight 1\n"
			  "~ backend shop/old was b2 weight 1 -> 0 source 10.0.0.1 -> 10.0.0.2\n"
			  "~ ring shop 100.0 % of 251 slots change backend\n"
			  "- backend shop/b1 10.0.0.11\n");
	scene_fini(&s);
}

/* Its slots go to the others, its own entry stays for the flows that it has. */
static void test_weight_zero_drains(void **unused)
{
	struct scene s = {0};
	struct file f;
	struct conf_service *svc = shop(&f);

	(void)unused;
	run_file(&s, &f);
	svc->backends[0].weight = 0;
	plan_file(&s, &f);
	for (uint32_t i = 0; i < RING; i++)
		assert_int_equal(s.want.services[0].ring[i], 2);
	assert_int_equal(count(&s, PLAN_REMOVE_BACKEND), 0);
	scene_fini(&s);
}

static void test_last_backend_gone_empties_the_ring(void **unused)
{
	struct scene s = {0};
	struct file f;
	struct conf_service *svc = shop(&f);

	(void)unused;
	run_file(&s, &f);
	svc->n_backends = 0;
	plan_file(&s, &f);
	assert_null(s.want.services[0].ring);
	assert_int_equal(count(&s, PLAN_CHANGE_VIP), 2);
	assert_int_equal(vip_of(&s.want, "198.51.100.10", 80, IPPROTO_TCP)->value.ring_size, 0);
	assert_int_equal(count(&s, PLAN_REMOVE_RING), 1);
	assert_int_equal(count(&s, PLAN_REMOVE_BACKEND), 2);
	enact(&s.actual, &s.want);
	plan_file(&s, &f);
	assert_int_equal(s.plan.n, 0);
	scene_fini(&s);
}

static void test_ring_grows_before_and_shrinks_after_its_vips(void **unused)
{
	struct scene s = {0};
	struct file f;
	struct conf_service *svc = shop(&f);

	(void)unused;
	run_file(&s, &f);
	svc->ring_size = 509;
	run_file(&s, &f);
	assert_int_equal(s.plan.edits[1].step, PLAN_GROW_RING);
	assert_int_equal(count(&s, PLAN_CHANGE_VIP), 2);
	svc->ring_size = RING;
	plan_file(&s, &f);
	assert_int_equal(s.plan.edits[1].step, PLAN_CHANGE_VIP);
	assert_int_equal(s.plan.edits[s.plan.n - 1].step, PLAN_SHRINK_RING);
	assert_prints(&s, "~ ring shop 509 -> 251 slots\n");
	scene_fini(&s);
}

static void test_running_ids_stay(void **unused)
{
	struct scene s = {0};
	struct file f, g;
	struct conf_service *svc;

	(void)unused;
	shop(&f);
	run_file(&s, &f);
	/* The same service, listed second, with its backends in another order. */
	file_init(&g);
	svc = add_service(&g, "first", SLUICE_L4);
	add_listen(svc, "198.51.100.11", 0, IPPROTO_TCP);
	add_backend(svc, "b1", "10.0.0.11", 1); /* same address, other service */
	svc = add_service(&g, "shop", SLUICE_L4);
	add_listen(svc, "198.51.100.10", 80, IPPROTO_TCP);
	add_listen(svc, "2001:db8::10", 80, IPPROTO_TCP);
	add_backend(svc, "b2", "10.0.0.12", 1);
	add_backend(svc, "b1", "10.0.0.11", 1);
	plan_file(&s, &g);
	assert_int_equal(s.want.services[1].id, 1);
	assert_int_equal(s.want.services[0].id, 2);
	assert_int_equal(s.want.backends[1].id, 2);
	assert_int_equal(s.want.backends[2].id, 1);
	assert_int_equal(s.want.backends[0].id, 3);
	assert_int_equal(count(&s, PLAN_CHANGE_BACKEND), 0);
	/* Sorted by address, so the order in the file does not move a slot. */
	assert_int_equal(count(&s, PLAN_GROW_RING), 1);
	scene_fini(&s);
}

/* An id is not given to somebody new while its old owner's entries are being removed. */
static void test_ids_of_the_leaving_are_not_taken(void **unused)
{
	struct scene s = {0};
	struct file f, g;
	struct conf_service *svc;

	(void)unused;
	shop(&f);
	run_file(&s, &f);
	file_init(&g);
	svc = add_service(&g, "new", SLUICE_L4);
	add_listen(svc, "198.51.100.10", 80, IPPROTO_TCP);
	add_backend(svc, "b1", "10.0.0.11", 1);
	plan_file(&s, &g);
	assert_int_equal(s.want.services[0].id, 2);
	assert_int_equal(s.want.backends[0].id, 3);
	assert_int_equal(only(&s, PLAN_REMOVE_SERVICE)->old_service->id, 1);
	assert_int_equal(count(&s, PLAN_REMOVE_BACKEND), 2);
	assert_int_equal(only(&s, PLAN_REMOVE_RING)->old_service->id, 1);
	scene_fini(&s);
}

static void test_marker_joins_the_kinds_of_a_vip(void **unused)
{
	struct scene s = {0};
	struct file f;
	struct conf_service *site;
	const struct plan_vip *marker;

	(void)unused;
	shop(&f);
	site = add_service(&f, "site", SLUICE_L7);
	add_listen(site, "198.51.100.10", 443, IPPROTO_TCP);
	add_backend(site, "b1", "10.0.0.11", 1);
	plan_file(&s, &f);
	marker = vip_of(&s.want, "198.51.100.10", 0, IPPROTO_ICMP);
	assert_non_null(marker);
	assert_int_equal(marker->value.kind, SLUICE_L4 | SLUICE_L7);
	assert_int_equal(marker->service, PLAN_MARKER);
	marker = vip_of(&s.want, "2001:db8::10", 0, IPPROTO_ICMPV6);
	assert_non_null(marker);
	assert_int_equal(marker->value.kind, SLUICE_L4);
	/* The daemon's backends are none of the gate's. */
	assert_int_equal(s.want.n_backends, 2);
	/* One service leaves: the marker of the shared VIP changes, it does not go. */
	enact(&s.actual, &s.want);
	f.conf.n_services = 1;
	plan_file(&s, &f);
	assert_int_equal(count(&s, PLAN_CHANGE_VIP), 1);
	assert_int_equal(count(&s, PLAN_REMOVE_VIP), 1);
	scene_fini(&s);
}

static void test_kind_change_keeps_the_service(void **unused)
{
	struct scene s = {0};
	struct file f;
	struct conf_service *svc = shop(&f);

	(void)unused;
	run_file(&s, &f);
	svc->kind = SLUICE_L7;
	plan_file(&s, &f);
	assert_int_equal(s.want.services[0].id, 1);
	assert_int_equal(count(&s, PLAN_ADD_SERVICE) + count(&s, PLAN_REMOVE_SERVICE), 0);
	assert_prints(&s, "~ service shop 198.51.100.10:80/tcp l4 -> l7\n"
			  "~ service shop [2001:db8::10]:80/tcp l4 -> l7\n"
			  "- backend shop/b1 10.0.0.11\n"
			  "- backend shop/b2 10.0.0.12\n");
	scene_fini(&s);
}

static void test_listen_on_any_address_stays_out(void **unused)
{
	struct scene s = {0};
	struct file f;
	struct conf_service *svc;

	(void)unused;
	file_init(&f);
	svc = add_service(&f, "site", SLUICE_L7);
	add_listen(svc, "0.0.0.0", 80, IPPROTO_TCP);
	add_listen(svc, "::", 80, IPPROTO_TCP);
	plan_file(&s, &f);
	assert_int_equal(s.want.n_vips, 0);
	scene_fini(&s);
}

/* A crash between two writes leaves entries without a name, rings without a service. */
static void test_leftovers_of_a_crash_are_removed(void **unused)
{
	struct scene s = {0};
	struct file f;

	(void)unused;
	shop(&f);
	run_file(&s, &f);
	s.actual.services = realloc(s.actual.services, 2 * sizeof(*s.actual.services));
	s.actual.services[s.actual.n_services++] =
		(struct plan_service){.id = 7, .ring_size = RING, .ring = calloc(RING, 4)};
	s.actual.backends = realloc(s.actual.backends, 3 * sizeof(*s.actual.backends));
	s.actual.backends[s.actual.n_backends++] =
		(struct plan_backend){.id = 9, .addr = addr("10.0.0.11")};
	plan_file(&s, &f);
	assert_int_equal(only(&s, PLAN_REMOVE_RING)->old_service->id, 7);
	assert_int_equal(only(&s, PLAN_REMOVE_SERVICE)->old_service->id, 7);
	assert_int_equal(only(&s, PLAN_REMOVE_BACKEND)->old_backend->id, 9);
	assert_int_equal(s.plan.n, 3);
	scene_fini(&s);
}

/* A ring that was written half, or by hand, is noticed although every label is right. */
static void test_wrong_ring_is_rebuilt(void **unused)
{
	struct scene s = {0};
	struct file f;

	(void)unused;
	shop(&f);
	run_file(&s, &f);
	s.actual.services[0].ring[17] = 0;
	plan_file(&s, &f);
	assert_int_equal(s.plan.n, 1);
	assert_int_equal(only(&s, PLAN_GROW_RING)->slots_moved, 1);
	scene_fini(&s);
}

static void test_too_many_services_plan_nothing(void **unused)
{
	struct scene s = {0};
	struct file f;

	(void)unused;
	shop(&f);
	assert_int_equal(plan_want(&s.want, &f.conf, &s.err), 0);
	s.actual.services = calloc(SLUICE_MAX_SERVICES, sizeof(*s.actual.services));
	for (uint32_t id = 1; id < SLUICE_MAX_SERVICES; id++) {
		struct plan_service *svc = &s.actual.services[s.actual.n_services++];

		svc->id = id;
		snprintf(svc->name, sizeof(svc->name), "s%u", id);
	}
	assert_int_equal(plan_make(&s.plan, &s.want, &s.actual, &s.err), -E2BIG);
	assert_int_equal(s.plan.n, 0);
	assert_non_null(strstr(s.err.text, "shop"));
	scene_fini(&s);
}

static void test_file_beyond_the_maps_is_refused(void **unused)
{
	struct plan_state want;
	struct err e;
	struct file f;

	(void)unused;
	shop(&f);
	f.conf.n_decap_from = SLUICE_MAX_DECAP + 1;
	assert_int_equal(plan_want(&want, &f.conf, &e), -E2BIG);
	assert_non_null(strstr(e.text, "decap_from"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_apply_adds_all),
		cmocka_unit_test(test_second_apply_is_empty),
		cmocka_unit_test(test_ring_is_the_shared_maglev),
		cmocka_unit_test(test_edits_come_in_safe_order),
		cmocka_unit_test(test_weight_changes_alone),
		cmocka_unit_test(test_change_is_told_in_words),
		cmocka_unit_test(test_weight_zero_drains),
		cmocka_unit_test(test_last_backend_gone_empties_the_ring),
		cmocka_unit_test(test_ring_grows_before_and_shrinks_after_its_vips),
		cmocka_unit_test(test_running_ids_stay),
		cmocka_unit_test(test_ids_of_the_leaving_are_not_taken),
		cmocka_unit_test(test_marker_joins_the_kinds_of_a_vip),
		cmocka_unit_test(test_kind_change_keeps_the_service),
		cmocka_unit_test(test_listen_on_any_address_stays_out),
		cmocka_unit_test(test_leftovers_of_a_crash_are_removed),
		cmocka_unit_test(test_wrong_ring_is_rebuilt),
		cmocka_unit_test(test_too_many_services_plan_nothing),
		cmocka_unit_test(test_file_beyond_the_maps_is_refused),
	};

	return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
