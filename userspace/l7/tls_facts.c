// SPDX-License-Identifier: BSD-2-Clause
#include "l7/tls_facts.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "l7/tls.h"

static struct span text_span(const char *text)
{
	return text ? (struct span){text, strlen(text)} : SPAN("");
}

/* As in RFC 2253, on one line. */
static struct span subject(X509 *x, char *buf, size_t size)
{
	BIO *out = BIO_new(BIO_s_mem());
	int n = 0;

	if (out && X509_NAME_print_ex(out, X509_get_subject_name(x), 0, XN_FLAG_RFC2253) >= 0)
		n = BIO_read(out, buf, (int)size);
	BIO_free(out);
	return (struct span){buf, n > 0 ? (size_t)n : 0};
}

static struct span fingerprint(X509 *x, char *buf)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (X509_digest(x, EVP_sha256(), hash, &len) != 1 || len != 32)
		return SPAN("");
	for (unsigned i = 0; i < len; i++) {
		buf[2 * i] = digits[hash[i] >> 4];
		buf[2 * i + 1] = digits[hash[i] & 15];
	}
	return (struct span){buf, 2 * (size_t)len};
}

static void certificate_facts(const struct tls *t, struct tls_facts *f)
{
	X509 *x = SSL_get0_peer_certificate(t->ssl);

	f->client_verify = x ? SPAN("SUCCESS") : SPAN("NONE");
	if (!x)
		return;
	f->client_subject = subject(x, f->subject, sizeof(f->subject));
	f->client_fingerprint = fingerprint(x, f->fingerprint);
}

void tls_facts(const struct tls *t, bool certificate, struct tls_facts *f)
{
	f->version = f->cipher = f->sni = f->ja4 = SPAN("");
	f->client_subject = f->client_fingerprint = f->client_verify = SPAN("");
	if (!t)
		return;
	f->version = text_span(SSL_get_version(t->ssl));
	f->cipher = text_span(SSL_get_cipher_name(t->ssl));
	f->sni = tls_sni(t);
	f->ja4 = text_span(t->ja4);
	if (certificate && SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE)
		certificate_facts(t, f);
}
