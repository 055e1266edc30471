/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two halves of a WebSocket handshake (RFC 6455 section 4): what a request's key asks for, and
 * whether an answer says exactly that. A backend that does not, speaks something else. Pure.
 */
#ifndef L7_WEBSOCKET_H
#define L7_WEBSOCKET_H

#include <stdbool.h>

#include "l7/http1.h"

#define WEBSOCKET_ACCEPT 28 /* SHA-1 in base64 */

/* What Sec-WebSocket-Accept must be. False: there is no key, or more than one, or it is none. */
bool websocket_expects(char accept[WEBSOCKET_ACCEPT], const struct http1_head *request);
bool websocket_agrees(const struct http1_head *answer, const char accept[WEBSOCKET_ACCEPT]);

#endif
