// SPDX-License-Identifier: BSD-2-Clause
#include "l7/hash_key.h"

#include <string.h>
#include <strings.h>

#include "l7/balance.h"

static bool is_named(const struct http1_field *f, const char *name)
{
	return f->name.len == strlen(name) && strncasecmp(f->name.p, name, f->name.len) == 0;
}

/* NAME=VALUE of one Cookie field; names are compared as they are. */
static struct span cookie_find(struct span list, const char *name)
{
	size_t len = strlen(name);

	while (list.len) {
		const char *end = memchr(list.p, ';', list.len);
		struct span pair = {list.p, end ? (size_t)(end - list.p) : list.len};

		list.p += pair.len + (end != NULL);
		list.len -= pair.len + (end != NULL);
		while (pair.len && (*pair.p == ' ' || *pair.p == '\t')) {
			pair.p++;
			pair.len--;
		}
		if (pair.len > len && pair.p[len] == '=' && memcmp(pair.p, name, len) == 0)
			return (struct span){pair.p + len + 1, pair.len - len - 1};
	}
	return (struct span){0};
}

struct span hash_cookie(const struct http1_head *h, const char *name)
{
	struct span value = {0};

	for (unsigned i = 0; i < h->n_fields && !value.p; i++)
		if (is_named(&h->fields[i], "cookie"))
			value = cookie_find(h->fields[i].value, name);
	return value;
}

static struct span field_find(const struct http1_head *h, const char *name)
{
	for (unsigned i = 0; i < h->n_fields; i++)
		if (is_named(&h->fields[i], name))
			return h->fields[i].value;
	return (struct span){0};
}

uint64_t hash_key(const struct conf_pool *pool, const struct http1_head *h,
		  const struct sluice_addr *client)
{
	struct span key = {0};

	if (pool->balance != CONF_BALANCE_hash)
		return 0;
	if (pool->hash_by == CONF_HASH_URI)
		key = h->path;
	else if (pool->hash_by == CONF_HASH_HEADER)
		key = field_find(h, pool->hash_name);
	else if (pool->hash_by == CONF_HASH_COOKIE)
		key = hash_cookie(h, pool->hash_name);
	return key.p && key.len ? balance_key(key.p, key.len)
				: balance_key((const char *)client, sizeof(*client));
}
