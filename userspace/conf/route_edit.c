// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: what a service and its routes do to fields of requests and responses. Promises: nothing
 * that a message's framing or its way depends on can be changed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/scan.h"
#include "conf/read.h"

/* In the order in which they are done. */
static const struct {
	const char *word;
	enum route_edit_kind kind;
} kinds[] = {
	{"remove", ROUTE_REMOVE},
	{"set", ROUTE_SET},
	{"append", ROUTE_APPEND},
	{"add", ROUTE_ADD},
};

/* What the proxy alone decides about; and what would be right. */
static const struct kept {
	const char *name;
	const char *message; /* "request" or "response" alone, or NULL */
	const char *instead;
} kept[] = {
	{"host", "request", "write upstream_host"},
	{"via", NULL, "write via in daemon"},
	{"date", "response", NULL},
	{"expect", "request", NULL},
	{"te", "request", NULL},
	{"max-forwards", "request", NULL},
	{"content-length", NULL, NULL},
	{"transfer-encoding", NULL, NULL},
	{"connection", NULL, NULL},
	{"keep-alive", NULL, NULL},
	{"proxy-connection", NULL, NULL},
	{"trailer", NULL, NULL},
	{"upgrade", NULL, "write websocket = yes"},
};

static bool name_ok(struct reading *r, const struct value *v, const char *setting,
		    const char *message, enum route_edit_kind kind, struct span name)
{
	if (name.len == 0) {
		complain(r, v->line, "%s: \"%s\" is not a field; write \"NAME%s\"", setting,
			 v->text, kind == ROUTE_REMOVE ? "" : ": VALUE");
		return false;
	}
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		struct span own = {kept[i].name, strlen(kept[i].name)};

		if (!span_equal_nocase(own, name) ||
		    (kept[i].message && strcmp(kept[i].message, message) != 0))
			continue;
		complain(r, v->line, "%s: %.*s is written by the proxy alone; %s", setting,
			 (int)name.len, name.p, kept[i].instead ? kept[i].instead : "remove it");
		return false;
	}
	if (kind >= ROUTE_APPEND && name.len > 12 && strncasecmp(name.p, "x-forwarded-", 12) == 0) {
		complain(r, v->line,
			 "%s: %.*s is written already; write set_request with the whole", setting,
			 (int)name.len, name.p);
		return false;
	}
	return true;
}

/* "NAME: VALUE", or of remove "NAME". */
static bool edit_read(struct reading *r, const struct value *v, const char *setting,
		      const char *message, struct route_edit *e)
{
	const char *text = text_keep(r, v->text), *end;
	struct span bad;
	int rc;

	if (!text)
		return false;
	end = scan_while(text, text + strlen(text), SCAN_TOKEN);
	e->name = (struct span){text, (size_t)(end - text)};
	if (*end != (e->kind == ROUTE_REMOVE ? '\0' : ':'))
		e->name.len = 0;
	if (!name_ok(r, v, setting, message, e->kind, e->name))
		return false;
	if (e->kind == ROUTE_REMOVE)
		return true;
	end++;
	end += strspn(end, " \t");
	rc = template_compile(&e->value, &r->conf->arena, end, &bad);
	r->oom |= rc == -ENOMEM;
	if (rc == -EINVAL)
		complain(r, v->line, ROUTE_BAD_NAME, setting, bad.len < 40 ? (int)bad.len : 40,
			 bad.p);
	return rc == 0;
}

static bool replaces(const struct route_edit *e)
{
	return e->kind == ROUTE_REMOVE || e->kind == ROUTE_SET;
}

/* What the service does stays, but for fields that the route replaces. */
static void inherit(struct route_edits *to, const struct route_edits *from,
		    const struct route_edits *own)
{
	for (unsigned i = 0; i < from->n; i++) {
		bool stays = true;

		for (unsigned k = 0; k < own->n; k++)
			stays &= !replaces(&own->items[k]) ||
				 !span_equal_nocase(own->items[k].name, from->items[i].name);
		if (stays)
			to->items[to->n++] = from->items[i];
	}
	for (unsigned i = 0; i < own->n; i++)
		to->items[to->n++] = own->items[i];
}

static void edits_sort(struct route_edits *edits)
{
	/* Few, and those of one kind stay in their order. */
	for (unsigned i = 1; i < edits->n; i++) {
		struct route_edit e = edits->items[i];
		unsigned k = i;

		for (; k > 0 && edits->items[k - 1].kind > e.kind; k--)
			edits->items[k] = edits->items[k - 1];
		edits->items[k] = e;
	}
}

static void edits_read(struct reading *r, cfg_t *sec, const char *message, unsigned line,
		       struct route_edits *edits)
{
	struct route_edit own_items[ROUTE_EDITS];
	struct route_edits own = {.items = own_items}, all = {0};
	char setting[32];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		snprintf(setting, sizeof(setting), "%s_%s", kinds[i].word, message);
		for (unsigned k = 0; k < cfg_size(sec, setting) && own.n < ROUTE_EDITS; k++) {
			own_items[own.n] = (struct route_edit){.kind = kinds[i].kind};
			own.n += edit_read(r, value_at(sec, setting, k), setting, message,
					   &own_items[own.n]);
		}
	}
	if (own.n == 0)
		return;
	all.items = reading_alloc(r, edits->n + own.n, sizeof(*all.items));
	if (!all.items)
		return;
	inherit(&all, edits, &own);
	if (all.n >= ROUTE_EDITS) {
		complain(r, line, "%u and more fields of a %s are changed; write at most %u",
			 ROUTE_EDITS, message, ROUTE_EDITS - 1);
		return;
	}
	edits_sort(&all);
	for (unsigned i = 0; i < all.n; i++)
		all.names |= all.items[i].value.names;
	*edits = all;
}

void route_edits_read(struct reading *r, cfg_t *sec, unsigned line, struct conf_route *route)
{
	edits_read(r, sec, "request", line, &route->request);
	edits_read(r, sec, "response", line, &route->response);
	if (route->request.names & TEMPLATE_LATE)
		complain(r, line,
			 "$status and $upstream are known only with the answer; remove them from "
			 "fields of the request");
}
