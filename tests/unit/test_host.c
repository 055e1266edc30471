// SPDX-License-Identifier: BSD-2-Clause
/* What a person reads when an interface or a driver refuses, and how libraries' words are
 * kept until they explain something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "l4/chatter.h"
#include "l4/host.h"

static void says(const struct err *e, const char *words)
{
	if (!strstr(e->text, words))
		fail_msg("\"%s\" says nothing of \"%s\"", e->text, words);
}

static void test_near_name_is_offered(void **unused)
{
	struct err e;

	(void)unused;
	assert_int_equal(host_ifindex("ol", &e), -ENODEV);
	says(&e, "no interface ol");
	says(&e, "did you mean lo?");
	assert_true(host_ifindex("lo", &e) > 0);
}

static void test_far_name_gets_the_list(void **unused)
{
	struct err e;

	(void)unused;
	assert_int_equal(host_ifindex("wwan-of-tomorrow", &e), -ENODEV);
	says(&e, "here are: ");
	says(&e, "lo");
	assert_null(strstr(e.text, "did you mean"));
}

static void test_overlong_name_is_harmless(void **unused)
{
	char name[400];
	struct err e;

	(void)unused;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(host_ifindex(name, &e), -ENODEV);
}

static void test_driver_without_native_xdp(void **unused)
{
	struct err e;

	(void)unused;
	assert_int_equal(host_refused("eth9", true, EOPNOTSUPP, NULL, &e), -EOPNOTSUPP);
	says(&e, "eth9 has no native XDP");
	says(&e, "--mode generic");
}

static void test_known_refusal_names_the_mend(void **unused)
{
	struct err e;

	(void)unused;
	host_refused("eth9", true, EINVAL, "MTU too large to enable XDP", &e);
	says(&e, "MTU too large to enable XDP");
	says(&e, "ip link set dev eth9 mtu 1500");
	host_refused("eth9", true, EINVAL, "LRO is on", &e);
	says(&e, "ethtool -K eth9 lro off");
}

/* In the words of the drivers (Linux 5.10 to 6.18). */
static void test_each_drivers_refusal_has_its_mend(void **unused)
{
	static const struct {
		const char *driver, *said, *mend;
	} rows[] = {
		{"virtio_net",
		 "Can't set XDP while host is implementing GRO_HW/CSUM, disable GRO_HW/CSUM first",
		 "rx-gro-hw off"},
		{"virtio_net",
		 "Can't set XDP while host is implementing LRO/CSUM, disable LRO/CSUM first",
		 "lro off"},
		{"veth", "Peer MTU is too large to set XDP", "lower the peer's MTU"},
		{"veth", "XDP expects number of rx queues not less than peer tx queues",
		 "as many receive queues as its peer"},
		{"ena",
		 "Failed to set xdp program, the Rx/Tx channel count should be at most half of the "
		 "maximum allowed channel count",
		 "ethtool -L %s combined N"},
		{"bond", "No native XDP support for the current bonding mode",
		 "change the mode of %s"},
		{"bond", "Slave has XDP program loaded, please unload before enslaving",
		 "take XDP off the slaves"},
		{"ixgbe", "Cannot enable XDP with header/data split", "tcp-data-split off"},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *mend = host_mend(rows[i].driver, rows[i].said);

		assert_non_null(mend);
		assert_non_null(strstr(mend, rows[i].mend));
	}
	assert_null(host_mend("ixgbe", "Slave has XDP program loaded"));
	assert_null(host_mend("bond", NULL));
}

static void test_unknown_refusal_keeps_the_kernels_words(void **unused)
{
	struct err e;

	(void)unused;
	assert_int_equal(host_refused("eth9", true, EBUSY, "moon in wrong phase", &e), -EBUSY);
	says(&e, "moon in wrong phase");
	says(&e, "--mode generic");
	host_refused("eth9", false, EINVAL, NULL, &e);
	says(&e, strerror(EINVAL));
	assert_null(strstr(e.text, "--mode generic")); /* that is what was tried */
}

/* ---- chatter -------------------------------------------------------------------------- */

/* Makes libbpf say something, as its own functions would. */
static void provoke(const char *name)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name);

	bpf_object__open_mem("no ELF", 6, &opts);
}

static char *printed(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	chatter_print(out);
	fclose(out);
	return text;
}

static void test_words_are_kept_and_found(void **unused)
{
	char buf[64], tiny[4];

	(void)unused;
	chatter_clear();
	provoke("first");
	provoke("second");
	assert_non_null(chatter_after("libbpf: ", buf, sizeof(buf)));
	assert_non_null(strstr(buf, "second"));
	assert_null(strchr(buf, '\n'));
	assert_int_equal(strlen(chatter_after("libbpf: ", tiny, sizeof(tiny))), 3);
	assert_null(chatter_after("never said", buf, sizeof(buf)));
	chatter_clear();
	assert_null(chatter_after("libbpf: ", buf, sizeof(buf)));
}

static void test_only_the_end_is_shown(void **unused)
{
	char name[16], *text;
	unsigned lines = 0;

	(void)unused;
	chatter_clear();
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "object%u", i);
		provoke(name);
	}
	text = printed();
	assert_non_null(strstr(text, "object999"));
	assert_null(strstr(text, "object900"));
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_in_range(lines, 10, 20);
	assert_memory_equal(text, "  | ", 4);
	free(text);
	chatter_clear();
	text = printed();
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_near_name_is_offered),
		cmocka_unit_test(test_far_name_gets_the_list),
		cmocka_unit_test(test_overlong_name_is_harmless),
		cmocka_unit_test(test_driver_without_native_xdp),
		cmocka_unit_test(test_known_refusal_names_the_mend),
		cmocka_unit_test(test_each_drivers_refusal_has_its_mend),
		cmocka_unit_test(test_unknown_refusal_keeps_the_kernels_words),
		cmocka_unit_test(test_words_are_kept_and_found),
		cmocka_unit_test(test_only_the_end_is_shown),
	};

	unsetenv("SLUICE_DEBUG");
	chatter_catch();
	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
