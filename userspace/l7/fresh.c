// SPDX-License-Identifier: BSD-2-Clause
#include "l7/fresh.h"

#include "base/httpdate.h"

#define TARGETED_LINES 8

const char *fresh_name(enum fresh_reason reason)
{
	static const char *const names[] = {
#define REASON(name, text) #name,
		FRESH_REASONS(REASON)
#undef REASON
	};

	return names[reason];
}

/* ---- what a response says ------------------------------------------------------------- */

static int64_t date_of(struct span text, int64_t now)
{
	int64_t at;

	return httpdate_parse(&at, text, now) ? at : FRESH_NEVER;
}

/* The first one that is there, and of a list the first element; no number, no age (RFC 9111
 * section 5.1). */
static int64_t age_of(struct span text)
{
	struct span first;
	int64_t age;

	return cc_list_next(&text, &first) && cc_delta(&age, first) ? age : 0;
}

static void vary_read(struct fresh_response *r, struct span list)
{
	struct span name;

	while (cc_list_next(&list, &name)) {
		r->vary = true;
		r->vary_star |= span_equal(name, SPAN("*"));
	}
}

/* The directives for everybody, unless there are some for us. */
static void control_read(struct fresh_response *r, const struct http1_head *h)
{
	struct span lines[TARGETED_LINES];
	unsigned n = 0;

	for (unsigned i = 0; i < h->n_fields; i++)
		if (h->fields[i].id == HTTP1_F_CDN_CACHE_CONTROL && n < TARGETED_LINES)
			lines[n++] = h->fields[i].value;
	cc_init(&r->cc);
	if (n && cc_targeted(&r->cc, lines, n, r->text)) {
		r->targeted = true;
		return;
	}
	cc_init(&r->cc);
	for (unsigned i = 0; i < h->n_fields; i++)
		if (h->fields[i].id == HTTP1_F_SURROGATE_CONTROL)
			r->targeted |= cc_surrogate(&r->cc, h->fields[i].value, SPAN(FRESH_TARGET));
	if (r->targeted)
		return;
	for (unsigned i = 0; i < h->n_fields; i++)
		if (h->fields[i].id == HTTP1_F_CACHE_CONTROL)
			cc_add(&r->cc, h->fields[i].value);
}

static void field_read(struct fresh_response *r, const struct http1_field *f, int64_t now)
{
	switch (f->id) {
	case HTTP1_F_DATE:
		r->date = date_of(f->value, now);
		break;
	case HTTP1_F_EXPIRES:
		if (!r->expires_given)
			r->expires = date_of(f->value, now);
		r->expires_given = true;
		break;
	case HTTP1_F_LAST_MODIFIED:
		r->last_modified = date_of(f->value, now);
		r->last_modified_text = f->value;
		break;
	case HTTP1_F_ETAG:
		r->etag = f->value;
		break;
	case HTTP1_F_AGE:
		if (r->age == CC_NONE)
			r->age = age_of(f->value);
		break;
	case HTTP1_F_VARY:
		vary_read(r, f->value);
		break;
	case HTTP1_F_SET_COOKIE:
		r->set_cookie = true;
		break;
	case HTTP1_F_PRAGMA:
		r->pragma_no_cache |= span_equal_nocase(f->value, SPAN("no-cache"));
		break;
	default:
		break;
	}
}

void fresh_read(struct fresh_response *r, const struct http1_head *h, int64_t now)
{
	r->status = h->status;
	r->targeted = r->expires_given = r->pragma_no_cache = false;
	r->set_cookie = r->vary = r->vary_star = false;
	r->partial = h->status == 206;
	r->date = r->expires = r->last_modified = FRESH_NEVER;
	r->age = CC_NONE;
	r->etag = r->last_modified_text = (struct span){NULL, 0};
	for (unsigned i = 0; i < h->n_fields; i++)
		if (!h->fields[i].hop)
			field_read(r, &h->fields[i], now);
	if (r->age == CC_NONE)
		r->age = 0;
	control_read(r, h);
}

/* ---- keeping it ----------------------------------------------------------------------- */

/* Statuses whose meaning for caches is known here; the others are kept as they come, but not
 * when must-understand asks (RFC 9111 section 5.2.2.3). */
static bool understood(unsigned status)
{
	static const unsigned short all[] = {200, 203, 204, 206, 300, 301, 302, 303,
					     304, 307, 308, 400, 403, 404, 405, 410,
					     414, 421, 451, 500, 501, 502, 503, 504};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] == status)
			return true;
	return false;
}

