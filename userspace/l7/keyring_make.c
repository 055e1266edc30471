// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: from the files that a configuration names to a sealed keyring. Promises: no secret is
 * left behind in the heap. Cost: about 0.1 ms a certificate.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "l7/keyring_file.h"

#define MAGIC     0x31676e69526c73ULL /* with the layout's version */
#define MOST      (1U << 30)          /* bytes; offsets have 32 bits */
#define MOST_PATH 512

struct maker {
	const struct conf *conf;
	const struct keyring *old;
	const struct keyring_report *report;
	struct err *e;
	int fd;
	unsigned char *at; /* mapped; grows */
	size_t used, size;
	struct keyring_service *services;
	struct keyring_pool *pools;
	struct keyring_cert *certs;
	struct keyring_slot *names; /* as they come; then put into slots */
	uint32_t n_certs, n_names, room_certs, room_names;
};

static int no_memory(struct maker *m)
{
	return err_set(m->e, ENOMEM, "out of memory for certificates");
}

/* Says why a file is not used, and what is instead. */
static void say(struct maker *m, const struct err *why, const char *instead)
{
	char text[sizeof(why->text) + 64];

	snprintf(text, sizeof(text), "%s; %s", why->text, instead);
	m->report->say(m->report->arg, text);
}

/* ---- the memory ----------------------------------------------------------------------- */

static int memory_grow(struct maker *m, size_t need)
{
	size_t size = m->size ? m->size : 1 << 16;
	void *at;

	while (size < need)
		size *= 2;
	if (need > MOST)
		return err_set(m->e, EFBIG, "the certificates have more than 1 GiB");
	if (size == m->size)
		return 0;
	if (ftruncate(m->fd, (off_t)size) != 0)
		return no_memory(m);
	at = m->at ? mremap(m->at, m->size, size, MREMAP_MAYMOVE)
		   : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	if (at == MAP_FAILED)
		return no_memory(m);
	madvise(at, size, MADV_DONTDUMP);
	m->at = at;
	m->size = size;
	return 0;
}

/* Everything begins at a multiple of 8. */
static int part_put(struct maker *m, struct keyring_part *out, const void *bytes, size_t len)
{
	size_t at = (m->used + 7) & ~(size_t)7;
	int rc = memory_grow(m, at + len);

	if (rc)
		return rc;
	if (len)
		memcpy(m->at + at, bytes, len);
	*out = (struct keyring_part){(uint32_t)at, (uint32_t)len};
	m->used = at + len;
	return 0;
}

/* ---- what is gathered ----------------------------------------------------------------- */

static void *row_add(void **rows, uint32_t *n, uint32_t *room, size_t size)
{
	if (*n == *room) {
		uint32_t more = *room ? 2 * *room : 64;
		void *grown = reallocarray(*rows, more, size);

		if (!grown)
			return NULL;
		*rows = grown;
		*room = more;
	}
	return memset((char *)*rows + (*n)++ * size, 0, size);
}

/* Each name of a certificate, to be found by it. */
static int names_add(struct maker *m, const struct keyring_cert *cert)
{
	const char *names = (char *)m->at + cert->names.at;

	for (uint32_t at = 0, len; at < cert->names.len; at += len + 2) {
		const char *comma = memchr(names + at, ',', cert->names.len - at);
		bool wild = names[at] == '*';
		struct keyring_slot *s =
			row_add((void **)&m->names, &m->n_names, &m->room_names, sizeof(*s));

		if (!s)
			return no_memory(m);
		len = comma ? (uint32_t)(comma - names) - at : cert->names.len - at;
		s->service = cert->service;
		s->name = (struct keyring_part){cert->names.at + at + wild, len - wild};
		s->cert[cert->kind] = (uint32_t)(cert - m->certs) + 1;
	}
	return 0;
}

struct found {
	struct span chain, key, names, staple;
	uint32_t kind;
	int64_t not_before, not_after;
};

