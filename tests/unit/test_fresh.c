// SPDX-License-Identifier: BSD-2-Clause
/* What may be kept, for how long, and used for whom: the arithmetic of RFC 9111 section 4.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "l7/fresh.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define NOW           784111777LL /* Sun, 06 Nov 1994 08:49:37 GMT */
#define NOW_TEXT      "Sun, 06 Nov 1994 08:49:37 GMT"
#define HOUR_AGO      "Sun, 06 Nov 1994 07:49:37 GMT"
#define IN_AN_HOUR    "Sun, 06 Nov 1994 09:49:37 GMT"

static const struct fresh_policy usual = {.heuristic_most = 86400, .stale_if_error = 60};

static struct fresh_verdict judge(unsigned status, const char *fields,
				  const struct fresh_asked *asked,
				  const struct fresh_policy *policy)
{
	static struct http1_head h;
	const struct http1_limits limits = {8192, 8192, 100};
	static const struct fresh_asked get = {.method = HTTP1_M_GET};
	struct fresh_response said;
	char text[2048];
	size_t scanned = 0;
	int n = snprintf(text, sizeof(text), "HTTP/1.1 %u x\r\n%sContent-Length: 0\r\n\r\n", status,
			 fields);

	assert_int_equal(http1_parse_response(&h, text, (size_t)n, &scanned, HTTP1_M_GET, &limits),
			 n);
	fresh_read(&said, &h, NOW);
	return fresh_judge(&said, asked ? asked : &get, policy ? policy : &usual, NOW);
}

static void test_lifetime_and_age(void **unused)
{
	static const struct {
		const char *fields;
		int64_t lifetime, age;
	} rows[] = {
		{"Cache-Control: max-age=60\r\n", 60, 0},
		{"Cache-Control: max-age=60, s-maxage=5\r\n", 5, 0},
		{"Cache-Control: max-age=60\r\nExpires: 0\r\nAge: 7\r\n", 60, 7},
		{"Expires: " IN_AN_HOUR "\r\nDate: " NOW_TEXT "\r\n", 3600, 0},
		{"Expires: " IN_AN_HOUR "\r\n", 3600, 0},
		{"Expires: " IN_AN_HOUR "\r\nDate: " HOUR_AGO "\r\n", 7200, 3600},
		{"Expires: " HOUR_AGO "\r\n", 0, 0},
		{"Expires: " IN_AN_HOUR "\r\nExpires: " HOUR_AGO "\r\n", 3600, 0},
		{"Date: " HOUR_AGO "\r\nAge: 7200\r\nCache-Control: max-age=9\r\n", 9, 7200},
		{"Date: " IN_AN_HOUR "\r\nCache-Control: max-age=9\r\n", 9, 0},
		{"Last-Modified: " HOUR_AGO "\r\n", 360, 0},
		{"Last-Modified: " IN_AN_HOUR "\r\n", 0, 0},
		{"Last-Modified: Sun, 06 Nov 1904 08:49:37 GMT\r\n", 86400, 0},
		{"Last-Modified: " HOUR_AGO "\r\nPragma: no-cache\r\n", 0, 0},
		{"", 0, 0},
	};

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct fresh_verdict v = judge(200, rows[i].fields, NULL, NULL);

		if (v.lifetime != rows[i].lifetime || v.age != rows[i].age)
			fail_msg("%s lifetime=%lld age=%lld", rows[i].fields, (long long)v.lifetime,
				 (long long)v.age);
	}
}

