// SPDX-License-Identifier: BSD-2-Clause
#include "l4/down.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "l4/sync.h"

static const struct down_backend *find(const struct down_backend *backends, size_t n,
				       const struct plan_backend *b)
{
	for (size_t i = 0; i < n; i++)
		if (addr_equal(&backends[i].at.addr, &b->addr) &&
		    htons(backends[i].at.port) == b->port)
			return &backends[i];
	return NULL;
}

static bool nobody_takes(const struct plan_state *s)
{
	for (size_t i = 0; i < s->n_backends; i++)
		if (s->backends[i].weight && !s->backends[i].down)
			return false;
	return true;
}

static void mark(struct plan_state *want, const struct down_backend *backends, size_t n, bool fill)
{
	for (size_t i = 0; i < want->n_backends; i++) {
		struct plan_backend *b = &want->backends[i];
		const struct down_backend *d = find(backends, n, b);

		if (d)
			b->down = d->down;
	}
	if (!fill || !nobody_takes(want))
		return;
	for (size_t i = 0; i < want->n_backends; i++)
		want->backends[i].down = false;
}

static bool differs(const struct plan_state *want, const struct plan_state *actual)
{
	/* plan_keep has them in the same order. */
	for (size_t i = 0; i < want->n_backends; i++)
		if (want->backends[i].down != actual->backends[i].down)
			return true;
	return false;
}

static __u32 id_of(const struct plan_state *s, const char *service)
{
	for (size_t i = 0; i < s->n_services; i++)
		if (strcmp(s->services[i].name, service) == 0)
			return s->services[i].id;
	return 0;
}

int down_read(const struct gate *g, const char *service, struct down_backend *backends, size_t n,
	      struct err *e)
{
	struct plan_state actual = {0};
	int rc = sync_read(g, &actual, e);
	__u32 id = rc ? 0 : id_of(&actual, service);

	for (size_t i = 0; i < n; i++)
		backends[i].down = false;
	for (size_t i = 0; i < actual.n_backends; i++) {
		const struct plan_backend *b = &actual.backends[i];
		const struct down_backend *d = find(backends, n, b);

		if (id && b->service == id && d)
			backends[d - backends].down = b->down;
	}
	plan_state_fini(&actual);
	return rc;
}

int down_apply(const struct gate *g, const char *service, const struct down_backend *backends,
	       size_t n, bool fill, struct err *e)
{
	struct plan_state actual = {0}, want = {0};
	struct plan plan = {0};
	int lock = gate_lock(false, e), rc;
	__u32 id = 0;

	if (lock < 0)
		return lock;
	rc = sync_read(g, &actual, e);
	if (rc == 0) {
		id = id_of(&actual, service);
		rc = id ? plan_keep(&want, &actual, id, e)
			: err_set(e, ENOENT,
				  "the gate does not know the service %s: `sluice apply`", service);
	}
	if (rc == 0) {
		mark(&want, backends, n, fill);
		if (differs(&want, &actual))
			rc = plan_make(&plan, &want, &actual, e);
		if (rc == 0 && plan.n)
			rc = sync_run(g, &plan, e);
		rc = rc ? rc : (int)plan.n;
	}
	plan_fini(&plan);
	plan_state_fini(&want);
	plan_state_fini(&actual);
	close(lock);
	return rc;
}
