// SPDX-License-Identifier: BSD-2-Clause
// What a cache reads: dates, directives, tags, ranges, targets. Whatever the bytes, spans stay
// within them, numbers within their bounds, and what was written is found again.
// needs: userspace/l7/cc.c userspace/l7/cc_targeted.c userspace/l7/fresh.c userspace/l7/validate.c
// needs: userspace/l7/cache_key.c userspace/l7/cache_head.c userspace/l7/http1.c
// needs: userspace/l7/http1_request.c userspace/l7/http1_response.c
// needs: userspace/base/httpdate.c userspace/base/scan.c
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/httpdate.h"
#include "l7/cache_head.h"
#include "l7/cache_key.h"
#include "l7/fresh.h"
#include "l7/validate.h"

#define NOW 1764000000LL

static void within(struct span part, struct span whole)
{
	assert(part.len == 0 || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len));
}

static void check_cc(struct span text)
{
	char joined[CC_TARGETED_BYTES];
	struct cc cc;

	cc_init(&cc);
	cc_add(&cc, text);
	cc_surrogate(&cc, text, SPAN("x"));
	assert(cc.n_fields <= CC_FIELDS);
	for (unsigned i = 0; i < cc.n_fields; i++)
		within(cc.fields[i], text);
	assert(cc.max_age >= CC_NONE && cc.max_age <= CC_MOST);
	cc_init(&cc);
	if (cc_targeted(&cc, &text, 1, joined))
		assert(cc.max_age >= CC_NONE && cc.max_age <= CC_MOST);
}

static void check_ranges(struct span text, uint64_t size)
{
	struct range ranges[RANGE_MOST], part;
	uint64_t bytes = 0, whole;
	unsigned n;

	if (range_parse(text, size, ranges, &n) == RANGE_SOME) {
		assert(n > 0 && n <= RANGE_MOST);
		for (unsigned i = 0; i < n; i++) {
			assert(ranges[i].first <= ranges[i].last && ranges[i].last < size);
			bytes += ranges[i].last - ranges[i].first + 1;
		}
		assert(bytes <= size);
	}
	if (range_content_parse(text, &part, &whole))
		assert(part.first <= part.last && part.last < whole);
}

/* A response is kept, read again, merged with itself, and judged. */
static void check_response(const char *data, size_t len)
{
	static struct http1_head h, again, merged;
	static char out[65536], key[CACHE_KEY_MOST];
	const struct http1_limits limits = {65536, 65536, 256};
	struct fresh_policy policy = {.heuristic_most = 86400};
	struct fresh_asked asked = {.method = HTTP1_M_GET};
	struct cache_keep keep = {.via = SPAN("x"), .date = SPAN("Date: x\r\n")};
	struct fresh_response said;
	struct fresh_verdict v;
	size_t scanned = 0, n;

	if (http1_parse_response(&h, data, len, &scanned, HTTP1_M_GET, &limits) <= 0)
		return;
	fresh_read(&said, &h, NOW);
	v = fresh_judge(&said, &asked, &policy, NOW);
	assert(v.lifetime >= 0 && v.age >= 0);
	keep.cc = &said.cc;
	n = cache_head_keep(out, sizeof(out), &h, &keep);
	if (!n)
		return;
	if (cache_head_parse(&again, (struct span){out, n}, h.status))
		assert(cache_head_merge(&merged, &again, &again) ||
		       again.n_fields == HTTP1_MAX_FIELDS);
	for (unsigned i = 0; i < h.n_fields; i++) {
		struct span own = SPAN("http\0host\0/a/b?c");

		n = cache_key_near(key, sizeof(key), own, h.fields[i].value);
		assert(n == 0 || memcmp(key, own.p, 10) == 0);
	}
}

static void check_request(const char *data, size_t len)
{
	static struct http1_head h;
	static char key[CACHE_KEY_MOST];
	const struct http1_limits limits = {65536, 65536, 256};
	const char *names[] = {"cookie", "x"};
	struct cache_key_parts parts = {
		.headers = names, .n_headers = 2, .cookies = names + 1, .n_cookies = 1};
	struct validators v = {.etag = SPAN("\"x\""), .modified = NOW};
	struct fresh_request r;
	size_t scanned = 0, n;

	if (http1_parse_request(&h, data, len, &scanned, &limits) <= 0)
		return;
	fresh_request_read(&r, &h);
	validate_unmodified(&h, &v, NOW);
	validate_range_counts(&h, &v);
	if (h.authority.len == 0)
		return;
	n = cache_key(key, sizeof(key), &h, SPAN("http"), h.authority, h.path, &parts);
	if (n) {
		within(cache_key_path((struct span){key, n}), (struct span){key, n});
		assert(cache_vary_match(SPAN(""), &h, SPAN("en")));
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	char *copy = malloc(len + 1);
	struct span text = {copy, len};
	int64_t at;

	assert(copy);
	memcpy(copy, data, len);
	if (httpdate_parse(&at, text, NOW))
		assert(at >= -62167219200LL && at < 253402300801LL);
	check_cc(text);
	check_ranges(text, len ? 1ULL << (data[0] % 63) : 0);
	check_response(copy, len);
	check_request(copy, len);
	free(copy);
	return 0;
}
