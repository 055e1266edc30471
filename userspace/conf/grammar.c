// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: which sections and settings there are. A value is a text with its line here; what
 * it must be stands in settings.c and sections.c. Excludes: text that is not of this
 * grammar, which clean.c has taken out and complained about.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/read.h"

static int value_new(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	size_t len = strlen(text) + 1;
	struct value *v = malloc(sizeof(*v) + len);

	(void)opt;
	if (!v)
		return -1;
	v->line = (unsigned)cfg->line;
	memcpy(v->text, text, len);
	*(void **)result = v;
	return 0;
}

static void value_free(void *v)
{
	free(v);
}

#define ONE(name)  CFG_PTR_CB(name, NULL, CFGF_NODEFAULT, value_new, value_free)
#define MANY(name) CFG_PTR_LIST_CB(name, NULL, CFGF_NODEFAULT, value_new, value_free)

static cfg_opt_t gate_opts[] = {
	MANY("interfaces"), ONE("mode"),        ONE("priority"),    ONE("max_conns"),
	ONE("conn_rate"),   ONE("sources"),     ONE("event_every"), MANY("tunnel_source"),
	MANY("decap_from"), MANY("nat_source"), ONE("nat_ports"),   CFG_END(),
};
static cfg_opt_t daemon_opts[] = {
	ONE("user"),
	ONE("threads"),
	ONE("max_connections"),
	ONE("buffer_memory"),
	ONE("drain_timeout"),
	ONE("access_log"),
	MANY("access_format"),
	ONE("via"),
	ONE("checks"),
	ONE("state"),
	CFG_END(),
};
static cfg_opt_t resolver_opts[] = {
	MANY("servers"), ONE("timeout"),       ONE("attempts"), ONE("min_ttl"),
	ONE("max_ttl"),  ONE("max_addresses"), ONE("hosts"),    CFG_END(),
};
static cfg_opt_t backend_opts[] = {
	ONE(GRAMMAR_NAME), ONE("address"),        ONE("resolve"), ONE("weight"),     ONE("backup"),
	ONE("max_conns"),  ONE("max_connecting"), MANY("pin"),    MANY("server_id"), CFG_END(),
};
static cfg_opt_t health_opts[] = {
	ONE("type"), ONE("port"),    ONE("interval"), ONE("timeout"), ONE("rise"),
	ONE("fall"), ONE("jitter"),  ONE("floor"),    ONE("method"),  ONE("path"),
	ONE("host"), MANY("status"), ONE("body"),     ONE("verify"),  ONE("ca"),
	ONE("name"), ONE("record"),  ONE("send"),     ONE("expect"),  MANY("command"),
	CFG_END(),
};
static cfg_opt_t limit_opts[] = {
	ONE("packets"),        ONE("connections"),    ONE("burst"),
	ONE("source_prefix4"), ONE("source_prefix6"), CFG_END(),
};
static cfg_opt_t retry_opts[] = {
	ONE("attempts"), ONE("budget"), MANY("on"), ONE("hedge_after"), CFG_END(),
};
static cfg_opt_t outlier_opts[] = {
	ONE("consecutive"), ONE("interval"), ONE("latency"), ONE("time"),
	ONE("most_time"),   ONE("share"),    CFG_END(),
};
static cfg_opt_t upstream_tls_opts[] = {
	ONE("verify"), ONE("name"), ONE("ca"), ONE("certificate"), ONE("key"), CFG_END(),
};
/* A named pool has these, and an l7 service for its own one. */
#define POOL_OPTS                                                                                  \
	ONE("balance"), ONE("hash_by"), ONE("proxy_protocol"), ONE("slow_start"), ONE("queue"),    \
		ONE("queue_timeout"), ONE("retry_after"), ONE("connect_timeout"),                  \
		ONE("response_timeout"), ONE("upstream_idle_timeout"), ONE("upstream_idle_max"),   \
		CFG_SEC("retry", retry_opts, CFGF_NODEFAULT),                                      \
		CFG_SEC("outlier", outlier_opts, CFGF_NODEFAULT),                                  \
		CFG_SEC("health", health_opts, CFGF_NODEFAULT),                                    \
		CFG_SEC("upstream_tls", upstream_tls_opts, CFGF_NODEFAULT),                        \
		CFG_SEC("backend", backend_opts, CFGF_MULTI)
cfg_opt_t pool_opts[] = {ONE(GRAMMAR_NAME), POOL_OPTS, CFG_END()};
static cfg_opt_t cache_opts[] = {
	ONE(GRAMMAR_NAME),
	ONE("memory"),
	ONE("max_object"),
	CFG_END(),
};
/* Within a service: how it uses a cache. */
static cfg_opt_t caching_opts[] = {
	ONE("store"),
	ONE("default_ttl"),
	ONE("heuristic_max"),
	ONE("stale_if_error"),
	ONE("stale_while_revalidate"),
	ONE("wait_timeout"),
	ONE("pass_memory"),
	MANY("ttl"),
	ONE("set_cookie"),
	ONE("request_directives"),
	ONE("cache_status"),
	ONE("query"),
	MANY("key_headers"),
	MANY("key_cookies"),
	MANY("allow_headers"),
	MANY("bypass_cookies"),
	MANY("purge_from"),
	CFG_END(),
};
/* A service has these for all its routes. */
#define EDIT_OPTS                                                                                  \
	MANY("set_request"), MANY("add_request"), MANY("append_request"), MANY("remove_request"),  \
		MANY("set_response"), MANY("add_response"), MANY("append_response"),               \
		MANY("remove_response")
