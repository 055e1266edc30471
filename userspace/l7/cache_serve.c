// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the step SERVE: a response that is kept, or being fetched, on its way to a client, whole,
 * in parts or as a 304. Promises: content goes out from where it is, together with what waits in
 * front of it; a response whose content stops before its end never looks whole.
 */
#include "l7/request.h"

#include <assert.h>

/* ---- which answer --------------------------------------------------------------------- */

static struct validators validators_of(const struct object *o)
{
	return (struct validators){.etag = OBJECT_SPAN(o, etag),
				   .last_modified = OBJECT_SPAN(o, last_modified),
				   .modified = o->modified};
}

static bool choose(struct client *c, const struct object *o, const struct http1_head *request)
{
	const struct validators v = validators_of(o);

	if (o->status != 200 && o->status != 206)
		return true;
	return selection_choose(&c->req->part, request, &v, o->whole ? o->whole : o->size,
				thread_wall());
}

/* ---- its head ------------------------------------------------------------------------- */

static void frame(struct client *c, const struct object *o, struct cache_answer *a)
{
	struct serve *s = &c->req->cached.serve;
	const struct selection *p = &c->req->part;

	a->body = HTTP1_BODY_LENGTH;
	switch (p->kind) {
	case CACHE_UNMODIFIED:
		a->body = HTTP1_BODY_NONE;
		return;
	case CACHE_UNSATISFIED:
		a->whole = o->size;
		return;
	case CACHE_PART:
		a->range = p->one;
		a->whole = o->whole ? o->whole : o->size;
		a->length = p->one.last - p->one.first + 1;
		return;
	case CACHE_PARTS:
		a->boundary = p->boundary;
		a->length = selection_length(p, object_head(o), o->size);
		return;
	default:
		break;
	}
	if (o->status == 204) {
		a->body = HTTP1_BODY_NONE;
	} else if (o->size != CONTENT_UNKNOWN) {
		a->length = o->size;
	} else {
		s->chunk = c->req->minor > 0 && c->req->method != HTTP1_M_HEAD;
		c->req->until_end = c->req->minor == 0;
		a->body = c->req->minor > 0 ? HTTP1_BODY_CHUNKED : HTTP1_BODY_CLOSE;
	}
}

static bool head_put(struct client *c, const struct object *o, struct span status)
{
	struct thread *t = thread_of(c);
	struct buf *out = &c->link.out;
	uint32_t need = o->head_len + BUF_NOTE;
	struct cache_answer a = {
		.kind = c->req->part.kind,
		.status = o->status,
		.kept = object_head(o),
		.age = object_age(o, t->now_ms),
		.cache_status = status,
	};
	size_t n;

	c->req->status = selection_status(&c->req->part, o->status);
	a.edits = change_response(c);
	need += (uint32_t)edits_room(a.edits);
	frame(c, o, &a);
	c->req->close |= c->req->until_end || t->draining;
	a.close = c->req->close;
	a.keep_alive = c->req->minor == 0 && !c->req->close;
	if ((!out->data || buf_room(out) < need) &&
	    !buf_reserve(&t->pool, out,
			 buf_len(out) + need < BUF_SIZE ? BUF_SIZE : buf_len(out) + need))
		return false;
	n = cache_head_answer(out->data + out->end, buf_room(out), &a);
	assert(n > 0);
	out->end += (uint32_t)n;
	return true;
}

/* ---- the content ---------------------------------------------------------------------- */

/* The reader at the beginning of a range, or of all. */
static bool reader_set(struct client *c)
{
	struct serve *s = &c->req->cached.serve;
	const struct object *o = s->object;
	struct range r;

	if (!o->content)
		return true;
	reader_close(&s->reader, &c->req->cached.sleeper);
	if (!reader_open(&s->reader, o->content))
		return false;
	s->skip = 0;
	s->left = o->size;
	if (c->req->part.kind == CACHE_WHOLE)
		return true;
	r = selection_range(&c->req->part);
	s->skip = r.first - (o->whole ? o->part.first : 0);
	s->left = r.last - r.first + 1;
	return true;
}

static bool has_content(const struct client *c)
{
	return c->req->method != HTTP1_M_HEAD && selection_has_content(&c->req->part);
}

/* In front of the part at which the answer is, or behind the last one. */
static bool part_put(struct client *c)
{
	const struct object *o = c->req->cached.serve.object;
	char text[SELECTION_PART];
	size_t n = selection_part(&c->req->part, text, sizeof(text), object_head(o), o->size);

	return n > 0 && answer_put(c, text, n);
}

static void sleeper_wake(struct sleeper *w)
{
	struct request *r =
		(struct request *)((char *)w - offsetof(struct request, cached.sleeper));
	struct client *c = r->client;

	thread_clock(thread_of(c));
	request_drive(c);
}

void cache_sleeper_set(struct client *c)
{
	c->req->cached.sleeper.mailbox = &thread_of(c)->mailbox;
	c->req->cached.sleeper.wake = sleeper_wake;
}

