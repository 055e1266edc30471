// SPDX-License-Identifier: BSD-2-Clause
/* Which route takes a request: by hand, and by chance beside a matcher that tries all in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "conf_load.h"
#include "l7/route.h"

static struct regex_run *run;
static struct route_choice choice;

static int setup(void **unused)
{
	(void)unused;
	run = regex_run_new();
	return run ? 0 : -1;
}

static int teardown(void **unused)
{
	(void)unused;
	regex_run_free(run);
	return 0;
}

static struct conf *load_routes(const char *routes)
{
	static char text[1 << 20];
	struct conf *c;

	snprintf(text, sizeof(text),
		 "service \"s\" { kind = l7\n listen = { \"192.0.2.1:80\" }\n"
		 "backend \"b\" { address = \"192.0.2.2:80\" }\n%s}\n",
		 routes);
	c = load_text(text);
	if (!c)
		fail_msg("%s", told);
	return c;
}

/* ---- a request in words: METHOD AUTHORITY PATH [FIELD: VALUE]... --------------------- */

static struct http1_head head;

static void request(const char *method, const char *authority, const char *path)
{
	head.method_text = (struct span){method, strlen(method)};
	head.authority = (struct span){authority, strlen(authority)};
	head.path = (struct span){path, strlen(path)};
	head.n_fields = 0;
}

static void field(const char *name, const char *value)
{
	head.fields[head.n_fields++] =
		(struct http1_field){.name = {name, strlen(name)}, .value = {value, strlen(value)}};
}

static const char *taker(const struct conf *c, const char *client)
{
	struct sluice_addr addr;

	assert_true(addr_parse(&addr, client));
	assert_true(route_choose(&c->services[0].routes, &head, &addr, run, &choice));
	return choice.route->name;
}

static const char *takes(const struct conf *c, const char *authority, const char *path)
{
	request("GET", authority, path);
	return taker(c, "198.51.100.1");
}

/* ---- by hand ---------------------------------------------------------------------------- */

static void test_hosts(void **unused)
{
	struct conf *c = load_routes("route \"exact\" { host = { \"a.example\", \"[::1]\" } }\n"
				     "route \"below\" { host = \"*.B.Example\" }\n"
				     "route \"deeper\" { host = \"*.x.b.example\" }\n");

	(void)unused;
	assert_string_equal(takes(c, "a.example", "/"), "exact");
	assert_string_equal(takes(c, "A.Example:8080", "/"), "exact");
	assert_string_equal(takes(c, "a.example.", "/"), "exact");
	assert_string_equal(takes(c, "[::1]:80", "/"), "exact");
	assert_string_equal(takes(c, "www.b.example", "/"), "below");
	assert_string_equal(takes(c, "1.x.b.example", "/"), "below"); /* it stands first */
	assert_string_equal(takes(c, "b.example", "/"), "-");
	assert_string_equal(takes(c, "ab.example", "/"), "-");
	assert_string_equal(takes(c, "xa.example", "/"), "-");
	assert_string_equal(takes(c, "a.example.org", "/"), "-");
	assert_string_equal(takes(c, "", "/"), "-");
	conf_free(c);
}

static void test_paths(void **unused)
{
	struct conf *c = load_routes("route \"exact\" { path = { \"/a\", \"/a/b/\" } }\n"
				     "route \"below\" { path = \"/a/*\" }\n"
				     "route \"images\" { path = \"~* [.](png|jpe?g)$\" }\n"
				     "route \"number\" { path = \"~ ^/n/([0-9]+)(/x)?/(.*)\" }\n"
				     "route \"letters\" { path = \"/al*\" }\n");

	(void)unused;
	assert_string_equal(takes(c, "h", "/a"), "exact");
	assert_string_equal(takes(c, "h", "/a?b"), "exact");
	assert_string_equal(takes(c, "h", "/a/b/"), "exact");
	assert_string_equal(takes(c, "h", "/a/"), "below");
	assert_string_equal(takes(c, "h", "/a/b"), "below");
	assert_string_equal(takes(c, "h", "/a/x.png"), "below");
	assert_string_equal(takes(c, "h", "/x.PNG?"), "images");
	assert_string_equal(takes(c, "h", "/x?.png"), "-");
	assert_string_equal(takes(c, "h", "/albert"), "letters");
	assert_string_equal(takes(c, "h", "/A"), "-");
	assert_string_equal(takes(c, "h", "*"), "-");
	assert_string_equal(takes(c, "h", "/n/42/a/b?c"), "number");
	assert_true(span_equal(choice.captures[1], SPAN("42")));
	assert_true(span_equal(choice.captures[2], SPAN("")));
	assert_true(span_equal(choice.captures[3], SPAN("a/b")));
	conf_free(c);
}