/* RFC 9110 section 15.1. */
static bool heuristic_status(unsigned status)
{
	static const unsigned short all[] = {200, 203, 204, 206, 300, 301,
					     308, 404, 405, 410, 414, 501};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] == status)
			return true;
	return false;
}

static int64_t not_negative(int64_t n)
{
	return n < 0 ? 0 : n;
}

/* When it was made, as far as is known. */
static int64_t made_at(const struct fresh_response *r, int64_t now)
{
	return r->date == FRESH_NEVER ? now : r->date;
}

/* RFC 9111 section 4.2.1; true if the response says it itself. */
static bool lifetime_said(const struct fresh_response *r, int64_t now, int64_t *lifetime)
{
	if (r->cc.s_maxage != CC_NONE)
		*lifetime = r->cc.s_maxage;
	else if (r->cc.max_age != CC_NONE)
		*lifetime = r->cc.max_age;
	else if (r->expires_given && !r->targeted)
		/* What is no date is in the past (RFC 9111 section 5.3). */
		*lifetime =
			r->expires == FRESH_NEVER ? 0 : not_negative(r->expires - made_at(r, now));
	else
		return false;
	return true;
}

/* RFC 9111 section 4.2.2. */
static int64_t lifetime_guess(const struct fresh_response *r, const struct fresh_policy *policy,
			      int64_t now)
{
	int64_t tenth;

	if (r->pragma_no_cache || (!heuristic_status(r->status) && !(r->cc.flags & CC_PUBLIC)))
		return 0;
	if (r->last_modified == FRESH_NEVER)
		return policy->default_ttl;
	tenth = not_negative(made_at(r, now) - r->last_modified) / 10;
	return tenth < policy->heuristic_most ? tenth : policy->heuristic_most;
}

/* RFC 9111 section 4.2.3. */
static int64_t age_at_first(const struct fresh_response *r, const struct fresh_asked *asked,
			    int64_t now)
{
	int64_t apparent = not_negative(now - made_at(r, now)), said = r->age + asked->delay;

	return apparent > said ? apparent : said;
}

/* Why it must not be kept, whatever its lifetime: RFC 9111 section 3. */
static enum fresh_reason forbidden(const struct fresh_response *r, const struct fresh_asked *asked,
				   bool has_ttl, const struct fresh_policy *policy)
{
	uint32_t flags = r->cc.flags;
	bool understand = flags & CC_MUST_UNDERSTAND;

	if (asked->method != HTTP1_M_GET &&
	    !(asked->method == HTTP1_M_POST && asked->own_location && has_ttl))
		return FRESH_method;
	if (understand && !understood(r->status))
		return FRESH_status;
	if ((flags & CC_NO_STORE) && !understand)
		return FRESH_no_store;
	if (flags & CC_PRIVATE)
		return FRESH_private;
	if (asked->authorization && r->cc.s_maxage == CC_NONE &&
	    !(flags & (CC_PUBLIC | CC_MUST_REVALIDATE)))
		return FRESH_authorization;
	if (r->vary_star)
		return FRESH_vary_star;
	if (r->set_cookie && (policy->set_cookie == FRESH_COOKIE_NEVER || !has_ttl))
		return FRESH_set_cookie;
	if (!has_ttl && !heuristic_status(r->status) && !(flags & CC_PUBLIC))
		return FRESH_status;
	if (r->status == 304 || r->status < 200)
		return FRESH_status;
	return FRESH_stored;
}

static void rule_apply(struct fresh_verdict *v, const struct fresh_response *r,
		       const struct fresh_policy *policy, bool *has_ttl)
{
	for (unsigned i = 0; i < policy->n_rules; i++) {
		if (policy->rules[i].status != r->status)
			continue;
		v->lifetime = policy->rules[i].ttl;
		*has_ttl = v->explicit_ttl = true;
		return;
	}
}

