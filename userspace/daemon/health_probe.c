// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: which checks go by the way that the gate forwards, so that what is checked is what is
 * used: a backend that answers at its own address, but unwraps no tunnel or has no VIP, is down.
 * Where that way cannot be taken, the log says so, and the backend's own address is asked.
 */
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "daemon/health_internal.h"

static bool is_datagrams(const struct conf_health *h)
{
	return h->type == CONF_HEALTH_dns || h->type == CONF_HEALTH_udp;
}

/* The VIP that a backend is asked by: of its own family, since packets keep theirs, and of the
 * check's protocol, if there is one. */
static const struct conf_listen *vip_for(const struct health_group *g, const struct sluice_addr *b)
{
	uint8_t proto = is_datagrams(g->conf) ? IPPROTO_UDP : IPPROTO_TCP;
	const struct conf_listen *second = NULL;

	for (unsigned i = 0; i < g->service->n_listens; i++) {
		const struct conf_listen *l = &g->service->listens[i];

		if (addr_is_v4(&l->endpoint.addr) != addr_is_v4(b))
			continue;
		if (l->proto == proto)
			return l;
		second = second ? second : l;
	}
	return second;
}

/* A number of the probe, or -errno. */
static int way_find(struct health *h, const struct health_group *g, const struct conf_backend *b,
		    struct err *e)
{
	const struct conf_listen *vip = vip_for(g, &b->endpoint.addr);
	bool v4 = addr_is_v4(&b->endpoint.addr);
	struct sluice_probe probe = {.backend = b->endpoint.addr,
				     .src = v4 ? h->conf->source4 : h->conf->source6,
				     .mode = g->service->forward};

	if (!vip)
		return err_set(e, EAFNOSUPPORT, "the service has no IPv%d address", v4 ? 4 : 6);
	probe.vip = vip->endpoint.addr;
	if (!h->probe)
		h->probe = probe_open(e);
	return h->probe ? probe_add(h->probe, &probe, e) : -EPERM;
}

static void group_ways(struct health *h, const struct health_group *g)
{
	struct err e, why;
	uint32_t beside = 0;

	for (uint32_t i = 0; i < g->n; i++) {
		uint32_t at = first_slot(g) - 1 + i;
		int number = way_find(h, g, &g->backends[i], &e);

		h->targets[at].marked = number >= 0;
		h->marks[at] = number;
		h->page.records[at].way = number >= 0 ? HEALTH_WAY_FORWARD : HEALTH_WAY_BESIDE;
		if (number < 0 && beside++ == 0)
			why = e;
	}
	if (beside)
		log_warn("%s: %u of %u backends are checked at their own addresses, and not by the "
			 "way that packets go: %s",
			 g->name, beside, g->n, why.text);
}

void health_probe_begin(struct health *h)
{
	for (size_t i = 0; i < h->n_groups; i++) {
		const struct health_group *g = &h->groups[i];

		if (g->service && g->service->forward != SLUICE_MODE_nat &&
		    g->conf->type != CONF_HEALTH_exec)
			group_ways(h, g);
	}
}

int health_probe_socket(struct health *h, uint32_t at)
{
	const struct check_target *t = &h->targets[at];
	int fd = check_socket(t->health, &t->to), rc;

	if (fd < 0)
		return fd;
	rc = probe_mark(fd, h->marks[at]);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}
