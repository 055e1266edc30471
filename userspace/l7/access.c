// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: lines of the access log from what is known of a request to the descriptor. Promises: a
 * line has one line end, its last byte, whatever a client sent; lines that cannot be written
 * are counted. Cost: a line is written into the buffer by hand, no printf.
 */
#include "l7/access.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SYSLOG_PRIORITY 30 /* daemon.info */

static const char *const reason_names[] = {
#define REASON(name, text) #name,
	ACCESS_REASONS(REASON)
#undef REASON
};

int access_init(struct access *a, int fd, bool syslog, const struct log_format *format)
{
	*a = (struct access){.fd = fd, .syslog = syslog, .format = format, .second = -1};
	if (fd < 0)
		return 0;
	a->lines = malloc(ACCESS_BYTES);
	return a->lines ? 0 : -ENOMEM;
}

/* ---- where lines go ------------------------------------------------------------------- */

static void lose(struct access *a, uint32_t from)
{
	for (uint32_t i = from; i < a->len; i++)
		a->lost += a->lines[i] == '\n';
}

static void file_write(struct access *a)
{
	uint32_t done = 0;

	while (done < a->len) {
		ssize_t n = write(a->fd, a->lines + done, a->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			lose(a, done);
			break;
		}
		done += (uint32_t)n;
	}
}

/* The daemon behind the socket was started again. */
static bool syslog_again(int fd)
{
	static const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = ACCESS_SYSLOG};

	return connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;
}

