// SPDX-License-Identifier: BSD-2-Clause
/*
 * Two balancers with the same file send a flow to the same backend. Their tables are the same byte
 * for byte; and the same backends stand in the same slots whatever a gate has been through before,
 * which gives its backends other numbers, and however the file is ordered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_scene.h"
#include "sluice/flow_hash.h"

#define SHOP(backends)                                                                             \
	"service \"shop\" { kind = l4  ring_size = 4099\n"                                         \
	"  listen = { \"198.51.100.10:80\", \"[2001:db8::10]:80\" }\n" backends "}\n"
#define MAIL                                                                                       \
	"service \"mail\" { kind = l4  ring_size = 251  hash = src\n"                              \
	"  listen = { \"198.51.100.11:25\" }\n"                                                    \
	"  backend \"m1\" { address = \"10.0.0.11\" }\n"                                           \
	"  backend \"m2\" { address = \"fd00::15\"  weight = 3 } }\n"
#define B1 "backend \"b1\" { address = \"10.0.0.11\" }\n"
#define B2 "backend \"b2\" { address = \"10.0.0.12\"  weight = 5 }\n"
#define B3 "backend \"b3\" { address = \"fd00::13\"  weight = 2 }\n"
#define B4 "backend \"b4\" { address = \"10.0.0.14\"  weight = 0 }\n"

static const char file[] = SHOP(B1 B2 B3 B4) MAIL;
static const char other_order[] = MAIL SHOP(B4 B3 B1 B2);

static const struct plan_service *service(const struct scene *s, const char *name)
{
	for (size_t i = 0; i < s->want.n_services; i++)
		if (strcmp(s->want.services[i].name, name) == 0)
			return &s->want.services[i];
	fail_msg("no service %s", name);
	return NULL;
}

static const char *address(const struct scene *s, __u32 id, char buf[ENDPOINT_TEXT])
{
	for (size_t i = 0; i < s->want.n_backends; i++)
		if (s->want.backends[i].id == id)
			return plan_backend_text(&s->want.backends[i], buf);
	fail_msg("no backend has the number %u", id);
	return NULL;
}

/* Slot by slot, by the backends' addresses; whether by their numbers too. */
static bool twins(const struct scene *a, const struct scene *b, const char *name)
{
	const struct plan_service *x = service(a, name), *y = service(b, name);
	char at[ENDPOINT_TEXT], bt[ENDPOINT_TEXT];

	assert_int_equal(x->ring_size, y->ring_size);
	for (__u32 i = 0; i < x->ring_size; i++)
		assert_string_equal(address(a, x->ring[i], at), address(b, y->ring[i], bt));
	return memcmp(x->ring, y->ring, x->ring_size * sizeof(*x->ring)) == 0;
}

static void test_the_same_file_is_the_same_table(void **unused)
{
	struct scene a = {0}, b = {0};

	(void)unused;
	apply(&a, file);
	apply(&b, file);
	assert_true(twins(&a, &b, "shop"));
	assert_true(twins(&a, &b, "mail"));
	assert_int_equal(a.want.n_vips, b.want.n_vips);
	for (size_t i = 0; i < a.want.n_vips; i++) {
		assert_memory_equal(&a.want.vips[i].key, &b.want.vips[i].key,
				    sizeof(a.want.vips[i].key));
		assert_memory_equal(&a.want.vips[i].value, &b.want.vips[i].value,
				    sizeof(a.want.vips[i].value));
	}
	scene_fini(&a);
	scene_fini(&b);
}

static void test_the_order_of_the_file_does_not_matter(void **unused)
{
	struct scene a = {0}, b = {0};

	(void)unused;
	apply(&a, file);
	apply(&b, other_order);
	assert_false(twins(&a, &b, "shop"));
	twins(&a, &b, "mail");
	scene_fini(&a);
	scene_fini(&b);
}

/* One balancer is new, the other had other services, and backends that came, went and drained. */
static void test_what_was_before_does_not_matter(void **unused)
{
	static const char *const before[] = {
		MAIL,
		SHOP(B4 B2) MAIL,
		SHOP(B3),
		SHOP("backend \"x\" { address = \"10.0.0.99\" }\n" B3 B1),
		SHOP(B1 B3 "backend \"b2\" { address = \"10.0.0.12\"  weight = 1 }\n") MAIL,
	};
	struct scene a = {0}, b = {0};
	char at[ENDPOINT_TEXT], bt[ENDPOINT_TEXT];

	(void)unused;
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		apply(&b, before[i]);
		enact(&b);
	}
	apply(&a, file);
	apply(&b, file);
	assert_false(twins(&a, &b, "shop")); /* their numbers are others */
	twins(&a, &b, "mail");
	/* So flows go to the same places, for each kind of hash. */
	for (__u32 i = 0; i < 4000; i++) {
		const struct sluice_flow flow = {.src.w = {0, 0, 0xffff0000, i * 2654435761U},
						 .dst.w = {0, 0, 0xffff0000, 17},
						 .sport = (__u16)(i * 7),
						 .dport = 80,
						 .proto = 6};
		__u32 slot = sluice_slot(sluice_service_hash(&flow, i % SLUICE_HASH_COUNT), 4099);

		assert_string_equal(address(&a, service(&a, "shop")->ring[slot], at),
				    address(&b, service(&b, "shop")->ring[slot], bt));
	}
	scene_fini(&a);
	scene_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_same_file_is_the_same_table),
		cmocka_unit_test(test_the_order_of_the_file_does_not_matter),
		cmocka_unit_test(test_what_was_before_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
