/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TLS of https checks: contexts, made while files can still be read, and connections over
 * sockets that do not block.
 */
#ifndef HEALTH_TLS_H
#define HEALTH_TLS_H

#include "base/err.h"
#include "conf/health.h"

struct tls;
struct ssl_st;

/* For all checks of one `health` section. NULL with e filled. */
struct tls *tls_new(const struct conf_health *h, struct err *e);
void tls_free(struct tls *t);

/* A client's connection over fd, which stays the caller's. NULL: out of memory. */
struct ssl_st *tls_open(struct tls *t, int fd);
void tls_close(struct ssl_st *ssl); /* NULL is fine */

/* Each: > 0 done or bytes, -EAGAIN, 0 the peer has ended it, -EPROTO with the reason in `why`. */
#define TLS_WHY 96
int tls_shake(struct ssl_st *ssl, char why[TLS_WHY]);
int tls_read(struct ssl_st *ssl, void *to, size_t room, char why[TLS_WHY]);
int tls_write(struct ssl_st *ssl, const void *from, size_t len, char why[TLS_WHY]);

#endif
