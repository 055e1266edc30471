/* SPDX-License-Identifier: BSD-2-Clause */
/* What the daemon knows of backends (base/health_page.h), as people and programs see it. */
#ifndef CTL_HEALTH_H
#define CTL_HEALTH_H

#include <jansson.h>

#include "base/health_page.h"

/* A backend of an l4 service; false: it is not checked. */
bool health_find(const struct health_page *p, const char *service, const char *backend,
		 struct health_record *out);
/* "up for 3h", "down for 12s: connect: Connection refused", ...; returns buf. */
#define HEALTH_TEXT 192
const char *health_text(const struct health_record *r, char buf[HEALTH_TEXT]);
/* An object; NULL: out of memory. */
json_t *health_json(const struct health_record *r);

#endif
