// SPDX-License-Identifier: BSD-2-Clause
/* Handshakes of WebSocket: keys, and answers to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "l7/websocket.h"

static struct http1_head head;
static char accept[WEBSOCKET_ACCEPT];

static struct http1_head *said(const char *name, const char *value)
{
	head.fields[head.n_fields++] =
		(struct http1_field){.name = {name, strlen(name)}, .value = {value, strlen(value)}};
	return &head;
}

static bool expects(const char *key)
{
	head.n_fields = 0;
	return websocket_expects(accept, said("Sec-WebSocket-Key", key));
}

/* RFC 6455 section 1.3. */
static void test_what_a_key_asks_for(void **unused)
{
	(void)unused;
	assert_true(expects("dGhlIHNhbXBsZSBub25jZQ=="));
	assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", WEBSOCKET_ACCEPT);
	assert_true(expects("AAAAAAAAAAAAAAAAAAAAAA=="));
	assert_memory_equal(accept, "ICX+Yqv66kxgM0FcWaLWlFLwTAI=", WEBSOCKET_ACCEPT);
}

static void test_what_is_no_key(void **unused)
{
	static const char *const rows[] = {"",
					   "dGhlIHNhbXBsZSBub25jZQ=",
					   "dGhlIHNhbXBsZSBub25jZQ===",
					   "dGhlIHNhbXBsZSBub25jZQA=",
					   "dGhlIHNhbXBsZSBub25j Q==",
					   "dGhlIHNhbXBsZSBub25jZ===",
					   "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (expects(rows[i]))
			fail_msg("%s", rows[i]);
	head.n_fields = 0;
	assert_false(websocket_expects(accept, &head));
	said("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
	said("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
	assert_false(websocket_expects(accept, &head));
}

static void test_answers(void **unused)
{
	(void)unused;
	assert_true(expects("dGhlIHNhbXBsZSBub25jZQ=="));
	head.n_fields = 0;
	assert_false(websocket_agrees(&head, accept));
	said("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_true(websocket_agrees(&head, accept));
	said("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_false(websocket_agrees(&head, accept));
	head.n_fields = 0;
	assert_false(websocket_agrees(said("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOO="),
				      accept));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_key_asks_for),
		cmocka_unit_test(test_what_is_no_key),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
