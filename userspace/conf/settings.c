// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: settings that are one number, a row for each: what it counts, its default and its
 * bounds; yes and no are 1 and 0. The manual, sluice.conf(5), says the same; a test compares them.
 * And those that are one of some words.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/maglev.h"
#include "base/units.h"
#include "conf/read.h"

#define HOUR (3600U * 1000)

#define ROW(section, name, kind, only, type, field, initial, least, most)                          \
	{section, name,  kind, only, offsetof(type, field), sizeof(((type *)0)->field),            \
	 initial, least, most}
#define GATE(name, kind, ...)     ROW("gate", name, kind, 0, struct conf, __VA_ARGS__)
#define DAEMON(name, kind, ...)   ROW("daemon", name, kind, 0, struct conf, __VA_ARGS__)
#define L4(name, kind, ...)       ROW("service", name, kind, SLUICE_L4, struct conf_service, __VA_ARGS__)
#define LIMIT(name, kind, ...)    ROW("limit", name, kind, 0, struct conf_limit, __VA_ARGS__)
#define POOL(name, kind, ...)     ROW("pool", name, kind, 0, struct conf_pool, __VA_ARGS__)
#define RETRY(name, kind, ...)    ROW("retry", name, kind, 0, struct conf_retry, __VA_ARGS__)
#define OUTLIER(name, kind, ...)  ROW("outlier", name, kind, 0, struct conf_outlier, __VA_ARGS__)
#define HEALTH(name, kind, ...)   ROW("health", name, kind, 0, struct conf_health, __VA_ARGS__)
#define CACHE(name, kind, ...)    ROW("cache", name, kind, 0, struct conf_cache, __VA_ARGS__)
#define CACHING(name, kind, ...)  ROW("caching", name, kind, 0, struct conf_caching, __VA_ARGS__)
#define L7(name, kind, ...)       ROW("service", name, kind, SLUICE_L7, struct conf_service, __VA_ARGS__)
#define TLS(name, kind, ...)      ROW("tls", name, kind, 0, struct conf_tls, __VA_ARGS__)
#define ROUTE(name, kind, ...)    ROW("route", name, kind, 0, struct conf_route, __VA_ARGS__)
#define FILES(name, kind, ...)    ROW("files", name, kind, 0, struct conf_files, __VA_ARGS__)
#define MS                        SETTING_MS
#define BYTES                     SETTING_BYTES
#define COUNT                     SETTING_COUNT
#define YES                       SETTING_YES
#define COMPRESS(name, kind, ...) ROW("compress", name, kind, 0, struct conf_compress, __VA_ARGS__)
#define RESOLVER(name, kind, ...) ROW("resolver", name, kind, 0, struct conf_resolver, __VA_ARGS__)
#define BACKEND(name, kind, only, ...)                                                             \
	ROW("backend", name, kind, only, struct conf_backend, __VA_ARGS__)

