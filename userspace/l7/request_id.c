// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the number that a request has in logs and fields: the client's own word for it where the
 * service trusts the client, else 128 bits of chance, made when somebody asks. And the trace that
 * it belongs to.
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

/* n hexadecimal digits of chance. */
static void digits_put(struct thread *t, char *out, unsigned n)
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < n; i += 2) {
		uint8_t byte = random_byte(t);

		out[i] = digits[byte >> 4];
		out[i + 1] = digits[byte & 15];
	}
}

struct span request_id(struct client *c)
{
	if (!c->req->id[0]) {
		digits_put(thread_of(c), c->req->id, 32);
		c->req->id[32] = '\0';
	}
	return (struct span){c->req->id, strlen(c->req->id)};
}

void request_trace(struct client *c, const struct http1_head *h)
{
	struct request *r = c->req;
	char digits[TRACE_ID];

	r->trace_goes_on = trace_take(r->trace, h);
	if (!r->trace_goes_on) {
		digits_put(thread_of(c), digits, TRACE_ID);
		trace_begin(r->trace, digits);
	}
	digits_put(thread_of(c), digits, TRACE_PARENT);
	trace_parent_set(r->trace, digits);
}
