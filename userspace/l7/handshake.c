// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the step HANDSHAKE: a client's connection until both sides speak TLS. Promises: who
 * fails is told by an alert, or in clear if it speaks HTTP; each end is counted, and has no line
 * in the access log, since there was no request.
 */
#include "l7/request.h"

#include "base/log.h"
#include "l7/tls.h"

static void log_end(const struct client *c, enum tls_end end)
{
	static struct log_rate rate;

	log_limited(&rate, LOG_LEVEL_INFO, "handshake failed client=%s service=%s end=%s: %s",
		    c->peer_text, c->service->name, tls_end_name(end), tls_end_text(end));
}

static void count(struct client *c, enum tls_end end)
{
	thread_of(c)->tls.ends[end]++;
	log_end(c, end);
}

bool handshake_begin(struct client *c)
{
	struct thread *t = thread_of(c);
	const struct tls_service *s = tls_thread_service(&t->tls, c->service->index);

	if (t->tls.handshakes >= c->service->tls->handshakes) {
		count(c, TLS_END_busy);
		return false;
	}
	if (!s || tls_accept(&c->link, &t->tls, s) != 0) {
		count(c, TLS_END_internal);
		return false;
	}
	c->step = STEP_HANDSHAKE;
	wheel_set(&t->wheel, &c->timer, t->now_ms + c->service->tls->handshake_ms);
	return true;
}

/* It is a plain connection now, on which the alert goes out. */
static enum go failed(struct client *c)
{
	struct thread *t = thread_of(c);
	enum tls_end end = tls_strip(&c->link);

	log_end(c, end);
	if (end == TLS_END_plain_http && request_start(c)) {
		c->req->began_ms = t->now_ms;
		c->n_requests++;
		head_note(c, NULL);
		c->req->reason = ACCESS_refused;
		return answer_own(c, 400, false, SPAN(""));
	}
	link_send(&c->link, NULL, 0, false);
	return end == TLS_END_gone ? END : answer_linger_on(c);
}

enum go handshake_step(struct client *c)
{
	const struct tls *t = c->link.tls;

	if (!t->over)
		return WAIT;
	if (!t->established)
		return failed(c);
	c->step = STEP_HEAD;
	wheel_stop(&c->timer);
	return GO;
}

enum go handshake_timeout(struct client *c)
{
	count(c, TLS_END_timeout);
	return END;
}