// clang-format off
const struct setting settings[] = {
	/* name, what it counts, field, default, least, most */
	GATE("priority", COUNT, priority, 50, 0, 1000),
	GATE("max_conns", COUNT, max_conns, SLUICE_MAX_CONNS, 1024, 1U << 26),
	GATE("conn_rate", COUNT, conn_rate, 100000, 0, 100000000),
	GATE("sources", COUNT, max_sources, SLUICE_MAX_SOURCES, 1024, 1U << 24),
	GATE("event_every", COUNT, event_every, 64, 0, 1U << 30),

	DAEMON("threads", COUNT, threads, 0, 0, CONF_MAX_THREADS),
	DAEMON("max_connections", COUNT, max_connections, 20000, 1, 1000000),
	DAEMON("checks", COUNT, max_checks, 256, 1, 4096),
	DAEMON("buffer_memory", BYTES, buffer_memory, 1U << 26, 0, 1ULL << 40),
	DAEMON("drain_timeout", MS, drain_ms, 30000, 0, 24 * HOUR),

	L4("ring_size", COUNT, ring_size, SLUICE_RING_SIZE, 3, MAGLEV_MAX_SIZE),
	L4("previous_table", MS, previous_ms, 600000, 0, 24 * HOUR),
	L4("udp_timeout", MS, udp_timeout_ms, 30000, 1000, HOUR),
	L7("syncookie_rate", COUNT, syncookie_rate, 5000, 1, 10000000),
	L7("header_timeout", MS, header_ms, 10000, 1, HOUR),
	L7("body_timeout", MS, body_ms, 60000, 1, 24 * HOUR),
	L7("idle_timeout", MS, idle_ms, 75000, 1, 24 * HOUR),
	L7("max_head", BYTES, max_head, 32768, 1024, 65536),
	L7("max_target", BYTES, max_target, 16384, 64, 65536),
	L7("max_fields", COUNT, max_fields, 100, 1, 256),
	L7("request_buffer", BYTES, request_buffer, 0, 0, 1U << 24),
	L7("response_buffer", BYTES, response_buffer, 1U << 18, 0, 1U << 24),
	L7("websocket", YES, websocket, 0, 0, 1),
	L7("tunnel_timeout", MS, tunnel_ms, HOUR, 1, 24 * HOUR),
	L7("request_trailers", YES, request_trailers, 0, 0, 1),
	L7("max_requests", COUNT, max_requests, 0, 0, 1000000000),
	L7("min_rate", BYTES, min_rate, 100, 0, 1U << 30),
	L7("max_body", BYTES, max_body, 1ULL << 30, 0, 1ULL << 50),
	L7("trace", YES, trace, 0, 0, 1),
	L7("merge_slashes", YES, merge_slashes, 1, 0, 1),

	RETRY("attempts", COUNT, attempts, 3, 0, 7),
	RETRY("budget", COUNT, budget, 20, 0, 100),
	OUTLIER("consecutive", COUNT, consecutive, 5, 0, 1000),
	OUTLIER("interval", MS, interval_ms, 10000, 100, HOUR),
	OUTLIER("latency", COUNT, latency, 3, 0, 1000),
	OUTLIER("time", MS, time_ms, 30000, 100, HOUR),
	OUTLIER("most_time", MS, most_ms, 300000, 100, 24 * HOUR),
	OUTLIER("share", COUNT, share, 50, 0, 100),
	L7("accept_proxy", YES, accept_proxy, 0, 0, 1),

	POOL("slow_start", MS, slow_start_ms, 0, 0, HOUR),
	POOL("queue", COUNT, queue, 0, 0, 100000),
	POOL("queue_timeout", MS, queue_ms, 1000, 1, HOUR),
	POOL("retry_after", MS, retry_after_ms, 1000, 1000, HOUR),
	POOL("connect_timeout", MS, connect_ms, 5000, 1, HOUR),
	POOL("response_timeout", MS, response_ms, 60000, 1, 24 * HOUR),
	POOL("upstream_idle_timeout", MS, upstream_idle_ms, 60000, 1, 24 * HOUR),
	POOL("upstream_idle_max", COUNT, upstream_idle_max, 1024, 0, 100000),

	CACHE("memory", BYTES, memory, 256U << 20, 1U << 20, 1ULL << 40),
	CACHE("max_object", BYTES, max_object, 32U << 20, 1024, 1ULL << 40),
	CACHING("default_ttl", MS, default_ttl_ms, 0, 0, 24 * HOUR),
	CACHING("heuristic_max", MS, heuristic_ms, 24 * HOUR, 0, 30 * 24 * HOUR),
	CACHING("stale_if_error", MS, stale_if_error_ms, 60000, 0, 30 * 24 * HOUR),
	CACHING("stale_while_revalidate", MS, stale_while_ms, 0, 0, 30 * 24 * HOUR),
	CACHING("wait_timeout", MS, wait_ms, 10000, 0, HOUR),
	CACHING("pass_memory", MS, pass_ms, 10000, 0, HOUR),
	CACHING("request_directives", YES, request_directives, 1, 0, 1),
	CACHING("cache_status", YES, cache_status, 1, 0, 1),
	CACHING("query", YES, query, 1, 0, 1),

	ROUTE("compress", YES, compress, 1, 0, 1),
	ROUTE("cache", YES, cache, 1, 0, 1),
	FILES("precompressed", YES, precompressed, 0, 0, 1),

	LIMIT("packets", COUNT, packets, 0, 0, 10000000),
	LIMIT("connections", COUNT, connections, 0, 0, 10000000),
	LIMIT("burst", MS, burst_ms, 1000, 1, HOUR),
	LIMIT("source_prefix4", COUNT, source_prefix4, 32, 1, 32),
	LIMIT("source_prefix6", COUNT, source_prefix6, 64, 1, 128),

	HEALTH("port", COUNT, port, 0, 0, 65535),
	HEALTH("interval", MS, interval_ms, 2000, 50, HOUR),
	HEALTH("timeout", MS, timeout_ms, 1000, 10, HOUR),
	HEALTH("rise", COUNT, rise, 2, 1, 100),
	HEALTH("fall", COUNT, fall, 3, 1, 100),
	HEALTH("jitter", COUNT, jitter, 10, 0, 50),
	HEALTH("floor", COUNT, floor, 10, 0, 100),
	ROW("upstream_tls", "verify", YES, 0, struct conf_upstream_tls, verify, 1, 0, 1),
	TLS("strict_host", YES, strict_host, 1, 0, 1),
	TLS("handshake_timeout", MS, handshake_ms, 10000, 1, HOUR),
	TLS("handshakes", COUNT, handshakes, 4096, 1, 1000000),
	TLS("tickets", YES, tickets, 1, 0, 1),
	TLS("ticket_rotation", MS, ticket_ms, 8 * HOUR, 60000, 7 * 24 * HOUR),
	TLS("session_cache", COUNT, session_cache, 0, 0, 1000000),
	COMPRESS("min_length", BYTES, min_length, 1024, 0, 1ULL << 40),
	COMPRESS("gzip_level", COUNT, gzip_level, 5, 1, 9),
	COMPRESS("br_level", COUNT, br_level, 4, 0, 11),
	COMPRESS("zstd_level", COUNT, zstd_level, 3, 1, 19),

	ROW("forward", "via", YES, 0, struct conf_outgoing, via, 1, 0, 1),
	ROW("outgoing", "max_outgoing", COUNT, 0, struct conf_backend, max_conns, 1000, 1, 1000000),
	RESOLVER("timeout", MS, timeout_ms, 2000, 10, 60000),
	RESOLVER("attempts", COUNT, attempts, 2, 1, 10),
	RESOLVER("min_ttl", MS, min_ttl_ms, 5000, 100, HOUR),
	RESOLVER("max_ttl", MS, max_ttl_ms, HOUR, 1000, 24 * HOUR),
	RESOLVER("max_addresses", COUNT, max_addresses, 16, 1, CONF_MAX_SEATS),
	RESOLVER("hosts", YES, hosts, 1, 0, 1),
	BACKEND("weight", COUNT, 0, weight, 1, 0, MAGLEV_MAX_WEIGHT),
	BACKEND("max_conns", COUNT, SLUICE_L7, max_conns, 0, 0, 1000000),
	BACKEND("max_connecting", COUNT, SLUICE_L7, max_connecting, 0, 0, 1000000),
	BACKEND("backup", YES, SLUICE_L7, backup, 0, 0, 1),
};
// clang-format on
const unsigned n_settings = sizeof(settings) / sizeof(settings[0]);

