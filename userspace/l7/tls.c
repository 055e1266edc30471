// SPDX-License-Identifier: BSD-2-Clause
#include "l7/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/log.h"
#include "l7/thread.h"
#include "l7/tls_wire.h"

static const struct {
	const char *name, *text;
} ends[] = {
#define END(name, text) {#name, text},
	TLS_ENDS(END)
#undef END
};

const char *tls_end_name(enum tls_end end)
{
	return ends[end].name;
}

const char *tls_end_text(enum tls_end end)
{
	return ends[end].text;
}

/* ---- the handshake -------------------------------------------------------------------- */

static int tls_begin(struct link *l, struct tls_thread *thread, SSL_CTX *ctx)
{
	struct tls *t = calloc(1, sizeof(*t));
	BIO *wire = t ? BIO_new(thread->wire_method) : NULL;

	if (!wire || !(t->ssl = SSL_new(ctx))) {
		BIO_free(wire);
		free(t);
		return -ENOMEM;
	}
	BIO_set_data(wire, l);
	SSL_set_bio(t->ssl, wire, wire);
	SSL_set_app_data(t->ssl, l);
	t->thread = thread;
	t->readable = l->readable;
	t->writable = l->writable;
	l->readable = l->writable = false;
	l->tls = t;
	return 0;
}

int tls_accept(struct link *l, struct tls_thread *thread, const struct tls_service *service)
{
	int rc = tls_begin(l, thread, service->ctx);

	if (rc)
		return rc;
	SSL_set_accept_state(l->tls->ssl);
	thread->handshakes++;
	return 0;
}

/* The certificate must be for the name, or for the address that was asked. */
static bool expect(SSL *ssl, const char *name, const struct endpoint *to)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	char text[ADDR_TEXT];

	if (!name)
		return X509_VERIFY_PARAM_set1_ip_asc(param, addr_format(&to->addr, text)) == 1;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

int tls_connect(struct link *l, struct tls_thread *thread, const struct tls_pool *pool,
		const struct conf_backend *backend, const struct endpoint *to)
{
	int rc = tls_begin(l, thread, pool->ctx);
	struct tls *t = l->tls;

	if (rc)
		return rc;
	SSL_set_connect_state(t->ssl);
	t->session = &thread->sessions[backend->number];
	if (*t->session)
		SSL_set_session(t->ssl, *t->session);
	if (expect(t->ssl, pool->conf->tls->name, to))
		return 0;
	tls_link_close(l, true);
	return -ENOMEM;
}

static enum tls_end end_of_reason(int reason)
{
	switch (reason) {
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
		return TLS_END_plain_http;
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
	case SSL_R_NO_PROTOCOLS_AVAILABLE:
	case SSL_R_INAPPROPRIATE_FALLBACK:
		return TLS_END_nothing_in_common;
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return TLS_END_certificate;
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		return TLS_END_gone;
	case ERR_R_MALLOC_FAILURE:
		return TLS_END_internal;
	default:
		return reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256
			       ? TLS_END_alert
			       : TLS_END_malformed;
	}
}

/* Why OpenSSL gave up; callbacks may have said so already. */
static enum tls_end end_of(const struct link *l, int error)
{
	enum tls_end said = l->tls->end;

	if (said != TLS_END_done)
		return said;
	if (error == SSL_ERROR_SYSCALL || error == SSL_ERROR_ZERO_RETURN)
		return TLS_END_gone;
	return end_of_reason(ERR_GET_REASON(ERR_peek_error()));
}

/* The connection's own story is told by who made it. */
static void log_backend(const struct tls *t, enum tls_end end)
{
	static struct log_rate rate;
	const struct tls_pool *p = SSL_CTX_get_app_data(SSL_get_SSL_CTX(t->ssl));
	long why = SSL_get_verify_result(t->ssl);

	if (end == TLS_END_gone)
		return;
	log_limited(&rate, LOG_LEVEL_WARN, "handshake with a backend failed pool=%s end=%s: %s",
		    p->conf->name, tls_end_name(end),
		    end == TLS_END_certificate ? X509_verify_cert_error_string(why)
					       : tls_end_text(end));
}