struct fresh_verdict fresh_judge(const struct fresh_response *r, const struct fresh_asked *asked,
				 const struct fresh_policy *policy, int64_t now)
{
	struct fresh_verdict v = {0};
	bool has_ttl = lifetime_said(r, now, &v.lifetime);

	v.explicit_ttl = has_ttl;
	if (!has_ttl)
		v.lifetime = lifetime_guess(r, policy, now);
	rule_apply(&v, r, policy, &has_ttl);
	v.age = age_at_first(r, asked, now);
	v.validate = r->cc.flags & CC_NO_CACHE;
	v.strict = v.validate || r->cc.s_maxage != CC_NONE ||
		   (r->cc.flags & (CC_MUST_REVALIDATE | CC_PROXY_REVALIDATE));
	v.can_validate = r->etag.len || r->last_modified != FRESH_NEVER;
	v.stale_while =
		r->cc.while_revalidate == CC_NONE ? policy->stale_while : r->cc.while_revalidate;
	v.stale_error = r->cc.if_error == CC_NONE ? policy->stale_if_error : r->cc.if_error;
	/* s-maxage forbids stale answers as proxy-revalidate does; one who also says for how long
	 * they are fine anyway is taken at that word. */
	if (r->cc.s_maxage != CC_NONE && r->cc.while_revalidate != CC_NONE &&
	    !(r->cc.flags & (CC_NO_CACHE | CC_MUST_REVALIDATE | CC_PROXY_REVALIDATE)))
		v.strict = false;
	v.reason = forbidden(r, asked, has_ttl, policy);
	if (v.reason == FRESH_stored && !v.can_validate &&
	    (v.validate ||
	     (v.lifetime <= v.age && (v.strict || v.lifetime + v.stale_while <= v.age))))
		v.reason = FRESH_no_lifetime;
	return v;
}

/* ---- using it ------------------------------------------------------------------------- */

void fresh_request_read(struct fresh_request *r, const struct http1_head *h)
{
	struct cc cc;
	bool control = false, pragma = false;

	cc_init(&cc);
	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http1_field *f = &h->fields[i];

		if (f->id == HTTP1_F_CACHE_CONTROL) {
			control = true;
			cc_add(&cc, f->value);
		} else if (f->id == HTTP1_F_PRAGMA) {
			pragma |= span_equal_nocase(f->value, SPAN("no-cache"));
		}
	}
	r->no_store = cc.flags & CC_NO_STORE;
	/* Pragma speaks only where Cache-Control does not (RFC 9111 section 5.4). */
	r->no_cache = (cc.flags & CC_NO_CACHE) || (pragma && !control);
	r->only_if_cached = cc.flags & CC_ONLY_IF_CACHED;
	r->max_age = cc.max_age;
	r->max_stale = cc.max_stale;
	r->min_fresh = cc.min_fresh;
}

enum fresh_use fresh_use(const struct fresh_verdict *v, int64_t age,
			 const struct fresh_request *request, const struct fresh_policy *policy)
{
	int64_t left = v->lifetime - age;
	bool listen = !policy->ignore_request;

	if (v->validate || (listen && request->no_cache))
		return FRESH_VALIDATE;
	if (listen && request->max_age != CC_NONE && age > request->max_age)
		return FRESH_VALIDATE;
	if (listen && request->min_fresh != CC_NONE && left < request->min_fresh)
		return FRESH_VALIDATE;
	if (left > 0)
		return FRESH_USE;
	if (v->strict)
		return FRESH_VALIDATE;
	if (listen && request->max_stale != CC_NONE && -left <= request->max_stale)
		return FRESH_USE;
	return -left < v->stale_while ? FRESH_USE_RENEW : FRESH_VALIDATE;
}

bool fresh_use_on_error(const struct fresh_verdict *v, int64_t age)
{
	return !v->strict && age - v->lifetime < v->stale_error;
}

/* ---- fields --------------------------------------------------------------------------- */

bool fresh_drops(const struct http1_field *f, const struct cc *cc)
{
	if (f->hop)
		return true;
	switch (f->id) {
	case HTTP1_F_AGE:
	case HTTP1_F_CONTENT_LENGTH:
	case HTTP1_F_PROXY_AUTHENTICATE:
	case HTTP1_F_PROXY_AUTHENTICATION_INFO:
	case HTTP1_F_PROXY_AUTHORIZATION:
	case HTTP1_F_SURROGATE_CONTROL:
		return true;
	default:
		break;
	}
	for (unsigned i = 0; cc && i < cc->n_fields; i++)
		if (span_equal_nocase(f->name, cc->fields[i]))
			return true;
	return false;
}

bool fresh_keeps(const struct http1_field *f)
{
	switch (f->id) {
	case HTTP1_F_CONTENT_ENCODING:
	case HTTP1_F_CONTENT_LENGTH:
	case HTTP1_F_CONTENT_MD5:
	case HTTP1_F_CONTENT_RANGE:
	case HTTP1_F_ETAG:
		return true;
	default:
		return false;
	}
}

bool fresh_safe(enum http1_method method)
{
	return method == HTTP1_M_GET || method == HTTP1_M_HEAD || method == HTTP1_M_OPTIONS ||
	       method == HTTP1_M_TRACE;
}