static void test_the_other_conditions(void **unused)
{
	struct conf *c =
		load_routes("route \"write\" { method = { POST, PUT } }\n"
			    "route \"inside\" { source = { \"10.0.0.0/8\", \"2001:db8::/32\" } }\n"
			    "route \"debug\" { header = { \"X-Debug\", \"!X-Quiet\" } }\n"
			    "route \"equal\" { header = { \"X-Env = a b\" } }\n"
			    "route \"curl\" { header = \"User-Agent ~* ^CURL/\" }\n"
			    "route \"query\" { query = { \"a=1\", \"b\", \"!c\" } }\n");

	(void)unused;
	request("PUT", "h", "/");
	assert_string_equal(taker(c, "10.0.0.1"), "write");
	request("GET", "h", "/");
	assert_string_equal(taker(c, "10.255.0.1"), "inside");
	assert_string_equal(taker(c, "2001:db8::1"), "inside");
	assert_string_equal(taker(c, "11.0.0.1"), "-");
	field("x-debug", "");
	assert_string_equal(taker(c, "11.0.0.1"), "debug");
	field("X-QUIET", "1");
	assert_string_equal(taker(c, "11.0.0.1"), "-");
	field("X-Env", "a  b");
	assert_string_equal(taker(c, "11.0.0.1"), "-");
	field("X-Env", "a b");
	assert_string_equal(taker(c, "11.0.0.1"), "equal");
	request("GET", "h", "/");
	field("User-Agent", "curl/8");
	assert_string_equal(taker(c, "11.0.0.1"), "curl");
	assert_string_equal(takes(c, "h", "/?b&a=1"), "query");
	assert_string_equal(takes(c, "h", "/?a=2&a=1&b=x"), "query");
	assert_string_equal(takes(c, "h", "/?a=1"), "-");
	assert_string_equal(takes(c, "h", "/?a=1&b&c="), "-");
	assert_string_equal(takes(c, "h", "/?a=1&b&&cc"), "query");
	conf_free(c);
}

