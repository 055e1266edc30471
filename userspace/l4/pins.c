// SPDX-License-Identifier: BSD-2-Clause
#include "l4/pins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "l4/arrays.h"
#include "sluice/quic.h"

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

static struct sluice_server_id to_id(__u32 service, const struct plan_pin *pin)
{
	struct sluice_server_id key = {.service = (__u16)service,
				       .rotation = (__u8)(pin->server_id - 1),
				       .length = pin->net.prefix / 8};

	memcpy(key.id, &pin->net.addr, sizeof(key.id));
	return key;
}

static struct plan_pin from_id(const struct sluice_server_id *key)
{
	struct plan_pin pin = {.net.prefix = (uint8_t)(key->length * 8),
			       .server_id = (__u8)(key->rotation + 1),
			       .service = key->service};

	memcpy(&pin.net.addr, key->id, sizeof(pin.net.addr));
	return pin;
}

#define PINS_MAX (2 * (SLUICE_MAX_PINS + SLUICE_MAX_SERVER_IDS))

static int read_one(int fd, const void *key, struct plan_pin *pin, const struct sluice_backend *all)
{
	struct sluice_pin value;

	if (bpf_map_lookup_elem(fd, key, &value) != 0)
		return -errno;
	if (value.backend < SLUICE_MAX_BACKENDS &&
	    all[value.backend].generation == value.generation)
		pin->backend = value.backend;
	return 0;
}

static int read_sources(const struct gate *g, struct plan_state *s,
			const struct sluice_backend *all)
{
	struct sluice_pin_key key, *prev = NULL, next;
	int rc = 0;

	while (rc == 0 && s->n_pins < PINS_MAX && bpf_map_get_next_key(g->pins, prev, &next) == 0) {
		key = next;
		prev = &key;
		s->pins[s->n_pins] = from_key(&key);
		rc = read_one(g->pins, &key, &s->pins[s->n_pins++], all);
	}
	return rc;
}

static int read_ids(const struct gate *g, struct plan_state *s, const struct sluice_backend *all)
{
	struct sluice_server_id key, *prev = NULL, next;
	int rc = 0;

	while (rc == 0 && s->n_pins < PINS_MAX &&
	       bpf_map_get_next_key(g->server_ids, prev, &next) == 0) {
		key = next;
		prev = &key;
		s->pins[s->n_pins] = from_id(&key);
		rc = read_one(g->server_ids, &key, &s->pins[s->n_pins++], all);
	}
	return rc;
}

/* Nobody edits the maps meanwhile, so that a walk sees each entry once. */
int pins_read(const struct gate *g, struct plan_state *s)
{
	struct sluice_backend *all = calloc(SLUICE_MAX_BACKENDS, sizeof(*all));
	int rc = -ENOMEM;

	s->pins = calloc(PINS_MAX, sizeof(*s->pins));
	if (all && s->pins)
		rc = array_read(g->backends, all, SLUICE_MAX_BACKENDS);
	rc = rc ? rc : read_sources(g, s, all);
	rc = rc ? rc : read_ids(g, s, all);
	free(all);
	return rc;
}

int pins_put(const struct gate *g, __u32 service, const struct plan_pin *pin, __u32 backend)
{
	struct sluice_pin_key key = to_key(service, &pin->net);
	struct sluice_server_id id = to_id(service, pin);
	struct sluice_pin value = {.backend = backend};
	struct sluice_backend b;
	int rc;

	if (bpf_map_lookup_elem(g->backends, &backend, &b) != 0)
		return -errno;
	value.generation = b.generation;
	rc = pin->server_id ? bpf_map_update_elem(g->server_ids, &id, &value, BPF_ANY)
			    : bpf_map_update_elem(g->pins, &key, &value, BPF_ANY);
	return rc ? -errno : 0;
}

int pins_remove(const struct gate *g, const struct plan_pin *pin)
{
	struct sluice_pin_key key = to_key(pin->service, &pin->net);
	struct sluice_server_id id = to_id(pin->service, pin);
	int rc = pin->server_id ? bpf_map_delete_elem(g->server_ids, &id)
				: bpf_map_delete_elem(g->pins, &key);

	return rc && errno != ENOENT ? -errno : 0;
}

bool pins_find(const struct gate *g, __u32 service, const struct sluice_addr *src,
	       struct sluice_pin *pin)
{
	const struct cidr whole = {.addr = *src, .prefix = addr_is_v4(src) ? 32 : 128};
	struct sluice_pin_key key = to_key(service, &whole);

	return bpf_map_lookup_elem(g->pins, &key, pin) == 0;
}
