// SPDX-License-Identifier: BSD-2-Clause
#include "l7/relay.h"

#include <assert.h>

#include "l7/forward_head.h"

#define COPY_MOST    2048 /* bytes of content that are copied rather than sent as a piece */
#define CHUNK_HEADER 18   /* 16 digits, CRLF */
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

/* ---- compressing ---------------------------------------------------------------------- */

/* A chunk's size is written when its content is known: as many digits, zeroes in front. */
#define ENCODED_HEADER 6 /* 4 digits, CRLF */

static enum relay_result encoder_ask(struct relay *r, struct buf *in, struct buf *out,
				     enum encoder_op op, bool *done)
{
	static const char digits[] = "0123456789abcdef";
	struct span content = {r->held ? buf_at(in) : NULL, r->held};
	char *header = out->data + out->end;
	size_t most = chunk_most(out), made;
	bool failed;

	if (most > 0xffff)
		most = 0xffff;
	*done = encoder_run(r->encoder, op, &content, header + ENCODED_HEADER, most, &made,
			    &failed);
	buf_consume(in, r->held - (uint32_t)content.len);
	r->held = (uint32_t)content.len;
	if (failed)
		return RELAY_NO_MEMORY;
	if (made == 0)
		return RELAY_WAIT;
	memcpy(header,
	       (char[]){digits[made >> 12], digits[made >> 8 & 15], digits[made >> 4 & 15],
			digits[made & 15], '\r', '\n'},
	       ENCODED_HEADER);
	memcpy(header + ENCODED_HEADER + made, "\r\n", 2);
	out->end += (uint32_t)(ENCODED_HEADER + made + 2);
	return RELAY_WAIT;
}

/* What is held goes through the encoder. WAIT: *done, or dst->out must be sent first. */
static enum relay_result encode(struct relay *r, struct buf *in, struct buf *out,
				struct buf_pool *pool, enum encoder_op op, bool *done)
{
	enum relay_result result = RELAY_WAIT;

	*done = false;
	while (!*done && result == RELAY_WAIT) {
		if (!out_room(out, pool, 1))
			return out->data ? RELAY_WAIT : RELAY_NO_MEMORY;
		result = encoder_ask(r, in, out, op, done);
	}
	r->kept = op == ENCODER_TAKE || !*done;
	return result;
}

/* What is held and, at the end, the encoder's last bytes. */
static enum relay_result encode_on(struct relay *r, struct buf *in, struct buf *out,
				   struct buf_pool *pool)
{
	enum encoder_op op = r->ended ? ENCODER_END : ENCODER_TAKE;
	enum relay_result result;
	bool done;

	if (r->encoded || (r->held == 0 && !r->ended))
		return RELAY_WAIT;
	result = encode(r, in, out, pool, op, &done);
	if (!done || op != ENCODER_END)
		return result;
	r->encoded = true;
	return end_add(r, out, pool) ? result : RELAY_NO_MEMORY;
}

/* ---- moving --------------------------------------------------------------------------- */

/* What body_feed finds next: content to be held, or a chunk of it in dst->out. TURN: go on. */
static enum relay_result feed(struct relay *r, struct buf *in, struct buf *out,
			      struct buf_pool *pool)
{
	bool chunk = r->chunk && !r->encoder;
	size_t used, most = buf_len(in);
	struct span content;
	enum body_result result;

	if (chunk) {
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
	if (r->tap && content.len)
		r->tap->content(r->tap, content);
	if (chunk && content.len)
		chunk_add(out, content);
	else
		r->held = (uint32_t)content.len;
	if (!trailer_keep(r, pool) || (r->ended && chunk && !end_add(r, out, pool)))
		return RELAY_NO_MEMORY;
	buf_consume(in, (uint32_t)used - r->held);
	return RELAY_TURN;
}

/* Goes through what was read until content is held, chunks fill dst->out, or all is seen. */
static enum relay_result check(struct relay *r, struct buf *in, struct buf *out,
			       struct buf_pool *pool)
{
	enum relay_result result = r->encoder ? encode_on(r, in, out, pool) : RELAY_WAIT;