static void test_an_expression_without_end(void **unused)
{
	struct conf *c = load_routes("route \"first\" { path = \"/ok*\" }\n"
				     "route \"slow\" { path = \"~ ^/(a+)+$\" }\n"
				     "route \"all\" { }\n");
	struct sluice_addr addr = {0};

	(void)unused;
	assert_string_equal(takes(c, "h", "/aaa"), "slow");
	request("GET", "h", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
	assert_false(route_choose(&c->services[0].routes, &head, &addr, run, &choice));
	assert_string_equal(choice.route->name, "slow");
	/* Whom it does not concern. */
	request("GET", "h", "/okaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
	assert_true(route_choose(&c->services[0].routes, &head, &addr, run, &choice));
	assert_string_equal(choice.route->name, "first");
	conf_free(c);
}

/* ---- by chance -------------------------------------------------------------------------- */

static uint32_t seed = 1;

static unsigned chance(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Few letters, so that much fits. */
static const char *random_host(void)
{
	static const char *const hosts[] = {"a",     "b",     "a.a",     "b.a",     "a.b.a",
					    "*.a",   "*.b.a", "*.a.a",   "*.b",     "aa.a",
					    "a.a.a", "ba",    "*.b.a.a", "*.a.b.a", "b.b.a"};

	return hosts[chance(sizeof(hosts) / sizeof(hosts[0]))];
}

static const char *random_path(char *buf, bool pattern)
{
	size_t n = 0, segments = chance(4);

	for (size_t i = 0; i < segments; i++) {
		buf[n++] = '/';
		for (size_t k = 1 + chance(2); k > 0; k--)
			buf[n++] = (char)('a' + chance(2));
	}
	if (n == 0 || chance(3) == 0)
		buf[n++] = '/';
	if (pattern && chance(2))
		buf[n++] = '*';
	buf[n] = '\0';
	return buf;
}

static void random_table(char *text, size_t room, unsigned n)
{
	static const char *const regexes[] = {"~ ^/a", "~ b$", "~ /b/", "~ ^/(a|b)/$"};
	char path[64];
	size_t at = 0;

	for (unsigned i = 0; i < n; i++) {
		at += (size_t)snprintf(text + at, room - at, "route \"r%u\" {", i);
		if (chance(4))
			at += (size_t)snprintf(text + at, room - at, " host = { %s, \"%s\" }",
					       "\"a.b.b\"", random_host());
		if (chance(6))
			at += (size_t)snprintf(text + at, room - at, " path = { \"%s\", \"%s\" }",
					       random_path(path, true),
					       chance(3) ? "/b/a" : regexes[chance(4)]);
		if (chance(3) == 0)
			at += (size_t)snprintf(text + at, room - at, " method = %s",
					       chance(2) ? "GET" : "PUT");
		if (chance(4) == 0)
			at += (size_t)snprintf(text + at, room - at, " header = \"X = %u\"",
					       chance(2));
		at += (size_t)snprintf(text + at, room - at, " }\n");
	}
	assert_true(at < room);
}

/* As the manual says it, one condition after the other. */
static bool fits(const struct conf_route *r)
{
	struct span path = route_path_of(head.path), host = route_host_of(head.authority);
	bool ok = r->hosts.n == 0;

	for (unsigned i = 0; i < r->hosts.n; i++) {
		struct span h = r->hosts.items[i];

		if (h.p[0] != '*')
			ok |= span_equal(h, host);
		else
			ok |= host.len >= h.len - 1 &&
			      memcmp(host.p + host.len - h.len + 1, h.p + 1, h.len - 1) == 0;
	}
	if (!ok)
		return false;
	ok = r->paths.n == 0 && r->n_path_regexes == 0;
	for (unsigned i = 0; i < r->paths.n; i++) {
		struct span p = r->paths.items[i];

		if (p.p[p.len - 1] != '*')
			ok |= span_equal(p, path);
		else
			ok |= path.len >= p.len - 1 && memcmp(path.p, p.p, p.len - 1) == 0;
	}
	for (unsigned i = 0; i < r->n_path_regexes; i++)
		ok |= regex_match(r->path_regexes[i], run, path, NULL) == REGEX_YES;
	if (!ok)
		return false;
	if (r->methods.n && !span_equal(r->methods.items[0], head.method_text))
		return false;
	return r->headers.n == 0 ||
	       (head.n_fields && span_equal(r->headers.items[0].value, head.fields[0].value));
}

static void test_beside_a_matcher_that_tries_all(void **unused)
{
	static char text[1 << 16];
	char path[64];

	(void)unused;
	for (unsigned table = 0; table < 60; table++) {
		struct conf *c;
		const struct conf_routes *routes;

		random_table(text, sizeof(text), 1 + chance(80));
		c = load_routes(text);
		routes = &c->services[0].routes;
		for (unsigned i = 0; i < 400; i++) {
			unsigned first = 0;

			request(chance(2) ? "GET" : "PUT", chance(9) ? random_host() : "a.b.b",
				random_path(path, false));
			if (chance(2))
				field("X", chance(2) ? "0" : "1");
			while (first < routes->n && !fits(&routes->items[first]))
				first++;
			taker(c, "192.0.2.9");
			if (choice.route !=
			    (first < routes->n ? &routes->items[first] : &routes->fallback))
				fail_msg("seed %u: %.*s %.*s: %s, not r%u of\n%s", seed,
					 (int)head.authority.len, head.authority.p,
					 (int)head.path.len, head.path.p, choice.route->name, first,
					 text);
		}
		conf_free(c);
	}
}

/* Each of many hosts finds its own. */
static void test_many_hosts(void **unused)
{
	enum { N = 10000 };
	static char text[N * 64], host[64], name[16];
	struct conf *c;
	size_t at = 0;

	(void)unused;
	for (unsigned i = 0; i < N; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "route \"r%u\" { host = \"www%u.example\" }\n", i, i);
	c = load_routes(text);
	for (unsigned i = 0; i < N; i++) {
		snprintf(host, sizeof(host), "www%u.example", i);
		snprintf(name, sizeof(name), "r%u", i);
		assert_string_equal(takes(c, host, "/"), name);
	}
	assert_string_equal(takes(c, "www10000.example", "/"), "-");
	conf_free(c);
}

/* Each of many paths, and of prefixes among them; those that stand first come first. */
static void test_many_paths(void **unused)
{
	enum { N = 10000 };
	static char text[N * 80], path[64], name[16];
	struct conf *c;
	size_t at = 0;

	(void)unused;
	at += (size_t)snprintf(text, sizeof(text), "route \"first\" { path = \"/p77/*\" }\n");
	for (unsigned i = 0; i < N; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "route \"r%u\" { path = \"/p%u/%s\" }\n", i, i,
				       i % 2 ? "*" : "end");
	snprintf(text + at, sizeof(text) - at, "route \"last\" { path = \"/p*\" }\n");
	c = load_routes(text);
	for (unsigned i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "/p%u/end", i);
		snprintf(name, sizeof(name), "r%u", i);
		assert_string_equal(takes(c, "h", path), i == 77 ? "first" : name);
		snprintf(path, sizeof(path), "/p%u/end/more", i);
		assert_string_equal(takes(c, "h", path), i == 77 ? "first" : i % 2 ? name : "last");
	}
	assert_string_equal(takes(c, "h", "/q"), "-");
	conf_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_the_other_conditions),
		cmocka_unit_test(test_an_expression_without_end),
		cmocka_unit_test(test_beside_a_matcher_that_tries_all),
		cmocka_unit_test(test_many_hosts),
		cmocka_unit_test(test_many_paths),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