// clang-format off
static cfg_opt_t compress_opts[] = {
	MANY("encodings"), MANY("types"),     ONE("min_length"), ONE("gzip_level"),
	ONE("br_level"),   ONE("zstd_level"), CFG_END(),
};
static cfg_opt_t route_opts[] = {
	ONE(GRAMMAR_NAME),
	MANY("host"),
	MANY("path"),
	MANY("method"),
	MANY("header"),
	MANY("query"),
	MANY("source"),
	ONE("pool"),
	ONE("redirect"),
	ONE("respond"),
	ONE("deny"),
	ONE("status"),
	ONE("content_type"),
	ONE("root"),
	MANY("index"),
	MANY("file_types"),
	ONE("charset"),
	ONE("precompressed"),
	ONE("rewrite"),
	ONE("upstream_host"),
	EDIT_OPTS,
	ONE("max_body"),
	ONE("body_timeout"),
	ONE("websocket"),
	ONE("trace"),
	ONE("request_buffer"),
	ONE("response_buffer"),
	ONE("compress"),
	ONE("cache"),
	ONE("connect_timeout"),
	ONE("response_timeout"),
	CFG_END(),
};
static cfg_opt_t tls_opts[] = {
	MANY("certificate"),
	MANY("key"),
	ONE("profile"),
	ONE("min_version"),
	ONE("unknown_sni"),
	ONE("strict_host"),
	ONE("verify"),
	ONE("client_ca"),
	ONE("client_crl"),
	ONE("handshake_timeout"),
	ONE("handshakes"),
	ONE("tickets"),
	MANY("ticket_key"),
	ONE("ticket_rotation"),
	ONE("session_cache"),
	CFG_END(),
};
static cfg_opt_t service_opts[] = {
	ONE(GRAMMAR_NAME),
	ONE("kind"),
	MANY("allow_client"),
	MANY("allow_destination"),
	ONE("via"),
	ONE("max_outgoing"),
	MANY("listen"),
	MANY("proto"),
	ONE("forward"),
	ONE("hash"),
	ONE("track"),
	ONE("syncookie"),
	ONE("syncookie_rate"),
	ONE("udp_timeout"),
	ONE("ring_size"),
	ONE("previous_table"),
	ONE("mss"),
	ONE("fragments"),
	ONE("header_timeout"),
	ONE("body_timeout"),
	ONE("idle_timeout"),
	ONE("max_head"),
	ONE("max_target"),
	ONE("max_fields"),
	ONE("max_requests"),
	ONE("request_buffer"),
	ONE("response_buffer"),
	ONE("websocket"),
	ONE("tunnel_timeout"),
	ONE("request_trailers"),
	ONE("min_rate"),
	ONE("max_body"),
	ONE("accept_proxy"),
	MANY("trusted"),
	ONE("merge_slashes"),
	MANY("request_id_from"),
	ONE("trace"),
	EDIT_OPTS,
	CFG_SEC("limit", limit_opts, CFGF_NODEFAULT),
	CFG_SEC("compress", compress_opts, CFGF_NODEFAULT),
	CFG_SEC("cache", caching_opts, CFGF_NODEFAULT),
	CFG_SEC("route", route_opts, CFGF_MULTI),
	POOL_OPTS,
	CFG_SEC("tls", tls_opts, CFGF_NODEFAULT),
	CFG_END(),
};
// clang-format on
cfg_opt_t grammar[] = {
	CFG_SEC("gate", gate_opts, CFGF_NODEFAULT),
	CFG_SEC("daemon", daemon_opts, CFGF_NODEFAULT),
	CFG_SEC("resolver", resolver_opts, CFGF_NODEFAULT),
	CFG_SEC("service", service_opts, CFGF_MULTI),
	CFG_SEC("pool", pool_opts, CFGF_MULTI),
	CFG_SEC("cache", cache_opts, CFGF_MULTI),
	CFG_END(),
};

struct value *value_of(cfg_t *section, const char *name)
{
	return cfg_size(section, name) ? cfg_getptr(section, name) : NULL;
}

/* Called for mistakes of the text; text_clean leaves none. */
static void silent(cfg_t *cfg, const char *fmt, va_list ap)
{
	(void)cfg;
	(void)fmt;
	(void)ap;
}

cfg_t *grammar_parse(char *text, size_t len)
{
	FILE *f = fmemopen(text, len, "r");
	cfg_t *cfg = f ? cfg_init(grammar, CFGF_NONE) : NULL;

	if (cfg) {
		cfg_set_error_function(cfg, silent);
		if (cfg_parse_fp(cfg, f) != CFG_SUCCESS) {
			cfg_free(cfg);
			cfg = NULL;
		}
	}
	if (f)
		fclose(f);
	return cfg;
}
