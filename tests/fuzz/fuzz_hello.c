// SPDX-License-Identifier: BSD-2-Clause
// ClientHellos: what is read lies within the message; cuts change nothing; fingerprints have
// their form.
// needs: userspace/l7/hello.c userspace/l7/hello_ja.c
// links: -lcrypto
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "l7/hello.h"

static void span_check(struct span s, const unsigned char *p, size_t len)
{
	const char *begin = (const char *)p;

	assert(s.len == 0 || (s.p >= begin && s.p + s.len <= begin + len));
}

static void message_check(const unsigned char *p, size_t len)
{
	char ja4[HELLO_JA4], ja3[HELLO_JA3];
	struct hello h;

	if (!hello_parse(&h, p, len))
		return;
	span_check(h.sni, p, len);
	span_check(h.alpn, p, len);
	span_check(h.first, p, len);
	span_check(h.ciphers, p, len);
	span_check(h.extensions, p, len);
	span_check(h.signatures, p, len);
	span_check(h.groups, p, len);
	span_check(h.formats, p, len);
	assert(h.sni.len == 0 || h.has_sni);
	if (hello_ja4(ja4, &h))
		assert(strlen(ja4) == HELLO_JA4 - 1 && ja4[10] == '_' && ja4[23] == '_');
	if (hello_ja3(ja3, &h))
		assert(strlen(ja3) == HELLO_JA3 - 1);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	static unsigned char whole[HELLO_HEADER + HELLO_MOST], part[sizeof(whole)];
	size_t n, m;
	int rc = hello_gather(whole, &n, data, len);

	/* Once something is said of a beginning, more bytes do not change it. */
	for (size_t cut = 0; cut < len && cut < 256; cut++) {
		int before = hello_gather(part, &m, data, cut);

		assert(before == 0 || before == rc);
		assert(before != 1 || (m == n && memcmp(part, whole, n) == 0));
	}
	if (rc == 1)
		message_check(whole + HELLO_HEADER, n - HELLO_HEADER);
	message_check(data, len);
	return 0;
}
