/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A service of kind `forward`: a proxy for requests that leave the site, who may ask it and where
 * they may go. Part of the snapshot, see conf.h. In all else it is an l7 service, with one backend
 * that stands for whichever address a request goes to.
 */
#ifndef CONF_OUTGOING_H
#define CONF_OUTGOING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define CONF_MAX_DESTINATIONS 1024
#define CONF_MAX_CLIENTS      256

struct conf_destination {
	const char *name; /* lower case; of "*.x" the ".x", of "*" empty; NULL: it is a net */
	struct cidr net;
	uint16_t port; /* 0: 80 and 443 */
	bool any_port;
	unsigned line;
};

struct conf_outgoing {
	struct conf_destination *destinations;
	unsigned n_destinations;
	struct cidr *clients;
	unsigned n_clients;
	bool via; /* this proxy names itself: yes */
};

#endif
