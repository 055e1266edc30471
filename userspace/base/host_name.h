/* SPDX-License-Identifier: BSD-2-Clause */
/* What can be the name of a host, and is not taken for an address by anybody. */
#ifndef BASE_HOST_NAME_H
#define BASE_HOST_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define HOST_NAME_BYTES 254 /* with its NUL (RFC 1035 section 2.3.4) */

/* Labels of letters, digits, hyphens and underscores, of which the last one is no number; a dot
 * may be at the end. */
bool host_is_name(const char *text, size_t len);

#endif
