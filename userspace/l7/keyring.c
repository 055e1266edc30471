// SPDX-License-Identifier: BSD-2-Clause
#include "l7/keyring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int keyring_map(struct keyring *k, int fd)
{
	struct stat st;
	void *at;

	if (fstat(fd, &st) != 0)
		return -errno;
	if ((size_t)st.st_size < sizeof(struct keyring_head))
		return -EINVAL;
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	madvise(at, (size_t)st.st_size, MADV_DONTDUMP);
	madvise(at, (size_t)st.st_size, MADV_DONTFORK);
	k->at = at;
	k->bytes = (size_t)st.st_size;
	return 0;
}

void keyring_fini(struct keyring *k)
{
	if (k->at)
		munmap((void *)k->at, k->bytes);
	if (k->fd >= 0)
		close(k->fd);
	*k = (struct keyring){.fd = -1};
}

bool keyring_name(char out[KEYRING_NAME + 1], struct span name)
{
	if (name.len && name.p[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || name.len > KEYRING_NAME || name.p[0] == '.')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
			   c == '_' || c == '.'))
			return false;
		out[i] = c;
	}
	out[name.len] = '\0';
	return true;
}

/* FNV-1a. Who chooses names to ask for cannot put any into the table. */
uint32_t keyring_hash(uint32_t service, struct span name)
{
	uint32_t h = 2166136261U ^ service;

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ (unsigned char)name.p[i]) * 16777619U;
	return h ^ h >> 15;
}

static const uint32_t *slot_find(const struct keyring *k, uint32_t service, struct span name)
{
	const struct keyring_head *h = keyring_head(k);
	const struct keyring_slot *slots = (const void *)(k->at + h->slots);

	/* At most half of the slots are taken. */
	for (uint32_t i = keyring_hash(service, name);; i++) {
		const struct keyring_slot *s = &slots[i & h->slots_mask];

		if (s->name.len == 0)
			return NULL;
		if (s->service == service && span_equal(keyring_bytes(k, s->name), name))
			return s->cert;
	}
}

const uint32_t *keyring_find(const struct keyring *k, uint32_t service, const char *name)
{
	const uint32_t *found = slot_find(k, service, (struct span){name, strlen(name)});
	const char *dot = found ? NULL : strchr(name, '.');

	return dot ? slot_find(k, service, (struct span){dot, strlen(dot)}) : found;
}

static bool name_matches(struct span pattern, struct span name)
{
	const char *dot = memchr(name.p, '.', name.len);

	if (pattern.len > 2 && pattern.p[0] == '*') {
		if (!dot)
			return false;
		name.len -= (size_t)(dot - name.p);
		name.p = dot;
		pattern.p++;
		pattern.len--;
	}
	return span_equal(pattern, name);
}

bool keyring_covers(const struct keyring *k, uint32_t cert, const char *name)
{
	struct span names = keyring_bytes(k, keyring_cert(k, cert)->names);
	const char *end = names.p + names.len;

	while (names.p < end) {
		const char *comma = memchr(names.p, ',', (size_t)(end - names.p));
		struct span one = {names.p, (size_t)((comma ? comma : end) - names.p)};

		if (name_matches(one, (struct span){name, strlen(name)}))
			return true;
		names.p = comma ? comma + 2 : end;
	}
	return false;
}
