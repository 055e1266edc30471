// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: what a route changes of messages that go on: fields, target, host. Values of a response's
 * fields that only the request tells are kept (client.late) from when its head is there to when
 * the answer comes. Promises: a changed target is in its one spelling, a changed host is one.
 */
#include "l7/request.h"

#include "base/target.h"

#define CHANGE_MOST (128U << 10) /* bytes that the values of one message may come to */

/* Expands one template behind what is there. */
static bool add(struct buf_pool *pool, struct buf *to, const struct template *t,
		const struct expand_facts *f, enum expand_as as)
{
	size_t n = expand(to->data ? to->data + to->end : NULL, buf_room(to), t, f, as);

	if (n > buf_room(to)) {
		if (to->end + n > CHANGE_MOST)
			return false;
		/* More than asked for: the next values will want some too. */
		if (!buf_reserve(pool, to, to->end + (uint32_t)n + BUF_NOTE))
			return false;
		expand(to->data + to->end, buf_room(to), t, f, as);
	}
	to->end += (uint32_t)n;
	return true;
}

/* Behind what is there, a value that was kept. */
static bool add_kept(struct buf_pool *pool, struct buf *to, struct span kept,
		     const struct expand_facts *f)
{
	const char *p = kept.p, *end = kept.p + kept.len;

	while (p < end) {
		struct template_segment s = {.name = *p == EXPAND_STATUS ? TEMPLATE_status
									 : TEMPLATE_upstream};
		const char *from = p++;

		if (*from != EXPAND_STATUS && *from != EXPAND_UPSTREAM) {
			while (p < end && *p != EXPAND_STATUS && *p != EXPAND_UPSTREAM)
				p++;
			s = (struct template_segment){.name = TEMPLATE_TEXT,
						      .text = {from, (size_t)(p - from)}};
		}
		if (!add(pool, to, &(struct template){.segments = &s, .n = 1}, f, EXPAND_FIELD))
			return false;
	}
	return true;
}

static struct span kept_next(const char **kept)
{
	struct span value = {*kept + sizeof(uint32_t), 0};
	uint32_t len;

	memcpy(&len, *kept, sizeof(len));
	value.len = len;
	*kept = value.p + len;
	return value;
}

/* Values are in t->words, until they are wanted for another message. kept NULL: none are. */
static bool edits_fill(struct thread *t, const struct route_edits *from, const char *kept,
		       const struct expand_facts *f)
{
	uint32_t ends[ROUTE_EDITS], begin = 0;

	t->words.start = t->words.end = 0;
	for (unsigned i = 0; i < from->n; i++) {
		if (kept ? !add_kept(&t->pool, &t->words, kept_next(&kept), f)
			 : !add(&t->pool, &t->words, &from->items[i].value, f, EXPAND_FIELD))
			return false;
		ends[i] = t->words.end;
	}
	/* The memory may have moved meanwhile. */
	for (unsigned i = 0; i < from->n; i++) {
		t->edits.items[i] =
			(struct edit){.kind = from->items[i].kind,
				      .name = from->items[i].name,
				      .value = {t->words.data + begin, ends[i] - begin}};
		begin = ends[i];
	}
	t->edits.n = from->n;
	return true;
}

/* ---- the response ---------------------------------------------------------------------- */

bool change_keep(struct client *c, const struct expand_facts *f)
{
	const struct route_edits *edits = &c->req->route->response;
	struct buf_pool *pool = &thread_of(c)->pool;

	if (!(edits->names & ~(TEMPLATE_LATE | TEMPLATE_BIT(TEXT))))
		return true;
	for (unsigned i = 0; i < edits->n; i++) {
		uint32_t at = c->req->late.end, len;

		if (!buf_reserve(pool, &c->req->late, at + (uint32_t)sizeof(len)))
			return false;
		c->req->late.end += (uint32_t)sizeof(len);
		if (!add(pool, &c->req->late, &edits->items[i].value, f, EXPAND_LATER))
			return false;
		len = c->req->late.end - at - (uint32_t)sizeof(len);
		memcpy(c->req->late.data + at, &len, sizeof(len));
	}
	return true;
}

const struct edits *change_response(struct client *c)
{
	/* A request that was refused before anybody knew its route. */
	static const struct http1_head nothing;
	const struct route_edits *edits = &c->req->route->response;
	struct expand_facts facts = {.head = &nothing, .status = c->req->status};
	struct thread *t = thread_of(c);

	if (edits->n == 0)
		return NULL;
	if (c->req->backend)
		facts.upstream = (struct span){c->req->backend->conf->name,
					       strlen(c->req->backend->conf->name)};
	return edits_fill(t, edits, c->req->late.data, &facts) ? &t->edits : NULL;
}

/* ---- the request ----------------------------------------------------------------------- */

bool change_request(struct client *c, const struct expand_facts *f, const struct edits **edits)
{
	struct thread *t = thread_of(c);

	*edits = NULL;
	if (c->req->route->request.n == 0)
		return true;
	*edits = &t->edits;
	return edits_fill(t, &c->req->route->request, NULL, f);
}

static struct span whole(const struct buf *b)
{
	return (struct span){b->data, b->end};
}

bool change_host(struct client *c, const struct expand_facts *f, struct span *host)
{
	struct thread *t = thread_of(c);

	*host = SPAN("");
	if (c->req->route->upstream_host.n == 0)
		return true;
	t->host.start = t->host.end = 0;
	if (!add(&t->pool, &t->host, &c->req->route->upstream_host, f, EXPAND_FIELD))
		return false;
	*host = whole(&t->host);
	return http1_authority_ok(*host);
}

bool change_target(struct client *c, const struct expand_facts *f, struct span *target)
{
	const struct template query = {
		.segments = (const struct template_segment[]){{.name = TEMPLATE_TEXT,
							       .text = SPAN("?")},
							      {.name = TEMPLATE_query}},
		.n = 2,
	};
	struct thread *t = thread_of(c);
	struct buf *to = &t->rewritten;

	if (c->req->route->rewrite.n == 0)
		return true;
	to->start = to->end = 0;
	if (!add(&t->pool, to, &c->req->route->rewrite, f, EXPAND_TARGET))
		return false;
	/* A query that is not written anew goes on. */
	if (target_path(whole(to)) == to->end && target_path(*target) != target->len &&
	    !add(&t->pool, to, &query, f, EXPAND_TARGET))
		return false;
	if (!buf_reserve(&t->pool, &t->turned, (uint32_t)TARGET_ROOM(to->end)))
		return false;
	return target_normalise(target, whole(to), c->service->merge_slashes, t->turned.data);
}