	while (result == RELAY_WAIT && !r->ended && r->held == 0 && buf_len(in)) {
		result = feed(r, in, out, pool);
		if (result != RELAY_TURN)
			return result;
		result = r->encoder ? encode_on(r, in, out, pool) : RELAY_WAIT;
	}
	return result;
}

/* The sender's connection has ended. */
static enum relay_result source_end(struct relay *r, struct link *src, struct buf *out,
				    struct buf_pool *pool)
{
	if (src->failed || body_eof(&r->body) != BODY_DONE)
		return RELAY_SRC_GONE;
	if (r->chunk && !r->encoder) {
		if (!out_room(out, pool, 0))
			return out->data ? RELAY_WAIT : RELAY_NO_MEMORY;
		if (!end_add(r, out, pool))
			return RELAY_NO_MEMORY;
	}
	r->ended = true;
	return RELAY_TURN;
}

/* Much is still to come, and goes on as it is: fewer and larger reads are cheaper. */
static bool is_bulk(const struct relay *r, const struct link *src)
{
	return r->body.kind == HTTP1_BODY_LENGTH && r->body.left >= BUF_BULK && !r->encoder &&
	       buf_len(&src->in) == 0;
}

/* Reads once. TURN: something has changed. */
static enum relay_result source_read(struct relay *r, struct link *src, struct buf *out,
				     struct buf_pool *pool, bool bulk)
{
	if (src->eof || src->failed)
		return source_end(r, src, out, pool);
	if (!src->readable && !src->unsure) {
		buf_release(pool, &src->in);
		return RELAY_WAIT;
	}
	if (!(bulk ? buf_bulk(pool, &src->in) : buf_reserve(pool, &src->in, BUF_SIZE)))
		return RELAY_NO_MEMORY;
	if (link_read(src) || src->eof || src->failed)
		return RELAY_TURN;
	buf_release(pool, &src->in);
	return RELAY_WAIT;
}

/* What is held goes behind what is to be sent. The caller has seen to the room. */
static void held_move(struct relay *r, struct link *src, struct buf *out)
{
	out_add(out, buf_at(&src->in), r->held);
	buf_consume(&src->in, r->held);
	r->held = 0;
}

/* Sends what waits in dst->out, and behind it what is held. TURN: all of it went. */
static enum relay_result send_out(struct relay *r, struct link *src, struct link *dst, bool keep)
{
	uint32_t held = r->encoder ? 0 : r->held, n;

	if (held == 0 && buf_len(&dst->out) == 0)
		return RELAY_TURN;
	if (held && held <= COPY_MOST && buf_len(&dst->out) && buf_room(&dst->out) >= held) {
		held_move(r, src, &dst->out);
		held = 0;
	}
	n = (uint32_t)link_send(dst, held ? buf_at(&src->in) : NULL, held, keep);
	if (held) {
		r->held -= n;
		buf_consume(&src->in, n);
	}
	if (dst->broken)
		return RELAY_DST_GONE;
	return held > n || buf_len(&dst->out) ? RELAY_WAIT : RELAY_TURN;
}

/* The sender pauses: what the encoder keeps back comes out. TURN: there is something to send. */
static enum relay_result flush(struct relay *r, struct link *src, struct link *dst,
			       struct buf_pool *pool)
{
	enum relay_result result;
	bool done;

