// SPDX-License-Identifier: BSD-2-Clause
#include "health/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/addr.h"

struct tls {
	SSL_CTX *ctx;
	char name[256]; /* without a port; empty: none is sent */
	bool address;   /* the name is an address, which is not sent (RFC 6066, section 3) */
	bool verify;
};

/* "www.example.org:8443" and "[fd00::1]:443" without their ports. */
static void name_of(struct tls *t, const char *host)
{
	struct sluice_addr addr;
	size_t len = strlen(host);

	if (host[0] == '[') {
		host++;
		len = strcspn(host, "]");
	} else if (strchr(host, ':') && strchr(host, ':') == strrchr(host, ':')) {
		len = strcspn(host, ":");
	}
	snprintf(t->name, sizeof(t->name), "%.*s", (int)len, host);
	t->address = addr_parse(&addr, t->name);
}

static bool reason(char why[TLS_WHY], const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;

	snprintf(why, TLS_WHY, "%s: %s", what, text ? text : "failed");
	ERR_clear_error();
	return false;
}

/* All at once: a folder of them, which OpenSSL would look into when it needs one, is out of
 * sight by then. */
static bool authorities_load(SSL_CTX *ctx, const char *ca)
{
	const char *const usual[] = {X509_get_default_cert_file(),
				     "/etc/ssl/certs/ca-certificates.crt",
				     "/etc/pki/tls/certs/ca-bundle.crt"};

	if (ca)
		return SSL_CTX_load_verify_file(ctx, ca) == 1;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (access(usual[i], R_OK) == 0)
			return SSL_CTX_load_verify_file(ctx, usual[i]) == 1;
	return false;
}

struct tls *tls_new(const struct conf_health *h, struct err *e)
{
	struct tls *t = calloc(1, sizeof(*t));
	char why[TLS_WHY] = "out of memory";

	if (t)
		t->ctx = SSL_CTX_new(TLS_client_method());
	if (!t || !t->ctx)
		goto failed;
	if (h->host)
		name_of(t, h->host);
	t->verify = h->verify;
	SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					 SSL_MODE_RELEASE_BUFFERS);
	/* A server that just hangs up after its answer has answered. */
	SSL_CTX_set_options(t->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_verify(t->ctx, h->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (!h->verify || authorities_load(t->ctx, h->ca))
		return t;
	reason(why, h->ca ? h->ca : "the host's authorities");
failed:
	tls_free(t);
	err_set(e, EINVAL, "cannot prepare https checks: %s", why);
	return NULL;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

struct ssl_st *tls_open(struct tls *t, int fd)
{
	static const unsigned char http1[] = "\x08http/1.1";
	SSL *ssl = SSL_new(t->ctx);
	bool ok = ssl && SSL_set_fd(ssl, fd) == 1 &&
		  SSL_set_alpn_protos(ssl, http1, sizeof(http1) - 1) == 0;

	if (ok && t->name[0] && !t->address)
		ok = SSL_set_tlsext_host_name(ssl, t->name) == 1;
	if (ok && t->verify)
		ok = t->address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), t->name) == 1
				: SSL_set1_host(ssl, t->name) == 1;
	if (ok) {
		SSL_set_connect_state(ssl);
		return ssl;
	}
	SSL_free(ssl);
	ERR_clear_error();
	return NULL;
}

void tls_close(struct ssl_st *ssl)
{
	SSL_free(ssl);
}

static int result(SSL *ssl, int rc, char why[TLS_WHY])
{
	long verified = SSL_get_verify_result(ssl);

	switch (SSL_get_error(ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		snprintf(why, TLS_WHY, "TLS: %s", errno ? strerror(errno) : "closed");
		ERR_clear_error();
		return -EPROTO;
	default:
		if (verified != X509_V_OK && !SSL_is_init_finished(ssl))
			snprintf(why, TLS_WHY, "certificate: %s",
				 X509_verify_cert_error_string(verified));
		else
			reason(why, "TLS");
		ERR_clear_error();
		return -EPROTO;
	}
}

int tls_shake(struct ssl_st *ssl, char why[TLS_WHY])
{
	int rc;

	errno = 0;
	rc = SSL_do_handshake(ssl);
	return rc == 1 ? 1 : result(ssl, rc, why);
}

int tls_read(struct ssl_st *ssl, void *to, size_t room, char why[TLS_WHY])
{
	int rc;

	errno = 0;
	rc = SSL_read(ssl, to, (int)room);
	return rc > 0 ? rc : result(ssl, rc, why);
}

int tls_write(struct ssl_st *ssl, const void *from, size_t len, char why[TLS_WHY])
{
	int rc;

	errno = 0;
	rc = SSL_write(ssl, from, (int)len);
	return rc > 0 ? rc : result(ssl, rc, why);
}
