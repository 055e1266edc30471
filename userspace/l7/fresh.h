/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a shared cache may do with a response (RFC 9111): keep it or not, for how long it is
 * fresh, how old it is, and whether it may answer a request. Pure: structs in, struct out; times
 * are seconds since 1970, and nothing here asks a clock.
 *
 * fresh_read gathers what a response says, fresh_judge decides about keeping it, and fresh_use
 * about using it.
 */
#ifndef L7_FRESH_H
#define L7_FRESH_H

#include "l7/cc.h"
#include "l7/http1.h"

#define FRESH_NEVER        INT64_MIN /* a date that is not there, or is none */
#define FRESH_STATUS_RULES 16
#define FRESH_TARGET       "sluice" /* whom Surrogate-Control means: what Surrogate-Capability says */

/* Why a response is not kept: append only, the names are in the manual and in Cache-Status. */
#define FRESH_REASONS(REASON)                                                                      \
	REASON(stored, "the response is kept")                                                     \
	REASON(method, "only answers to GET are kept, and some to POST that say where they are")   \
	REASON(no_store, "Cache-Control: no-store")                                                \
	REASON(private, "Cache-Control: private: it is for one user")                              \
	REASON(authorization, "the request had Authorization, and nothing allows others to see")   \
	REASON(set_cookie, "it sets a cookie, and does not say for how long it may be kept")       \
	REASON(status, "this status is kept only with a lifetime of its own")                      \
	REASON(vary_star, "Vary: *: it answers this one request")                                  \
	REASON(no_lifetime, "it would be stale at once and cannot be validated")                   \
	REASON(partial, "a part of something that cannot be put together with others")             \
	REASON(too_large, "larger than max_object")                                                \
	REASON(bad_length, "its body is not as long as it said")                                   \
	REASON(broken_off, "it ended too early")                                                   \
	REASON(no_room, "the store has no room for it")

enum fresh_reason {
#define REASON(name, text) FRESH_##name,
	FRESH_REASONS(REASON)
#undef REASON
		FRESH_REASON_COUNT,
};

/* "no_store". */
const char *fresh_name(enum fresh_reason reason);

enum fresh_set_cookie {
	FRESH_COOKIE_EXPLICIT, /* kept when the origin says for how long */
	FRESH_COOKIE_NEVER,
};

/* What the operator decides. */
struct fresh_policy {
	int64_t default_ttl;    /* for what says nothing: s */
	int64_t heuristic_most; /* of 10 % of the time since Last-Modified */
	int64_t stale_if_error; /* for what says nothing */
	int64_t stale_while;    /* stale-while-revalidate, likewise */
	enum fresh_set_cookie set_cookie;
	bool ignore_request; /* directives of requests mean nothing */
	struct {
		unsigned status;
		int64_t ttl; /* whatever the response says; 0 = not kept */
	} rules[FRESH_STATUS_RULES];
	unsigned n_rules;
};

/* What a response says; spans point into its head. */
struct fresh_response {
	unsigned status;
	struct cc cc;  /* the directives that count here */
	bool targeted; /* they are of a field for such caches alone: Expires does not count */
	bool expires_given, pragma_no_cache, set_cookie, vary, vary_star, partial;
	int64_t date, expires, last_modified;
	int64_t age;
	struct span etag, last_modified_text;
	char text[CC_TARGETED_BYTES];
};

void fresh_read(struct fresh_response *r, const struct http1_head *h, int64_t now);

/* The request that it answers. */
struct fresh_asked {
	enum http1_method method;
	bool authorization;
	bool own_location; /* its Content-Location is what was asked for */
	int64_t delay;     /* s between the request and the response */
};

struct fresh_verdict {
	enum fresh_reason reason; /* FRESH_stored: keep it */
	bool explicit_ttl;        /* the lifetime was not guessed */
	bool validate;            /* never without asking: no-cache */
	bool strict;              /* never when stale: must-revalidate and its like */
	bool can_validate;        /* it has an ETag or Last-Modified */
	int64_t lifetime, age;    /* age: when it came */
	int64_t stale_while, stale_error;
};

struct fresh_verdict fresh_judge(const struct fresh_response *r, const struct fresh_asked *asked,
				 const struct fresh_policy *policy, int64_t now);

/* What a request says about answers from a cache. */
struct fresh_request {
	bool no_store, no_cache, only_if_cached;
	int64_t max_age, max_stale, min_fresh; /* CC_NONE = not said */
};

void fresh_request_read(struct fresh_request *r, const struct http1_head *h);

enum fresh_use {
	FRESH_USE,       /* answer with it */
	FRESH_USE_RENEW, /* answer with it, and ask the origin meanwhile */
	FRESH_VALIDATE,  /* ask first */
};

/* age: now. Counts what was kept; v is its verdict. */
enum fresh_use fresh_use(const struct fresh_verdict *v, int64_t age,
			 const struct fresh_request *request, const struct fresh_policy *policy);
/* The origin failed: may this one answer although it is stale? */
bool fresh_use_on_error(const struct fresh_verdict *v, int64_t age);

/* A field that is not kept with a response: hop-by-hop, for proxies, Age, Content-Length, and
 * those that no-cache or private name (cc NULL: those are). */
bool fresh_drops(const struct http1_field *f, const struct cc *cc);
/* A field that a 304 does not change: it describes the content that is there (RFC 9111 section
 * 3.2), or says what was asked for. */
bool fresh_keeps(const struct http1_field *f);

/* Safe methods (RFC 9110 section 9.2.1) change nothing at the origin. */
bool fresh_safe(enum http1_method method);

#endif
