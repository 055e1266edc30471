// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the decision between steered and ordinary, and what the operator is told about it.
 * Promises: two daemons never fight over the slots; nothing of the gate but the slots and
 * their number is written.
 */
#include "daemon/adopt.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "base/log.h"
#include "l4/steer.h"

/* A daemon whose keeper was killed leaves its slots as soon as its worker has noticed. */
#define TAKEN_TRIES   40
#define TAKEN_WAIT_MS 50

static int wait_until_free(const struct gate *g, struct err *e)
{
	const struct timespec pause = {.tv_nsec = TAKEN_WAIT_MS * 1000000L};
	unsigned taken = steer_taken(g);

	for (int i = 0; taken && i < TAKEN_TRIES; i++) {
		nanosleep(&pause, NULL);
		taken = steer_taken(g);
	}
	if (taken == 0)
		return 0;
	return err_set(
		e, EBUSY,
		"another sluiced serves this host's gate (%u sockets in %s/workers); stop it "
		"first (`pkill -TERM -x sluiced`), or tell it to read its file again "
		"(`pkill -HUP -o -x sluiced`)",
		taken, SLUICE_PIN_DIR);
}

/* Reasons to do without a gate; all others are reasons not to start. */
static bool gate_absent(int rc)
{
	return rc == -ENODEV || rc == -ENOENT || rc == -EPERM || rc == -EACCES;
}

int adopt_open(struct adopt *a, bool refused, struct err *e)
{
	static const char off[] = "off are the blocklist and l4 services at the NIC, and steering "
				  "(each listen address must be this host's own and free)";
	int rc;

	*a = (struct adopt){0};
	if (refused) {
		log_info("an ordinary proxy, as asked for (--no-gate): %s", off);
		return 0;
	}
	rc = gate_open(&a->gate, e);
	if (gate_absent(rc)) {
		log_warn("an ordinary proxy: %s; until then, %s", e->text, off);
		return 0;
	}
	rc = rc ? rc : wait_until_free(&a->gate, e);
	if (rc) {
		gate_close(&a->gate);
		return rc;
	}
	a->on = true;
	return 0;
}

void adopt_close(struct adopt *a)
{
	gate_close(&a->gate);
}

/* ---- does the gate know the services? ------------------------------------------------- */

static bool vip_known(const struct gate *g, const struct endpoint *at)
{
	const struct sluice_vip key = {
		.addr = at->addr, .port = htons(at->port), .proto = IPPROTO_TCP};
	struct sluice_service s;

	return bpf_map_lookup_elem(g->vips, &key, &s) == 0 && s.kind == SLUICE_L7;
}

static bool has_l7(const struct conf *c)
{
	for (unsigned i = 0; i < c->n_services; i++)
		if (c->services[i].kind == SLUICE_L7)
			return true;
	return false;
}

void adopt_check(const struct adopt *a, const struct conf *c)
{
	const struct endpoint *first = NULL;
	char text[ENDPOINT_TEXT];
	unsigned missing = 0;

	if (!a->on)
		return;
	for (unsigned i = 0; i < c->n_services; i++) {
		const struct conf_service *s = &c->services[i];

		for (unsigned k = 0; s->kind == SLUICE_L7 && k < s->n_listens; k++) {
			const struct endpoint *at = &s->listens[k].endpoint;

			if (addr_is_any(&at->addr) || vip_known(&a->gate, at))
				continue;
			first = first ? first : at;
			missing++;
		}
	}
	if (missing)
		log_warn("the gate does not know %u of the addresses in %s (%s first), so no "
			 "connection to them arrives: `sluice apply -c %s`",
			 missing, c->path, endpoint_format(first, text), c->path);
	else if (has_l7(c) && !steer_attached())
		log_warn("steering is not attached to this network namespace, so no connection "
			 "arrives: `sluice apply -c %s`",
			 c->path);
}

/* ---- the slots ------------------------------------------------------------------------ */

static unsigned steered_fds(const struct listeners *l, int *fds)
{
	unsigned n = 0;

	while (n < l->n_steered && n < SLUICE_MAX_WORKERS) {
		fds[n] = l->items[n].fd;
		n++;
	}
	return n;
}

int adopt_publish(struct adopt *a, const struct listeners *l, struct err *e)
{
	int fds[SLUICE_MAX_WORKERS];
	unsigned n = steered_fds(l, fds);

	return a->on && !a->lost ? steer_publish(&a->gate, fds, n, e) : 0;
}

void adopt_withdraw(struct adopt *a, const struct listeners *l)
{
	int fds[SLUICE_MAX_WORKERS];
	unsigned n = steered_fds(l, fds);
	struct err e;

	if (!a->on || !steer_holds(&a->gate, fds, n))
		return;
	if (steer_publish(&a->gate, NULL, 0, &e) != 0)
		log_warn("%s", e.text);
}

void adopt_look(struct adopt *a, const struct conf *c, const struct listeners *l)
{
	int fds[SLUICE_MAX_WORKERS];
	unsigned n = steered_fds(l, fds);
	struct gate now;
	struct err e;
	int rc = gate_open(&now, &e);

	if (rc) {
		if (!a->lost)
			log_warn("the gate that steered to this daemon is gone: %s", e.text);
		a->lost = true;
		return;
	}
	gate_close(&a->gate);
	a->gate = now;
	a->lost = false;
	if (steer_holds(&a->gate, fds, n))
		return;
	if (steer_publish(&a->gate, fds, n, &e) != 0) {
		log_err("%s", e.text);
		return;
	}
	log_info("the gate was attached anew; new connections come here again");
	adopt_check(a, c);
}
