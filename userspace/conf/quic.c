// SPDX-License-Identifier: BSD-2-Clause
/* Owns: what a file says of QUIC's connection IDs (sluice/quic.h): the server IDs of backends, and
 * what services with hash = quic_cid may be. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "conf/read.h"
#include "sluice/quic.h"

#define IDS_OF_ONE 64 /* a backend has one for each server behind it, and for each rotation */

static int digit(char c)
{
	const char *hex = "0123456789abcdef", *at = c ? strchr(hex, c | 0x20) : NULL;

	return at ? (int)(at - hex) : -1;
}

/* "c0ffee01", of rotation 0, or "3:c0ffee01" */
static bool server_id_parse(const char *text, struct conf_server_id *out)
{
	size_t digits;

	memset(out, 0, sizeof(*out));
	if (text[0] && text[1] == ':') {
		if (text[0] < '0' || text[0] >= '0' + SLUICE_QUIC_ROTATIONS)
			return false;
		out->rotation = (uint8_t)(text[0] - '0');
		text += 2;
	}
	digits = strlen(text);
	if (digits == 0 || digits % 2 || digits > 2 * SLUICE_MAX_SERVER_ID)
		return false;
	for (size_t i = 0; i < digits; i++) {
		int n = digit(text[i]);

		if (n < 0)
			return false;
		out->id[i / 2] = (uint8_t)(out->id[i / 2] << 4 | n);
	}
	out->length = (uint8_t)(digits / 2);
	return true;
}

void server_ids_read(struct reading *r, cfg_t *sec, uint32_t kind, struct conf_backend *b)
{
	unsigned n = values_count(r, sec, "server_id", IDS_OF_ONE);

	if (n && kind == SLUICE_L7) {
		complain(r, value_at(sec, "server_id", 0)->line,
			 "server_id means nothing to a backend of an l7 service; remove it");
		return;
	}
	b->server_ids = n ? reading_alloc(r, n, sizeof(*b->server_ids)) : NULL;
	for (unsigned i = 0; b->server_ids && i < n; i++) {
		struct value *v = value_at(sec, "server_id", i);
		struct conf_server_id *id = &b->server_ids[b->n_server_ids];

		if (server_id_parse(v->text, id)) {
			id->line = v->line;
			b->n_server_ids++;
		} else {
			complain(
				r, v->line,
				"server_id: \"%s\" is not a server ID; write 1 to %d bytes in hex, "
				"like \"c0ffee01\", or with their rotation, 0 to %d, before: "
				"\"1:c0ffee01\"",
				v->text, SLUICE_MAX_SERVER_ID, SLUICE_QUIC_ROTATIONS - 1);
		}
	}
}

/* ---- rules ---------------------------------------------------------------------------- */

struct id_mark {
	const struct conf_server_id *id;
	const char *backend;
};

static int by_id(const void *a, const void *b)
{
	const struct conf_server_id *x = ((const struct id_mark *)a)->id,
				    *y = ((const struct id_mark *)b)->id;
	int d = (int)x->rotation - (int)y->rotation;

	if (d == 0)
		d = memcmp(x->id, y->id, sizeof(x->id));
	return d ? d : (x->line > y->line) - (x->line < y->line);
}

/* All IDs of a rotation are as long as the first of them in the file. */
static void check_lengths(struct reading *r, const struct id_mark *marks, unsigned n)
{
	const struct id_mark *first[SLUICE_QUIC_ROTATIONS] = {0};

	for (unsigned i = 0; i < n; i++) {
		const struct conf_server_id *id = marks[i].id;

		if (!first[id->rotation])
			first[id->rotation] = &marks[i];
		else if (first[id->rotation]->id->length != id->length)
			complain(r, id->line,
				 "server_id: it has %u bytes and that of \"%s\" in line %u has %u; "
				 "write all of a rotation as long, or another rotation",
				 id->length, first[id->rotation]->backend,
				 first[id->rotation]->id->line, first[id->rotation]->id->length);
	}
}

static void check_twice(struct reading *r, struct id_mark *marks, unsigned n)
{
	qsort(marks, n, sizeof(*marks), by_id);
	for (unsigned i = 1; i < n; i++) {
		const struct conf_server_id *a = marks[i - 1].id, *b = marks[i].id;

		if (a->rotation == b->rotation && a->length == b->length &&
		    memcmp(a->id, b->id, sizeof(a->id)) == 0)
			complain(r, b->line,
				 "server_id: backend \"%s\" has it in line %u; write another",
				 marks[i - 1].backend, a->line);
	}
}

static void check_ids(struct reading *r, const struct conf_service *s, unsigned n)
{
	struct id_mark *marks = calloc(n + 1, sizeof(*marks));

	if (!marks) {
		r->oom = true;
		return;
	}
	n = 0;
	for (unsigned i = 0; i < s->n_backends; i++)
		for (unsigned k = 0; k < s->backends[i].n_server_ids; k++)
			marks[n++] = (struct id_mark){&s->backends[i].server_ids[k],
						      s->backends[i].name};
	check_lengths(r, marks, n);
	check_twice(r, marks, n);
	free(marks);
}

/* A service that routes by them. */
static void check_service(struct reading *r, const struct conf_service *s)
{
	for (unsigned i = 0; i < s->n_listens; i++)
		if (s->listens[i].proto != IPPROTO_UDP) {
			complain(r, s->listens[i].line,
				 "listen: hash = quic_cid is of UDP alone; write proto = { udp }");
			break;
		}
	if (s->forward == SLUICE_MODE_nat)
		complain(r, s->line,
			 "service \"%s\": nat keeps flows by address and port; remove hash = "
			 "quic_cid, or write another forward",
			 s->name);
	if (s->fragments)
		complain(r, s->line,
			 "service \"%s\": QUIC forbids fragments (RFC 9000, section 14); remove "
			 "fragments = yes",
			 s->name);
	for (unsigned i = 0; i < s->n_backends; i++)
		if (!s->backends[i].n_server_ids)
			complain(r, s->backends[i].line,
				 "backend \"%s\" has no server_id, by which hash = quic_cid knows "
				 "it; write server_id = \"...\", as its server has it",
				 s->backends[i].name);
}

void quic_check(struct reading *r)
{
	const struct conf *c = r->conf;
	unsigned total = 0;

	for (unsigned i = 0; i < c->n_services; i++) {
		const struct conf_service *s = &c->services[i];
		unsigned n = 0;

		if (s->kind != SLUICE_L4)
			continue;
		for (unsigned k = 0; k < s->n_backends; k++)
			n += s->backends[k].n_server_ids;
		total += n;
		if (s->hash == SLUICE_HASH_quic_cid) {
			check_service(r, s);
			check_ids(r, s, n);
			continue;
		}
		for (unsigned k = 0; k < s->n_backends; k++)
			if (s->backends[k].n_server_ids)
				complain(r, s->backends[k].server_ids[0].line,
					 "server_id means nothing without hash = quic_cid; write "
					 "that, or remove it");
	}
	if (total > SLUICE_MAX_SERVER_IDS)
		complain(r, 1, "backends have %u server IDs; a gate holds %u", total,
			 SLUICE_MAX_SERVER_IDS);
}
