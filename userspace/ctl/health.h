/* SPDX-License-Identifier: BSD-2-Clause */
/* What the daemon knows of backends (base/health_page.h), as people and programs see it. */
#ifndef CTL_HEALTH_H
#define CTL_HEALTH_H

#include <jansson.h>

#include "base/health_page.h"
#include "base/name_page.h"

/* A backend of an l4 service; false: it is not checked. */
bool health_find(const struct health_page *p, const char *service, const char *backend,
		 struct health_record *out);
/* "up for 3h", "down for 12s: connect: Connection refused", ...; returns buf. */
#define HEALTH_TEXT 192
const char *health_text(const struct health_record *r, char buf[HEALTH_TEXT]);
/* An object; NULL: out of memory. */
json_t *health_json(const struct health_record *r);

/* "12s", "5m", "3h", "2d" since then: as much as a glance takes in; returns buf. */
const char *health_ago(uint64_t since_ms, char buf[24]);

/* health_names.c: the names of backends, and their addresses. */
void health_names_print(const struct name_page *p);
/* An array; NULL: out of memory. */
json_t *health_names_json(const struct name_page *p);

#endif
