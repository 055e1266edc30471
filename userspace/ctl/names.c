// SPDX-License-Identifier: BSD-2-Clause
#include "ctl/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

static int read_labels(int fd, struct sluice_label *labels, __u32 n)
{
	__u32 *keys = calloc(n, sizeof(*keys)), next = 0, got = n;
	int rc = 0;

	if (!keys)
		return -ENOMEM;
	/* ENOENT says that the map has no more. */
	if (bpf_map_lookup_batch(fd, NULL, &next, keys, labels, &got, NULL) != 0 && errno != ENOENT)
		rc = -errno;
	for (__u32 i = 0; i < n; i++)
		labels[i].name[SLUICE_NAME - 1] = '\0';
	free(keys);
	return rc;
}

int names_read(const struct gate *g, struct names *n, struct err *e)
{
	int rc;

	memset(n, 0, sizeof(*n));
	rc = read_labels(g->service_labels, n->services, SLUICE_MAX_SERVICES);
	rc = rc ? rc : read_labels(g->backend_labels, n->backends, SLUICE_MAX_BACKENDS);
	return rc ? err_set(e, -rc, "cannot read the names of services: %s", strerror(-rc)) : 0;
}

const char *names_service(const struct names *n, __u32 id)
{
	return id < SLUICE_MAX_SERVICES ? n->services[id].name : "";
}

const char *names_backend(const struct names *n, __u32 id)
{
	return id < SLUICE_MAX_BACKENDS ? n->backends[id].name : "";
}

__u32 names_find_service(const struct names *n, const char *service)
{
	for (__u32 id = 1; *service && id < SLUICE_MAX_SERVICES; id++)
		if (strcmp(n->services[id].name, service) == 0)
			return id;
	return 0;
}

static bool is_of(const struct names *n, __u32 backend, const char *service)
{
	const struct sluice_label *b = &n->backends[backend];

	return b->name[0] && (!service || strcmp(names_service(n, b->service), service) == 0);
}

__u32 names_find_backend(const struct names *n, const char *service, const char *backend)
{
	for (__u32 id = 1; id < SLUICE_MAX_BACKENDS; id++)
		if (is_of(n, id, service) && strcmp(n->backends[id].name, backend) == 0)
			return id;
	return 0;
}

/* ", b1" after what is there already; "..." once it is full. */
static void add(char *list, size_t size, const char *service, const char *name)
{
	size_t len = strlen(list);

	if (len >= 3 && strcmp(list + len - 3, "...") == 0)
		return;
	if (len + strlen(service) + strlen(name) + sizeof(", /, ...") > size)
		snprintf(list + len, size - len, ", ...");
	else
		snprintf(list + len, size - len, "%s%s%s%s", len ? ", " : "", service,
			 *service ? "/" : "", name);
}

int names_no_service(const struct names *n, const char *service, struct err *e)
{
	char list[200] = "";

	for (__u32 id = 1; id < SLUICE_MAX_SERVICES; id++)
		if (n->services[id].name[0])
			add(list, sizeof(list), "", n->services[id].name);
	if (!list[0])
		return err_set(e, ENOENT,
			       "no service is called %s: there is none; `sluice apply -c FILE` "
			       "brings in those of a file",
			       service);
	return err_set(e, ENOENT, "no service is called %s; there are: %s", service, list);
}

int names_no_backend(const struct names *n, const char *service, const char *backend, struct err *e)
{
	char list[200] = "";

	for (__u32 id = 1; id < SLUICE_MAX_BACKENDS; id++)
		if (is_of(n, id, service))
			add(list, sizeof(list), names_service(n, n->backends[id].service),
			    n->backends[id].name);
	if (!list[0] && service)
		return err_set(e, ENOENT,
			       "the gate knows no backends of %s: it forwards l4 services alone; "
			       "those of l7 services are sluiced's",
			       service);
	return err_set(e, ENOENT, "no backend is called %s%s%s; there %s%s", service ? service : "",
		       service ? "/" : "", backend, list[0] ? "are: " : "is none", list);
}
