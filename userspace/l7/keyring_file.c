// SPDX-License-Identifier: BSD-2-Clause
#include "l7/keyring_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define LEAST_RSA 2048 /* bits */

/* ---- bytes ---------------------------------------------------------------------------- */

void keyring_wipe(unsigned char *bytes, size_t len)
{
	if (bytes)
		OPENSSL_cleanse(bytes, len);
	free(bytes);
}

static int fd_read(int fd, unsigned char *bytes, size_t room, size_t *len)
{
	ssize_t n;

	while (*len < room && (n = read(fd, bytes + *len, room - *len)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		*len += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int keyring_bytes_read(unsigned char **bytes, size_t *len, const char *path, size_t most,
		       struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
	struct stat st;

	*bytes = NULL;
	*len = 0;
	if (fd < 0)
		return err_set(e, errno, "%s: cannot be read: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0)
		rc = err_set(e, errno, "%s: cannot be read: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		rc = err_set(e, EINVAL, "%s: is not a regular file", path);
	else if (st.st_size == 0 || (size_t)st.st_size > most)
		rc = err_set(e, EFBIG, "%s: has %lld bytes; it should have 1 to %zu", path,
			     (long long)st.st_size, most);
	else if (!(*bytes = malloc((size_t)st.st_size)))
		rc = err_set(e, ENOMEM, "%s: out of memory", path);
	else if ((rc = fd_read(fd, *bytes, (size_t)st.st_size, len)) != 0)
		err_set(e, -rc, "%s: cannot be read: %s", path, strerror(-rc));
	close(fd);
	if (rc) {
		keyring_wipe(*bytes, *len);
		*bytes = NULL;
	}
	return rc;
}

/* A file as OpenSSL reads it; the bytes are the caller's to wipe, after BIO_free. */
static BIO *file_open(const char *path, size_t most, unsigned char **bytes, size_t *len,
		      struct err *e)
{
	BIO *bio;

	if (keyring_bytes_read(bytes, len, path, most, e) != 0)
		return NULL;
	bio = BIO_new_mem_buf(*bytes, (int)*len);
	if (!bio)
		err_set(e, ENOMEM, "%s: out of memory", path);
	return bio;
}

/* Appends what OpenSSL encodes. */
static int der_add(unsigned char **der, size_t *len, const unsigned char *more, int n)
{
	unsigned char *grown;

	if (n <= 0)
		return -EINVAL;
	grown = realloc(*der, *len + (size_t)n);
	if (!grown)
		return -ENOMEM;
	memcpy(grown + *len, more, (size_t)n);
	*der = grown;
	*len += (size_t)n;
	return 0;
}

static int x509_add(unsigned char **der, size_t *len, const X509 *x)
{
	unsigned char *one = NULL;
	int n = i2d_X509(x, &one), rc = der_add(der, len, one, n);

	OPENSSL_free(one);
	return rc;
}

/* ---- certificates --------------------------------------------------------------------- */

/* Nobody is there who could be asked. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag;
	*(bool *)arg = true;
	return -1;
}

/* The certificates of a file; *leaf, the first of them, may be NULL for "not needed". */
static int chain_read(BIO *bio, const char *path, X509 **leaf, unsigned char **der, size_t *len,
		      struct err *e)
{
	X509 *x;
	int rc = 0;

	while (rc == 0 && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		rc = x509_add(der, len, x);
		if (rc == 0 && leaf && !*leaf)
			*leaf = x;
		else
			X509_free(x);
	}
	ERR_clear_error();
	if (rc)
		return err_set(e, -rc, "%s: out of memory", path);
	if (*len == 0)
		return err_set(e, EINVAL,
			       "%s: holds no certificate; it should have the lines of "
			       "-----BEGIN CERTIFICATE-----",
			       path);
	return 0;
}

static void names_add(char **names, struct span name)
{
	char lower[KEYRING_NAME + 1];
	bool wild = name.len > 2 && name.p[0] == '*' && name.p[1] == '.';
	size_t had = *names ? strlen(*names) : 0, more;
	char *grown;

	if (!keyring_name(lower, wild ? (struct span){name.p + 2, name.len - 2} : name))
		return;
	more = strlen(lower);
	grown = realloc(*names, had + more + 5);
	if (!grown)
		return;
	*names = grown;
	stpcpy(stpcpy(stpcpy(grown + had, had ? ", " : ""), wild ? "*." : ""), lower);
}

/* Of the subject's alternative names the hosts; the common name only if there are none
 * (RFC 6125 section 6.4.4). */
static char *names_read(X509 *x)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	char *names = NULL, common[KEYRING_NAME + 1];

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);

		if (g->type == GEN_DNS)
			names_add(&names,
				  (struct span){(const char *)ASN1_STRING_get0_data(g->d.dNSName),
						(size_t)ASN1_STRING_length(g->d.dNSName)});
	}
	GENERAL_NAMES_free(all);
	if (!names && X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, common,
						sizeof(common)) > 0)
		names_add(&names, (struct span){common, strlen(common)});
	return names ? names : strdup("");
}

static int64_t time_read(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) : 0;
}