static int cert_add(struct maker *m, uint32_t service, const char *path, const struct found *f)
{
	struct keyring_cert *c =
		row_add((void **)&m->certs, &m->n_certs, &m->room_certs, sizeof(*c));
	uint32_t *first;
	int rc;

	if (!c)
		return no_memory(m);
	c->service = service;
	c->kind = f->kind;
	c->not_before = f->not_before;
	c->not_after = f->not_after;
	rc = part_put(m, &c->chain, f->chain.p, f->chain.len);
	rc = rc ? rc : part_put(m, &c->key, f->key.p, f->key.len);
	rc = rc ? rc : part_put(m, &c->path, path, strlen(path) + 1);
	rc = rc ? rc : part_put(m, &c->names, f->names.p, f->names.len);
	rc = rc ? rc : part_put(m, &c->staple, f->staple.p, f->staple.len);
	if (rc)
		return rc;
	if (service == KEYRING_NO_SERVICE)
		return 0; /* nobody asks for it by name */
	first = &m->services[service].cert[c->kind];
	*first = *first ? *first : m->n_certs;
	return names_add(m, c);
}

/* ---- pairs ---------------------------------------------------------------------------- */

static const struct keyring_cert *old_find(const struct maker *m, const char *path)
{
	for (uint32_t i = 0; m->old && i < keyring_head(m->old)->n_certs; i++) {
		const struct keyring_cert *c = keyring_cert(m->old, i);

		if (strcmp(keyring_bytes(m->old, c->path).p, path) == 0)
			return c;
	}
	return NULL;
}

static int old_keep(struct maker *m, uint32_t service, const char *path,
		    const struct keyring_cert *c)
{
	const struct found f = {
		.chain = keyring_bytes(m->old, c->chain),
		.key = keyring_bytes(m->old, c->key),
		.names = keyring_bytes(m->old, c->names),
		.staple = keyring_bytes(m->old, c->staple),
		.kind = c->kind,
		.not_before = c->not_before,
		.not_after = c->not_after,
	};

	return cert_add(m, service, path, &f);
}

/* An OCSP response lies beside its certificate, as PATH.ocsp. */
static void staple_read(unsigned char **bytes, size_t *len, const char *path)
{
	char beside[MOST_PATH + 8];

	snprintf(beside, sizeof(beside), "%s.ocsp", path);
	if (access(beside, R_OK) != 0 ||
	    keyring_bytes_read(bytes, len, beside, 1 << 16, NULL) != 0) {
		*bytes = NULL;
		*len = 0;
	}
}

static int pair_read(struct maker *m, uint32_t service, const char *path, const char *key_path,
		     bool one_of_many)
{
	unsigned char *staple = NULL;
	struct keyring_pair p;
	struct err why;
	int rc = keyring_pair_read(&p, path, key_path, &why);

	if (rc == 0) {
		struct found f = {
			.chain = {(char *)p.chain, p.chain_len},
			.key = {(char *)p.key, p.key_len},
			.names = {p.names, strlen(p.names)},
			.kind = p.kind,
			.not_before = p.not_before,
			.not_after = p.not_after,
		};

		staple_read(&staple, &f.staple.len, path);
		f.staple.p = (char *)staple;
		rc = cert_add(m, service, path, &f);
		free(staple);
	} else if (old_find(m, path)) {
		say(m, &why, "the certificate that was read before stays in use");
		rc = old_keep(m, service, path, old_find(m, path));
	} else if (one_of_many) {
		say(m, &why, "it is left out");
		rc = 0;
	} else {
		err_set(m->e, -rc, "%s", why.text);
	}
	keyring_pair_fini(&p);
	return rc;
}

/* ---- folders -------------------------------------------------------------------------- */

static bool ends(const char *text, const char *with)
{
	size_t len = strlen(text), n = strlen(with);

	return len > n && strcmp(text + len - n, with) == 0;
}

static int is_certificate(const struct dirent *d)
{
	return d->d_name[0] != '.' && (ends(d->d_name, ".pem") || ends(d->d_name, ".crt"));
}

