// SPDX-License-Identifier: BSD-2-Clause
#include "l7/relay.h"

#include <assert.h>

#include "l7/forward_head.h"

#define CHUNK_HEADER 18 /* 16 digits, CRLF */
#define CHUNK_AROUND (CHUNK_HEADER + 2 + FORWARD_END)

void relay_init(struct relay *r, enum http1_body kind, uint64_t content_length, bool chunk)
{
	*r = (struct relay){.chunk = chunk};
	body_init(&r->body, kind, content_length);
	r->ended = body_done(&r->body);
	assert(!r->ended || !chunk);
}

void relay_fini(struct relay *r, struct buf_pool *pool)
{
	buf_release(pool, &r->trailer);
}

bool relay_read_all(const struct relay *r)
{
	return r->ended;
}

static void out_add(struct buf *out, const char *bytes, size_t n)
{
	memcpy(out->data + out->end, bytes, n);
	out->end += (uint32_t)n;
}

/* Room for a chunk of n bytes; what cannot be had now can be had once dst->out was sent. */
static bool out_room(struct buf *out, struct buf_pool *pool, size_t n)
{
	if (!out->data && !buf_reserve(pool, out, BUF_SIZE))
		return false;
	return buf_room(out) >= n + CHUNK_AROUND;
}

static void chunk_add(struct buf *out, struct span content)
{
	char header[CHUNK_HEADER];

	out_add(out, header, body_chunk_header(header, content.len));
	out_add(out, content.p, content.len);
	out_add(out, "\r\n", 2);
}

/* The most content that one chunk may hold now; 0 = dst->out must be sent first. */
static size_t chunk_most(const struct buf *out)
{
	uint32_t room = buf_room(out);

	return room > CHUNK_AROUND ? room - CHUNK_AROUND : 0;
}

/* Sections are bounded by BODY_MAX_TRAILER. */
static bool trailer_keep(struct relay *r, struct buf_pool *pool)
{
	struct span part = r->body.trailer;
	size_t size = buf_len(&r->trailer) + part.len;

	if (!r->trailers || part.len == 0)
		return true;
	if (!buf_reserve(pool, &r->trailer, (uint32_t)(size < BUF_NOTE ? BUF_NOTE : size)))
		return false;
	out_add(&r->trailer, part.p, part.len);
	return true;
}

/* The last chunk, behind what fills dst->out: that has room for one without trailers. */
static bool end_add(struct relay *r, struct buf *out, struct buf_pool *pool)
{
	struct span section = {r->trailer.data, buf_len(&r->trailer)};

	if (buf_room(out) < FORWARD_END + section.len &&
	    !buf_reserve(pool, out, (uint32_t)(buf_len(out) + FORWARD_END + section.len)))
		return false;
	out->end += (uint32_t)forward_end(out->data + out->end, buf_room(out), section);
	buf_release(pool, &r->trailer);
	return true;
}

/* Goes through what was read until content is held, chunks fill dst->out, or all is seen. */
static enum relay_result check(struct relay *r, struct buf *in, struct buf *out,
			       struct buf_pool *pool)
{
	while (!r->ended && r->held == 0 && buf_len(in)) {
		size_t used, most = buf_len(in);
		struct span content;
		enum body_result result;

		if (r->chunk) {
			if (!out_room(out, pool, 1))
				return out->data ? RELAY_WAIT : RELAY_NO_MEMORY;
			if (most > chunk_most(out))
				most = chunk_most(out);
		}
		result = body_feed(&r->body, buf_at(in), most, &used, &content);
		if (result == BODY_BAD)
			return RELAY_BAD;
		if (r->most && r->body.received > r->most)
			return RELAY_LARGE;
		r->ended = result == BODY_DONE;
		if (r->chunk && content.len)
			chunk_add(out, content);
		else
			r->held = (uint32_t)content.len;
		if (!trailer_keep(r, pool) || (r->ended && r->chunk && !end_add(r, out, pool)))
			return RELAY_NO_MEMORY;
		buf_consume(in, (uint32_t)used - r->held);
	}
	return RELAY_WAIT;
}

/* The sender's connection has ended. */
static enum relay_result source_end(struct relay *r, struct link *src, struct buf *out,
				    struct buf_pool *pool)
{
	if (src->failed || body_eof(&r->body) != BODY_DONE)
		return RELAY_SRC_GONE;
	if (r->chunk) {
		if (!out_room(out, pool, 0))
			return out->data ? RELAY_WAIT : RELAY_NO_MEMORY;
		if (!end_add(r, out, pool))
			return RELAY_NO_MEMORY;
	}
	r->ended = true;
	return RELAY_TURN;
}

/* Reads once. TURN: something has changed. */
static enum relay_result source_read(struct relay *r, struct link *src, struct buf *out,
				     struct buf_pool *pool)
{
	if (src->eof || src->failed)
		return source_end(r, src, out, pool);
	if (!src->readable && !src->unsure) {
		buf_release(pool, &src->in);
		return RELAY_WAIT;
	}
	if (!buf_reserve(pool, &src->in, BUF_SIZE))
		return RELAY_NO_MEMORY;
	if (link_read(src) || src->eof || src->failed)
		return RELAY_TURN;
	buf_release(pool, &src->in);
	return RELAY_WAIT;
}

enum relay_result relay_pump(struct relay *r, struct link *src, struct link *dst,
			     struct buf_pool *pool, bool keep)
{
	for (unsigned turn = 0; turn < RELAY_TURNS; turn++) {
		enum relay_result result = check(r, &src->in, &dst->out, pool);

		if (result != RELAY_WAIT)
			return result;
		if (r->held || buf_len(&dst->out)) {
			uint32_t n = (uint32_t)link_send(dst, r->held ? buf_at(&src->in) : NULL,
							 r->held, keep);

			r->held -= n;
			buf_consume(&src->in, n);
			if (dst->broken)
				return RELAY_DST_GONE;
			if (r->held || buf_len(&dst->out))
				return RELAY_WAIT;
		}
		if (r->ended)
			return RELAY_DONE;
		if (buf_len(&src->in))
			continue;
		result = source_read(r, src, &dst->out, pool);
		if (result != RELAY_TURN)
			return result;
	}
	return RELAY_TURN;
}

bool relay_settle(struct relay *r, struct link *src, struct link *dst, struct buf_pool *pool)
{
	assert(r->ended);
	if (r->held == 0)
		return true;
	if (!dst->out.data || buf_room(&dst->out) < r->held)
		if (!buf_reserve(pool, &dst->out, buf_len(&dst->out) + r->held))
			return false;
	out_add(&dst->out, buf_at(&src->in), r->held);
	buf_consume(&src->in, r->held);
	r->held = 0;
	return true;
}

void relay_drop(struct relay *r, struct link *src)
{
	buf_consume(&src->in, r->held);
	r->held = 0;
}