static void field_store(void *base, const struct setting *s, uint64_t n)
{
	if (s->width == 1)
		*(bool *)((char *)base + s->offset) = n != 0;
	else if (s->width == 4)
		*(uint32_t *)((char *)base + s->offset) = (uint32_t)n;
	else
		*(uint64_t *)((char *)base + s->offset) = n;
}

static bool count_parse(uint64_t *out, const char *text)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

static bool yes_parse(uint64_t *out, const char *text)
{
	*out = strcmp(text, "yes") == 0;
	return *out || strcmp(text, "no") == 0;
}

static bool number_parse(enum setting_kind kind, uint64_t *out, const char *text)
{
	return kind == MS      ? units_parse_ms(out, text)
	       : kind == BYTES ? units_parse_bytes(out, text)
	       : kind == YES   ? yes_parse(out, text)
			       : count_parse(out, text);
}

/* A number that is too large for 64 bits is still a number, only out of every range. */
static bool number_read(enum setting_kind kind, uint64_t *out, const char *text)
{
	size_t digits = strspn(text, "0123456789");

	if (number_parse(kind, out, text))
		return true;
	if (digits < 12 || !number_parse(kind, out, text + digits - 1))
		return false;
	*out = UINT64_MAX;
	return true;
}

const char *setting_format(enum setting_kind kind, uint64_t n, char buf[SETTING_TEXT])
{
	static const struct unit {
		const char *name;
		uint64_t n;
	} table[][6] = {
		[BYTES] = {{"t", 1ULL << 40},
			   {"g", 1 << 30},
			   {"m", 1 << 20},
			   {"k", 1 << 10},
			   {"", 1}},
		[COUNT] = {{"", 1}},
	};
	const struct unit *unit = table[kind];

	_Static_assert(SETTING_TEXT >= UNITS_MS, "a duration may be as long");
	if (kind == MS)
		return units_format_ms(n, buf);
	if (kind == YES)
		return n ? "yes" : "no";
	while (n % unit->n != 0 || (n == 0 && unit->n != 1))
		unit++;
	snprintf(buf, SETTING_TEXT, "%" PRIu64 "%s", n / unit->n, unit->name);
	return buf;
}