/* As syslog(3) writes it. Never waits: a log daemon that is behind loses lines, not clients. */
static bool syslog_line(struct access *a, char *line, size_t len)
{
	char head[64];
	int n = snprintf(head, sizeof(head), "<%d>%s sluiced[%d]: ", SYSLOG_PRIORITY,
			 a->time_syslog, (int)getpid());
	struct iovec iov[2] = {{head, (size_t)n}, {line, len}};
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (sendmsg(a->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return true;
	return errno != EAGAIN && syslog_again(a->fd) &&
	       sendmsg(a->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

static void syslog_write(struct access *a)
{
	char *line = a->lines, *end;

	for (; line < a->lines + a->len; line = end + 1) {
		end = memchr(line, '\n', (size_t)(a->lines + a->len - line));
		assert(end);
		a->lost += !syslog_line(a, line, (size_t)(end - line));
	}
}

void access_flush(struct access *a)
{
	if (a->len && a->syslog)
		syslog_write(a);
	else
		file_write(a);
	a->len = 0;
}

void access_fini(struct access *a)
{
	access_flush(a);
	free(a->lines);
	a->lines = NULL;
}

/* ---- a request's own words ------------------------------------------------------------ */

/* Each capture: two bytes of length, then the bytes as they came. */
struct capture {
	uint16_t len;
	char bytes[];
};

/* Most bytes of each, so that a long one leaves room for the others. */
#define MOST_LINE  512
#define MOST_FIELD 200

/* Adds s to the last capture, which began at `start`. */
static void capture_add(struct buf *note, uint32_t start, struct span s, uint32_t most,
			uint32_t stop)
{
	uint16_t len = (uint16_t)(note->end - start - sizeof(struct capture));

	if (s.len > most - len)
		s.len = most - len;
	if (s.len > stop - note->end)
		s.len = stop - note->end;
	memcpy(note->data + note->end, s.p, s.len);
	note->end += (uint32_t)s.len;
	len = (uint16_t)(len + s.len);
	memcpy(note->data + start, &len, sizeof(len));
}

static struct span field_value(const struct http1_head *h, struct span name)
{
	for (unsigned i = 0; i < h->n_fields; i++)
		if (span_equal_nocase(h->fields[i].name, name))
			return h->fields[i].value;
	return SPAN("");
}

static struct span capture_value(const struct log_capture *c, const struct http1_head *h)
{
	switch (c->field) {
	case LOG_method:
		return h->method_text;
	case LOG_target:
		return h->target;
	case LOG_protocol:
		return h->minor ? SPAN("HTTP/1.1") : SPAN("HTTP/1.0");
	case LOG_host:
		return h->authority;
	default:
		return field_value(h, c->name);
	}
}

static void capture_note(struct buf *note, const struct log_capture *c, const struct http1_head *h,
			 struct span line, uint32_t stop)
{
	uint32_t start = note->end;

	memset(note->data + start, 0, sizeof(struct capture));
	note->end += (uint32_t)sizeof(struct capture);
	if (c->field == LOG_request && !h) {
		capture_add(note, start, line, MOST_LINE, stop);
	} else if (c->field == LOG_request) {
		capture_add(note, start, h->method_text, 32, stop);
		capture_add(note, start, SPAN(" "), MOST_LINE, stop);
		capture_add(note, start, h->target, MOST_LINE, stop);
		capture_add(note, start, h->minor ? SPAN(" HTTP/1.1") : SPAN(" HTTP/1.0"),
			    MOST_LINE + 16, stop);
	} else if (h) {
		capture_add(note, start, capture_value(c, h),
			    c->field == LOG_target ? MOST_LINE : MOST_FIELD, stop);
	}
}

void access_note(const struct access *a, struct buf *note, const struct http1_head *h,
		 struct span line)
{
	const struct log_format *f = a->format;

	note->start = note->end = 0;
	for (unsigned i = 0; i < f->n_captures; i++) {
		/* Those that follow have at least their length. */
		uint32_t others = (f->n_captures - 1 - i) * (uint32_t)sizeof(struct capture);

		capture_note(note, &f->captures[i], h, line, BUF_NOTE - others);
	}
}

static struct span capture_find(const struct buf *note, unsigned index)
{
	const char *at = note->data;
	uint16_t len = 0;

	if (!at)
		return SPAN("");
	for (unsigned i = 0;; i++) {
		memcpy(&len, at, sizeof(len));
		at += sizeof(struct capture);
		if (i == index)
			return (struct span){at, len};
		at += len;
	}
}

/* ---- a line --------------------------------------------------------------------------- */

/* Bytes to be written; what does not fit is left out. */
struct line {
	char *at, *end;
	bool json;
};

static void put_bytes(struct line *l, struct span s)
{
	size_t room = (size_t)(l->end - l->at);

	if (s.len > room)
		s.len = room;
	memcpy(l->at, s.p, s.len);
	l->at += s.len;
}

static void put_text(struct line *l, const char *text)
{
	put_bytes(l, (struct span){text, strlen(text)});
}

/* Quotes, backslashes and what is not visible ASCII become \xHH, as nginx does; in JSON \u00HH. */
static void put_escaped(struct line *l, struct span s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char code[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			put_bytes(l, (struct span){s.p + i, 1});
			continue;
		}
		if (l->json) {
			put_bytes(l, (struct span){code, 6});
			continue;
		}
		code[2] = '\\';
		code[3] = 'x';
		put_bytes(l, (struct span){code + 2, 4});
	}
}

/* What is not there is a dash, and nothing in JSON, whose format has the quotes. */
static void put_value(struct line *l, struct span s)
{
	if (s.len)
		put_escaped(l, s);
	else if (!l->json)
		put_bytes(l, SPAN("-"));
}

static void put_name(struct line *l, const char *name)
{
	put_value(l, name ? (struct span){name, strlen(name)} : SPAN(""));
}

static void put_number(struct line *l, uint64_t n)
{
	char digits[20];
	unsigned i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	put_bytes(l, (struct span){digits + i, sizeof(digits) - i});
}

/* -1: it did not happen. */
static void put_ms(struct line *l, long ms)
{
	if (ms >= 0)
		put_number(l, (uint64_t)ms);
	else
		put_bytes(l, l->json ? SPAN("null") : SPAN("-1"));
}

static void put_addr(struct line *l, const struct endpoint *e)
{
	char text[ADDR_TEXT];

	put_text(l, addr_format(&e->addr, text));
}

static void put_upstream(struct line *l, const struct access_facts *f)
{
	char text[ENDPOINT_TEXT];

	put_name(l, f->upstream_path ? f->upstream_path
		    : f->upstream    ? endpoint_format(f->upstream, text)
				     : NULL);
}

// clang-format off: a row for each
static void put_part(struct line *l, const struct access *a, const struct log_part *part,
		     const struct buf *note, const struct access_facts *f)
{
	switch (part->field) {
	case LOG_TEXT: put_bytes(l, part->text); break;
	case LOG_client_ip: put_addr(l, f->client); break;
	case LOG_client_port: put_number(l, f->client->port); break;
	case LOG_time: put_text(l, a->time); break;
	case LOG_time_iso: put_text(l, a->time_iso); break;
	case LOG_status: put_number(l, f->status); break;
	case LOG_bytes_sent: put_number(l, f->bytes); break;
	case LOG_bytes_body: put_number(l, f->bytes_body); break;
	case LOG_service: put_name(l, f->service); break;
	case LOG_route: put_name(l, f->route); break;
	case LOG_upstream: put_upstream(l, f); break;
	case LOG_backend: put_name(l, f->backend); break;
	case LOG_queue_ms: put_ms(l, f->queue_ms); break;
	case LOG_connect_ms: put_ms(l, f->connect_ms); break;
	case LOG_first_ms: put_ms(l, f->first_ms); break;
	case LOG_total_ms: put_ms(l, f->total_ms); break;
	case LOG_retries: put_number(l, f->retries); break;
	case LOG_cache: put_value(l, f->cache); break;
	case LOG_reason: put_text(l, reason_names[f->reason]); break;
	case LOG_request_id: put_value(l, f->request_id); break;
	case LOG_trace_id: put_value(l, f->trace_id); break;
	case LOG_scheme: put_value(l, f->scheme); break;
	case LOG_tls_version: put_value(l, f->tls.version); break;
	case LOG_tls_cipher: put_value(l, f->tls.cipher); break;
	case LOG_tls_sni: put_value(l, f->tls.sni); break;
	case LOG_tls_client_subject: put_value(l, f->tls.client_subject); break;
	case LOG_tls_client_fingerprint: put_value(l, f->tls.client_fingerprint); break;
	case LOG_tls_client_verify: put_value(l, f->tls.client_verify); break;
	case LOG_ja4: put_value(l, f->tls.ja4); break;
	case LOG_connection: put_number(l, f->connection); break;
	case LOG_connection_requests: put_number(l, f->connection_requests); break;
	case LOG_request:
	case LOG_method:
	case LOG_target:
	case LOG_protocol:
	case LOG_host:
	case LOG_header: put_value(l, capture_find(note, part->capture)); break;
	case LOG_FIELD_COUNT: break;
	}
}
// clang-format on

static void time_renew(struct access *a)
{
	struct timespec now;
	struct tm tm;
	unsigned ms;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != a->second) {
		a->second = now.tv_sec;
		gmtime_r(&now.tv_sec, &tm);
		strftime(a->time, sizeof(a->time), "%d/%b/%Y:%H:%M:%S +0000", &tm);
		strftime(a->time_iso, sizeof(a->time_iso), "%Y-%m-%dT%H:%M:%S", &tm);
		localtime_r(&now.tv_sec, &tm);
		strftime(a->time_syslog, sizeof(a->time_syslog), "%b %e %H:%M:%S", &tm);
	}
	ms = (unsigned)(now.tv_nsec / 1000000);
	memcpy(a->time_iso + 19,
	       (char[]){'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
			(char)('0' + ms % 10), 'Z', '\0'},
	       6);
}

void access_log(struct access *a, const struct buf *note, const struct access_facts *f)
{
	struct line l;

	if (a->fd < 0)
		return;
	if (a->len > ACCESS_BYTES - ACCESS_LINE)
		access_flush(a);
	time_renew(a);
	l = (struct line){.at = a->lines + a->len,
			  .end = a->lines + a->len + ACCESS_LINE - 1,
			  .json = a->format->json};
	for (unsigned i = 0; i < a->format->n_parts; i++)
		put_part(&l, a, &a->format->parts[i], note, f);
	*l.at++ = '\n';
	a->len = (uint32_t)(l.at - a->lines);
}
