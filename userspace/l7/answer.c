// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: answers of the proxy's own, and a response's last way: the steps FLUSH and LINGER.
 * Promises: a response of which the client has a part is broken off, never mended.
 */
#include "l7/request.h"

#include <assert.h>
#include <stdio.h>
#include <sys/socket.h>

#include "l7/forward_head.h"

#define TURN_REQUESTS 16         /* in one go, before other connections have theirs */
#define LINGER_BYTES  (1U << 18) /* read in vain in one go */

enum go answer_with(struct client *c, struct forward_answer *answer, bool keep)
{
	struct thread *t = thread_of(c);
	struct buf *out = &c->link.out;
	size_t n;

	pool_leave(&c->req->waiter);
	hedge_end(c);
	if (c->req->upstream)
		upstream_close(c->req->upstream);
	c->req->upstream = NULL;
	c->req->close |= !keep || t->draining;
	c->req->status = answer->status;
	c->req->answering = true;
	answer->close = c->req->close;
	answer->head_only = c->req->method == HTTP1_M_HEAD;
	answer->date = thread_date(t);
	answer->edits = change_response(c);
	/* An interim answer may wait there. */
	if (!buf_reserve(&t->pool, out, buf_len(out) + (uint32_t)forward_answer_room(answer)))
		return request_abort(c, ACCESS_no_memory);
	n = forward_answer(out->data + out->end, buf_room(out), answer);
	assert(n > 0);
	out->end += (uint32_t)n;
	c->step = STEP_FLUSH;
	return GO;
}

enum go answer_own(struct client *c, unsigned status, bool keep, struct span field)
{
	struct forward_answer answer = {.status = status, .field = field};

	return answer_with(c, &answer, keep);
}

enum go answer_continue(struct client *c)
{
	static const char words[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct buf *out = &c->link.out;

	c->req->expects = false;
	c->req->progress = UINT64_MAX;
	if (!buf_reserve(&thread_of(c)->pool, out, buf_len(out) + BUF_NOTE))
		return request_abort(c, ACCESS_no_memory);
	memcpy(out->data + out->end, words, sizeof(words) - 1);
	out->end += sizeof(words) - 1;
	link_send(&c->link, NULL, 0, false);
	return c->link.broken ? request_abort(c, ACCESS_client_gone) : GO;
}

/* A response of which nothing was sent is taken back. */
static bool take_back(struct client *c)
{
	if (c->link.sent > c->req->answer_at || c->link.broken)
		return false;
	c->link.out.end = c->link.out.start + (uint32_t)(c->req->answer_at - c->link.sent);
	c->req->until_end = false;
	return true;
}

static enum go fail(struct client *c, unsigned status, enum access_reason reason, struct span field)
{
	if (c->req->cached.fetch)
		return fetch_failed(c, status, reason);
	if (c->req->answering && !take_back(c))
		return request_abort(c, reason);
	c->req->reason = reason;
	/* The connection can only go on behind a request that was read to its end; what nobody
	 * took of its body must not be read as the next one. */
	relay_drop(&c->req->up, &c->link);
	return answer_own(c, status, relay_read_all(&c->req->up), field);
}

enum go answer_busy(struct client *c, enum access_reason reason)
{
	char text[48];
	int n = snprintf(text, sizeof(text), "Retry-After: %u\r\n",
			 (c->req->pool->retry_after_ms + 999) / 1000);

	return fail(c, 503, reason, (struct span){text, (size_t)n});
}

enum go answer_fail(struct client *c, unsigned status, enum access_reason reason)
{
	return fail(c, status, reason, SPAN(""));
}

bool answer_put(struct client *c, const char *text, size_t n)
{
	struct buf *out = &c->link.out;

	if ((!out->data || buf_room(out) < n) &&
	    !buf_reserve(&thread_of(c)->pool, out, buf_len(out) + (uint32_t)n + BUF_NOTE))
		return false;
	memcpy(out->data + out->end, text, n);
	out->end += (uint32_t)n;
	return true;
}

/* ---- FLUSH, LINGER -------------------------------------------------------------------- */

enum go answer_linger_on(struct client *c)
{
	struct thread *t = thread_of(c);

	/* Closed with bytes unread, the kernel would send a reset, which can overtake the
	 * answer (RFC 9112 section 9.6). */
	if (c->link.eof || c->link.failed ||
	    (!c->link.readable && c->req && relay_read_all(&c->req->up) &&
	     buf_len(&c->link.in) == 0))
		return END;
	link_finish(&c->link);
	request_clear(c);
	c->step = STEP_LINGER;
	wheel_set(&t->wheel, &c->timer, t->now_ms + LINGER_MS);
	return GO;
}

enum go answer_linger(struct client *c)
{
	struct buf *in = &c->link.in;

	for (uint32_t got = 0; got < LINGER_BYTES;) {
		if (c->link.eof || c->link.failed)
			return END;
		buf_release(&thread_of(c)->pool, in);
		if (!c->link.readable)
			return WAIT;
		if (!buf_reserve(&thread_of(c)->pool, in, BUF_SIZE))
			return END;
		got += (uint32_t)link_read(&c->link);
	}
	return TURN;
}

enum go answer_flush(struct client *c)
{
	bool turn;

	link_send(&c->link, NULL, 0, false);
	if (c->link.broken)
		return request_abort(c, ACCESS_client_gone);
	if (!link_flushed(&c->link))
		return request_wait(c, c->req->route->body_ms);
	request_log(c);
	if (c->req->close)
		return answer_linger_on(c);
	turn = c->n_requests % TURN_REQUESTS == 0;
	request_clear(c);
	buf_release(&thread_of(c)->pool, &c->link.out);
	c->step = STEP_HEAD;
	return turn ? TURN : GO;
}