/* NAME.pem or NAME.crt, with its key in NAME.key or in itself. */
static int folder_read(struct maker *m, uint32_t service, const char *folder)
{
	char path[MOST_PATH], key[MOST_PATH];
	struct dirent **all;
	int n = scandir(folder, &all, is_certificate, alphasort), rc = 0;

	if (n < 0)
		return err_set(m->e, errno, "%s: cannot be read: %s", folder, strerror(errno));
	for (int i = 0; i < n; i++) {
		int len = snprintf(path, sizeof(path), "%s/%s", folder, all[i]->d_name);

		if (rc == 0 && len < MOST_PATH) {
			snprintf(key, sizeof(key), "%.*s.key", len - 4, path);
			rc = pair_read(m, service, path, access(key, F_OK) == 0 ? key : NULL, true);
		}
		free(all[i]);
	}
	free(all);
	if (rc == 0 && n == 0)
		return err_set(m->e, ENOENT,
			       "%s: holds no certificate; write NAME.pem, with the key in it or in "
			       "NAME.key",
			       folder);
	return rc;
}

static int certificates_read(struct maker *m, uint32_t service, const struct conf_tls *t)
{
	struct stat st;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < t->n_certificates; i++) {
		const char *path = t->certificates[i].path;

		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			rc = folder_read(m, service, path);
		else
			rc = pair_read(m, service, path, t->n_keys ? t->keys[i].path : NULL, false);
	}
	if (rc == 0 && !m->services[service].cert[0] && !m->services[service].cert[1])
		return err_set(m->e, ENOENT, "service \"%s\": no certificate of tls can be used",
			       m->conf->services[service].name);
	return rc;
}

/* ---- what belongs to a service -------------------------------------------------------- */

/* Of the same place in the old one: what belongs to a service that has moved is not kept. */
static const struct keyring_service *old_service(const struct maker *m, uint32_t service)
{
	static const struct keyring_service none;

	return m->old && service < keyring_head(m->old)->n_services
		       ? keyring_service(m->old, service)
		       : &none;
}

typedef int (*reader)(unsigned char **, size_t *, const char *, struct err *);

static int authorities_read(struct maker *m, const struct conf_file *file, struct span old,
			    struct keyring_part *out, reader read_file)
{
	unsigned char *der = NULL;
	size_t len = 0;
	struct err why;
	int rc;

	if (!file->path)
		return 0;
	rc = read_file(&der, &len, file->path, &why);
	if (rc == 0)
		rc = part_put(m, out, der, len);
	else if (old.len) {
		say(m, &why, "what was read before stays in use");
		rc = part_put(m, out, old.p, old.len);
	} else {
		err_set(m->e, -rc, "%s", why.text);
	}
	free(der);
	return rc;
}

static int ticket_keys_read(struct maker *m, uint32_t service, const struct conf_tls *t)
{
	unsigned char all[CONF_MAX_TICKET_KEYS * KEYRING_TICKET_KEY], *one;
	size_t len;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < t->n_ticket_keys; i++) {
		rc = keyring_bytes_read(&one, &len, t->ticket_keys[i].path, 4096, m->e);
		if (rc == 0 && len != KEYRING_TICKET_KEY)
			rc = err_set(m->e, EINVAL,
				     "%s: has %zu bytes; a ticket key has %d (`openssl rand %d`)",
				     t->ticket_keys[i].path, len, KEYRING_TICKET_KEY,
				     KEYRING_TICKET_KEY);
		if (rc == 0)
			memcpy(all + (size_t)i * KEYRING_TICKET_KEY, one, len);
		keyring_wipe(one, len);
	}
	if (rc == 0 && t->n_ticket_keys)
		rc = part_put(m, &m->services[service].ticket_keys, all,
			      (size_t)t->n_ticket_keys * KEYRING_TICKET_KEY);
	explicit_bzero(all, sizeof(all));
	return rc;
}

static struct span old_bytes(const struct maker *m, struct keyring_part part)
{
	return m->old ? keyring_bytes(m->old, part) : SPAN("");
}