static int leaf_check(struct keyring_pair *p, X509 *leaf, const char *path, struct err *e)
{
	EVP_PKEY *public = X509_get0_pubkey(leaf);

	p->not_before = time_read(X509_get0_notBefore(leaf));
	p->not_after = time_read(X509_get0_notAfter(leaf));
	p->names = names_read(leaf);
	if (!p->names)
		return err_set(e, ENOMEM, "%s: out of memory", path);
	if (public && EVP_PKEY_is_a(public, "RSA"))
		p->kind = KEYRING_RSA;
	else if (public && (EVP_PKEY_is_a(public, "EC") || EVP_PKEY_is_a(public, "ED25519") ||
			    EVP_PKEY_is_a(public, "ED448")))
		p->kind = KEYRING_ECDSA;
	else
		return err_set(e, EINVAL,
			       "%s: its key is of no kind that TLS uses; it should be "
			       "ECDSA, Ed25519 or RSA",
			       path);
	if (p->kind == KEYRING_RSA && EVP_PKEY_get_bits(public) < LEAST_RSA)
		return err_set(e, EINVAL, "%s: its RSA key has %d bits; it should have %d or more",
			       path, EVP_PKEY_get_bits(public), LEAST_RSA);
	return 0;
}

/* ---- keys ----------------------------------------------------------------------------- */

static int key_keep(struct keyring_pair *p, const EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	unsigned char *der = NULL;
	int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
	int rc = der_add(&p->key, &p->key_len, der, n);

	if (n > 0)
		OPENSSL_clear_free(der, (size_t)n);
	PKCS8_PRIV_KEY_INFO_free(info);
	return rc;
}

static int key_read(struct keyring_pair *p, BIO *bio, X509 *leaf, const char *path,
		    const char *key_path, struct err *e)
{
	bool locked = false;
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &locked);
	int rc = 0;

	if (!key && locked)
		rc = err_set(e, EINVAL,
			     "%s: its key is locked with a password; `openssl pkey` writes it "
			     "without",
			     key_path);
	else if (!key)
		rc = err_set(e, EINVAL,
			     "%s: holds no private key; it should have the lines of "
			     "-----BEGIN PRIVATE KEY-----",
			     key_path);
	else if (X509_check_private_key(leaf, key) != 1)
		rc = err_set(e, EINVAL, "%s: its key does not belong to the certificate of %s",
			     key_path, path);
	else if (key_keep(p, key) != 0)
		rc = err_set(e, ENOMEM, "%s: out of memory", key_path);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return rc;
}

int keyring_pair_read(struct keyring_pair *p, const char *path, const char *key_path, struct err *e)
{
	unsigned char *bytes = NULL, *key_bytes = NULL;
	size_t len = 0, key_len = 0;
	BIO *bio = file_open(path, KEYRING_FILE, &bytes, &len, e), *key = NULL;
	X509 *leaf = NULL;
	int rc = bio ? 0 : -EINVAL;

	*p = (struct keyring_pair){0};
	rc = rc ? rc : chain_read(bio, path, &leaf, &p->chain, &p->chain_len, e);
	rc = rc ? rc : leaf_check(p, leaf, path, e);
	if (rc == 0 && key_path)
		key = file_open(key_path, KEYRING_FILE, &key_bytes, &key_len, e);
	else if (rc == 0)
		key = BIO_new_mem_buf(bytes, (int)len);
	if (rc == 0)
		rc = key ? key_read(p, key, leaf, path, key_path ? key_path : path, e) : -EINVAL;
	X509_free(leaf);
	BIO_free(key);
	BIO_free(bio);
	keyring_wipe(bytes, len);
	keyring_wipe(key_bytes, key_len);
	return rc;
}

void keyring_pair_fini(struct keyring_pair *p)
{
	free(p->chain);
	free(p->names);
	keyring_wipe(p->key, p->key_len);
	*p = (struct keyring_pair){0};
}

/* ---- others --------------------------------------------------------------------------- */

int keyring_authorities_read(unsigned char **der, size_t *len, const char *path, struct err *e)
{
	unsigned char *bytes;
	size_t n;
	BIO *bio = file_open(path, KEYRING_FILE, &bytes, &n, e);
	int rc;

	*der = NULL;
	*len = 0;
	if (!bio)
		return -EINVAL;
	rc = chain_read(bio, path, NULL, der, len, e);
	BIO_free(bio);
	free(bytes);
	return rc;
}

int keyring_crls_read(unsigned char **der, size_t *len, const char *path, struct err *e)
{
	unsigned char *bytes, *one;
	size_t n;
	BIO *bio = file_open(path, KEYRING_CRL, &bytes, &n, e);
	X509_CRL *crl;
	int rc = 0;

	*der = NULL;
	*len = 0;
	if (!bio)
		return -EINVAL;
	while (rc == 0 && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
		int bytes_of_one;

		one = NULL;
		bytes_of_one = i2d_X509_CRL(crl, &one);
		rc = der_add(der, len, one, bytes_of_one);
		OPENSSL_free(one);
		X509_CRL_free(crl);
	}
	ERR_clear_error();
	BIO_free(bio);
	free(bytes);
	if (rc == 0 && *len == 0)
		rc = err_set(e, EINVAL,
			     "%s: holds no list of revoked certificates; it should have the lines "
			     "of -----BEGIN X509 CRL-----",
			     path);
	return rc;
}
