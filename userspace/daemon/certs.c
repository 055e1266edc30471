// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/certs.h"

#include <time.h>

#include "base/log.h"

#define DAY 86400

static bool any_tls(const struct conf *conf)
{
	for (unsigned i = 0; i < conf->n_services; i++)
		if (conf->services[i].tls)
			return true;
	for (unsigned i = 0; i < conf->n_pools; i++)
		if (conf->pools[i].tls)
			return true;
	return false;
}

static void say(void *arg, const char *text)
{
	(void)arg;
	log_err("%s", text);
}

static void warn_one(const struct keyring *k, const struct keyring_cert *c, int64_t now)
{
	const char *path = keyring_bytes(k, c->path).p;
	struct span names = keyring_bytes(k, c->names);
	int64_t days = (c->not_after - now) / DAY;

	if (c->not_after <= now)
		log_warn("certificate expired path=%s names=\"%.*s\"", path, (int)names.len,
			 names.p);
	else if (c->not_before > now)
		log_warn("certificate not valid yet path=%s names=\"%.*s\"", path, (int)names.len,
			 names.p);
	else if (days < CERTS_WARN_DAYS)
		log_warn("certificate expires in %d days path=%s names=\"%.*s\"", (int)days, path,
			 (int)names.len, names.p);
}

/* Once a day. */
static void warn(struct certs *c)
{
	int64_t now = (int64_t)time(NULL);
	struct keyring k = {.fd = -1};

	if (c->warned == now / DAY || keyring_map(&k, c->keyring.fd) != 0)
		return;
	c->warned = now / DAY;
	for (uint32_t i = 0; i < keyring_head(&k)->n_certs; i++)
		warn_one(&k, keyring_cert(&k, i), now);
	keyring_fini(&k);
}

int certs_read(struct certs *c, const struct conf *conf, const struct certs *old, struct err *e)
{
	const struct keyring_report report = {.say = say};
	struct keyring before = {.fd = -1};
	int rc;

	*c = (struct certs){.keyring = {.fd = -1}};
	if (!any_tls(conf))
		return 0;
	/* In front of the reading: a change meanwhile is seen by the next look. */
	c->stamp = keyring_stamp(conf);
	if (old && old->keyring.fd >= 0)
		keyring_map(&before, old->keyring.fd);
	rc = keyring_make(&c->keyring, conf, &before, &report, e);
	keyring_fini(&before);
	if (rc == 0)
		warn(c);
	return rc;
}

bool certs_look(struct certs *c, const struct conf *conf)
{
	struct certs fresh;
	struct err e;
	uint64_t stamp;

	if (c->keyring.fd < 0)
		return false;
	stamp = keyring_stamp(conf);
	if (stamp == c->stamp) {
		warn(c);
		return false;
	}
	c->stamp = stamp;
	if (certs_read(&fresh, conf, c, &e) != 0) {
		log_err("%s; the certificates that were read before stay in use", e.text);
		return false;
	}
	keyring_fini(&c->keyring);
	*c = fresh;
	return true;
}

void certs_fini(struct certs *c)
{
	keyring_fini(&c->keyring);
}
