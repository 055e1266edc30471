// SPDX-License-Identifier: BSD-2-Clause
/* Owns: from whom an l7 service takes a PROXY header. */
#include "conf/read.h"

#define TRUSTED_MAX 256 /* prefixes of a service; each connection is compared with all */

static bool prefix_read(struct reading *r, const struct value *v, struct cidr *net)
{
	char text[ADDR_TEXT + 4];
	bool host_bits;

	if (cidr_parse(net, v->text, &host_bits))
		return true;
	if (!host_bits) {
		complain(r, v->line,
			 "trusted: \"%s\" is not a prefix; write one like \"10.1.0.0/16\" or "
			 "\"2001:db8::/32\"",
			 v->text);
		return false;
	}
	cidr_mask(net);
	complain(r, v->line, "trusted: \"%s\" has bits set beyond its prefix; write \"%s\"",
		 v->text, cidr_format(net, text));
	return false;
}

void trusted_read(struct reading *r, cfg_t *sec, struct conf_service *s)
{
	unsigned n = values_count(r, sec, "trusted", TRUSTED_MAX);

	if (n && s->kind == SLUICE_L4) {
		complain(r, value_at(sec, "trusted", 0)->line,
			 "trusted means nothing to an l4 service; remove it");
		return;
	}
	if (n && !s->accept_proxy)
		complain(r, value_at(sec, "trusted", 0)->line,
			 "trusted means nothing without accept_proxy = yes; write that, or remove "
			 "it");
	if (s->accept_proxy && n == 0)
		complain(r, s->line,
			 "service \"%s\" takes PROXY headers from nobody; write trusted = { "
			 "\"PREFIX\", ... }",
			 s->name);
	s->trusted = n ? reading_alloc(r, n, sizeof(*s->trusted)) : NULL;
	for (unsigned i = 0; s->trusted && i < n; i++)
		s->n_trusted +=
			prefix_read(r, value_at(sec, "trusted", i), &s->trusted[s->n_trusted]);
}
