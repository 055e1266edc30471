// SPDX-License-Identifier: BSD-2-Clause
#include "l4/pins.h"

#include <errno.h>
#include <stdlib.h>

#include <bpf/bpf.h>

#include "l4/arrays.h"

static struct sluice_pin_key to_key(__u32 service, const struct cidr *net)
{
	bool v6 = !addr_is_v4(&net->addr);

	return (struct sluice_pin_key){.prefixlen = SLUICE_PIN_PREFIX(net->prefix, v6),
				       .service = (__u16)service,
				       .v6 = v6,
				       .addr = net->addr};
}

static struct plan_pin from_key(const struct sluice_pin_key *key)
{
	struct plan_pin pin = {.net = {.addr = key->addr}, .service = key->service};

	pin.net.prefix = (uint8_t)(key->prefixlen - SLUICE_PIN_PREFIX(0, key->v6));
	cidr_mask(&pin.net);
	return pin;
}

/* Nobody edits the map meanwhile, so that a walk sees each entry once. */
int pins_read(const struct gate *g, struct plan_state *s)
{
	struct sluice_backend *all = calloc(SLUICE_MAX_BACKENDS, sizeof(*all));
	struct sluice_pin_key key, next;
	struct sluice_pin value;
	int rc = -ENOMEM;

	s->pins = calloc(2 * SLUICE_MAX_PINS, sizeof(*s->pins));
	if (all && s->pins)
		rc = array_read(g->backends, all, SLUICE_MAX_BACKENDS);
	while (rc == 0 && s->n_pins < 2 * SLUICE_MAX_PINS &&
	       bpf_map_get_next_key(g->pins, s->n_pins ? &key : NULL, &next) == 0) {
		struct plan_pin *pin = &s->pins[s->n_pins++];

		key = next;
		*pin = from_key(&key);
		if (bpf_map_lookup_elem(g->pins, &key, &value) != 0)
			rc = -errno;
		else if (value.backend < SLUICE_MAX_BACKENDS &&
			 all[value.backend].generation == value.generation)
			pin->backend = value.backend;
	}
	free(all);
	return rc;
}

int pins_put(const struct gate *g, __u32 service, const struct cidr *net, __u32 backend)
{
	struct sluice_pin_key key = to_key(service, net);
	struct sluice_pin pin = {.backend = backend};
	struct sluice_backend b;

	if (bpf_map_lookup_elem(g->backends, &backend, &b) != 0)
		return -errno;
	pin.generation = b.generation;
	return bpf_map_update_elem(g->pins, &key, &pin, BPF_ANY) ? -errno : 0;
}

int pins_remove(const struct gate *g, __u32 service, const struct cidr *net)
{
	struct sluice_pin_key key = to_key(service, net);

	return bpf_map_delete_elem(g->pins, &key) && errno != ENOENT ? -errno : 0;
}

bool pins_find(const struct gate *g, __u32 service, const struct sluice_addr *src,
	       struct sluice_pin *pin)
{
	const struct cidr whole = {.addr = *src, .prefix = addr_is_v4(src) ? 32 : 128};
	struct sluice_pin_key key = to_key(service, &whole);

	return bpf_map_lookup_elem(g->pins, &key, pin) == 0;
}