bool cache_serve_begin(struct client *c, struct object *o, const struct http1_head *request,
		       struct span status)
{
	struct serve *s = &c->req->cached.serve;

	cache_sleeper_set(c);
	if (!choose(c, o, request))
		return false;
	s->object = object_ref(o);
	if (has_content(c) && !reader_set(c)) {
		cache_serve_clear(c);
		return false;
	}
	c->req->answer_at = c->link.sent + buf_len(&c->link.out);
	if (!head_put(c, o, status)) {
		cache_serve_clear(c);
		return false;
	}
	if (c->req->part.kind == CACHE_PARTS && has_content(c) && !part_put(c)) {
		cache_serve_clear(c);
		return false;
	}
	if (!has_content(c))
		s->left = 0;
	c->req->answering = true;
	c->step = STEP_SERVE;
	return true;
}

void cache_serve_clear(struct client *c)
{
	struct serve *s = &c->req->cached.serve;

	reader_close(&s->reader, &c->req->cached.sleeper);
	object_unref(s->object);
	selection_fini(&c->req->part);
	*s = (struct serve){0};
}

/* ---- SERVE ---------------------------------------------------------------------------- */

/* In front of n bytes, and behind those before them. */
static bool chunk_put(struct client *c, size_t n)
{
	struct serve *s = &c->req->cached.serve;
	char text[20 + sizeof("\r\n0\r\n\r\n")];
	size_t len = 0;

	if (s->chunk_open) {
		memcpy(text, "\r\n", 2);
		len = 2;
	}
	s->chunk_open = n > 0;
	s->chunk_left = n;
	if (n) {
		len += body_chunk_header(text + len, n);
	} else {
		memcpy(text + len, "0\r\n\r\n", 5);
		len += 5;
	}
	return answer_put(c, text, len);
}

static enum go finish(struct client *c)
{
	struct serve *s = &c->req->cached.serve;

	if (s->chunk && !chunk_put(c, 0))
		return request_abort(c, ACCESS_no_memory);
	c->step = STEP_FLUSH;
	return GO;
}

/* What comes when nothing of a range is left: GO, there is more; else the step is over. */
static enum go next_part(struct client *c, bool *over)
{
	struct selection *p = &c->req->part;

	*over = true;
	if (p->kind != CACHE_PARTS || !has_content(c))
		return finish(c);
	p->at++;
	if (!part_put(c))
		return request_abort(c, ACCESS_no_memory);
	if (p->at == p->n)
		return finish(c);
	if (!reader_set(c))
		return request_abort(c, ACCESS_no_memory);
	*over = false;
	return GO;
}

/* Nothing is there to be sent. */
static enum go starve(struct client *c, enum content_state state, bool *over)
{
	struct serve *s = &c->req->cached.serve;

	*over = true;
	if (state == CONTENT_WHOLE && s->left == CONTENT_UNKNOWN)
		return finish(c);
	if (state != CONTENT_OPEN) {
		/* Nobody may take it for all. */
		c->req->until_end = true;
		return request_abort(c, ACCESS_backend_gone);
	}
	if (s->chunk_open && s->chunk_left == 0) {
		if (!answer_put(c, "\r\n", 2))
			return request_abort(c, ACCESS_no_memory);
		s->chunk_open = false;
	}
	link_send(&c->link, NULL, 0, false);
	if (c->link.broken)
		return request_abort(c, ACCESS_client_gone);
	if (reader_wait(&s->reader, &c->req->cached.sleeper))
		return request_wait(c, c->service->body_ms);
	*over = false;
	return GO;
}

/* Sends of what is there. False: it did not all go. */
static bool content_send(struct client *c, struct span bytes)
{
	struct serve *s = &c->req->cached.serve;
	size_t n;

	if (s->chunk && s->chunk_left == 0 && !chunk_put(c, bytes.len))
		return false;
	if (s->chunk && bytes.len > s->chunk_left)
		bytes.len = s->chunk_left;
	n = link_send(&c->link, bytes.p, bytes.len, false);
	reader_skip(&s->reader, n);
	if (s->left != CONTENT_UNKNOWN)
		s->left -= n;
	if (s->chunk)
		s->chunk_left -= n;
	return n == bytes.len;
}

enum go cache_serve(struct client *c)
{
	struct serve *s = &c->req->cached.serve;
	enum content_state state;
	bool over;
	enum go go;

	for (unsigned turn = 0; turn < RELAY_TURNS; turn++) {
		struct span bytes;

		if (s->left == 0 || !s->reader.content) {
			go = next_part(c, &over);
			if (over)
				return go;
			continue;
		}
		bytes = reader_peek(&s->reader, s->skip ? s->skip : s->left, &state);
		if (bytes.len == 0) {
			go = starve(c, state, &over);
			if (over)
				return go;
		} else if (s->skip) {
			reader_skip(&s->reader, bytes.len);
			s->skip -= bytes.len;
		} else if (!content_send(c, bytes)) {
			return c->link.broken ? request_abort(c, ACCESS_client_gone)
					      : request_wait(c, c->service->body_ms);
		}
	}
	return TURN;
}