static void handshake_over(struct link *l, enum tls_end end)
{
	struct tls *t = l->tls;

	t->end = end;
	t->over = true;
	t->established = end == TLS_END_done;
	if (!t->session) {
		t->thread->handshakes--;
		t->thread->ends[end]++;
	}
	if (!t->established) {
		l->failed = l->broken = true;
		l->error = l->error ? l->error : EPROTO;
		/* Who waits to send is told so. */
		l->writable = t->session != NULL;
		if (t->session)
			log_backend(t, end);
		return;
	}
	t->thread->resumed += SSL_session_reused(t->ssl);
	l->readable = t->readable || SSL_has_pending(t->ssl);
	l->writable = true;
}

static void handshake(struct link *l)
{
	struct tls *t = l->tls;
	int rc, error;

	ERR_clear_error();
	rc = SSL_do_handshake(t->ssl);
	error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, rc);
	wire_flush(l);
	if (rc == 1)
		handshake_over(l, TLS_END_done);
	else if (l->broken)
		handshake_over(l, TLS_END_gone);
	else if (error != SSL_ERROR_WANT_READ)
		handshake_over(l, end_of(l, error));
}

void tls_link_ready(struct link *l, short what)
{
	struct tls *t = l->tls;

	if (what & (EV_READ | EV_CLOSED))
		t->readable = true;
	if (what & EV_WRITE)
		t->writable = true;
	if (what & EV_CLOSED)
		l->hangup = true;
	if (t->writable && !wire_clear(t))
		wire_flush(l);
	if (!t->over) {
		if (t->readable || !SSL_is_server(t->ssl))
			handshake(l);
		return;
	}
	if (t->readable)
		l->readable = true;
	if (t->established && wire_clear(t) && !l->broken)
		l->writable = true;
}

/* ---- bytes ---------------------------------------------------------------------------- */

/* After a call that gave nothing. Without close_notify an end is no end but a cut (RFC 8446
 * section 6.1). */
static void read_over(struct link *l, int error)
{
	l->readable = l->unsure = false;
	if (error == SSL_ERROR_WANT_READ)
		return;
	if (error == SSL_ERROR_ZERO_RETURN) {
		l->eof = true;
		return;
	}
	l->failed = true;
	if (error != SSL_ERROR_SYSCALL || !l->error)
		l->error = error == SSL_ERROR_SYSCALL ? ECONNRESET : EPROTO;
}

size_t tls_link_read(struct link *l)
{
	struct tls *t = l->tls;
	size_t got = 0, n;
	int rc;

	if (!t->established)
		return 0;
	t->insist = l->unsure && !t->readable;
	do {
		ERR_clear_error();
		rc = SSL_read_ex(t->ssl, l->in.data + l->in.end, buf_room(&l->in), &n);
		if (rc != 1)
			break;
		l->in.end += (uint32_t)n;
		got += n;
	} while (buf_room(&l->in) && SSL_has_pending(t->ssl));
	if (rc != 1 && got == 0) {
		read_over(l, SSL_get_error(t->ssl, rc));
	} else {
		l->readable = t->readable || (rc == 1 && SSL_has_pending(t->ssl)) ||
			      (rc != 1 && SSL_get_error(t->ssl, rc) != SSL_ERROR_WANT_READ);
		l->unsure = true;
	}
	t->insist = false;
	wire_flush(l);
	return got;
}

static size_t record_most(struct tls *t)
{
	uint64_t now = t->thread->thread->now_ms;

	if (now - t->sent_ms > TLS_PAUSE_MS)
		t->burst = 0;
	t->sent_ms = now;
	return t->burst < TLS_FIRST_BYTES   ? TLS_RECORD_FIRST
	       : t->burst < TLS_EARLY_BYTES ? TLS_RECORD_EARLY
					    : TLS_RECORD_MOST;
}