static int service_read(struct maker *m, uint32_t service)
{
	const struct conf_tls *t = m->conf->services[service].tls;
	const struct keyring_service *old = old_service(m, service);
	struct keyring_service *s = &m->services[service];
	int rc = t ? certificates_read(m, service, t) : 0;

	if (!t || rc)
		return rc;
	rc = authorities_read(m, &t->client_ca, old_bytes(m, old->ca), &s->ca,
			      keyring_authorities_read);
	rc = rc ? rc
		: authorities_read(m, &t->client_crl, old_bytes(m, old->crl), &s->crl,
				   keyring_crls_read);
	return rc ? rc : ticket_keys_read(m, service, t);
}

static int pool_read(struct maker *m, uint32_t index)
{
	const struct conf_upstream_tls *t = m->conf->pools[index].tls;
	struct keyring_pool *p = &m->pools[index];
	struct span old = SPAN("");
	int rc = 0;

	if (t && m->old && index < keyring_head(m->old)->n_pools)
		old = keyring_bytes(m->old, keyring_pool(m->old, index)->ca);
	if (t && t->verify)
		rc = authorities_read(m, &t->ca, old, &p->ca, keyring_authorities_read);
	if (rc == 0 && t && t->certificate.path) {
		rc = pair_read(m, KEYRING_NO_SERVICE, t->certificate.path, t->key.path, false);
		p->cert = m->n_certs;
	}
	return rc;
}

/* ---- its end -------------------------------------------------------------------------- */

static void slot_put(const struct maker *m, struct keyring_slot *slots, uint32_t mask,
		     const struct keyring_slot *name)
{
	struct span text = {(char *)m->at + name->name.at, name->name.len};

	for (uint32_t i = keyring_hash(name->service, text);; i++) {
		struct keyring_slot *s = &slots[i & mask];

		if (s->name.len == 0) {
			*s = *name;
			return;
		}
		if (s->service != name->service ||
		    !span_equal((struct span){(char *)m->at + s->name.at, s->name.len}, text))
			continue;
		for (int kind = 0; kind < KEYRING_KINDS; kind++)
			s->cert[kind] = s->cert[kind] ? s->cert[kind] : name->cert[kind];
		return;
	}
}

static int tables_put(struct maker *m)
{
	struct keyring_head h = {.magic = MAGIC,
				 .n_services = m->conf->n_services,
				 .n_pools = m->conf->n_pools,
				 .n_certs = m->n_certs};
	struct keyring_part services, pools, certs, slots;
	struct keyring_slot *table;
	uint32_t n = 16;
	int rc;

	while (n < 2 * m->n_names + 1)
		n *= 2;
	h.slots_mask = n - 1;
	table = calloc(n, sizeof(*table));
	if (!table)
		return no_memory(m);
	for (uint32_t i = 0; i < m->n_names; i++)
		slot_put(m, table, h.slots_mask, &m->names[i]);
	rc = part_put(m, &services, m->services, h.n_services * sizeof(*m->services));
	rc = rc ? rc : part_put(m, &pools, m->pools, h.n_pools * sizeof(*m->pools));
	rc = rc ? rc : part_put(m, &certs, m->certs, h.n_certs * sizeof(*m->certs));
	rc = rc ? rc : part_put(m, &slots, table, n * sizeof(*table));
	free(table);
	if (rc)
		return rc;
	h.services = services.at;
	h.pools = pools.at;
	h.certs = certs.at;
	h.slots = slots.at;
	h.bytes = m->used;
	memcpy(m->at, &h, sizeof(h));
	return 0;
}

/* From here on nobody changes it, whoever has the descriptor. */
static int seal(struct maker *m)
{
	munmap(m->at, m->size);
	m->at = NULL;
	if (ftruncate(m->fd, (off_t)m->used) == 0 &&
	    fcntl(m->fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) ==
		    0)
		return 0;
	return err_set(m->e, errno, "cannot seal the certificates: %s", strerror(errno));
}

