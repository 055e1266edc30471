// SPDX-License-Identifier: BSD-2-Clause
#include "l7/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define KEY  24 /* 16 bytes in base64 */

/* The one field of this name; p NULL: there is none, or more than one. */
static struct span only(const struct http1_head *h, struct span name)
{
	struct span value = {NULL, 0};
	unsigned n = 0;

	for (unsigned i = 0; i < h->n_fields; i++) {
		if (!span_equal_nocase(h->fields[i].name, name))
			continue;
		value = h->fields[i].value;
		n++;
	}
	return n == 1 ? value : (struct span){NULL, 0};
}

static bool is_key(struct span key)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789+/";

	if (!key.p || key.len != KEY || memcmp(key.p + KEY - 2, "==", 2) != 0)
		return false;
	for (size_t i = 0; i < KEY - 2; i++)
		if (!memchr(letters, key.p[i], sizeof(letters) - 1))
			return false;
	return true;
}

bool websocket_expects(char accept[WEBSOCKET_ACCEPT], const struct http1_head *request)
{
	struct span key = only(request, SPAN("sec-websocket-key"));
	unsigned char text[KEY + sizeof(GUID)], hash[SHA_DIGEST_LENGTH];
	unsigned char coded[WEBSOCKET_ACCEPT + 1];

	if (!is_key(key))
		return false;
	memcpy(text, key.p, KEY);
	memcpy(text + KEY, GUID, sizeof(GUID) - 1);
	if (!SHA1(text, KEY + sizeof(GUID) - 1, hash) ||
	    EVP_EncodeBlock(coded, hash, sizeof(hash)) != WEBSOCKET_ACCEPT)
		return false;
	memcpy(accept, coded, WEBSOCKET_ACCEPT);
	return true;
}

bool websocket_agrees(const struct http1_head *answer, const char accept[WEBSOCKET_ACCEPT])
{
	struct span said = only(answer, SPAN("sec-websocket-accept"));

	return said.p && span_equal(said, (struct span){accept, WEBSOCKET_ACCEPT});
}
