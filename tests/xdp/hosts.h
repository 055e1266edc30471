/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two hosts for tests with real connections: a host with VIPs (local routes) and a client
 * behind a veth pair, in namespaces of the test's own, and a private bpffs. They end with
 * the process. Failed steps fail the test.
 */
#ifndef TESTS_XDP_HOSTS_H
#define TESTS_XDP_HOSTS_H

#include "base/addr.h"

#define VIP4          "198.51.100.20"
#define VIP6          "2001:db8:51::20"
#define PORTS4        "198.51.100.21" /* for a service on every port */

#define HOSTS_WAIT_MS 10000 /* nothing that works comes near */

extern int host_ns, client_ns; /* network namespaces; the process is in host_ns */

/* For cmocka's group setup: 0, or -1 with the reason on stderr. */
int hosts_make(void);
int hosts_enter(int ns);
/* A fresh network namespace with lo up, entered; -1 on failure. */
int hosts_namespace(void);

struct endpoint hosts_endpoint(const char *ip, uint16_t port);
/* A connection from the namespace `ns`; -errno when it is refused. */
int hosts_connect(int ns, const char *ip, uint16_t port);
void hosts_await(int fd); /* readable */
struct endpoint hosts_local(int fd);
struct endpoint hosts_peer(int fd);

#endif
