// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the number that a request has in logs and fields: the client's own word for it where the
 * service trusts the client, else 128 bits of chance, made when somebody asks.
 */
#include "l7/request.h"

#include <sys/random.h>

/* What logs and fields can hold without a thought. */
static bool id_ok(struct span id)
{
	if (id.len == 0 || id.len > REQUEST_ID)
		return false;
	for (size_t i = 0; i < id.len; i++) {
		char c = id.p[i];

		if (!(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') &&
		    !memchr("-_.:+/=", c, 7))
			return false;
	}
	return true;
}

void request_id_take(struct client *c, const struct http1_head *h)
{
	const struct conf_service *s = c->service;
	bool trusted = false;

	for (unsigned i = 0; i < s->n_id_from && !trusted; i++)
		trusted = cidr_contains(&s->id_from[i], &c->peer.addr);
	for (unsigned i = 0; trusted && i < h->n_fields; i++) {
		const struct http1_field *f = &h->fields[i];

		if (!span_equal_nocase(f->name, SPAN("x-request-id")) || !id_ok(f->value))
			continue;
		memcpy(c->req->id, f->value.p, f->value.len);
		c->req->id[f->value.len] = '\0';
		return;
	}
}

/* Chance is asked of the kernel for many requests at once. */
static uint8_t random_byte(struct thread *t)
{
	if (t->n_random == 0) {
		while (getrandom(t->random, sizeof(t->random), 0) != sizeof(t->random))
			;
		t->n_random = sizeof(t->random);
	}
	return t->random[--t->n_random];
}

struct span request_id(struct client *c)
{
	static const char digits[] = "0123456789abcdef";

	if (!c->req->id[0]) {
		for (unsigned i = 0; i < 16; i++) {
			uint8_t byte = random_byte(thread_of(c));

			c->req->id[2 * i] = digits[byte >> 4];
			c->req->id[2 * i + 1] = digits[byte & 15];
		}
		c->req->id[32] = '\0';
	}
	return (struct span){c->req->id, strlen(c->req->id)};
}
