/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A service for tests of which backend a flow goes to: "shop" on a port of its own, TCP and UDP,
 * both families, with three backends that are hosts on the gate's wire.
 */
#ifndef TESTS_XDP_SHOP_H
#define TESTS_XDP_SHOP_H

#include "scene.h"

#define SHOP_PORT 8443
#define TABLE     251 /* its slots, unless a test says otherwise */

enum { SHOP = BED_FREE };              /* service */
enum { X = BED_FREE, Y, Z, BACKENDS }; /* backends */

/* What its VIP entries say; a change counts from the next shop_table() on. */
extern struct sluice_service shop_entry;
extern struct run shop_run; /* of the last packet */

/* All three backends with generation 5, one share each; an empty connection table, and room in
 * the rate's second. For each test: shop_entry begins anew. */
int shop_open(void **unused);
/* The table that `sluice apply` would load for these weights. */
void shop_table(uint32_t size, uint32_t x, uint32_t y, uint32_t z);
/* From now on the table that is loaded is the one before the last change, for so many seconds. */
void shop_keep_table(int seconds);
/* X, Y or Z, as it was opened, and with another generation or no more in use. */
void shop_backend(uint32_t id, uint32_t generation, bool in_use);
/* The backend that one more packet of the flow goes to; flags NULL for UDP. */
uint32_t shop_send(bool v6, unsigned sport, const char *flags);
/* The flow that shop_send() sends. */
struct sluice_flow shop_flow(bool v6, unsigned sport, uint8_t proto);
/* What the table has there. */
uint32_t shop_slot(uint32_t slot);
/* The backend that the table has for it, as userspace computes it. */
uint32_t shop_computed(bool v6, unsigned sport, uint8_t proto);
/* Of the last frame. */
uint64_t noticed(enum sluice_notice n);
/* The rate's second is over, so that the next packet begins another; or is not, however slow
 * the machine. */
void window_new(void);
void window_hold(void);

#endif
