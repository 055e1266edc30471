/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gate as the keeper has it: adopted by its pins at start, or done without; its slots
 * filled with the listening sockets that serve now, and filled again when the pins were
 * made anew meanwhile.
 */
#ifndef DAEMON_ADOPT_H
#define DAEMON_ADOPT_H

#include "conf/conf.h"
#include "daemon/listeners.h"
#include "l4/gate.h"

struct adopt {
	struct gate gate;
	bool on;   /* steered; else an ordinary proxy, for the life of this process */
	bool lost; /* on, but the pins were gone when last looked at */
};

/*
 * Without a gate, or without the right to it, the daemon is an ordinary proxy: one warning
 * says what is off (with `refused`, the operator's own wish, it is no warning). 0, or
 * -errno when the gate must not be touched: another version's pins, or another daemon.
 */
int adopt_open(struct adopt *a, bool refused, struct err *e);
void adopt_close(struct adopt *a);

/* Warns when the gate does not know what c serves. */
void adopt_check(const struct adopt *a, const struct conf *c);

/* New connections go to these sockets; NULL: to nobody, if they went to `before`. */
int adopt_publish(struct adopt *a, const struct listeners *l, struct err *e);
void adopt_withdraw(struct adopt *a, const struct listeners *l);

/* To be called now and then: pins that were removed and made again get the sockets. */
void adopt_look(struct adopt *a, const struct conf *c, const struct listeners *l);

#endif