/* One record of what stands in l->out behind `done`, and at extra behind that. Bytes of it. */
static size_t record_write(struct link *l, const char *extra, size_t n, size_t done)
{
	char gathered[TLS_RECORD_MOST];
	struct tls *t = l->tls;
	uint32_t own = buf_len(&l->out);
	size_t most = record_most(t), of_own = done < own ? own - done : 0, len = own + n - done;
	const char *p = of_own ? buf_at(&l->out) + done : extra + (done - own);

	if (len > most)
		len = most;
	if (of_own && of_own < len) {
		memcpy(gathered, p, of_own);
		memcpy(gathered + of_own, extra, len - of_own);
		p = gathered;
	}
	ERR_clear_error();
	if (SSL_write_ex(t->ssl, p, len, &len) != 1)
		return 0;
	if (t->burst < TLS_EARLY_BYTES)
		t->burst += (uint32_t)len;
	return len;
}

size_t tls_link_send(struct link *l, const char *extra, size_t n, bool keep)
{
	struct tls *t = l->tls;
	uint32_t own = buf_len(&l->out), of_own;
	size_t done = 0, len = 1;

	if (own + n == 0 || !l->writable || !t->established)
		return 0;
	while (done < own + n && len && wire_clear(t) && !l->broken) {
		len = record_write(l, extra, n, done);
		done += len;
	}
	wire_flush(l);
	if (!len && !l->broken) {
		l->broken = l->readable = true;
		l->error = EPROTO;
	}
	if (!wire_clear(t))
		l->writable = false;
	l->sent += done;
	of_own = done < own ? (uint32_t)done : own;
	if (keep)
		l->out.start += of_own;
	else
		buf_consume(&l->out, of_own);
	return done - of_own;
}

bool tls_link_quiet(struct link *l)
{
	struct tls *t = l->tls;
	size_t n;
	char byte;
	int rc;

	if (!t->established)
		return false;
	if (!l->readable)
		return true;
	ERR_clear_error();
	rc = SSL_peek_ex(t->ssl, &byte, 1, &n);
	if (rc != 1 && SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ)
		l->readable = false;
	wire_flush(l);
	return !l->readable;
}

/* ---- ends ----------------------------------------------------------------------------- */

void tls_link_finish(struct link *l)
{
	struct tls *t = l->tls;

	if (t->closing)
		return;
	t->closing = true;
	ERR_clear_error();
	if (t->established)
		SSL_shutdown(t->ssl);
	wire_flush(l);
}

void tls_link_close(struct link *l, bool reset)
{
	struct tls *t = l->tls;

	if (!t->over && !t->session)
		t->thread->handshakes--;
	if (t->established && !reset && !l->failed && !l->broken && !t->closing && !t->cut) {
		ERR_clear_error();
		SSL_shutdown(t->ssl);
		wire_flush(l);
	}
	/* A session is good for another connection however this one ended (RFC 8446 section
	 * 6.1); OpenSSL would forget it. */
	SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	free(t->ja4);
	ERR_clear_error();
	buf_release(&t->thread->thread->pool, &t->pending);
	free(t);
	l->tls = NULL;
}

enum tls_end tls_strip(struct link *l)
{
	struct tls *t = l->tls;
	enum tls_end end = t->end;

	l->readable = t->readable;
	l->writable = t->writable;
	l->failed = l->broken = false;
	l->out = t->pending;
	t->pending = (struct buf){0};
	tls_link_close(l, true);
	return end;
}

/* ---- facts ---------------------------------------------------------------------------- */

static struct span text_span(const char *text)
{
	return text ? (struct span){text, strlen(text)} : SPAN("");
}

struct span tls_sni(const struct tls *t)
{
	return text_span(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name));
}
