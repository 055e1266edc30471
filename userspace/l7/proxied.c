// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the header by which a trusted proxy in front says whose connection it hands on. Promises:
 * not a byte behind the header is taken; who is not trusted is not asked for one, so that what
 * it sends is a request, and a PROXY line a malformed one.
 */
#include "l7/request.h"

#include "base/log.h"
#include "l7/proxy_proto.h"

bool proxied(const struct conf_service *s, const struct sluice_addr *peer)
{
	for (unsigned i = 0; s->accept_proxy && i < s->n_trusted; i++)
		if (cidr_contains(&s->trusted[i], peer))
			return true;
	return false;
}

void proxied_begin(struct client *c)
{
	struct thread *t = thread_of(c);

	c->step = STEP_PROXIED;
	wheel_set(&t->wheel, &c->timer, t->now_ms + c->service->header_ms);
}

enum go proxied_step(struct client *c)
{
	static struct log_rate rate;
	char buf[PROXY_MOST];
	struct proxy_head head;
	ssize_t got = link_peek(&c->link, buf, sizeof(buf));
	int n;

	if (got < 0)
		return c->link.eof || c->link.failed ? END : WAIT;
	n = proxy_parse(buf, (size_t)got, &head);
	/* More makes another event; a FIN behind a part has made its own. */
	if (n == 0)
		return c->link.hangup ? END : WAIT;
	if (n < 0) {
		log_limited(&rate, LOG_LEVEL_WARN,
			    "no PROXY header from a trusted proxy service=%s client=%s: closed",
			    c->service->name, c->peer_text);
		return END;
	}
	link_skip(&c->link, (size_t)n);
	if (head.known) {
		c->peer = head.client;
		c->local = head.local;
		addr_format(&c->peer.addr, c->peer_text);
	}
	wheel_stop(&c->timer);
	if (request_open(c) == END)
		return END;
	/* What is behind the header made no event of its own. */
	return GO;
}
