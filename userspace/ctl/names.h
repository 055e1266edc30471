/* SPDX-License-Identifier: BSD-2-Clause */
/* What services and backends are called, by id and the other way round. */
#ifndef CTL_NAMES_H
#define CTL_NAMES_H

#include "base/err.h"
#include "l4/gate.h"

/* 200 KB: static or heap. */
struct names {
	struct sluice_label services[SLUICE_MAX_SERVICES], backends[SLUICE_MAX_BACKENDS];
};

/* 0 or -errno. Cost: two system calls. */
int names_read(const struct gate *g, struct names *n, struct err *e);

/* "" for an id that is nobody's. */
const char *names_service(const struct names *n, __u32 id);
const char *names_backend(const struct names *n, __u32 id);

/* Ids; 0: nobody is called so. service NULL: the first of any service. */
__u32 names_find_service(const struct names *n, const char *service);
__u32 names_find_backend(const struct names *n, const char *service, const char *backend);

/* Complaints that name those there are. Return -ENOENT. */
int names_no_service(const struct names *n, const char *service, struct err *e);
int names_no_backend(const struct names *n, const char *service, const char *backend,
		     struct err *e);

#endif
