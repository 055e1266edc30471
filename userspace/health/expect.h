/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is asked of a backend, and whether its answer is the expected one. Pure; the answer is
 * hostile input, looked at within its bounds.
 */
#ifndef HEALTH_EXPECT_H
#define HEALTH_EXPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/health.h"

#define EXPECT_QUESTION 1024       /* bytes of a request, at most */
#define EXPECT_ANSWER   (1U << 15) /* bytes of an answer that are looked at */
#define EXPECT_WHY      96

enum expect_word { EXPECT_MORE, EXPECT_YES, EXPECT_NO };

/* The request; host is what names the server where the file names none. Returns its length. */
size_t expect_http_ask(const struct conf_health *h, const char *host, char out[EXPECT_QUESTION]);
/* Of an HTTP/1 answer the first len bytes; ended: there will be no more. `why` is filled with
 * EXPECT_NO. */
enum expect_word expect_http(const struct conf_health *h, const char *answer, size_t len,
			     bool ended, char why[EXPECT_WHY]);

/* A DNS query (RFC 1035, section 4) with this id. Returns its length. */
size_t expect_dns_ask(const struct conf_health *h, uint16_t id, char out[EXPECT_QUESTION]);
/* EXPECT_MORE: a datagram that is no answer to that query; another may be. */
enum expect_word expect_dns(const struct conf_health *h, uint16_t id, const char *answer,
			    size_t len, char why[EXPECT_WHY]);

enum expect_word expect_udp(const struct conf_health *h, const char *answer, size_t len,
			    char why[EXPECT_WHY]);

#endif