	if (!r->encoder || !r->kept)
		return RELAY_WAIT;
	result = encode(r, &src->in, &dst->out, pool, ENCODER_FLUSH, &done);
	return result == RELAY_WAIT ? RELAY_TURN : result;
}

static bool all_given(const struct relay *r)
{
	return r->ended && (!r->encoder || r->encoded);
}

/* The receiver takes nothing now: makes room to read on. False: it is waited for. */
static bool read_ahead(struct relay *r, struct link *src, struct link *dst, struct buf_pool *pool)
{
	uint32_t waiting = buf_len(&dst->out) + r->held;

	if (r->ended || dst->writable || waiting >= r->ahead)
		return false;
	/* Room for what one read brings, if that is to be chunked. */
	if ((!dst->out.data || buf_room(&dst->out) < r->held + BUF_SIZE + CHUNK_AROUND) &&
	    !buf_grow(pool, &dst->out, waiting + BUF_SIZE + CHUNK_AROUND))
		return false;
	if (r->held && !r->encoder)
		held_move(r, src, &dst->out);
	return true;
}

enum relay_result relay_gather(struct relay *r, struct link *src, struct buf *out, uint32_t most,
			       struct buf_pool *pool)
{
	for (unsigned turn = 0; turn < RELAY_TURNS; turn++) {
		enum relay_result result;
		uint32_t here = buf_len(&src->in);
		uint32_t room = (here > BUF_SIZE ? here : BUF_SIZE) + CHUNK_AROUND;

		if (r->ended || buf_len(out) >= most)
			return RELAY_DONE;
		if (buf_room(out) < room && !buf_grow(pool, out, buf_len(out) + room))
			return RELAY_DONE;
		result = check(r, &src->in, out, pool);
		if (result != RELAY_WAIT)
			return result;
		if (r->held)
			held_move(r, src, out);
		if (r->ended || buf_len(&src->in))
			continue;
		result = source_read(r, src, out, pool, false);
		if (result != RELAY_TURN)
			return result;
	}
	return RELAY_TURN;
}

static unsigned turns(const struct buf *in)
{
	return in->size > BUF_SIZE ? 4 : 1;
}

enum relay_result relay_pump(struct relay *r, struct link *src, struct link *dst,
			     struct buf_pool *pool, bool keep)
{
	for (unsigned turn = 0; turn < RELAY_TURNS; turn += turns(&src->in)) {
		enum relay_result result = check(r, &src->in, &dst->out, pool);

		if (result != RELAY_WAIT)
			return result;
		result = send_out(r, src, dst, keep);
		if (result != RELAY_TURN &&
		    !(result == RELAY_WAIT && read_ahead(r, src, dst, pool)))
			return result;
		if (result == RELAY_TURN && all_given(r))
			return RELAY_DONE;
		if (r->ended || buf_len(&src->in))
			continue;
		result = source_read(r, src, &dst->out, pool, is_bulk(r, src));
		if (result == RELAY_WAIT)
			result = flush(r, src, dst, pool);
		if (result == RELAY_WAIT && !keep && buf_len(&dst->out) == 0)
			buf_release(pool, &dst->out);
		if (result != RELAY_TURN)
			return result;
	}
	return RELAY_TURN;
}

/* The encoder's last bytes: no more than its library keeps back. */
static bool settle_encoder(struct relay *r, struct buf *in, struct buf *out, struct buf_pool *pool)
{
	while (!r->encoded) {
		if (encode_on(r, in, out, pool) != RELAY_WAIT)
			return false;
		if (!r->encoded && !buf_reserve(pool, out, out->size + BUF_SIZE))
			return false;
	}
	return true;
}

bool relay_settle(struct relay *r, struct link *src, struct link *dst, struct buf_pool *pool)
{
	assert(r->ended);
	if (r->encoder)
		return settle_encoder(r, &src->in, &dst->out, pool);
	if (r->held == 0)
		return true;
	if (!dst->out.data || buf_room(&dst->out) < r->held)
		if (!buf_reserve(pool, &dst->out, buf_len(&dst->out) + r->held))
			return false;
	held_move(r, src, &dst->out);
	return true;
}

void relay_drop(struct relay *r, struct link *src)
{
	buf_consume(&src->in, r->held);
	r->held = 0;
}
