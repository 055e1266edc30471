// SPDX-License-Identifier: BSD-2-Clause
#include "conf/log_format.h"

#include <errno.h>

#define COMBINED                                                                                   \
	"$client_ip - - [$time] \"$request\" $status $bytes_sent \"$header_referer\" "             \
	"\"$header_user_agent\""

static const struct {
	const char *name, *text;
} named[] = {
	{"sluice", COMBINED " service=$service upstream=$upstream connect_ms=$connect_ms "
			    "first_ms=$first_ms total_ms=$total_ms retries=$retries "
			    "reason=$reason"},
	{"combined", COMBINED},
	{"json",
	 "{\"time\":\"$time_iso\",\"client_ip\":\"$client_ip\",\"request\":\"$request\","
	 "\"host\":\"$host\",\"status\":$status,\"bytes_sent\":$bytes_sent,"
	 "\"bytes_body\":$bytes_body,\"referer\":\"$header_referer\","
	 "\"user_agent\":\"$header_user_agent\",\"service\":\"$service\",\"route\":\"$route\","
	 "\"upstream\":\"$upstream\",\"queue_ms\":$queue_ms,\"connect_ms\":$connect_ms,"
	 "\"first_ms\":$first_ms,\"total_ms\":$total_ms,\"retries\":$retries,"
	 "\"cache\":\"$cache\",\"reason\":\"$reason\",\"request_id\":\"$request_id\","
	 "\"trace_id\":\"$trace_id\",\"scheme\":\"$scheme\",\"tls_version\":\"$tls_version\","
	 "\"ja4\":\"$ja4\"}"},
};

static const struct {
	struct span name;
	bool capture;
} fields[LOG_FIELD_COUNT] = {
#define FACT                        false
#define CAPTURE                     true
#define FIELD(name, kind, sentence) [LOG_##name] = {{#name, sizeof(#name) - 1}, kind},
	LOG_FIELDS(FIELD)
#undef FIELD
};

const char *log_format_named(const char *name)
{
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (strcmp(named[i].name, name) == 0)
			return named[i].text;
	return NULL;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* Of $header_NAME the NAME; empty when it is no such name. */
static struct span header_name(struct span name)
{
	static const struct span prefix = {"header_", 7};

	if (name.len <= prefix.len || memcmp(name.p, prefix.p, prefix.len) != 0)
		return SPAN("");
	return (struct span){name.p + prefix.len, name.len - prefix.len};
}

static enum log_field field_find(struct span name)
{
	if (header_name(name).len)
		return LOG_header;
	for (unsigned f = LOG_TEXT + 1; f < LOG_FIELD_COUNT; f++)
		if (f != LOG_header && span_equal(fields[f].name, name))
			return f;
	return LOG_TEXT;
}

/* A field's name as a request has it: lower case, '-' for '_'. */
static int header_copy(struct span *out, struct arena *arena, struct span name)
{
	char *copy = arena_alloc(arena, name.len + 1, 1);

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		copy[i] = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	*out = (struct span){copy, name.len};
	return 0;
}

/* The place of a capture; the same thing is captured once. */
static int capture_add(struct log_format *f, struct arena *arena, struct log_part *part,
		       struct span name)
{
	struct log_capture want = {.field = part->field, .name = SPAN("")};
	unsigned i = 0;
	int rc = part->field == LOG_header ? header_copy(&want.name, arena, header_name(name)) : 0;

	if (rc)
		return rc;
	while (i < f->n_captures &&
	       !(f->captures[i].field == want.field && span_equal(f->captures[i].name, want.name)))
		i++;
	if (i == LOG_FORMAT_CAPTURES)
		return -EINVAL;
	if (i == f->n_captures)
		f->captures[f->n_captures++] = want;
	part->capture = (uint8_t)i;
	return 0;
}

/* The part that begins at *at, which moves behind it. */
static int part_read(struct log_format *f, struct arena *arena, const char **at,
		     struct log_part *part, struct span *bad)
{
	const char *p = *at;
	size_t n = 0;

	if (*p != '$') {
		n = strcspn(p, "$");
		*part = (struct log_part){.field = LOG_TEXT, .text = {p, n}};
		*at = p + n;
		return 0;
	}
	while (is_letter(p[1 + n]))
		n++;
	*bad = (struct span){p, n + 1};
	*part = (struct log_part){.field = field_find((struct span){p + 1, n})};
	*at = p + 1 + n;
	if (part->field == LOG_TEXT)
		return -EINVAL;
	f->fields |= 1ULL << part->field;
	return fields[part->field].capture ? capture_add(f, arena, part, (struct span){p + 1, n})
					   : 0;
}

int log_format_compile(struct log_format *out, struct arena *arena, const char *text,
		       struct span *bad)
{
	struct log_part *parts;
	size_t most = 1;
	int rc = 0;

	*out = (struct log_format){.json = text[0] == '{'};
	/* A part each for what stands in front of a '$' and behind its name. */
	for (const char *p = text; *p; p++)
		most += 2 * (*p == '$');
	parts = arena_alloc(arena, most, sizeof(*parts));
	if (!parts)
		return -ENOMEM;
	out->parts = parts;
	while (rc == 0 && *text)
		rc = part_read(out, arena, &text, &parts[out->n_parts++], bad);
	return rc;
}