int keyring_make(struct keyring *k, const struct conf *conf, const struct keyring *old,
		 const struct keyring_report *report, struct err *e)
{
	struct maker m = {.conf = conf,
			  .old = old && old->at ? old : NULL,
			  .report = report,
			  .e = e,
			  .used = sizeof(struct keyring_head)};
	int rc;

	*k = (struct keyring){.fd = -1};
	m.fd = memfd_create("sluice-keyring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	m.services = calloc(conf->n_services ? conf->n_services : 1, sizeof(*m.services));
	m.pools = calloc(conf->n_pools ? conf->n_pools : 1, sizeof(*m.pools));
	rc = m.fd >= 0 && m.services && m.pools ? memory_grow(&m, m.used) : no_memory(&m);
	for (uint32_t i = 0; rc == 0 && i < conf->n_services; i++)
		rc = service_read(&m, i);
	for (uint32_t i = 0; rc == 0 && i < conf->n_pools; i++)
		rc = pool_read(&m, i);
	rc = rc ? rc : tables_put(&m);
	rc = rc ? rc : seal(&m);
	if (m.at)
		munmap(m.at, m.size);
	free(m.services);
	free(m.pools);
	free(m.certs);
	free(m.names);
	if (rc == 0)
		k->fd = m.fd;
	else if (m.fd >= 0)
		close(m.fd);
	return rc;
}

/* ---- has anything changed? ------------------------------------------------------------ */

static void stamp_add(uint64_t *stamp, const char *path)
{
	struct stat st;
	uint64_t words[4] = {0};

	if (!path)
		return;
	if (stat(path, &st) == 0) {
		words[0] = (uint64_t)st.st_mtim.tv_sec;
		words[1] = (uint64_t)st.st_mtim.tv_nsec;
		words[2] = st.st_ino;
		words[3] = (uint64_t)st.st_size;
	}
	for (int i = 0; i < 4; i++)
		*stamp = (*stamp ^ words[i]) * 0x100000001b3ULL + 1;
}

static void stamp_folder(uint64_t *stamp, const char *folder)
{
	char path[MOST_PATH];
	struct dirent *d;
	DIR *dir = opendir(folder);
	uint64_t sum = 0;

	if (!dir)
		return;
	while ((d = readdir(dir))) {
		uint64_t one = 0;

		snprintf(path, sizeof(path), "%s/%s", folder, d->d_name);
		stamp_add(&one, path);
		sum += one; /* in whatever order they come */
	}
	closedir(dir);
	*stamp ^= sum;
}

static void stamp_pools(uint64_t *stamp, const struct conf *conf)
{
	for (unsigned i = 0; i < conf->n_pools; i++) {
		const struct conf_upstream_tls *t = conf->pools[i].tls;

		if (!t)
			continue;
		stamp_add(stamp, t->ca.path);
		stamp_add(stamp, t->certificate.path);
		stamp_add(stamp, t->key.path);
	}
}

uint64_t keyring_stamp(const struct conf *conf)
{
	uint64_t stamp = 0xcbf29ce484222325ULL;
	char staple[MOST_PATH + 8];

	for (unsigned i = 0; i < conf->n_services; i++) {
		const struct conf_tls *t = conf->services[i].tls;

		for (unsigned c = 0; t && c < t->n_certificates; c++) {
			stamp_add(&stamp, t->certificates[c].path);
			stamp_folder(&stamp, t->certificates[c].path);
			stamp_add(&stamp, t->n_keys ? t->keys[c].path : NULL);
			snprintf(staple, sizeof(staple), "%s.ocsp", t->certificates[c].path);
			stamp_add(&stamp, staple);
		}
		if (!t)
			continue;
		stamp_add(&stamp, t->client_ca.path);
		stamp_add(&stamp, t->client_crl.path);
		for (unsigned c = 0; c < t->n_ticket_keys; c++)
			stamp_add(&stamp, t->ticket_keys[c].path);
	}
	stamp_pools(&stamp, conf);
	return stamp;
}
