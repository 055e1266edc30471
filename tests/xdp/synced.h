/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A gate's maps pinned in a mount namespace of the test's own, and a file to apply to them. No
 * program runs. Needs root.
 */
#ifndef TESTS_XDP_SYNCED_H
#define TESTS_XDP_SYNCED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf/conf.h"
#include "l4/gate.h"
#include "l4/load.h"

#define RING 251

extern struct gate gate;
extern struct err err;

/* The file: an l4 service "shop" with two backends in two families, an l7 one, a balancer to
 * trust. Tests change it. */
extern struct conf conf;
extern struct conf_service services[2];
extern struct conf_listen listens[2][2];
extern struct conf_backend backends[2][3];
extern struct sluice_addr decap[2];

struct sluice_addr addr(const char *text);
void add_backend(struct conf_service *s, const char *name, const char *ip, uint32_t weight);

/* For the group, and for each test. */
int synced_host(void **unused);
int synced_open(void **unused);
int synced_close(void **unused);
extern const struct load_tuning synced_tuning;

/* Returns the number of edits. */
size_t apply(void);
/* What the maps hold. */
struct sluice_backend backend_at(uint32_t id);
struct sluice_service vip_at(const char *ip, uint16_t port, uint8_t proto);
/* Slots of the running ring that lead to a backend. */
unsigned slots_of(uint32_t service, uint32_t backend);

#endif
