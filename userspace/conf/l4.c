// SPDX-License-Identifier: BSD-2-Clause
/* Owns: what a file says of l4 services alone, beside words (sections.c), numbers (settings.c) and
 * nat (nat.c). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/read.h"

/* ---- mss ------------------------------------------------------------------------------ */

#define MSS_LEAST 536   /* what every host takes */
#define MSS_MOST  65495 /* what the longest packet of IPv4 holds */

static bool mss_parse(const char *text, uint32_t *mss)
{
	char *end;
	unsigned long n;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || n < MSS_LEAST || n > MSS_MOST)
		return false;
	*mss = (uint32_t)n;
	return true;
}

static void mss_read(struct reading *r, const struct value *v, struct conf_service *s)
{
	if (!v || strcmp(v->text, "off") == 0)
		return;
	if (strcmp(v->text, "auto") == 0)
		s->mss = SLUICE_MSS_AUTO;
	else if (!mss_parse(v->text, &s->mss))
		complain(r, v->line,
			 "mss: \"%s\" is not a segment's size; write %d to %d, auto or off",
			 v->text, MSS_LEAST, MSS_MOST);
}

/* ---- fragments ------------------------------------------------------------------------ */

static void fragments_read(struct reading *r, const struct value *v, struct conf_service *s)
{
	if (!v || strcmp(v->text, "no") == 0)
		return;
	if (strcmp(v->text, "yes") != 0)
		complain(r, v->line, "fragments: \"%s\" is no answer; write yes or no", v->text);
	else if (s->forward == SLUICE_MODE_nat)
		complain(r, v->line,
			 "fragments: nat changes ports, which fragments do not have; remove it, or "
			 "write another forward");
	else
		s->fragments = true;
}

/* Another service on the address and protocol: fragments do not tell for which they are. */
static void fragments_check(struct reading *r, const struct conf_service *s,
			    const struct conf_service *other)
{
	char text[ADDR_TEXT];

	for (unsigned i = 0; i < s->n_listens; i++) {
		const struct conf_listen *l = &s->listens[i];

		for (unsigned k = 0; k < other->n_listens; k++) {
			const struct conf_listen *o = &other->listens[k];

			if (l->proto != o->proto ||
			    !addr_equal(&l->endpoint.addr, &o->endpoint.addr))
				continue;
			complain(r, l->line,
				 "listen: service \"%s\" takes fragments, which name no port, but "
				 "service \"%s\" has %s/%s too in line %u; write an address for "
				 "each",
				 s->name, other->name, addr_format(&l->endpoint.addr, text),
				 proto_name(l->proto), o->line);
			return;
		}
	}
}

void l4_check(struct reading *r)
{
	const struct conf *c = r->conf;

	for (unsigned i = 0; i < c->n_services; i++)
		for (unsigned k = 0; c->services[i].fragments && k < c->n_services; k++)
			if (k != i)
				fragments_check(r, &c->services[i], &c->services[k]);
}

/* ---- all ------------------------------------------------------------------------------ */

void l4_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
	static const char *const words[] = {"mss", "fragments"};

	for (unsigned i = 0; s->kind == SLUICE_L7 && i < sizeof(words) / sizeof(words[0]); i++) {
		struct value *v = value_of(sec, words[i]);

		if (v)
			complain(r, v->line, "%s means nothing to an l7 service; remove it",
				 words[i]);
	}
	if (s->kind == SLUICE_L7)
		return;
	mss_read(r, value_of(sec, "mss"), s);
	fragments_read(r, value_of(sec, "fragments"), s);
}
