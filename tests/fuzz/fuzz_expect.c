// SPDX-License-Identifier: BSD-2-Clause
/*
 * Answers of backends to health checks. The first byte says of which kind, and whether it ends
 * there. What one part of an HTTP answer decides, more of it must not take back.
 */
// needs: userspace/health/expect.c
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "health/expect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void http(const struct conf_health *h, const char *answer, size_t len, bool ended)
{
	char why[EXPECT_WHY] = "";
	enum expect_word all = expect_http(h, answer, len, ended, why), part;

	if (all == EXPECT_NO)
		assert(why[0]);
	part = expect_http(h, answer, len / 2, false, why);
	assert(part == EXPECT_MORE || part == all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct conf_health h = {.method = "GET",
				.path = "/",
				.statuses = {{200, 399}},
				.n_statuses = 1,
				.name = "example.org",
				.record = 1};
	char why[EXPECT_WHY], *answer;
	uint8_t kind;

	if (len == 0 || len > EXPECT_ANSWER)
		return 0;
	kind = *data;
	len--;
	answer = malloc(len + !len);
	memcpy(answer, data + 1, len);
	if (kind & 2)
		h.body = "ok";
	if (kind & 4)
		expect_dns(&h, (uint16_t)(len > 1 ? data[1] << 8 | data[2] : 0), answer, len, why);
	else
		http(&h, answer, len, kind & 1);
	free(answer);
	return 0;
}
