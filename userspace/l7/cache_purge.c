// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the method PURGE, for those who may use it: one target, all that begin like it, or what
 * has a tag. It holds for all threads from when it is answered.
 */
#include "l7/request.h"

static bool may(const struct client *c, const struct conf_caching *conf)
{
	for (unsigned i = 0; i < conf->n_purge_from; i++)
		if (cidr_contains(&conf->purge_from[i], &c->peer.addr))
			return true;
	return false;
}

static const struct http1_field *field(const struct http1_head *h, struct span name)
{
	for (unsigned i = 0; i < h->n_fields; i++)
		if (span_equal_nocase(h->fields[i].name, name))
			return &h->fields[i];
	return NULL;
}

/* Surrogate-Key, Cache-Tag: each of the tags. False: there is no such field. */
static bool purge_tags(struct store *s, const struct http1_head *h, bool soft)
{
	bool any = false;

	for (unsigned i = 0; i < h->n_fields; i++) {
		struct span rest = h->fields[i].value;

		if (h->fields[i].id != HTTP1_F_CACHE_TAG &&
		    h->fields[i].id != HTTP1_F_SURROGATE_KEY)
			continue;
		any = true;
		while (rest.len) {
			size_t n = 0;

			while (n < rest.len && !strchr(" ,\t", rest.p[n]))
				n++;
			if (n)
				store_ban(s, STORE_BAN_TAG, (struct span){rest.p, n}, soft);
			n += n < rest.len;
			rest.p += n;
			rest.len -= n;
		}
	}
	return any;
}

static unsigned purge(struct store *s, const struct http1_head *h, struct span key)
{
	bool soft = field(h, SPAN("sluice-purge")) &&
		    span_equal_nocase(field(h, SPAN("sluice-purge"))->value, SPAN("soft"));

	if (purge_tags(s, h, soft))
		return 200;
	if (key.len == 0)
		return 400;
	if (key.p[key.len - 1] == '*') {
		key.len--;
		return store_ban(s, STORE_BAN_PREFIX, key, soft) ? 503 : 200;
	}
	if (soft)
		return store_age(s, store_key(s, key)) ? 200 : 404;
	return store_remove(s, store_key(s, key)) ? 200 : 404;
}

bool cache_purge(struct client *c, const struct http1_head *h, struct span key)
{
	const struct caching *use = c->req->cached.use;
	unsigned status = 403;

	if (h->method != HTTP1_M_OTHER || !span_equal(h->method_text, SPAN("PURGE")) ||
	    use->conf->n_purge_from == 0)
		return false;
	if (may(c, use->conf))
		status = purge(use->store, h, key);
	c->req->reason = status == 200 || status == 404 ? ACCESS_cached : ACCESS_refused;
	answer_own(c, status, relay_read_all(&c->req->up), SPAN(""));
	return true;
}
