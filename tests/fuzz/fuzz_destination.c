// SPDX-License-Identifier: BSD-2-Clause
// Destinations of a forward proxy: what is taken for a name is one, and says the same when it is
// read again; what is taken for an address is allowed only by a rule, or if it is public.
// needs: userspace/l7/destination.c userspace/base/host_name.c userspace/base/addr.c
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/host_name.h"
#include "l7/destination.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct destination *d)
{
	struct destination again;
	char text[LOOKUP_NAME + ENDPOINT_TEXT];
	struct endpoint ep = {d->addr, d->port};

	if (d->name[0])
		snprintf(text, sizeof(text), "%s:%u", d->name, d->port);
	else
		endpoint_format(&ep, text);
	assert(destination_parse(&again, (struct span){text, strlen(text)}, 0));
	assert(strcmp(again.name, d->name) == 0 && again.port == d->port);
	assert(d->name[0] || addr_equal(&again.addr, &d->addr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf_destination all = {.name = "", .any_port = true};
	static const struct conf_outgoing o = {.destinations = &all, .n_destinations = 1};
	char *text = malloc(size + 1);
	struct destination d;

	memcpy(text, data, size);
	for (unsigned port = 0; port <= 80; port += 80) {
		if (!destination_parse(&d, (struct span){text, size}, (uint16_t)port))
			continue;
		assert(d.port != 0);
		assert(d.name[0] == '\0' || host_is_name(d.name, strlen(d.name)));
		assert(destination_known(&o, &d));
		assert(d.name[0] ||
		       destination_allowed(&o, &d, &d.addr) == destination_is_public(&d.addr));
		check_again(&d);
	}
	free(text);
	return 0;
}