static void test_reasons(void **unused)
{
	static const struct fresh_asked get = {.method = HTTP1_M_GET},
					head = {.method = HTTP1_M_HEAD},
					auth = {.method = HTTP1_M_GET, .authorization = true},
					post = {.method = HTTP1_M_POST},
					own = {.method = HTTP1_M_POST, .own_location = true};
	static const struct {
		unsigned status;
		const char *fields;
		const struct fresh_asked *asked;
		enum fresh_reason reason;
	} rows[] = {
		{200, "Cache-Control: max-age=60\r\n", &get, FRESH_stored},
		{200, "Cache-Control: max-age=60\r\n", &head, FRESH_method},
		{200, "Cache-Control: max-age=60\r\n", &post, FRESH_method},
		{200, "Cache-Control: max-age=60\r\n", &own, FRESH_stored},
		{200, "Cache-Control: public\r\n", &own, FRESH_method},
		{200, "Cache-Control: max-age=60\r\n", &auth, FRESH_authorization},
		{200, "Cache-Control: max-age=60, public\r\n", &auth, FRESH_stored},
		{200, "Cache-Control: max-age=60, private\r\n", &get, FRESH_private},
		{200, "Cache-Control: max-age=60, private=\"x\"\r\n", &get, FRESH_stored},
		{200, "Cache-Control: max-age=60, no-store\r\n", &get, FRESH_no_store},
		{200, "Cache-Control: max-age=60, no-store, must-understand\r\n", &get,
		 FRESH_stored},
		{299, "Cache-Control: max-age=60, must-understand\r\n", &get, FRESH_status},
		{299, "Cache-Control: max-age=60\r\n", &get, FRESH_stored},
		{299, "ETag: \"x\"\r\n", &get, FRESH_status},
		{200, "ETag: \"x\"\r\n", &get, FRESH_stored},
		{200, "ETag: \"x\"\r\nSet-Cookie: a=b\r\n", &get, FRESH_set_cookie},
		{200, "Cache-Control: max-age=60\r\nVary: a, *\r\n", &get, FRESH_vary_star},
		{200, "", &get, FRESH_no_lifetime},
		{200, "Cache-Control: no-cache, max-age=60\r\n", &get, FRESH_no_lifetime},
		{200, "Cache-Control: no-cache\r\nETag: \"x\"\r\n", &get, FRESH_stored},
		{304, "Cache-Control: max-age=60\r\n", &get, FRESH_status},
	};

	(void)unused;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct fresh_verdict v = judge(rows[i].status, rows[i].fields, rows[i].asked, NULL);

		if (v.reason != rows[i].reason)
			fail_msg("%u %s: %s", rows[i].status, rows[i].fields, fresh_name(v.reason));
	}
}

static void test_what_the_operator_says(void **unused)
{
	struct fresh_policy p = usual;

	(void)unused;
	p.default_ttl = 30;
	assert_int_equal(judge(200, "", NULL, &p).lifetime, 30);
	assert_int_equal(judge(201, "", NULL, &p).reason, FRESH_status);
	p.rules[0].status = 201;
	p.rules[0].ttl = 7;
	p.n_rules = 1;
	assert_int_equal(judge(201, "", NULL, &p).lifetime, 7);
	assert_int_equal(judge(201, "Cache-Control: max-age=60\r\n", NULL, &p).lifetime, 7);
	assert_int_equal(judge(201, "Cache-Control: no-store\r\n", NULL, &p).reason,
			 FRESH_no_store);
	p.set_cookie = FRESH_COOKIE_NEVER;
	assert_int_equal(
		judge(200, "Cache-Control: max-age=60\r\nSet-Cookie: a=b\r\n", NULL, &p).reason,
		FRESH_set_cookie);
}

static void test_use(void **unused)
{
	static const struct fresh_request none = {
		.max_age = CC_NONE, .max_stale = CC_NONE, .min_fresh = CC_NONE};
	struct fresh_verdict v = {.lifetime = 100, .stale_while = 20, .stale_error = 50};
	struct fresh_request r = none;
	struct fresh_policy p = usual;

	(void)unused;
	assert_int_equal(fresh_use(&v, 99, &none, &p), FRESH_USE);
	assert_int_equal(fresh_use(&v, 100, &none, &p), FRESH_USE_RENEW);
	assert_int_equal(fresh_use(&v, 119, &none, &p), FRESH_USE_RENEW);
	assert_int_equal(fresh_use(&v, 120, &none, &p), FRESH_VALIDATE);
	r.max_stale = 30;
	assert_int_equal(fresh_use(&v, 130, &r, &p), FRESH_USE);
	assert_int_equal(fresh_use(&v, 131, &r, &p), FRESH_VALIDATE);
	r.max_age = 50;
	assert_int_equal(fresh_use(&v, 51, &r, &p), FRESH_VALIDATE);
	p.ignore_request = true;
	assert_int_equal(fresh_use(&v, 51, &r, &p), FRESH_USE);
	assert_true(fresh_use_on_error(&v, 149));
	assert_false(fresh_use_on_error(&v, 150));
	v.strict = true;
	assert_int_equal(fresh_use(&v, 100, &none, &p), FRESH_VALIDATE);
	assert_false(fresh_use_on_error(&v, 149));
	v.validate = true;
	assert_int_equal(fresh_use(&v, 0, &none, &p), FRESH_VALIDATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lifetime_and_age),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_what_the_operator_says),
		cmocka_unit_test(test_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