static void setting_read(struct reading *r, const struct setting *s, const struct value *v,
			 void *base)
{
	static const char *const shapes[] = {
		[MS] = "a duration; write a number with its unit: 250ms, 5s, 10m, 2h, 1d",
		[BYTES] = "a size; write a number of bytes, or with a unit: 16k, 1m, 2g",
		[COUNT] = "a number; write digits only",
		[YES] = "an answer; write yes or no",
	};
	char least[SETTING_TEXT], most[SETTING_TEXT];
	uint64_t n = s->initial;

	if (v && !number_read(s->kind, &n, v->text))
		complain(r, v->line, "%s: \"%s\" is not %s", s->name, v->text, shapes[s->kind]);
	else if (v && (n < s->least || n > s->most))
		complain(r, v->line, "%s: \"%s\" is out of range; write %s to %s", s->name, v->text,
			 setting_format(s->kind, s->least, least),
			 setting_format(s->kind, s->most, most));
	else
		field_store(base, s, n);
}

void settings_read(struct reading *r, const char *section, cfg_t *from, unsigned service_kind,
		   void *base)
{
	for (unsigned i = 0; i < n_settings; i++) {
		const struct setting *s = &settings[i];
		struct value *v;

		if (strcmp(s->section, section) != 0)
			continue;
		v = from ? value_of(from, s->name) : NULL;
		if (v && service_kind && s->only && s->only != service_kind) {
			complain(r, v->line, "%s means nothing to an %s service; remove it",
				 s->name, service_kind == SLUICE_L4 ? "l4" : "l7");
			v = NULL;
		}
		setting_read(r, s, v, base);
	}
}

void settings_override(struct reading *r, const char *section, cfg_t *from, void *base)
{
	for (unsigned i = 0; i < n_settings; i++) {
		const struct setting *s = &settings[i];
		struct value *v = strcmp(s->section, section) == 0 ? value_of(from, s->name) : NULL;

		if (v)
			setting_read(r, s, v, base);
	}
}

/* ---- words ---------------------------------------------------------------------------- */

uint32_t choice_word(struct reading *r, const struct value *v, const char *const words[],
		     unsigned n, const char *name)
{
	char all[128] = "";

	if (!v)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(v->text, words[i]) == 0)
			return i;
		strcat(all, i == 0 ? "" : i == n - 1 ? " or " : ", ");
		strcat(all, words[i]);
	}
	complain(r, v->line, "%s: \"%s\" is not known; write %s", name, v->text, all);
	return 0;
}
